/**
 * Everything behind the adapters: what a home knows, and, where an overlay is given, the delivery path over it. The
 * gateway, a stopped home's commands, tests and benchmarks all open this and nothing deeper.
 */
import { type Accounts, openAccounts } from './core/account/accounts.ts'
import { type AppPasswords, openLogins } from './core/account/app-passwords.ts'
import { type Contacts, openContacts } from './core/account/contacts.ts'
import { type Invitations, openInvitations } from './core/account/invitations.ts'
import { FileUse } from './core/account/file-use.ts'
import { Quotas } from './core/account/quotas.ts'
import type { Ambient } from './core/ambient.ts'
import { Conversations } from './core/conversation/conversations.ts'
import { GroupBook } from './core/conversation/group-book.ts'
import { groupJudge } from './core/conversation/group-judge.ts'
import type { Secret } from './core/crypto/secret.ts'
import type { ChatGroups } from './core/delivery/chat-mail/groups.ts'
import { Confirmations } from './core/delivery/confirmations.ts'
import { type Delivery, openDelivery } from './core/delivery/delivery.ts'
import { Linking } from './core/delivery/linking.ts'
import { People } from './core/delivery/people.ts'
import type { Overlay } from './core/delivery/ports.ts'
import type { RelaySettings } from './core/delivery/relay/desk.ts'
import { Requests } from './core/delivery/requests.ts'
import { MyceliumError } from './core/errors.ts'
import type { Identity } from './core/ids.ts'
import type { Mailboxes, Summariser } from './core/mailbox/mailbox.ts'
import { type Annotations, openAnnotations } from './core/mailbox/annotations.ts'
import { openMailboxes } from './core/mailbox/mailboxes.ts'
import { Replication } from './core/replica/replication.ts'
import { type Blobs, openBlobs } from './core/store/blobs.ts'
import { openStore, type SnapshotStore } from './core/store/lmdb-store.ts'

/** What a home knows, without a network. */
export interface Knowledge extends AsyncDisposable {
  readonly store: SnapshotStore
  readonly blobs: Blobs
  readonly mailboxes: Mailboxes
  readonly annotations: Annotations
  readonly accounts: Accounts
  readonly contacts: Contacts
  readonly invitations: Invitations
  readonly logins: AppPasswords
  readonly quotas: Quotas
  readonly fileUse: FileUse
  readonly people: People
  readonly requests: Requests
  readonly conversations: Conversations
  readonly groupBook: GroupBook
  readonly replication: Replication
}

export interface KnowledgeOptions {
  readonly paths: { readonly store: string; readonly blobs: string }
  readonly key: Secret
  readonly storeBytesMax?: number
  /** Octets of mail for accounts without a quota of their own; no limit where absent. */
  readonly quotaBytes?: number
  readonly summariser?: Summariser
  readonly onCommit?: (tookMs: number) => void
  /** Faults around the store, for tests. */
  readonly openStore?: typeof openStore
  /** False: nothing is indexed, and searches read everything. */
  readonly indexes?: boolean
}

