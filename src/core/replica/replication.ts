/**
 * What a home shares between the devices of its accounts, put together: the kinds, who tells them of changes, and the
 * beginning, when an account gets its second device and what it has gets ids.
 */
import type { Accounts } from '../account/accounts.ts'
import type { Contacts } from '../account/contacts.ts'
import type { Ambient } from '../ambient.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { DeviceId, Identity, MailboxId, Uid } from '../ids.ts'
import type { HandedState } from '../identity/linking.ts'
import { initialMailboxes } from '../mailbox/first-mailboxes.ts'
import type { Mailboxes } from '../mailbox/mailbox.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { Copies } from './copies.ts'
import { Folders } from './folders.ts'
import { type ItemSlice, type MergeSource, Replicas } from './replicas.ts'
import { SharedContacts } from './shared-contacts.ts'

interface ReplicationParts {
  readonly store: Store
  readonly mailboxes: Mailboxes
  readonly accounts: Accounts
  readonly contacts: Contacts
  readonly ambient: Ambient
}

const enrolledAtOnce = 500

export class Replication implements AsyncDisposable {
  readonly replicas: Replicas
  readonly copies: Copies
  readonly #folders: Folders
  readonly #contacts: SharedContacts
  readonly #parts: ReplicationParts
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #unwatch: () => void

  constructor(parts: ReplicationParts) {
    const { store, mailboxes, accounts, contacts, ambient } = parts
    const { clock, random } = ambient
    const nowMs = (): number => clock.nowMs()
    this.#parts = parts
    this.replicas = new Replicas({
      store,
      clock,
      deviceOf: (account) => (accounts.has(account) ? accounts.get(account).device.id : undefined),
    })
    const { replicas } = this
    this.#contacts = new SharedContacts({ contacts, replicas, nowMs })
    this.#folders = new Folders({ mailboxes, replicas, nowMs })
    this.copies = new Copies({ mailboxes, folders: this.#folders, replicas, random, nowMs })
    for (const kind of [this.#contacts, this.#folders, this.copies]) replicas.register(kind)
    mailboxes.follow(this.copies)
    this.#unwatch = contacts.watch((account, contact) => this.#contactChanged(account, contact))
    for (const { identity } of accounts.list()) {
      if (!replicas.follows(identity)) continue
      // a crash may have come between a contact's change and its stamp
      for (const contact of contacts.list(identity)) this.#contactChanged(identity, contact.identity)
      if (!replicas.isEnrolled(identity)) this.#enrolRest(identity)
    }
  }

  /** The account is about to have a second device: from this commit on, every change here is stamped. */
  async begin(account: Identity): Promise<void> {
    const { store, mailboxes, contacts } = this.#parts
    if (this.replicas.follows(account)) return
    await store.write((tx) => {
      this.replicas.follow(tx, account)
      this.#folders.compare(tx, account, mailboxes.writer(tx, account).list())
      this.#folders.noteMissing(tx, account, initialMailboxes)
      for (const { identity } of contacts.list(account)) this.#contacts.compare(tx, account, identity)
    })
    this.#enrolRest(account)
  }

  /** What a new device needs before it may be written to: whose mail is no stranger's, and where mail belongs. */
  handOver(account: Identity): readonly HandedState[] {
    return this.#parts.store.read((tx) =>
      [this.#contacts, this.#folders].flatMap((kind) => {
        const states: HandedState[] = []
        for (let from: Uint8Array | undefined | null = null; from !== undefined;) {
          const slice: ItemSlice = kind.items(tx, account, from ?? undefined)
          for (const { id } of slice.items) states.push({ of: kind.kind, state: kind.state(tx, account, id)! })
          from = slice.next
        }
        return states
      }),
    )
  }

  /** An account that was taken on from another device, with mailboxes that give way to all that is said there. */
  joined(tx: WriteTx, device: DeviceId, from: MergeSource, states: readonly HandedState[]): void {
    const { account } = from
    this.replicas.follow(tx, account, device)
    this.#folders.compare(tx, account, this.#parts.mailboxes.writer(tx, account).list(), { isFresh: true })
    for (const { of, state } of states) this.replicas.kind(of)?.merge(tx, from, [state])
    this.replicas.enrolled(tx, account)
  }

  #contactChanged(account: Identity, contact: Identity): void {
    if (!this.#parts.accounts.has(account) || !this.replicas.follows(account)) return
    const { store } = this.#parts
    const isDue = store.read((tx) => this.#contacts.difference(tx, account, contact) !== undefined)
    if (isDue) this.#run(store.write((tx) => this.#contacts.compare(tx, account, contact)))
  }

  #enrolRest(account: Identity): void {
    this.#run(this.#enrol(account))
  }

  async #enrol(account: Identity): Promise<void> {
    const { store, mailboxes } = this.#parts
    for (const { id } of mailboxes.list(account)) {
      const uids = Array.from(mailboxes.columns(account, id).uids()) as Uid[]
      for (let at = 0; at < uids.length; at += enrolledAtOnce) {
        if (this.#stop.signal.aborted) return
        await store.write((tx) => this.#enrolSome(tx, account, id, uids.slice(at, at + enrolledAtOnce)))
      }
    }
    await store.write((tx) => {
      this.replicas.enrolled(tx, account)
      this.replicas.changed(tx, { account, kind: this.copies.kind, ids: 'many', from: undefined })
    })
  }

  #enrolSome(tx: WriteTx, account: Identity, mailbox: MailboxId, uids: readonly Uid[]): void {
    const writer = this.#parts.mailboxes.writer(tx, account)
    const messages = uids.flatMap((uid) => {
      const message = writer.message(mailbox, uid)
      return message === undefined ? [] : [{ uid, ...message }]
    })
    if (messages.length > 0) this.copies.enrol(tx, account, mailbox, messages)
  }

  #run(work: Promise<void>): void {
    const guarded = work.catch((error: unknown) => {
      if (hasCode(error, 'shutting-down')) return
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      this.#parts.ambient.log.error('replica.failed', { code })
    })
    this.#running.add(guarded)
    void guarded.finally(() => this.#running.delete(guarded))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch()
    this.#stop.abort()
    await Promise.all(this.#running)
  }
}
