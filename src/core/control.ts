/**
 * What the command line can ask of a gateway: one operation per verb, the same over the control socket of a running
 * gateway and on a stopped home. Parameters are validated here, at the edge; results are plain JSON. Secrets in
 * results (words, app passwords, invitation links) go to the person who asked and never to a log.
 */
import * as z from 'zod'
import { limits } from './limits.ts'
import type { Reachability } from './reachability.ts'

const name = z.string().trim().min(1).max(limits.displayNameOctetsMax)
const address = z.string().min(3).max(limits.addressOctetsMax)
/** An account of this gateway: localName, address or identity. May be left out where the gateway has one account. */
const account = z.string().min(1).max(limits.addressOctetsMax).optional()
/** A contact: address, given name or identity (64 hex digits, or an unambiguous beginning of at least 8). */
const contact = z.string().min(1).max(limits.addressOctetsMax)
/** A reference to one message for one recipient, as `queue list` shows it. */
const queueId = z.string().min(1).max(limits.controlIdCharsMax)
/** A message of a conversation: its id (64 hex digits), or an unambiguous beginning of at least 8. */
const messageName = z.string().regex(/^[\da-f]{8,64}$/)
const chatText = z.string().min(1).max(limits.messageInlineBytesMax)
const groupName = z.string().trim().min(1).max(limits.groupNameOctetsMax)
/** A group: its name, its address, or an unambiguous beginning of its id of at least 8 hex digits. */
const byGroup = z.strictObject({ account, group: contact })
const byMember = z.strictObject({ account, group: contact, member: contact })
const deviceName = z.string().trim().min(1).max(limits.deviceNameOctetsMax)
const nothing = z.strictObject({})
const byAccount = z.strictObject({ account })
const byContact = z.strictObject({ account, contact })

