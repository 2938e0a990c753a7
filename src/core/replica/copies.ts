/**
 * Copies of messages in mailboxes, as the devices of an account have them in common. It follows the mailboxes of such
 * accounts inside their own transactions: what a mail program does is stamped there and then, so nothing is missed and
 * nothing is done twice. What other devices say is applied to the mailboxes as a mail program's change would be; since
 * only what differs from the registers is stamped, that makes no new change.
 *
 * 2026-12: not a reader of the change feed with a cursor of its own. The feed does not say that a message was moved, is
 * trimmed, and would have to be read again after a crash.
 */
import type { Random } from '../ambient.ts'
import { concat, fromHex, fromUtf8, toHex } from '../bytes.ts'
import { encode, u32, u64 } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { hasCode } from '../errors.ts'
import type { Identity, MailboxId, MessageId, Uid } from '../ids.ts'
import type {
  AppendedCopy,
  CopyMark,
  Flag,
  MailboxChanges,
  Mailboxes,
  MailboxFollower,
  MailboxWriter,
} from '../mailbox/mailbox.ts'
import type { StoredContent } from '../store/blobs.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import {
  copyRowHead,
  copyRowState,
  copyTimeMs,
  type CopyId,
  copyIdOf,
  type CopyRow,
  type CopyState,
  decodeCopyRow,
  decodeCopyState,
  encodeCopyRow,
  encodeCopyState,
  type FolderId,
  flagsOn,
  type LiveCopy,
  mergeCopies,
  stampsOf,
  withFlags,
} from './copy-state.ts'
import type { Folders } from './folders.ts'
import { isAhead, type Stamp, stampFrom } from './hlc.ts'
import { type ItemSlice, type MergeSource, type Replicas, type Replicated, sliceOf } from './replicas.ts'
import type { ItemId } from './set-reconciliation.ts'

export interface CopiesParts {
  readonly mailboxes: Mailboxes
  readonly folders: Folders
  readonly replicas: Replicas
  readonly random: Random
  readonly nowMs: () => number
}

/** Messages that are a particular copy, though they were put in mailboxes before the account had a second device. */
export type NamedCopies = (
  tx: ReadTx,
  account: Identity,
  from: Uint8Array | undefined,
) => {
  readonly copies: readonly { readonly mark: CopyMark; readonly mailbox: MailboxId; readonly uid: Uid }[]
  /** Where to go on; none at the end. */
  readonly next: Uint8Array | undefined
}

interface Place {
  readonly mailbox: MailboxId
  readonly uid: Uid
}

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const prefixOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(raw(account))
const placeKey = ({ mailbox, uid }: Place): Uint8Array => concat(fromHex(mailbox)!, encode(u32, uid))
const placeOf = ({ place }: CopyRow): Place | undefined =>
  place === undefined ? undefined : { mailbox: toHex(place.mailbox) as MailboxId, uid: place.uid as Uid }
const uniqueBytes = 10
/** Copies of so many milliseconds lie together in the store: those of one segment share pages. */
const neighboursMs = 2 ** 27

/** The same on every device to which this message came. */
export const copyOfMail = (account: Identity, author: Identity, message: MessageId, sentAtMs: number): CopyMark => ({
  id: copyIdOf(
    sentAtMs,
    labelledHash('mycelium/copy/1', raw(account), raw(author), raw(message)).subarray(0, uniqueBytes),
  ),
  weight: 0,
})

/** Of a chat as mail: the same on every device that shows it as it is in this revision. */
export const copyOfChat = (
  account: Identity,
  message: MessageId,
  sentAtMs: number,
  revision: Uint8Array,
): CopyMark => ({
  id: copyIdOf(
    sentAtMs,
    labelledHash('mycelium/chat-copy/1', raw(account), raw(message), revision).subarray(0, uniqueBytes),
  ),
})

export class Copies implements MailboxFollower, Replicated {
  readonly kind = 2
  readonly #parts: CopiesParts
  /** The beginning of the last key: copies come in the order of their times. */
  #last: { readonly name: string; readonly beginning: Uint8Array } | undefined

  constructor(parts: CopiesParts) {
    this.#parts = parts
  }

  follows(account: Identity): boolean {
    return this.#parts.replicas.follows(account)
  }

  // What is done here

