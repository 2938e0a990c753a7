/**
 * Mailboxes as IMAP sees them, over the store: what the delivery path appends to and the IMAP adapter reads. UIDs
 * ascend strictly and are given out inside the write transaction; every change bumps the account-wide mod-sequence in
 * the same transaction. Reads are synchronous over in-memory columns of the packed index.
 */
import type { ContentId, Identity, MailboxId, ModSeq, Uid } from '../ids.ts'
import type { MessageSource } from '../message/mime-source.ts'
import type { StoredContent } from '../store/blobs.ts'
import type { WriteTx } from '../store/store.ts'
import type { SearchKey } from './search.ts'

export type { StoredContent } from '../store/blobs.ts'

/** System flags keep RFC 9051 §2.3.2 spelling (`\Seen`); keywords are atoms, compared without case. `\Recent` is not stored here. */
export type Flag = string

export const specialUses = ['\\Sent', '\\Drafts', '\\Trash', '\\Junk', '\\Archive'] as const
export type SpecialUse = (typeof specialUses)[number]

export interface MailboxInfo {
  readonly id: MailboxId
  /** UTF-8, hierarchy separator `/`, `INBOX` in this spelling. */
  readonly name: string
  readonly specialUse: SpecialUse | undefined
  readonly subscribed: boolean
  readonly uidValidity: number
  readonly uidNext: Uid
  readonly highestModSeq: ModSeq
  readonly messages: number
  readonly unseen: number
  readonly deleted: number
  /** Sum of message sizes, octets. */
  readonly size: number
}

/**
 * Columns over one mailbox, ordered by UID; index 0 is the lowest UID. Live: it changes with the next commit, so a
 * session keeps its own list of UIDs and looks up by UID; nothing may be kept across an await.
 */
export interface MailboxColumns {
  readonly count: number
  /** Every UID, ascending, shared: never written to by anybody, and what it shows stays as it is when messages come and go. */
  uids(): Uint32Array
  uidAt(index: number): Uid
  /** −1 when no such UID is there. */
  indexOf(uid: Uid): number
  modSeqAt(index: number): ModSeq
  sizeAt(index: number): number
  /** Unix milliseconds. */
  internalDateAt(index: number): number
  /** RFC 8514 SAVEDATE, Unix milliseconds. */
  savedAt(index: number): number
  contentAt(index: number): ContentId
  /** Each distinct combination of flags in a mailbox has a small number, for render caches. */
  flagSetAt(index: number): number
  flagsOf(flagSet: number): readonly Flag[]
  /** Keywords in use in this mailbox, in order of first use. */
  keywords(): readonly Flag[]
  /** Index of the first message without \Seen; −1 when there is none. */
  firstUnseen(): number
}

/** What makes copies of one message on several devices the same copy. */
export interface CopyMark {
  /** 16 bytes as hex (core/replica/copy-state.ts). */
  readonly id: string
  /** Of two devices that put it into different folders by themselves, the higher one is right. */
  readonly weight?: number
}

export interface AppendItem {
  readonly content: ContentId
  readonly size: number
  readonly flags: readonly Flag[]
  readonly internalDateMs: number
  /** Where other devices may have the same one; a mark of its own is made where it is left out. */
  readonly copy?: CopyMark | undefined
}

export interface AppendOptions {
  /** Takes it whatever the quota says: what the gateway itself has to tell. */
  readonly beyondQuota?: boolean
}

export type FlagChange = { readonly mode: 'add' | 'remove' | 'replace'; readonly flags: readonly Flag[] }

/** One committed change, in commit order. `seq` ascends per account and survives restarts. */
export interface Change {
  readonly seq: number
  readonly account: Identity
  readonly event:
    | { readonly kind: 'appended'; readonly mailbox: MailboxId; readonly uids: readonly Uid[] }
    | { readonly kind: 'flags'; readonly mailbox: MailboxId; readonly uids: readonly Uid[] }
    | { readonly kind: 'expunged'; readonly mailbox: MailboxId; readonly uids: readonly Uid[] }
    | { readonly kind: 'mailboxes' } // created, renamed, removed, (un)subscribed
}

/**
 * Follows the mailboxes of accounts that live on several devices: hears of every change inside its transaction, when all
 * rows of mailboxes are written, and may write rows of its own.
 */
export interface MailboxFollower {
  follows(account: Identity): boolean
  changed(tx: WriteTx, account: Identity, changes: MailboxChanges): void
}

export interface MailboxChanges {
  readonly mailboxes: readonly MailboxChange[]
  /** Mailboxes came, went, or changed their names or subscriptions. */
  readonly isListChanged: boolean
  /** All that there are now. */
  list(): readonly Pick<MailboxInfo, 'id' | 'name' | 'specialUse' | 'subscribed'>[]
}