/** Parameters of each operation. */
export const operationParams = {
  status: nothing,
  peers: nothing,
  /** Ways through other gateways that are used or looked for now. */
  routes: nothing,
  doctor: nothing,
  /** Drains and ends the running gateway; answered before it ends. Fails with `not-running` on a stopped home. */
  stop: nothing,

  accountAdd: z.strictObject({ address, displayName: name.optional() }),
  accountList: nothing,
  /** Also removes its mail, contacts and keys. */
  accountRemove: z.strictObject({ account: contact }),
  /** A disabled account cannot log in, and neither sends nor receives; nothing is removed. */
  accountDisable: z.strictObject({ account: contact, disabled: z.boolean() }),
  accountShow: byAccount,
  /** Octets of mail; `default` follows the configuration's `accounts.quota`. */
  accountQuota: z.strictObject({
    account: contact,
    quota: z.union([z.int().min(1), z.enum(['none', 'default'])]),
  }),
  /** For somebody else in the office: all app passwords, sessions and open invitations end, one new password is made. */
  accountHandOver: z.strictObject({ account: contact, displayName: name.optional() }),

  /** The latest entries, oldest of them first. */
  auditList: z.strictObject({ account, limit: z.int().min(1).max(limits.auditListMax).default(100) }),

  passwordAdd: z.strictObject({ account, name: name.optional() }),
  passwordList: byAccount,
  passwordRevoke: z.strictObject({ account, name }),

  inviteCreate: z.strictObject({
    account,
    expiresMs: z.int().min(limits.inviteExpiryMsMin).max(limits.inviteExpiryMsMax).default(limits.inviteExpiryMs),
  }),
  inviteAccept: z.strictObject({ account, link: z.string().min(1).max(limits.inviteLinkCharsMax) }),
  inviteList: byAccount,
  inviteRevoke: z.strictObject({ account, id: z.string().min(1).max(limits.controlIdCharsMax) }),

  contactList: byAccount,
  contactShow: byContact,
  /** The other's 60 digits, compared in person: spaces are ignored. */
  contactVerify: z.strictObject({ account, contact, digits: z.string().regex(/^[\d\s]{60,100}$/) }),
  /** Online confirmation: waits for the other side (progress `waiting`), then gives the string that both must see. */
  contactConfirmStart: byContact,
  /** `same`: this side's person said that both strings are equal. */
  contactConfirmEnd: z.strictObject({ account, contact, same: z.boolean() }),
  contactRename: z.strictObject({ account, contact, name }),
  contactBlock: byContact,
  contactUnblock: byContact,
  contactRemove: byContact,
  contactRequests: byAccount,
  contactAccept: byContact,

  /** `to` is a contact, or a group by name or address. */
  chatSend: z.strictObject({ account, to: contact, text: chatText, replyTo: messageName.optional() }),
  /** Another text in the place of one's own. */
  chatEdit: z.strictObject({ account, message: messageName, text: chatText }),
  chatDelete: z.strictObject({ account, message: messageName }),
  /** All that one says of a message; none takes earlier ones back. */
  chatReact: z.strictObject({
    account,
    message: messageName,
    reactions: z.array(z.string().min(1).max(limits.reactionOctetsMax)).max(limits.reactionsMax),
  }),
  chatList: byAccount,
  chatShow: z.strictObject({
    account,
    with: contact,
    limit: z.int().min(1).max(limits.chatShowMax).default(50),
    before: messageName.optional(),
  }),
  /** Marks as read, up to a message or all. */
  chatRead: z.strictObject({ account, with: contact, upTo: messageName.optional() }),
  /** Writes each `ChatEvent` as a line of JSON to `output` until the caller hangs up. */
  chatTail: z.strictObject({
    account,
    with: contact.optional(),
    /** Number of the last event that is known; without it, what comes from now on. */
    after: z.int().min(0).optional(),
  }),
  chatSettings: z.strictObject({
    account,
    readReceipts: z.boolean().optional(),
    presence: z.boolean().optional(),
    inInbox: z.boolean().optional(),
  }),

  /** Reads the file from `input`. */
  fileSend: z.strictObject({
    account,
    to: contact,
    name: z.string().min(1).max(limits.transferNameCharsMax),
    mediaType: z.string().min(3).max(limits.mediaTypeOctetsMax),
    /** Its size, where it is known before. */
    bytes: z.int().min(0).optional(),
    text: chatText.optional(),
  }),
  /** Waits for it where it is on its way, and writes it to `output`. */
  fileGet: z.strictObject({ account, message: messageName }),
  fileList: z.strictObject({ account, with: contact.optional() }),

  groupCreate: z.strictObject({
    account,
    name: groupName,
    members: z.array(contact).max(limits.groupMembersMax).default([]),
  }),
  groupList: byAccount,
  groupShow: byGroup,
  groupInvite: z.strictObject({
    account,
    group: contact,
    members: z.array(contact).min(1).max(limits.groupMembersMax),
  }),
  groupRemove: byMember,
  /** Makes an admin, and takes that back. */
  groupGrant: byMember,
  groupRevoke: byMember,
  groupRename: z.strictObject({ account, group: contact, name: groupName }),
  groupPolicy: z.strictObject({
    account,
    group: contact,
    post: z.enum(['members', 'admins']).optional(),
    add: z.enum(['members', 'admins']).optional(),
    sharesHistory: z.boolean().optional(),
    readReceipts: z.boolean().optional(),
  }),
  groupLeave: byGroup,
  /** Has the admins vouch for where the group stands. */
  groupCheckpoint: byGroup,
  /** Takes part in a group to which somebody has added this account who is no contact. */
  groupAccept: byGroup,

  queueList: byAccount,
  queueShow: z.strictObject({ account, id: queueId }),
  /** Without `id`: everything that waits. */
  queueRetry: z.strictObject({ account, id: queueId.optional() }),
  queueCancel: z.strictObject({ account, id: queueId }),

  /** A link with which one new device joins an account; good for ten minutes. */
  deviceLink: byAccount,
  /** Waits (progress `waiting`) until a device has come with it, and gives the digits that both sides must see. */
  deviceLinkDigits: byAccount,
  /** `same`: this side's person said that both see the same; then waits for the other side. */
  deviceLinkEnd: z.strictObject({ account, same: z.boolean() }),
  /** Comes with a link that another device made: the digits, and whose account it is. */
  deviceJoin: z.strictObject({
    link: z
      .string()
      .min(1)
      .max(2 * limits.deviceLinkCharsMax),
    name: deviceName.optional(),
  }),
  /** As `deviceLinkEnd`, of the side that joins. */
  deviceJoinEnd: z.strictObject({ same: z.boolean() }),
  deviceList: byAccount,
  /** Its name, or its id or the beginning of it. */
  deviceRevoke: z.strictObject({
    account,
    device: z.string().min(1).max(limits.controlIdCharsMax),
    /** The 24 recovery words: for a device that this one may not revoke. */
    words: z.string().max(512).optional(),
  }),
  deviceRename: z.strictObject({ account, device: z.string().min(1).max(limits.controlIdCharsMax), name: deviceName }),

  /** Relays through which an account can be reached while its gateway is away. */
  relayList: byAccount,
  /** A multiaddr with /p2p; a capability as hex digits where the relay's owner gave one. */
  relayUse: z.strictObject({
    account,
    relay: z.string().min(1).max(512),
    capability: z
      .string()
      .regex(/^[\da-f]{32}$/)
      .optional(),
  }),
  /** The gateway's id, or the end of it. */
  relayDrop: z.strictObject({ account, gateway: z.string().min(4).max(128) }),

  trustExport: nothing,

  /** What this gateway holds for others. */
  relayStatus: nothing,
  /** A capability with which one account of another gateway may have this one hold mail for it. */
  relayGrant: z.strictObject({
    expiresMs: z.int().min(limits.inviteExpiryMsMin).max(limits.relayGrantMsMax).default(limits.relayGrantMsDefault),
  }),

  /** Reads `core/transfer/mail-stream.ts` from `input` and adds what is not in its mailbox yet. */
  mailImport: z.strictObject({ account }),
  /** Writes the same to `output`: one mailbox with those below it, or all. */
  mailExport: z.strictObject({ account, mailbox: z.string().min(1).max(limits.mailboxNameOctetsMax).optional() }),

  /** Writes `core/transfer/home-stream.ts` to `output`: everything a restored home needs, of one moment. */
  backupRead: nothing,

  /** The words, where they could not be shown at creation and nobody has confirmed them; else `words-confirmed`. */
  recoveryShow: byAccount,
  /** Which words a confirmation takes: some while they are kept here, else all; `words-confirmed` when it is done. */
  recoveryAsk: byAccount,
  /** The words by position (1 … 24); when they are right, the gateway forgets all words for good. */
  recoveryConfirm: z.strictObject({
    account,
    words: z
      .array(z.strictObject({ position: z.int().min(1).max(24), word: z.string().min(1).max(16) }))
      .min(3)
      .max(24),
  }),
} as const