  changed(tx: WriteTx, account: Identity, changes: MailboxChanges): void {
    const { mailboxes, isListChanged } = changes
    if (isListChanged) this.#parts.folders.compare(tx, account, changes.list())
    const ids: CopyId[] = []
    const gone = new Map(mailboxes.map(({ id, expunged }) => [id, expunged]))
    for (const { id: mailbox, appended, isRemoved } of mailboxes) {
      if (isRemoved || appended.length === 0) continue
      const folder = this.#parts.folders.used(tx, account, mailbox)
      for (const copy of appended) ids.push(...this.#appended(tx, account, { mailbox, folder, copy, gone }))
    }
    for (const { id: mailbox, flagged, expunged, isRemoved } of mailboxes) {
      for (const { uid, flags, internalDateMs } of flagged)
        ids.push(...this.#flagged(tx, account, { mailbox, uid }, flags, internalDateMs))
      for (const uid of expunged) ids.push(...this.#expunged(tx, account, { mailbox, uid }))
      if (isRemoved)
        for (const uid of this.#uidsIn(tx, mailbox)) ids.push(...this.#expunged(tx, account, { mailbox, uid }))
    }
    this.#parts.replicas.changed(tx, { account, kind: this.kind, ids, from: undefined })
  }

  #appended(
    tx: WriteTx,
    account: Identity,
    about: {
      readonly mailbox: MailboxId
      readonly folder: FolderId
      readonly copy: AppendedCopy
      readonly gone: ReadonlyMap<MailboxId, ReadonlySet<Uid>>
    },
  ): readonly CopyId[] {
    const { mailbox, folder, copy, gone } = about
    const place = { mailbox, uid: copy.uid }
    const known = this.#at(tx, account, place)
    if (known !== undefined)
      return this.#stampedDifferences(tx, account, { row: known, place, folder, flags: copy.flags })
    const moved = this.#movedFrom(tx, account, copy, gone)
    if (moved !== undefined) {
      this.#unplace(tx, placeOf(moved)!)
      return this.#stampedDifferences(tx, account, { row: moved, place, folder, flags: copy.flags })
    }
    const marked = copy.copy === undefined ? undefined : this.#read(tx, account, copy.copy.id)
    // it came here as mail while its state had come from another device
    if (marked?.state.kind === 'live' && marked.place === undefined) {
      this.#stampedDifferences(tx, account, { row: marked, place, folder, flags: copy.flags })
      return [marked.state.id]
    }
    const mark = copy.copy !== undefined && marked === undefined ? copy.copy : { id: this.#newId(copy.internalDateMs) }
    return this.#made(tx, account, { mark, place, folder, flags: copy.flags })
  }

  /** The copy that this one was until now: it was taken out of another mailbox in the same transaction. */
  #movedFrom(
    tx: ReadTx,
    account: Identity,
    { origin }: AppendedCopy,
    gone: ReadonlyMap<MailboxId, ReadonlySet<Uid>>,
  ): CopyRow | undefined {
    if (origin === undefined || gone.get(origin.mailbox)?.has(origin.uid) !== true) return undefined
    return this.#at(tx, account, origin)
  }

  #made(
    tx: WriteTx,
    account: Identity,
    about: {
      readonly mark: CopyMark
      readonly place: Place
      readonly folder: FolderId
      readonly flags: readonly Flag[]
    },
  ): readonly CopyId[] {
    const { mark, place, folder, flags } = about
    const { id, weight } = mark
    const stamp =
      weight === undefined
        ? this.#stamp(account)
        : stampFrom(Math.min(copyTimeMs(id), this.#parts.nowMs()), weight, this.#parts.replicas.deviceOf(account))
    const bare: LiveCopy = { kind: 'live', id, folder: { value: folder, stamp }, flags: new Map() }
    this.#put(
      tx,
      account,
      withFlags(bare, flags, () => stamp),
      place,
    )
    return [id]
  }

  /** Where the mailbox says something else than the registers, its word is the newest. */
  #stampedDifferences(
    tx: WriteTx,
    account: Identity,
    about: { readonly row: CopyRow; readonly place: Place; readonly folder: FolderId; readonly flags: readonly Flag[] },
  ): readonly CopyId[] {
    const { row, place, folder, flags } = about
    const { state } = row
    if (state.kind === 'expunged') return []
    let stamp: Stamp | undefined
    const now = (): Stamp => (stamp ??= this.#stamp(account, state))
    const located = state.folder.value === folder ? state : { ...state, folder: { value: folder, stamp: now() } }
    const next = withFlags(located, flags, now)
    this.#put(tx, account, next, place)
    return stamp === undefined ? [] : [state.id]
  }

  #flagged(
    tx: WriteTx,
    account: Identity,
    place: Place,
    flags: readonly Flag[],
    internalDateMs: number,
  ): readonly CopyId[] {
    const row = this.#at(tx, account, place)
    if (row?.state.kind === 'live')
      return this.#stampedDifferences(tx, account, { row, place, folder: row.state.folder.value, flags })
    const folder = this.#parts.folders.used(tx, account, place.mailbox)
    return this.#made(tx, account, { mark: { id: this.#newId(internalDateMs) }, place, folder, flags })
  }

  #expunged(tx: WriteTx, account: Identity, place: Place): readonly CopyId[] {
    const row = this.#at(tx, account, place)
    if (row === undefined) return []
    const { id } = row.state
    this.#unplace(tx, place)
    this.#put(tx, account, { kind: 'expunged', id }, undefined)
    return [id]
  }

  /** Gives ids to messages that were there before the account had a second device. */
  enrol(
    tx: WriteTx,
    account: Identity,
    mailbox: MailboxId,
    messages: readonly {
      readonly uid: Uid
      readonly flags: readonly Flag[]
      readonly internalDateMs: number
      readonly mark?: CopyMark
    }[],
  ): void {
    const folder = this.#parts.folders.used(tx, account, mailbox)
    for (const { uid, flags, internalDateMs, mark } of messages) {
      const place = { mailbox, uid }
      if (tx.has(tables.copyPlaces, placeKey(place))) continue
      this.#made(tx, account, { mark: mark ?? { id: this.#newId(internalDateMs) }, place, folder, flags })
    }
  }

  // What mail that arrives has to know

  /** What is known of a message that comes in: its copy is here or was expunged; or where and how it is to be put. */
  arriving(
    tx: WriteTx,
    account: Identity,
    { id }: CopyMark,
  ): 'unknown' | 'taken' | { readonly mailbox: MailboxId; readonly flags: readonly Flag[] } {
    const row = this.#read(tx, account, id)
    if (row === undefined) return 'unknown'
    if (row.state.kind === 'expunged' || row.place !== undefined) return 'taken'
    const mailbox = this.#parts.folders.mailboxOf(tx, account, row.state.folder.value)
    return mailbox === undefined ? 'unknown' : { mailbox, flags: flagsOn(row.state) }
  }

  // What other devices say

  items(tx: ReadTx, account: Identity, from: Uint8Array | undefined): ItemSlice {
    return sliceOf(tx, tables.copies, { prefix: prefixOf(tx, account), from }, copyRowHead)
  }

  state(tx: ReadTx, account: Identity, id: ItemId): Uint8Array | undefined {
    const value = tx.get(tables.copies, this.#key(tx, account, id))
    return value === undefined ? undefined : copyRowState(value)
  }

  merge(tx: WriteTx, { account, device }: MergeSource, states: readonly Uint8Array[]): void {
    const writer = this.#parts.mailboxes.writer(tx, account)
    const ids = states.flatMap((encoded) => {
      const state = decodeCopyState(encoded)
      return this.#mergeOne(tx, account, writer, state) ? [state.id] : []
    })
    if (ids.length > 0) this.#parts.folders.tidy(tx, account)
    this.#parts.replicas.changed(tx, { account, kind: this.kind, ids, from: device })
  }

  #mergeOne(tx: WriteTx, account: Identity, writer: MailboxWriter, state: CopyState): boolean {
    const nowMs = this.#parts.nowMs()
    // a folder that nobody has told of yet: its state comes first, and this one again
    if (state.kind === 'live' && !this.#parts.folders.isKnown(tx, account, state.folder.value)) return false
    for (const stamp of stampsOf(state)) {
      if (isAhead(stamp, nowMs)) return false
      this.#parts.replicas.clock(account).saw(stamp)
    }
    const row = this.#read(tx, account, state.id)
    const merged = row === undefined ? state : mergeCopies(row.state, state)
    if (row !== undefined && Buffer.compare(encodeCopyState(merged), encodeCopyState(row.state)) === 0) return false
    const place = row === undefined ? undefined : placeOf(row)
    this.#put(
      tx,
      account,
      merged,
      place === undefined ? undefined : this.#apply(tx, account, { writer, merged, place }),
    )
    return true
  }

  /** @returns where the copy is now */
  #apply(
    tx: WriteTx,
    account: Identity,
    about: { readonly writer: MailboxWriter; readonly merged: CopyState; readonly place: Place },
  ): Place | undefined {
    const { writer, merged, place } = about
    if (merged.kind === 'expunged') {
      this.#unplace(tx, place)
      this.#parts.mailboxes.discard(tx, account, place.mailbox, [place.uid])
      return undefined
    }
    const target = this.#parts.folders.mailboxOf(tx, account, merged.folder.value) ?? place.mailbox
    let at = place
    if (target !== place.mailbox) {
      const [pair] = writer.move(place.mailbox, [place.uid], target)
      if (pair !== undefined) {
        this.#unplace(tx, place)
        at = { mailbox: target, uid: pair.to }
        tx.put(tables.copyPlaces, placeKey(at), raw(merged.id))
      }
    }
    try {
      writer.setFlags(at.mailbox, [at.uid], { mode: 'replace', flags: flagsOn(merged) })
    } catch (error) {
      // more keywords than a mailbox here takes: the message stays without the change
      if (!hasCode(error, 'too-large') && !hasCode(error, 'malformed')) throw error
    }
    return at
  }

