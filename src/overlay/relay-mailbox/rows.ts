/** ◆ The rows in which a relay keeps what it holds: tables 60 to 65 of the store. */
import { concat } from '../../core/bytes.ts'
import { bytes, type Codec, decode, encode, fixed, optional, record, u32, u64 } from '../../core/codec.ts'
import { limits } from '../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'
import { oneOf, receiveIdBytes } from './messages.ts'

const opaqueBytes = 16
export const slotBytes = 16

/** How an owner came to be one; the first two have more room. */
export const origins = ['known', 'capability', 'work'] as const
export type Origin = (typeof origins)[number]

export interface Totals {
  readonly owners: number
  /** Of them, those who came by work, and what waits for them. */
  readonly workOwners: number
  readonly workBytes: number
  readonly workQueues: number
  readonly queues: number
  readonly entries: number
  /** Octets as they are counted against `overlay.relayBytesMax`. */
  readonly bytes: number
  /** Ids remembered of entries that were taken. */
  readonly marks: number
}
const totalsCodec = record<Totals>({
  owners: u32,
  workOwners: u32,
  workBytes: u64,
  workQueues: u32,
  queues: u32,
  entries: u32,
  bytes: u64,
  marks: u32,
})
const noTotals: Totals = {
  owners: 0,
  workOwners: 0,
  workBytes: 0,
  workQueues: 0,
  queues: 0,
  entries: 0,
  bytes: 0,
  marks: 0,
}

export interface OwnerRow {
  readonly slot: Uint8Array
  readonly origin: Origin
  /** Keyed hash of the gateway that opened it as a contact's. */
  readonly opener: Uint8Array | undefined
  /** Keyed hash of the capability. */
  readonly grant: Uint8Array | undefined
  readonly seenAtMs: number
  /** Of the last signed request: an older one is a copy. */
  readonly askedAtMs: number
  readonly nextNumber: number
  readonly queues: number
  readonly entries: number
  readonly bytes: number
}
const ownerCodec = record<OwnerRow>({
  slot: fixed(slotBytes),
  origin: oneOf(origins),
  opener: optional(fixed(opaqueBytes)),
  grant: optional(fixed(opaqueBytes)),
  seenAtMs: u64,
  askedAtMs: u64,
  nextNumber: u64,
  queues: u32,
  entries: u32,
  bytes: u64,
})

export interface QueueRow {
  readonly owner: Uint8Array
  readonly slot: Uint8Array
  readonly receiveId: Uint8Array
  readonly entries: number
  readonly bytes: number
}
const queueCodec = record<QueueRow>({
  owner: fixed(opaqueBytes),
  slot: fixed(slotBytes),
  receiveId: fixed(receiveIdBytes),
  entries: u32,
  bytes: u64,
})

/** What must be counted back when an entry goes; in the row of its expiry, so that its body need not be read. */
export interface Counted {
  readonly owner: Uint8Array
  readonly queue: Uint8Array
  readonly seen: Uint8Array
  readonly bytes: number
}
const countedCodec = record<Counted>({
  owner: fixed(opaqueBytes),
  queue: fixed(opaqueBytes),
  seen: fixed(opaqueBytes),
  bytes: u32,
})

export interface EntryRow {
  readonly receiveId: Uint8Array
  readonly heldSinceMs: number
  readonly expiresAtMs: number
  readonly body: Uint8Array
}
const entryCodec = record<EntryRow>({
  receiveId: fixed(receiveIdBytes),
  heldSinceMs: u64,
  expiresAtMs: u64,
  body: bytes(limits.relayRequestBytesMax),
})

/** A closed owner whose entries are still to be removed. */
export interface ClosedRow {
  readonly origin: Origin
  readonly entries: number
  readonly bytes: number
  readonly queues: number
}
const closedCodec = record<ClosedRow>({ origin: oneOf(origins), entries: u32, bytes: u64, queues: u32 })

export interface GrantRow {
  readonly expiresAtMs: number
  readonly owner: Uint8Array | undefined
}
const grantCodec = record<GrantRow>({ expiresAtMs: u64, owner: optional(fixed(opaqueBytes)) })

const kinded = (kind: number, ...parts: readonly Uint8Array[]): Uint8Array => concat(Uint8Array.of(kind), ...parts)
const u64Of = (value: number): Uint8Array => encode(u64, value)

const totalsKey = Uint8Array.of(0)
export const ownersPrefix = Uint8Array.of(1)
export const ownerRowKey = (owner: Uint8Array): Uint8Array => kinded(1, owner)
const openerRowKey = (opener: Uint8Array): Uint8Array => kinded(2, opener)
export const queueRowKey = (queue: Uint8Array): Uint8Array => kinded(0, queue)
export const queuesOfSlot = (slot: Uint8Array): Uint8Array => kinded(1, slot)
export const receiveRowKey = (slot: Uint8Array, receiveId: Uint8Array): Uint8Array => kinded(1, slot, receiveId)
export const entryRowKey = (slot: Uint8Array, number: number): Uint8Array => concat(slot, u64Of(number))
export const numberOfEntry = (key: Uint8Array): number => decode(u64, key.subarray(slotBytes))