export interface MailboxChange {
  readonly id: MailboxId
  readonly isRemoved: boolean
  readonly appended: readonly AppendedCopy[]
  readonly flagged: readonly { readonly uid: Uid; readonly flags: readonly Flag[]; readonly internalDateMs: number }[]
  readonly expunged: ReadonlySet<Uid>
}

export interface AppendedCopy {
  readonly uid: Uid
  readonly flags: readonly Flag[]
  readonly internalDateMs: number
  readonly copy: CopyMark | undefined
  /** Where it was copied or moved from. */
  readonly origin: { readonly mailbox: MailboxId; readonly uid: Uid } | undefined
}

/** One account's mailboxes as a write transaction sees them, its own changes included; otherwise as `Mailboxes`. */
export interface MailboxWriter {
  has(mailbox: MailboxId): boolean
  /** Of every mailbox. */
  names(): ReadonlyMap<string, MailboxId>
  /** With the parents that are missing. @throws `mailbox-exists`, `malformed` (name), `too-large` (count) */
  create(name: string, specialUse?: SpecialUse): MailboxId
  rename(from: string, to: string): void
  remove(name: string): void
  subscribe(name: string, subscribed: boolean): void
  /** Skips UIDs that are gone. @throws `no-such-mailbox` */
  setFlags(mailbox: MailboxId, uids: readonly Uid[], change: FlagChange): void
  move(from: MailboxId, uids: readonly Uid[], to: MailboxId): readonly UidPair[]
  list(): ReturnType<MailboxChanges['list']>
  /** How many messages are in it. */
  messages(mailbox: MailboxId): number
  /** `undefined` when there is no such message, or mailbox. */
  message(
    mailbox: MailboxId,
    uid: Uid,
  ): { readonly flags: readonly Flag[]; readonly internalDateMs: number } | undefined
  /** Would `bytes` more go over the account's quota? */
  isFull(bytes: number): boolean
}

export interface Mailboxes {
  /** One follower, from its opening on. */
  follow(follower: MailboxFollower): void
  /** For changes that are to be one with others of the same transaction. */
  writer(tx: WriteTx, account: Identity): MailboxWriter

  list(account: Identity): readonly MailboxInfo[]
  byName(account: Identity, name: string): MailboxInfo | undefined
  byId(account: Identity, id: MailboxId): MailboxInfo | undefined
  bySpecialUse(account: Identity, use: SpecialUse): MailboxInfo | undefined

  /** Creates missing parents too. @throws `mailbox-exists`, `mailbox-reserved`, `malformed` (name), `too-large` (count) */
  create(account: Identity, name: string, options?: { readonly specialUse?: SpecialUse }): Promise<MailboxInfo>
  /** Renames children too; INBOX moves its messages and stays (RFC 9051 §6.3.6). @throws `no-such-mailbox`, `mailbox-exists`, `mailbox-reserved` */
  rename(account: Identity, from: string, to: string): Promise<void>
  /** @throws `no-such-mailbox`, `mailbox-reserved` (INBOX) */
  remove(account: Identity, name: string): Promise<void>
  subscribe(account: Identity, name: string, subscribed: boolean): Promise<void>
  /** Subscribed names, also of mailboxes that no longer exist. */
  subscriptions(account: Identity): readonly string[]

  columns(account: Identity, mailbox: MailboxId): MailboxColumns
  /** UIDs expunged after `since`, for QRESYNC's VANISHED. `undefined` when tombstones do not reach back so far. */
  expungedSince(account: Identity, mailbox: MailboxId, since: ModSeq): readonly Uid[] | undefined

  /**
   * Stores the message durably before it returns (it is unreferenced until appended, and swept after an hour if it
   * never is). Bytes are kept exactly. @throws `message-too-large`, `disk-full`
   */
  store(
    account: Identity,
    source: AsyncIterable<Uint8Array>,
    options: { readonly bytesMax: number },
  ): Promise<StoredContent>
  /** The same for bytes in hand, inside a transaction; up to `limits.storedRowBytesMax`. */
  storeInline(tx: WriteTx, account: Identity, bytes: Uint8Array): StoredContent
  /** Keeps content alive beside mailbox copies (the outbox), until `release`. Counted. */
  retain(tx: WriteTx, account: Identity, content: ContentId): void
  release(tx: WriteTx, account: Identity, content: ContentId): void
  /** Appends in the caller's transaction; change events leave after its commit. @throws `no-such-mailbox`, `mailbox-full` */
  append(
    tx: WriteTx,
    account: Identity,
    mailbox: MailboxId,
    items: readonly AppendItem[],
    options?: AppendOptions,
  ): readonly Uid[]
  /** Would `bytes` more go over the account's quota? */
  isFull(account: Identity, bytes: number): boolean