  // Contents

  /** Is the state of this copy known, and its content still to come? */
  isLacking(tx: ReadTx, account: Identity, id: CopyId): boolean {
    const row = this.#read(tx, account, id)
    return row?.state.kind === 'live' && row.place === undefined
  }

  placeOf(tx: ReadTx, account: Identity, id: CopyId): Place | undefined {
    const row = this.#read(tx, account, id)
    return row === undefined ? undefined : placeOf(row)
  }

  /**
   * Puts a content that has come where its copy belongs; what has come by another way meanwhile is left alone. Devices that
   * heard of the copy from here could not have it yet: they are told again.
   */
  place(
    tx: WriteTx,
    { account, device }: MergeSource,
    id: CopyId,
    { stored, internalDateMs }: { readonly stored: StoredContent; readonly internalDateMs: number },
  ): void {
    const row = this.#read(tx, account, id)
    if (row?.state.kind !== 'live' || row.place !== undefined) return
    const mailbox = this.#parts.folders.mailboxOf(tx, account, row.state.folder.value)
    if (mailbox === undefined) return
    const item = { ...stored, flags: flagsOn(row.state), internalDateMs }
    const [uid] = this.#parts.mailboxes.append(tx, account, mailbox, [item])
    this.#put(tx, account, row.state, { mailbox, uid: uid! })
    this.#parts.replicas.changed(tx, { account, kind: this.kind, ids: [id], from: device })
  }

