/**
 * ◆ Summaries at rest: packs of up to 64, one for each 64 UIDs of a mailbox, because a client asks for them in runs. A
 * pack is a cache: what is missing or of another version is made anew.
 *
 *     u32  version
 *     u8   number of summaries
 *     for each, ascending: u8 (uid − 1) mod 64, u32 octets
 *     the summaries
 */
import { decode, encode, u32 } from '../codec.ts'
import type { Uid } from '../ids.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { blockRecords } from './records.ts'
import { blockKey } from './rows.ts'

const packUids = 64
const packsPerBlock = blockRecords / packUids
const layout = 2
const headBytes = 5
const entryBytes = 5

/** By `slotOf` their UIDs. */
export type Pack = (Buffer | undefined)[]

export interface PackPlace {
  readonly mailbox: Uint8Array
  readonly number: number
  /** Of the summariser. */
  readonly version: number
}

export const packOf = (uid: Uid): number => Math.floor((uid - 1) / packUids)
export const slotOf = (uid: Uid): number => (uid - 1) % packUids

const versionOf = ({ version }: PackPlace): number => layout * 0x1_0000 + version

/** Empty when there is no such pack or it is of another version. */
export function readPack(tx: ReadTx, place: PackPlace): Pack {
  const pack: Pack = Array.from({ length: packUids })
  const stored = tx.get(tables.summaries, blockKey(place.mailbox, place.number))
  if (stored === undefined || decode(u32, stored.subarray(0, 4)) !== versionOf(place)) return pack
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength)
  const entriesEnd = headBytes + bytes[4]! * entryBytes
  let at = entriesEnd
  for (let entry = headBytes; entry < entriesEnd; entry += entryBytes) {
    const next = at + bytes.readUInt32BE(entry + 1)
    pack[bytes[entry]!] = bytes.subarray(at, next)
    at = next
  }
  return pack
}

/** Adds to a pack, keeping only summaries of messages that are still there. */
export function addToPack(
  tx: WriteTx,
  place: PackPlace,
  { added, alive }: { added: ReadonlyMap<Uid, Uint8Array>; alive: ReadonlySet<Uid> },
): void {
  const pack: (Uint8Array | undefined)[] = readPack(tx, place)
  for (const [uid, summary] of added) pack[slotOf(uid)] = summary
  const slots = [...alive].map(slotOf).sort((a, b) => a - b)
  const kept = slots.flatMap((slot) => (pack[slot] === undefined ? [] : [{ slot, summary: pack[slot] }]))
  if (kept.length === 0) return
  const head = Buffer.alloc(headBytes + kept.length * entryBytes)
  head.set(encode(u32, versionOf(place)))
  head[4] = kept.length
  for (const [index, { slot, summary }] of kept.entries()) {
    head[headBytes + index * entryBytes] = slot
    head.writeUInt32BE(summary.length, headBytes + index * entryBytes + 1)
  }
  const bytes = Buffer.concat([head, ...kept.map(({ summary }) => summary)])
  tx.put(tables.summaries, blockKey(place.mailbox, place.number), bytes)
}

/** The packs of one index block, when it has no messages left. */
export function removeSummaries(tx: WriteTx, mailbox: Uint8Array, block: number): void {
  for (let number = block * packsPerBlock; number < (block + 1) * packsPerBlock; number += 1)
    if (tx.has(tables.summaries, blockKey(mailbox, number))) tx.remove(tables.summaries, blockKey(mailbox, number))
}
