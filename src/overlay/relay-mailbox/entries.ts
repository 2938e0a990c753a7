/** Entries in the store: left by senders, taken by their owners, gone when their time is over. */
import { equalConstantTime, fromUtf8 } from '../../core/bytes.ts'
import { limits } from '../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'
import { roomOf } from './owners.ts'
import {
  count,
  type Counted,
  decodeEntry,
  entryRowKey,
  type EntryRow,
  expiryKey,
  markKey,
  numberOfEntry,
  type OwnerRow,
  putCounted,
  putEntry,
  putOwner,
  putQueue,
  type QueueRow,
  readCounted,
  readOwner,
  readQueue,
  readTotals,
} from './rows.ts'
import type { Deposit, Outcome } from './sealed.ts'

export const seenKeyOf = (tx: ReadTx, { sendId, entryId }: Pick<Deposit, 'sendId' | 'entryId'>): Uint8Array =>
  tx.opaque(fromUtf8('relay-seen'), sendId, entryId)

/** Octets that an entry counts for: what its row takes on the disk. */
const countedBytes = (body: Uint8Array): number => body.length + limits.relayEntryOverheadBytes

export interface EntryContext {
  /** Of the deposit's send id. */
  readonly queue: Uint8Array
  readonly bytesMax: number
  readonly nowMs: number
}

/** A deposit whose signature and size were checked. @returns the slot of its owner when it was stored now */
export function storeEntry(
  tx: WriteTx,
  deposit: Deposit,
  { queue: queueKey, bytesMax, nowMs }: EntryContext,
): { readonly outcome: Outcome; readonly slot?: Uint8Array } {
  const seen = seenKeyOf(tx, deposit)
  if (tx.has(tables.relaySeen, seen)) return { outcome: 'stored' }
  const queue = readQueue(tx, queueKey)
  const owner = queue === undefined ? undefined : readOwner(tx, queue.owner)
  if (queue === undefined || owner === undefined || !equalConstantTime(owner.slot, queue.slot))
    return { outcome: 'no-such-queue' }
  const bytes = countedBytes(deposit.body)
  if (!hasRoomFor(tx, { bytes, bytesMax, owner, queue })) return { outcome: 'full' }
  const expiresAtMs = Math.min(deposit.expiresAtMs, nowMs + limits.relayHoldMsMax)
  const number = owner.nextNumber
  const { receiveId, slot } = queue
  putEntry(tx, entryRowKey(slot, number), { receiveId, heldSinceMs: nowMs, expiresAtMs, body: deposit.body })
  putCounted(tx, expiryKey(expiresAtMs, slot, number), { owner: queue.owner, queue: queueKey, seen, bytes })
  tx.put(tables.relaySeen, seen, new Uint8Array())
  putQueue(tx, queueKey, { ...queue, entries: queue.entries + 1, bytes: queue.bytes + bytes })
  putOwner(tx, queue.owner, {
    ...owner,
    nextNumber: number + 1,
    entries: owner.entries + 1,
    bytes: owner.bytes + bytes,
  })
  count(tx, { entries: 1, bytes, workBytes: owner.origin === 'work' ? bytes : 0 })
  return { outcome: 'stored', slot }
}

function hasRoomFor(
  tx: ReadTx,
  { bytes, bytesMax, owner, queue }: { bytes: number; bytesMax: number; owner: OwnerRow; queue: QueueRow },
): boolean {
  const totals = readTotals(tx)
  const room = roomOf(owner.origin)
  const share = limits.relayQueueShareMax
  return (
    totals.bytes + bytes <= bytesMax &&
    (owner.origin !== 'work' || totals.workBytes + bytes <= bytesMax * limits.relayWorkShareMax) &&
    owner.bytes + bytes <= room.bytesMax &&
    owner.entries < room.entriesMax &&
    queue.bytes + bytes <= room.bytesMax * share &&
    queue.entries < room.entriesMax * share
  )
}

export interface HeldEntry extends EntryRow {
  readonly number: number
}

/** The next ones after a number, oldest first, while they fit; none when the first one does not. */
export function entriesAfter(
  tx: ReadTx,
  slot: Uint8Array,
  { after, countMax, bytesMax }: { readonly after: number; readonly countMax: number; readonly bytesMax: number },
): HeldEntry[] {
  const found: HeldEntry[] = []
  let bytes = 0
  const range = { prefix: slot, from: entryRowKey(slot, after + 1), limit: countMax }
  for (const { key, value } of tx.range(tables.relayEntries, range)) {
    const entry = { ...decodeEntry(value), number: numberOfEntry(key) }
    bytes += entry.body.length
    if (bytes > bytesMax) break
    found.push(entry)
  }
  return found
}

/** Whether anything waits after a number. */
export function hasEntryAfter(tx: ReadTx, slot: Uint8Array, after: number): boolean {
  const range = { prefix: slot, from: entryRowKey(slot, after + 1), limit: 1 }
  return [...tx.keys(tables.relayEntries, range)].length > 0
}

/** Forgets what was taken. Their ids are remembered for a while, so that a deposit repeated late stays without effect. */
export function takeEntries(
  tx: WriteTx,
  slot: Uint8Array,
  { taken, nowMs }: { readonly taken: readonly { number: number; expiresAtMs: number }[]; readonly nowMs: number },
): void {
  for (const { number, expiresAtMs } of taken) {
    const key = expiryKey(expiresAtMs, slot, number)
    const counted = readCounted(tx, key)
    if (counted === undefined) continue
    dropEntry(tx, { slot, number, counted })
    tx.remove(tables.relayExpiries, key)
    tx.put(
      tables.relayExpiries,
      markKey(Math.min(expiresAtMs, nowMs + limits.relayMarkMs), counted.seen),
      new Uint8Array(),
    )
    count(tx, { marks: 1 })
  }
}

/** Removes an entry and counts it back, where it is still there. */
export function dropEntry(
  tx: WriteTx,
  { slot, number, counted }: { readonly slot: Uint8Array; readonly number: number; readonly counted: Counted },
): void {
  const key = entryRowKey(slot, number)
  const owner = readOwner(tx, counted.owner)
  // of a closed owner: its rows go together
  if (owner === undefined || !equalConstantTime(owner.slot, slot) || !tx.has(tables.relayEntries, key)) return
  tx.remove(tables.relayEntries, key)
  const { bytes } = counted
  putOwner(tx, counted.owner, { ...owner, entries: owner.entries - 1, bytes: owner.bytes - bytes })
  const queue = readQueue(tx, counted.queue)
  if (queue !== undefined && equalConstantTime(queue.slot, slot)) {
    // made anew since: what waits from before was not counted there
    putQueue(tx, counted.queue, {
      ...queue,
      entries: Math.max(0, queue.entries - 1),
      bytes: Math.max(0, queue.bytes - bytes),
    })
  }
  count(tx, { entries: -1, bytes: -bytes, workBytes: owner.origin === 'work' ? -bytes : 0 })
}