export type Verb = keyof typeof operationParams
export const operationVerbs = Object.keys(operationParams) as readonly Verb[]
export type Params<V extends Verb> = z.output<(typeof operationParams)[V]>
/** As they may be asked: what has a default may be left out. */
export type Asked<V extends Verb> = z.input<(typeof operationParams)[V]>

/** Strongest first (DESIGN §4): who bound the address to the identity. */
export const tiers = ['in-person', 'zone', 'vouched', 'unverified'] as const
export type Tier = (typeof tiers)[number]

export interface AccountView {
  readonly localName: string
  /** The first one is what mail clients are told to use. */
  readonly addresses: readonly string[]
  readonly displayName: string
  readonly identity: string
  /** 60 decimal digits in groups of five. */
  readonly fingerprint: string
  readonly disabled: boolean
  readonly recoveryConfirmed: boolean
  /** Octets of mail and files. */
  readonly usedBytes: number
  /** Of them, files of conversations, those on their way included. */
  readonly fileBytes: number
  /** Octets of mail at most; absent for no limit, and on a stopped home where the configuration says. */
  readonly quotaBytes: number | undefined
  /** Whether the account has a quota of its own, not the configuration's. */
  readonly quotaIsOwn: boolean
}

export interface AccountDetails extends AccountView {
  readonly createdAtMs: number
  /** To the hour. */
  readonly lastLoginMs: number | undefined
  readonly passwords: number
  readonly contacts: number
  readonly mailboxes: number
  readonly messages: number
  /** Mails that wait to be delivered; known while the gateway runs. */
  readonly queued: number | undefined
  /** The recovery words are still here, sealed, until somebody confirms them. */
  readonly wordsKept: boolean
}

