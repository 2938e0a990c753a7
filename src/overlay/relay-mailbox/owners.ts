/** Owners and their queues in the store: who may have one, how much room there is, and how one is forgotten. */
import { equalConstantTime, fromUtf8 } from '../../core/bytes.ts'
import { receiveIdOf } from '../../core/delivery/relay-ids.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'
import type { CloseRequest, Done, OpenRequest, QueuesRequest, Refusal } from './messages.ts'
import {
  count,
  countOpened,
  openedBy,
  type Origin,
  type OwnerRow,
  ownerRowKey,
  putClosed,
  putGrant,
  putOwner,
  putQueue,
  queueRowKey,
  readGrant,
  readOwner,
  readQueue,
  readTotals,
  receiveRowKey,
} from './rows.ts'

export interface Room {
  readonly bytesMax: number
  readonly entriesMax: number
  readonly queuesMax: number
}
export const roomOf = (origin: Origin): Room =>
  origin === 'work'
    ? {
        bytesMax: limits.relayWorkOwnerBytesMax,
        entriesMax: limits.relayWorkOwnerEntriesMax,
        queuesMax: limits.relayWorkOwnerQueuesMax,
      }
    : {
        bytesMax: limits.relayOwnerBytesMax,
        entriesMax: limits.relayOwnerEntriesMax,
        queuesMax: limits.relayOwnerQueuesMax,
      }

export const ownerKeyOf = (tx: ReadTx, owner: Uint8Array): Uint8Array => tx.opaque(fromUtf8('relay-owner'), owner)
export const queueKeyOf = (tx: ReadTx, sendId: Uint8Array): Uint8Array => tx.opaque(fromUtf8('relay-queue'), sendId)
export const grantKeyOf = (tx: ReadTx, capability: Uint8Array): Uint8Array =>
  tx.opaque(fromUtf8('relay-grant'), capability)

const refused = (reason: Refusal): { readonly kind: 'refused'; readonly reason: Refusal } => ({
  kind: 'refused',
  reason,
})
type Result = Done | ReturnType<typeof refused>

const doneOf = ({ bytes, origin, queues }: OwnerRow): Done => ({
  kind: 'done',
  bytes,
  bytesMax: roomOf(origin).bytesMax,
  queues,
})

export interface OpenContext {
  readonly from: GatewayId
  readonly nowMs: number
  readonly newSlot: () => Uint8Array
}

/** A request whose signature and, where it names one, acquaintance or work were checked. */
export function openOwner(tx: WriteTx, request: OpenRequest, { from, nowMs, newSlot }: OpenContext): Result {
  const key = ownerKeyOf(tx, request.owner)
  const known = readOwner(tx, key)
  if (known !== undefined && request.atMs < known.askedAtMs) return refused('signature')
  const origin: Origin = request.proof.kind
  const opener = origin === 'known' ? tx.opaque(fromUtf8('relay-opener'), fromUtf8(from)) : undefined
  const grant = request.proof.kind === 'capability' ? grantKeyOf(tx, request.proof.capability) : undefined
  if (grant !== undefined && !isGrantGood(tx, grant, key, nowMs)) return refused('proof')
  if (!hasRoomFor(tx, { known, origin, opener })) return refused('full')
  if (grant !== undefined) putGrant(tx, grant, { expiresAtMs: readGrant(tx, grant)!.expiresAtMs, owner: key })
  if (known?.grant !== undefined && !isSame(known.grant, grant)) tx.remove(tables.relayGrants, known.grant)
  if (known === undefined || !isSame(known.opener, opener)) {
    countOpened(tx, known?.opener, -1)
    countOpened(tx, opener, 1)
  }
  const row: OwnerRow = {
    ...(known ?? { slot: newSlot(), nextNumber: 1, queues: 0, entries: 0, bytes: 0 }),
    origin,
    opener,
    grant,
    seenAtMs: nowMs,
    askedAtMs: request.atMs,
  }
  putOwner(tx, key, row)
  const workOwners = (origin === 'work' ? 1 : 0) - (known?.origin === 'work' ? 1 : 0)
  count(tx, {
    owners: known === undefined ? 1 : 0,
    workOwners,
    workBytes: workOwners * row.bytes,
    workQueues: workOwners * row.queues,
  })
  return doneOf(row)
}

const isSame = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : equalConstantTime(a, b)