export async function openKnowledge(options: KnowledgeOptions, ambient: Ambient): Promise<Knowledge> {
  await using scope = new AsyncDisposableStack()
  const { paths, key, storeBytesMax, quotaBytes: defaultQuotaBytes = Infinity, summariser, onCommit, indexes } = options
  const open = options.openStore ?? openStore
  const store = scope.use(
    await open(
      {
        path: paths.store,
        key,
        ...(storeBytesMax === undefined ? {} : { mapSizeBytes: storeBytesMax }),
        ...(onCommit === undefined ? {} : { onCommit }),
      },
      ambient,
    ),
  )
  const blobs = scope.use(await openBlobs({ path: paths.blobs, store }, ambient))
  const quotas = new Quotas(store, defaultQuotaBytes)
  const fileUse = new FileUse(store)
  const quotaBytes = (account: Identity): number => quotas.bytesMax(account) - fileUse.bytes(account)
  const mailboxes = scope.use(
    await openMailboxes(
      store,
      blobs,
      {
        quotaBytes,
        ...(summariser === undefined ? {} : { summariser }),
        ...(indexes === undefined ? {} : { indexes }),
      },
      ambient,
    ),
  )
  const annotations = openAnnotations(store)
  const accounts = await openAccounts(store, ambient)
  const contacts = openContacts(store, ambient, accounts)
  const invitations = openInvitations(store, ambient)
  const logins = await openLogins(store, ambient, accounts)
  const requests = new Requests({ store, contacts, mailboxes, ambient })
  const groupBook: GroupBook = new GroupBook({
    store,
    devicesOf: (...whose) => people.devicesInLog(...whose),
  })
  const conversations = new Conversations({ store, ambient, judge: groupJudge(groupBook) })
  const replication = scope.use(new Replication({ store, mailboxes, accounts, contacts, ambient }))
  const people = new People({ accounts, contacts, invitations, requests, ambient })
  const owned = scope.move()
  return {
    store,
    blobs,
    mailboxes,
    annotations,
    accounts,
    contacts,
    invitations,
    logins,
    quotas,
    fileUse,
    people,
    requests,
    conversations,
    groupBook,
    replication,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

export interface Node extends AsyncDisposable {
  readonly overlay: Overlay
  readonly delivery: Delivery
  readonly confirmations: Confirmations
  readonly linking: Linking
}

const prekeysEveryMs = 24 * 3600_000

export interface NodeOptions {
  readonly relays?: RelaySettings
  /** Groups of its accounts, as mail programs see them. */
  readonly groups?: ChatGroups
}

/** Takes ownership of the overlay. */
export async function openNode(
  knowledge: Knowledge,
  overlay: Overlay,
  ambient: Ambient,
  { relays, groups }: NodeOptions = {},
): Promise<Node> {
  const { accounts, contacts, people } = knowledge
  await using scope = new AsyncDisposableStack()
  scope.use(overlay)
  for (const { identity } of accounts.list()) knowledge.mailboxes.continueIndexing(identity)
  const prekeys = setInterval(
    () => void accounts.rotatePrekeys(ambient.clock.nowMs()).catch(() => ambient.log.error('prekeys.failed')),
    prekeysEveryMs,
  )
  prekeys.unref()
  scope.defer(() => clearInterval(prekeys))

  const confirmations = new Confirmations({
    ambient,
    partyOf: (account) => accounts.get(account).state,
    contactParty: (account, contact) => contacts.byIdentity(account, contact)?.log,
    say: (account, contact, item) => delivery.say(account, contact, item),
  })
  const linking = new Linking({ overlay, accounts, ambient, replication: knowledge.replication })
  const delivery: Delivery = await openDelivery({
    ...knowledge,
    overlay,
    ambient,
    directory: people,
    keyring: people,
    onConfirmation: (account, contact, step) => confirmations.received(account, contact, step),
    onDevice: linking.answer,
    onRolledBack: (account) => void startAnew(knowledge, delivery, account, ambient),
    ...(relays === undefined ? {} : { relaySettings: relays }),
    groups,
  })
  scope.use(delivery)
  scope.defer(contacts.watch((account, contact) => delivery.contactChanged(account, contact)))
  scope.defer(accounts.watch((account) => delivery.accountChanged(account)))
  const owned = scope.move()
  return { overlay, delivery, confirmations, linking, [Symbol.asyncDispose]: async () => await owned.disposeAsync() }
}

/**
 * This home is an older copy of itself: keys that it would use again were used already. The account goes on as a new
 * device, with new sessions, and mail clients fetch everything anew.
 */
async function startAnew(
  { accounts, mailboxes }: Knowledge,
  delivery: Delivery,
  account: Identity,
  ambient: Ambient,
): Promise<void> {
  try {
    await accounts.replaceDevice(account, (tx) => {
      delivery.retireSessions(tx, account)
      mailboxes.bumpUidValidity(tx, account)
    })
    await accounts.rotatePrekeys(ambient.clock.nowMs())
  } catch (error) {
    const code = error instanceof MyceliumError ? error.code : 'unexpected'
    ambient.log.error('home.not-replaced', { code })
  }
}