export interface AccountHandedOver {
  readonly address: string
  readonly localName: string
  readonly identity: string
  /** Of the new app password. */
  readonly name: string
  readonly password: string
  /** App passwords that were revoked. */
  readonly revoked: number
  readonly wordsKept: boolean
}

export interface AuditEntryView {
  readonly atMs: number
  readonly action: string
  /** A keyed hash that only this home can resolve. */
  readonly account?: string | undefined
  /** localName, while the account exists. */
  readonly accountName: string | undefined
  readonly details: Readonly<Record<string, string | number | boolean>>
}

/** What `init` and `account add` print once. */
export interface NewAccount {
  readonly address: string
  readonly identity: string
  readonly fingerprint: string
  /** 24 words, separated by spaces. */
  readonly mnemonic: string
  readonly appPassword: string
}

/** How a contact is reached now; what does not apply is left out. */
export interface ReachView {
  /** `idle`: nobody tries, e.g. because the contact is blocked. */
  readonly state: 'connected' | 'trying' | 'waiting' | 'idle'
  readonly how?: 'direct' | 'relayed' | undefined
  /** Gateways in between; 0 when direct. */
  readonly hops?: number | undefined
  /** They, nearest first: names of contacts, or the ends of their ids. */
  readonly via: readonly string[]
  readonly transport?: string | undefined
  readonly rttMs?: number | undefined
  /** Connected since then; otherwise when they were last connected or first missed. Unix milliseconds. */
  readonly sinceMs?: number | undefined
  /** Why the last attempt failed, in words, and what to do. */
  readonly problem?: string | undefined
  readonly remedy?: string | undefined
  /** Failures in a row. */
  readonly attempts?: number | undefined
  readonly nextAttemptMs?: number | undefined
}

export interface ContactView {
  readonly name: string
  readonly identity: string
  /** What both sides read to each other: 60 digits in groups of five; the same on both sides. */
  readonly fingerprint: string
  readonly addresses: readonly { readonly address: string; readonly tier: Tier; readonly conflicting: boolean }[]
  /**
   * `pending`: invited, first contact not made; `request`: a stranger who waits; `key-changed`: nothing is sent until it
   * is verified again.
   */
  readonly state: 'pending' | 'active' | 'request' | 'fellow' | 'blocked' | 'key-changed'
  readonly devices: number
  readonly connected: boolean
  readonly lastSeenMs: number | undefined
  /** Known while the gateway runs. */
  readonly reach: ReachView | undefined
}

export interface ContactRequestView {
  readonly identity: string
  readonly address: string
  readonly fingerprint: string
  readonly receivedAtMs: number
  readonly messages: number
}

export interface InviteAccepted {
  readonly address: string
  readonly identity: string
  readonly fingerprint: string
  readonly tier: Tier
  readonly state: ContactView['state']
}

export interface InvitationView {
  readonly id: string
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly state: 'open' | 'used' | 'expired'
}

export interface QueueItem {
  readonly id: string
  readonly account: string
  readonly recipient: string
  readonly queuedAtMs: number
  readonly expiresAtMs: number
  readonly bytes: number
  readonly attempts: number
  /** In words for a person, e.g. `recipient's gateway is unreachable`. */
  readonly reason: string
  /** What to do about it; absent when it is on its way. */
  readonly remedy: string | undefined
  readonly nextAttemptMs: number | undefined
  /** Of mail that was handed over to leave later. */
  readonly heldUntilMs: number | undefined
}

export interface RelayView {
  readonly account: string
  readonly gateway: string
  /** `replaced`: still emptied, but nobody is told to leave anything there. */
  readonly state: 'watching' | 'away' | 'replaced'
  /** Since when it is watched, or is not. */
  readonly sinceMs: number | undefined
  readonly lastSeenMs: number
  /** What it was caught at, weighed; at three another relay takes its place. */
  readonly faults: number
  readonly lastError: string | undefined
}

export interface DeviceView {
  readonly id: string
  readonly name: string
  readonly isThis: boolean
  readonly state: 'active' | 'revoked'
  /** When the log's entry that added it was signed, by its signer's clock. */
  readonly addedAtMs: number
  /** Whether it may take in and revoke others. */
  readonly mayLink: boolean
  /** Known of other devices while the gateway runs. */
  readonly connected: boolean | undefined
  /** When it last signed where it is, by its own clock. */
  readonly lastSeenMs: number | undefined
}

