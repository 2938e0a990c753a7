/**
 * What the command line can ask of a gateway: one operation per verb, the same over the control socket of a running
 * gateway and on a stopped home. Parameters are validated here, at the edge; results are plain JSON. Secrets in
 * results (words, app passwords, invitation links) go to the person who asked and never to a log.
 */
import * as z from 'zod'
import type {
  AccountDetails,
  AccountHandedOver,
  AccountView,
  AuditEntryView,
  BackupCounts,
  ChatMessageView,
  ChatSettingsView,
  ContactRequestView,
  ContactView,
  ContactsReached,
  ConversationView,
  DeviceView,
  DoctorCheck,
  FileView,
  GroupView,
  InvitationView,
  InviteAccepted,
  Listeners,
  MailProblem,
  NewAccount,
  PeerView,
  QueueItem,
  RelayView,
  RelaysReached,
  RouteView,
} from './control-views.ts'
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
