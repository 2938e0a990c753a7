/** What a relay forgets by itself: entries and ids whose time is over, owners that nobody has seen, what is left of closed ones. */
import { decode, u64 } from '../../core/codec.ts'
import { limits } from '../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'
import { dropEntry } from './entries.ts'
import { forgetOwner, removeQueue } from './owners.ts'
import {
  closedKey,
  closedPrefix,
  count,
  decodeClosed,
  decodeCounted,
  decodeGrant,
  decodeOwner,
  dueBefore,
  entryOfExpiry,
  expiryPrefix,
  markPrefix,
  numberOfEntry,
  type OwnerRow,
  ownersPrefix,
  putOwner,
  readOwner,
  queuesOfSlot,
  readTotals,
  seenOfMark,
  slotBytes,
  slotOfClosed,
  slotOfExpiry,
} from './rows.ts'

export interface SweepContext {
  readonly nowMs: number
  /** Whether an owner watches at this moment: then it is seen. */
  readonly isWatching: (slot: Uint8Array) => boolean
}

const rowsMax = limits.relaySweepRows

/** Everything that is due, in transactions of bounded size. Ends early when the signal aborts. */
export async function sweep(store: Store, context: SweepContext, signal: AbortSignal): Promise<void> {
  for (const step of [expireEntries, forgetMarks, removeClosed]) {
    for (;;) {
      if (signal.aborted) return
      if (!store.read((tx) => step.isDue(tx, context.nowMs))) break
      await store.write((tx) => step.run(tx, context.nowMs))
    }
  }
}

interface Step {
  readonly isDue: (tx: ReadTx, nowMs: number) => boolean
  readonly run: (tx: WriteTx, nowMs: number) => void
}

const dueRange = (kind: Uint8Array, nowMs: number) => ({ prefix: kind, to: dueBefore(kind, nowMs + 1) })
const hasAny = (keys: Iterable<Uint8Array>): boolean => [...keys].length > 0

const expireEntries: Step = {
  isDue: (tx, nowMs) => hasAny(tx.keys(tables.relayExpiries, { ...dueRange(expiryPrefix, nowMs), limit: 1 })),
  run(tx, nowMs) {
    const due = [...tx.range(tables.relayExpiries, { ...dueRange(expiryPrefix, nowMs), limit: rowsMax })]
    for (const { key, value } of due) {
      const counted = decodeCounted(value)
      dropEntry(tx, { slot: slotOfExpiry(key), number: numberOfEntry(entryOfExpiry(key)), counted })
      tx.remove(tables.relaySeen, counted.seen)
      tx.remove(tables.relayExpiries, key)
    }
  },
}

/** Those whose time is over, and the oldest where there are too many. */
const forgetMarks: Step = {
  isDue: (tx, nowMs) =>
    readTotals(tx).marks > limits.relayMarksMax ||
    hasAny(tx.keys(tables.relayExpiries, { ...dueRange(markPrefix, nowMs), limit: 1 })),
  run(tx, nowMs) {
    const tooMany = readTotals(tx).marks - limits.relayMarksMax
    const oldest = [...tx.keys(tables.relayExpiries, { prefix: markPrefix, limit: rowsMax })]
    const due = oldest.filter((key, index) => index < tooMany || decode(u64, key.subarray(1, 9)) <= nowMs)
    for (const key of due) {
      tx.remove(tables.relaySeen, seenOfMark(key))
      tx.remove(tables.relayExpiries, key)
    }
    count(tx, { marks: -due.length })
  },
}

const removeClosed: Step = {
  isDue: (tx) => hasAny(tx.keys(tables.relayExpiries, { prefix: closedPrefix, limit: 1 })),
  run(tx) {
    const [closed] = tx.range(tables.relayExpiries, { prefix: closedPrefix, limit: 1 })
    if (closed === undefined) return
    const slot = slotOfClosed(closed.key)
    const queues = [...tx.keys(tables.relayQueues, { prefix: queuesOfSlot(slot), limit: rowsMax })]
    for (const key of queues) removeQueue(tx, slot, key.subarray(1 + slotBytes))
    const entries = [...tx.keys(tables.relayEntries, { prefix: slot, limit: rowsMax - queues.length })]
    for (const key of entries) tx.remove(tables.relayEntries, key)
    if (queues.length + entries.length === rowsMax) return
    const row = decodeClosed(closed.value)
    count(tx, {
      queues: -row.queues,
      entries: -row.entries,
      bytes: -row.bytes,
      workBytes: row.origin === 'work' ? -row.bytes : 0,
      workQueues: row.origin === 'work' ? -row.queues : 0,
    })
    tx.remove(tables.relayExpiries, closedKey(slot))
  },
}

/** Owners not seen for so long, and capabilities nobody used in time. Looks at all of them: once an hour is enough. */
export async function sweepOwners(store: Store, { nowMs, isWatching }: SweepContext): Promise<void> {
  const { unseen, watching } = store.read((tx) => {
    const owners = Array.from(tx.range(tables.relayOwners, { prefix: ownersPrefix }), ({ key, value }) => ({
      key: key.subarray(1),
      row: decodeOwner(value),
    }))
    return {
      unseen: owners.filter(({ row }) => !isWatching(row.slot) && isForgotten(row, nowMs)),
      watching: owners.filter(({ row }) => isWatching(row.slot)),
    }
  })
  const expired = store.read((tx) =>
    Array.from(tx.range(tables.relayGrants, {}))
      .filter(({ value }) => isUnusedInTime(value, nowMs))
      .map(({ key }) => key),
  )
  await inSlices(store, watching, (tx, { key }) => {
    const row = readOwner(tx, key)
    if (row !== undefined) putOwner(tx, key, { ...row, seenAtMs: nowMs })
  })
  await inSlices(store, unseen, (tx, { key }) => {
    const row = readOwner(tx, key)
    if (row !== undefined && isForgotten(row, nowMs)) forgetOwner(tx, key, row)
  })
  await inSlices(store, expired, (tx, key) => {
    const value = tx.get(tables.relayGrants, key)
    if (value !== undefined && isUnusedInTime(value, nowMs)) tx.remove(tables.relayGrants, key)
  })
}

async function inSlices<T>(store: Store, items: readonly T[], change: (tx: WriteTx, item: T) => void): Promise<void> {
  for (let at = 0; at < items.length; at += rowsMax) {
    await store.write((tx) => {
      for (const item of items.slice(at, at + rowsMax)) change(tx, item)
    })
  }
}

const isForgotten = ({ origin, entries, seenAtMs }: OwnerRow, nowMs: number): boolean =>
  nowMs - seenAtMs > (origin === 'work' && entries === 0 ? limits.relayWorkOwnerUnseenMs : limits.relayOwnerUnseenMs)

function isUnusedInTime(value: Uint8Array, nowMs: number): boolean {
  const { owner, expiresAtMs } = decodeGrant(value)
  return owner === undefined && nowMs >= expiresAtMs
}