/** Relays that hold mail for accounts here while this gateway is away. */
export interface RelaysReached {
  readonly inUse: number
  readonly watched: number
  readonly accountsWithout: number
}

/** How many contacts are reached how. */
export interface ContactsReached {
  readonly direct: number
  readonly relayed: number
  /** Called again and again, or waited for. */
  readonly unreachable: number
  /** Blocked, or nothing was tried yet. */
  readonly idle: number
}

export interface PeerView {
  readonly gateway: string
  readonly state: 'connected' | 'connecting' | 'disconnected'
  readonly how: 'direct' | 'relayed' | undefined
  /** Gateways in between; 0 when direct. */
  readonly hops: number | undefined
  readonly transport: string | undefined
  readonly remote: string | undefined
  readonly sinceMs: number | undefined
  readonly rttMs: number | undefined
  /** Gateways in between, nearest first. */
  readonly via: readonly string[]
  readonly lastError: string | undefined
  /** Names of the contacts that live there. */
  readonly contacts: readonly string[]
}

export interface RouteView {
  readonly destination: string
  /** Names of the contacts that live there. */
  readonly contacts: readonly string[]
  /** The neighbour that leads there; absent while none does. */
  readonly nextHop: string | undefined
  readonly nextHopContacts: readonly string[]
  /** Gateways in between. */
  readonly hops: number | undefined
  /** Sum of round-trip times and a little for each hop. */
  readonly metricMs: number | undefined
  readonly nextHopRttMs: number | undefined
  /** Other neighbours that could take its place at once. */
  readonly alternatives: number
  readonly sinceMs: number | undefined
  readonly lastFailure: { readonly neighbour: string; readonly reason: string; readonly atMs: number } | undefined
}

/** Where each listener is; only those that are on. Names are the keys of the configuration. */
export interface Listeners {
  readonly smtp?: Endpoint
  readonly smtps?: Endpoint
  readonly imap?: Endpoint
  readonly imaps?: Endpoint
  readonly xmpp?: Endpoint
  readonly xmpps?: Endpoint
  readonly http?: Endpoint
  readonly https?: Endpoint
  /** Multiaddrs with /p2p. */
  readonly overlay: readonly string[]
}
export interface Endpoint {
  readonly host: string
  readonly port: number
}

export interface GroupView {
  /** 64 hex digits. */
  readonly group: string
  readonly name: string
  /** Mail to it is said in the group. */
  readonly address: string
  /** `invited`: somebody who is no contact added this account; nothing is shown until it is accepted. */
  readonly state: 'joined' | 'invited' | 'left'
  readonly members: readonly (ChatPerson & { readonly admin: boolean })[]
  readonly policy: {
    readonly post: 'members' | 'admins' | 'anyone'
    readonly add: 'members' | 'admins'
    readonly sharesHistory: boolean
    readonly readReceipts: boolean
  }
  /** How often the keys were made anew. */
  readonly epoch: number
  readonly messages: number
  readonly unread: number
}

export interface ChatPerson {
  readonly identity: string
  /** As this account calls them. */
  readonly name: string
  readonly own: boolean
}

export interface ChatMessageView {
  readonly id: string
  /** 64 hex digits, the same on every gateway. */
  readonly conversation: string
  readonly author: ChatPerson
  /** Place in the order in which this gateway came to show things. */
  readonly number: number
  /** By the author's clock. */
  readonly sentAtMs: number
  readonly receivedAtMs: number
  readonly text: string | undefined
  readonly html: string | undefined
  /** `here`: its content is stored on this gateway. */
  readonly file:
    | { readonly name: string; readonly mediaType: string; readonly size: number; readonly here: boolean }
    | undefined
  readonly replyTo: string | undefined
  readonly editedAtMs: number | undefined
  readonly deleted: boolean
  readonly reactions: readonly { readonly who: ChatPerson; readonly reactions: readonly string[] }[]
  /** Of an own message between two people. */
  readonly state: 'on-its-way' | 'delivered' | 'failed' | undefined
  /** Something that it answers was never here. */
  readonly gap: boolean
}