export const expiryPrefix = Uint8Array.of(0)
export const markPrefix = Uint8Array.of(1)
export const closedPrefix = Uint8Array.of(2)
export const expiryKey = (atMs: number, slot: Uint8Array, number: number): Uint8Array =>
  kinded(0, u64Of(atMs), slot, u64Of(number))
export const markKey = (atMs: number, seen: Uint8Array): Uint8Array => kinded(1, u64Of(atMs), seen)
export const closedKey = (slot: Uint8Array): Uint8Array => kinded(2, slot)
/** Keys of one kind below this are due. */
export const dueBefore = (kind: Uint8Array, nowMs: number): Uint8Array => concat(kind, u64Of(nowMs))
/** The parts of an expiry's key after kind and time. */
export const slotOfExpiry = (key: Uint8Array): Uint8Array => key.subarray(9, 9 + slotBytes)
export const entryOfExpiry = (key: Uint8Array): Uint8Array => key.subarray(9)
export const seenOfMark = (key: Uint8Array): Uint8Array => key.subarray(9)
export const slotOfClosed = (key: Uint8Array): Uint8Array => key.subarray(1)

const read =
  <T>(table: (typeof tables)[keyof typeof tables], codec: Codec<T>) =>
  (tx: ReadTx, key: Uint8Array): T | undefined => {
    const value = tx.get(table, key)
    return value === undefined ? undefined : decode(codec, value)
  }

export const readTotals = (tx: ReadTx): Totals => read(tables.relayOwners, totalsCodec)(tx, totalsKey) ?? noTotals
/** Adds to the counts; what cannot be below nothing is not. */
export function count(tx: WriteTx, change: Partial<Totals>): void {
  const totals = readTotals(tx)
  const sums = Object.fromEntries(
    Object.entries(totals).map(([name, value]) => [name, Math.max(0, value + (change[name as keyof Totals] ?? 0))]),
  )
  tx.put(tables.relayOwners, totalsKey, encode(totalsCodec, sums as unknown as Totals))
}

export const readOwner = (tx: ReadTx, owner: Uint8Array): OwnerRow | undefined =>
  read(tables.relayOwners, ownerCodec)(tx, ownerRowKey(owner))
export const decodeOwner = (value: Uint8Array): OwnerRow => decode(ownerCodec, value)
export const putOwner = (tx: WriteTx, owner: Uint8Array, row: OwnerRow): void =>
  tx.put(tables.relayOwners, ownerRowKey(owner), encode(ownerCodec, row))

export const readQueue = (tx: ReadTx, queue: Uint8Array): QueueRow | undefined =>
  read(tables.relayQueues, queueCodec)(tx, queueRowKey(queue))
export const putQueue = (tx: WriteTx, queue: Uint8Array, row: QueueRow): void =>
  tx.put(tables.relayQueues, queueRowKey(queue), encode(queueCodec, row))

export const decodeEntry = (value: Uint8Array): EntryRow => decode(entryCodec, value)
export const putEntry = (tx: WriteTx, key: Uint8Array, row: EntryRow): void =>
  tx.put(tables.relayEntries, key, encode(entryCodec, row))

export const readCounted = read(tables.relayExpiries, countedCodec)
export const decodeCounted = (value: Uint8Array): Counted => decode(countedCodec, value)
export const putCounted = (tx: WriteTx, key: Uint8Array, row: Counted): void =>
  tx.put(tables.relayExpiries, key, encode(countedCodec, row))
export const decodeClosed = (value: Uint8Array): ClosedRow => decode(closedCodec, value)
export const putClosed = (tx: WriteTx, slot: Uint8Array, row: ClosedRow): void =>
  tx.put(tables.relayExpiries, closedKey(slot), encode(closedCodec, row))

export const readGrant = read(tables.relayGrants, grantCodec)
export const decodeGrant = (value: Uint8Array): GrantRow => decode(grantCodec, value)
export const putGrant = (tx: WriteTx, grant: Uint8Array, row: GrantRow): void =>
  tx.put(tables.relayGrants, grant, encode(grantCodec, row))

/** How many owners a gateway opened as a contact's. */
export function openedBy(tx: ReadTx, opener: Uint8Array): number {
  const value = tx.get(tables.relayOwners, openerRowKey(opener))
  return value === undefined ? 0 : decode(u32, value)
}
export function countOpened(tx: WriteTx, opener: Uint8Array | undefined, change: number): void {
  if (opener === undefined) return
  const opened = openedBy(tx, opener) + change
  if (opened > 0) tx.put(tables.relayOwners, openerRowKey(opener), encode(u32, opened))
  else tx.remove(tables.relayOwners, openerRowKey(opener))
}