  // Rows

  #stamp(account: Identity, state?: CopyState): Stamp {
    const latest = state === undefined ? undefined : stampsOf(state).reduce((a, b) => (a > b ? a : b))
    return this.#parts.replicas.clock(account).next(latest)
  }
  #newId(atMs: number): CopyId {
    return copyIdOf(atMs, this.#parts.random.bytes(uniqueBytes))
  }
  #key(tx: ReadTx, account: Identity, id: CopyId): Uint8Array {
    const moment = Math.floor(copyTimeMs(id) / neighboursMs)
    const name = account + moment
    if (this.#last?.name !== name) {
      const neighbours = tx.opaque(raw(account), encode(u64, moment)).subarray(0, 8)
      this.#last = { name, beginning: concat(prefixOf(tx, account), neighbours) }
    }
    return concat(this.#last.beginning, tx.opaque(raw(id)))
  }
  #read(tx: ReadTx, account: Identity, id: CopyId): CopyRow | undefined {
    const value = tx.get(tables.copies, this.#key(tx, account, id))
    return value === undefined ? undefined : decodeCopyRow(value)
  }
  #at(tx: ReadTx, account: Identity, place: Place): CopyRow | undefined {
    const id = tx.get(tables.copyPlaces, placeKey(place))
    return id === undefined ? undefined : this.#read(tx, account, toHex(id))
  }
  #put(tx: WriteTx, account: Identity, state: CopyState, place: Place | undefined): void {
    const row = { state, place: place && { mailbox: fromHex(place.mailbox)!, uid: place.uid } }
    tx.put(tables.copies, this.#key(tx, account, state.id), encodeCopyRow(row))
    if (place !== undefined) tx.put(tables.copyPlaces, placeKey(place), raw(state.id))
  }
  #unplace(tx: WriteTx, place: Place): void {
    tx.remove(tables.copyPlaces, placeKey(place))
  }
  #uidsIn(tx: ReadTx, mailbox: MailboxId): readonly Uid[] {
    const prefix = fromHex(mailbox)!
    return Array.from(
      tx.keys(tables.copyPlaces, { prefix }),
      (key) => Buffer.from(key).readUInt32BE(key.length - 4) as Uid,
    )
  }
}

/** Under which a content that travels by itself is sealed: the same each time, so that what has come of it still counts. */
export const contentKeyOf = (secret: Uint8Array, content: string): Uint8Array =>
  labelledHash('mycelium/replica-content/1', secret, fromUtf8(content))