export interface ConversationView {
  readonly conversation: string
  readonly kind: 'direct' | 'group'
  readonly name: string
  readonly messages: number
  readonly unread: number
  readonly lastAtMs: number
}

/** One step, as `chat tail` shows it. */
export interface ChatEvent {
  readonly number: number
  readonly conversation: string
  /** What the conversation is called here. */
  readonly with: string
  readonly kind: 'message' | 'about' | 'read' | 'delivered' | 'failed' | 'file' | 'group'
  /** As it is now. */
  readonly message?: ChatMessageView | undefined
  readonly who?: ChatPerson | undefined
}

export interface FileView {
  /** The message that it is in. */
  readonly message: string
  /** What the conversation is called here. */
  readonly with: string
  readonly author: ChatPerson
  readonly sentAtMs: number
  readonly name: string
  readonly mediaType: string
  readonly size: number
  /** `refused`: over a limit or without room here; `absent`: not fetched any more. `file get` tries both again. */
  readonly state: 'here' | 'coming' | 'refused' | 'absent'
  readonly reason: string | undefined
  /** Octets that are here, and how fast more come. */
  readonly bytes: number
  readonly bytesPerSecond: number
}

export interface ChatSettingsView {
  readonly readReceipts: boolean
  readonly presence: boolean
  readonly inInbox: boolean
}

export interface DoctorCheck {
  readonly name: string
  readonly state: 'ok' | 'warning' | 'problem'
  readonly detail: string
  /** What to do; present unless `ok`. */
  readonly remedy?: string
}

/** Result of each operation. */
export interface Results {
  readonly status: {
    readonly running: boolean
    readonly version: string
    readonly home: string
    readonly pid: number | undefined
    readonly startedAtMs: number | undefined
    readonly keyStore: 'passphrase' | 'key-file'
    readonly accounts: readonly (AccountView & { readonly contacts: number; readonly requests: number })[]
    readonly listeners: Listeners
    readonly peersConnected: number
    /** Of all accounts; absent on a stopped home. */
    readonly contactsReached: ContactsReached | undefined
    /** Whether other gateways can connect to this one; absent where nobody has to (loopback, stopped). */
    readonly reachability: Reachability | undefined
    readonly relays: RelaysReached | undefined
    readonly queued: number
    /** Copies in all mailboxes; searches read those that wait to be in their index. */
    readonly searchIndex: { readonly messages: number; readonly waiting: number }
  }
  readonly peers: readonly PeerView[]
  readonly routes: readonly RouteView[]
  readonly doctor: readonly DoctorCheck[]
  readonly stop: { readonly stopping: true }

  readonly accountAdd: NewAccount
  readonly accountList: readonly AccountView[]
  readonly accountRemove: { readonly removed: string }
  readonly accountDisable: AccountView
  readonly accountShow: AccountDetails
  readonly accountQuota: AccountView
  readonly accountHandOver: AccountHandedOver

  readonly auditList: readonly AuditEntryView[]

  readonly passwordAdd: { readonly id: string; readonly name: string; readonly password: string }
  readonly passwordList: readonly {
    readonly name: string
    readonly createdAtMs: number
    readonly lastUsedMs: number | undefined
  }[]
  readonly passwordRevoke: { readonly revoked: string; readonly id: string }

  readonly inviteCreate: { readonly link: string; readonly expiresAtMs: number }
  readonly inviteAccept: InviteAccepted
  readonly inviteList: readonly InvitationView[]
  readonly inviteRevoke: { readonly revoked: string }

  readonly contactList: readonly ContactView[]
  readonly contactShow: ContactView
  readonly contactVerify: ContactView
  readonly contactConfirmStart: { readonly text: string; readonly expiresAtMs: number }
  readonly contactConfirmEnd: {
    readonly state: 'confirmed' | 'refused' | 'waiting-for-other'
    readonly contact: ContactView
  }
  readonly contactRename: ContactView
  readonly contactBlock: ContactView
  readonly contactUnblock: ContactView
  readonly contactRemove: { readonly removed: string }
  readonly contactRequests: readonly ContactRequestView[]
  readonly contactAccept: ContactView

