/**
 * What an operation's answer shows of the parts of a gateway: plain JSON. Secrets in it (words, app passwords, invitation
 * links) go to the person who asked and never to a log.
 */

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
  readonly kind: 'message' | 'about' | 'read' | 'delivered' | 'failed' | 'file' | 'struck' | 'group'
  /** Of the message that it is about, also when that is shown no more. */
  readonly id: string | undefined
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