/** Good for the owner that used it first, and for that one also after its time. */
function isGrantGood(tx: ReadTx, grant: Uint8Array, owner: Uint8Array, nowMs: number): boolean {
  const row = readGrant(tx, grant)
  if (row === undefined) return false
  return row.owner === undefined ? nowMs < row.expiresAtMs : equalConstantTime(row.owner, owner)
}

function hasRoomFor(
  tx: ReadTx,
  { known, origin, opener }: { known: OwnerRow | undefined; origin: Origin; opener: Uint8Array | undefined },
): boolean {
  const totals = readTotals(tx)
  if (known === undefined && totals.owners >= limits.relayOwnersMax) return false
  if (origin === 'work') return known?.origin === 'work' || totals.workOwners < limits.relayWorkOwnersMax
  if (opener === undefined || isSame(known?.opener, opener)) return true
  return openedBy(tx, opener) < limits.relayOwnersPerGatewayMax
}

export function changeQueues(tx: WriteTx, request: QueuesRequest, nowMs: number): Result {
  const owner = ownerKeyOf(tx, request.owner)
  const known = readOwner(tx, owner)
  if (known === undefined) return refused('unknown-owner')
  if (request.atMs < known.askedAtMs) return refused('signature')
  const { slot } = known
  const remove = distinct(request.remove).filter((receiveId) =>
    tx.has(tables.relayQueues, receiveRowKey(slot, receiveId)),
  )
  const create = distinct(request.create)
    .map((sendId) => ({ key: queueKeyOf(tx, sendId), receiveId: receiveIdOf(request.owner, sendId) }))
    .filter(({ receiveId }) => !tx.has(tables.relayQueues, receiveRowKey(slot, receiveId)))
  // a queue of somebody else: whoever asks for it knows a send id that it did not make
  if (create.some(({ key }) => tx.has(tables.relayQueues, queueRowKey(key)))) return refused('proof')
  const change = create.length - remove.length
  if (change > 0 && !hasRoomForQueues(tx, known, change)) return refused('full')
  for (const receiveId of remove) removeQueue(tx, slot, receiveId)
  for (const { key, receiveId } of create) {
    putQueue(tx, key, { owner, slot, receiveId, entries: 0, bytes: 0 })
    tx.put(tables.relayQueues, receiveRowKey(slot, receiveId), key)
  }
  const row = { ...known, queues: known.queues + change, seenAtMs: nowMs, askedAtMs: request.atMs }
  putOwner(tx, owner, row)
  count(tx, { queues: change, workQueues: known.origin === 'work' ? change : 0 })
  return doneOf(row)
}

function hasRoomForQueues(tx: ReadTx, { origin, queues }: OwnerRow, change: number): boolean {
  const totals = readTotals(tx)
  return (
    queues + change <= roomOf(origin).queuesMax &&
    totals.queues + change <= limits.relayQueuesMax &&
    (origin !== 'work' || totals.workQueues + change <= limits.relayQueuesMax * limits.relayWorkShareMax)
  )
}

function distinct(ids: readonly Uint8Array[]): Uint8Array[] {
  return [...new Map(ids.map((id) => [Buffer.from(id).toString('latin1'), id])).values()]
}

/** What waits in it is held until it is taken or expires. */
export function removeQueue(tx: WriteTx, slot: Uint8Array, receiveId: Uint8Array): void {
  const key = tx.get(tables.relayQueues, receiveRowKey(slot, receiveId))
  tx.remove(tables.relayQueues, receiveRowKey(slot, receiveId))
  if (key !== undefined && isSame(readQueue(tx, key)?.slot, slot)) tx.remove(tables.relayQueues, queueRowKey(key))
}

export function closeOwner(tx: WriteTx, request: CloseRequest): Result {
  const owner = ownerKeyOf(tx, request.owner)
  const known = readOwner(tx, owner)
  if (known === undefined) return refused('unknown-owner')
  if (request.atMs < known.askedAtMs) return refused('signature')
  forgetOwner(tx, owner, known)
  return { kind: 'done', bytes: 0, bytesMax: 0, queues: 0 }
}

/** Nothing finds it from here on; its rows go in slices (sweep.ts), and are counted until then. */
export function forgetOwner(tx: WriteTx, owner: Uint8Array, row: OwnerRow): void {
  tx.remove(tables.relayOwners, ownerRowKey(owner))
  countOpened(tx, row.opener, -1)
  if (row.grant !== undefined) tx.remove(tables.relayGrants, row.grant)
  const { origin, entries, bytes, queues } = row
  putClosed(tx, row.slot, { origin, entries, bytes, queues })
  count(tx, { owners: -1, workOwners: origin === 'work' ? -1 : 0 })
}