  readonly fileSend: FileView
  readonly fileGet: FileView
  readonly fileList: readonly FileView[]
  readonly chatSend: ChatMessageView
  readonly chatEdit: ChatMessageView
  readonly chatDelete: ChatMessageView
  readonly chatReact: ChatMessageView
  readonly chatList: readonly ConversationView[]
  readonly chatShow: readonly ChatMessageView[]
  readonly chatRead: ConversationView
  readonly chatTail: { readonly events: number }
  readonly chatSettings: ChatSettingsView

  readonly groupCreate: GroupView
  readonly groupList: readonly GroupView[]
  readonly groupShow: GroupView
  readonly groupInvite: GroupView
  readonly groupRemove: GroupView
  readonly groupGrant: GroupView
  readonly groupRevoke: GroupView
  readonly groupRename: GroupView
  readonly groupPolicy: GroupView
  readonly groupLeave: GroupView
  readonly groupCheckpoint: GroupView
  readonly groupAccept: GroupView

  readonly queueList: readonly QueueItem[]
  readonly queueShow: QueueItem & {
    readonly messageId: string
    readonly devices: readonly { readonly device: string; readonly state: string }[]
  }
  readonly queueRetry: { readonly retried: number }
  readonly queueCancel: { readonly cancelled: string }

  readonly deviceLink: { readonly link: string; readonly expiresAtMs: number }
  readonly deviceLinkDigits: { readonly digits: string; readonly name: string }
  readonly deviceLinkEnd: DeviceView
  readonly deviceJoin: { readonly digits: string; readonly address: string; readonly fingerprint: string }
  /** `appPassword`: for mail programs on this device; shown once. */
  readonly deviceJoinEnd: {
    readonly address: string
    readonly identity: string
    readonly localName: string
    readonly appPassword: string
  }
  readonly deviceList: readonly DeviceView[]
  readonly deviceRevoke: DeviceView
  readonly deviceRename: DeviceView

  readonly relayList: readonly RelayView[]
  readonly relayUse: RelayView
  readonly relayDrop: { readonly dropped: string }

  readonly trustExport: {
    readonly certificate: string
    /** SHA-256, upper-case hex with colons. */
    readonly fingerprint: string
    readonly notAfterMs: number
  }

  readonly relayStatus: {
    /** Whether it is a relay now; unknown while it is stopped. */
    readonly on: boolean | undefined
    readonly owners: number
    readonly queues: number
    readonly entries: number
    /** Octets held, as they count: each entry with one page more than its body. */
    readonly bytes: number
    /** Octets that may be held; known while it is on. */
    readonly bytesMax: number | undefined
  }
  /** `capability`: 32 hex digits, shown once. */
  readonly relayGrant: { readonly capability: string; readonly expiresAtMs: number }

  readonly mailImport: {
    readonly added: number
    /** Were in their mailbox already. */
    readonly known: number
    readonly refused: number
    /** The first of them, by name. */
    readonly refusals: readonly MailProblem[]
  }
  readonly mailExport: { readonly messages: number }
  readonly backupRead: BackupCounts

  readonly recoveryShow: { readonly mnemonic: string }
  readonly recoveryAsk: { readonly positions: readonly number[] }
  readonly recoveryConfirm: { readonly confirmed: true }
}

export interface BackupCounts {
  readonly rows: number
  /** Files of large contents. */
  readonly files: number
  /** Files that the store names and that were not there. */
  readonly missing: number
}

/** A message that was left out, and why in words. */
export interface MailProblem {
  readonly name: string
  readonly reason: string
}

/** A step of something that takes long: shown to a person, e.g. `{ step: 'waiting' }`. */
export interface Progress {
  readonly step: string
  readonly done?: number
  readonly total?: number
}

export interface OperationContext {
  readonly signal: AbortSignal
  readonly progress: (progress: Progress) => void
  /** What the verb reads, where it reads. */
  readonly input?: AsyncIterable<Uint8Array>
  /** Takes what the verb writes, at the reader's pace; the bytes are the reader's from here on. */
  readonly output?: (bytes: Uint8Array) => Promise<void>
}

/** Each throws `MyceliumError`; `undefined` fields of a result are left out of its JSON. */
export type Operations = {
  readonly [V in Verb]: (params: Params<V>, context: OperationContext) => Promise<Results[V]>
}