  /** Skips UIDs that are gone. `unchangedSince` as CONDSTORE: `failed` lists what changed later. */
  setFlags(
    account: Identity,
    mailbox: MailboxId,
    uids: readonly Uid[],
    change: FlagChange,
    options?: { readonly unchangedSince?: ModSeq },
  ): Promise<FlagsChanged>
  /** Copies keep flags and dates. Pairs are in source order. @throws `no-such-mailbox`, `mailbox-full` */
  copy(account: Identity, from: MailboxId, uids: readonly Uid[], to: MailboxId): Promise<readonly UidPair[]>
  /** One transaction: never both places, never neither. */
  move(account: Identity, from: MailboxId, uids: readonly Uid[], to: MailboxId): Promise<readonly UidPair[]>
  /** Removes those of `uids` that are flagged \Deleted (all such when `uids` is undefined). */
  expunge(account: Identity, mailbox: MailboxId, uids?: readonly Uid[]): Promise<readonly Uid[]>
  /** Removes in the caller's transaction, \Deleted or not: replacing a copy. */
  discard(tx: WriteTx, account: Identity, mailbox: MailboxId, uids: readonly Uid[]): void

  /** Keeps content while something other than a mailbox refers to it (the outbox). @throws `no-such-message` */
  retain(tx: WriteTx, account: Identity, content: ContentId): void
  /** Gives up one `retain`. */
  release(tx: WriteTx, account: Identity, content: ContentId): void
  /** Sum of message sizes over all mailboxes, octets: what the quota counts. */
  usedBytes(account: Identity): number
  /** Everything this account has here; contents go with the next sweeps. */
  removeAccount(tx: WriteTx, account: Identity): void
  /** New UIDVALIDITY everywhere: the home was rolled back, so UIDs may have been given out twice. */
  bumpUidValidity(tx: WriteTx, account: Identity): void

  /** The message's bytes from `from` (inclusive) to `to` (exclusive), decrypting only what is asked. */
  read(
    account: Identity,
    content: ContentId,
    range?: { readonly from: number; readonly to: number },
  ): AsyncIterable<Uint8Array>
  /** As `Blobs.readInto`. */
  readInto(account: Identity, content: ContentId, from: number, target: Uint8Array): Promise<void>
  /** All bytes at once when the message is small enough to be inline; `undefined` for blobs. Synchronous: the hot path. */
  readInline(account: Identity, content: ContentId): Uint8Array | undefined
  /** What `summarise` made of the message at delivery, made now where it is missing. @throws `no-such-message` */
  summary(account: Identity, mailbox: MailboxId, uid: Uid): Promise<Uint8Array>
  /** The same when it is at hand without waiting. */
  summaryNow(account: Identity, mailbox: MailboxId, uid: Uid): Uint8Array | undefined

  /** Those of `uids` that match, in the order given: exactly what reading every message would find. */
  search(
    account: Identity,
    mailbox: MailboxId,
    uids: readonly Uid[],
    key: SearchKey,
    options: { readonly signal: AbortSignal },
  ): Promise<readonly Uid[]>

  /** How far the index behind searches is; they read what it does not have yet. */
  searchIndex(account: Identity): SearchIndexState
  /** Goes on with what was left when the gateway ended, or came from a version without an index. */
  continueIndexing(account: Identity): void

  /** In-process, after commit, in commit order; returns how to stop. */
  watch(account: Identity, listener: (change: Change) => void): () => void
  /** The durable feed from `seq` (exclusive). @throws `expired` when it no longer reaches back so far */
  changesSince(account: Identity, seq: number, limit: number): readonly Change[]
}

export interface SearchIndexState {
  /** Copies in all mailboxes. */
  readonly messages: number
  /** Of these, at most so many are not in the index. */
  readonly waiting: number
}

export interface FlagsChanged {
  readonly changed: readonly Uid[]
  readonly failed: readonly Uid[]
  /** Of this change, where there was one: by now the messages may have a later one, of others. */
  readonly modSeq: ModSeq | undefined
}

export interface UidPair {
  readonly from: Uid
  readonly to: Uid
}

/**
 * Given by the adapter that needs it: turns a message into what that adapter wants back fast (IMAP: ENVELOPE,
 * BODYSTRUCTURE, part offsets). A change of `version` makes old summaries be made anew. Must not throw on any input.
 */
export interface Summariser {
  readonly version: number
  summarise(message: Uint8Array): Uint8Array
  /** The same result for a message above `limits.mimeWorkerBytesMin`, without holding it or this thread. */
  summariseLarge(source: MessageSource): Promise<Uint8Array>
}
