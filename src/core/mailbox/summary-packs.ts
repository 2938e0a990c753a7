/**
 * ◆ Summaries at rest: packs of up to 64, one for each 64 UIDs of a mailbox, because a client asks for them in runs. A
 * pack is a cache: what is missing or of another version is made anew.
 */
import { array, bytes, type Codec, decode, encode, hexId, record, u32 } from '../codec.ts'
import type { ContentId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { blockRecords } from './records.ts'
import { blockKey } from './rows.ts'

const packUids = 64
const packsPerBlock = blockRecords / packUids

export interface PackedSummary {
  readonly content: ContentId
  readonly summary: Uint8Array
}

const pack: Codec<{ readonly version: number; readonly entries: readonly PackedSummary[] }> = record({
  version: u32,
  entries: array(
    record<PackedSummary>({ content: hexId<ContentId>(32), summary: bytes(limits.summaryBytesMax) }),
    packUids,
  ),
})

export const packOf = (uid: Uid): number => Math.floor((uid - 1) / packUids)

/** Empty when there is no such pack or it is of another version. */
export function readPack(
  tx: ReadTx,
  { mailbox, number, version }: { mailbox: Uint8Array; number: number; version: number },
): readonly PackedSummary[] {
  const stored = tx.get(tables.summaries, blockKey(mailbox, number))
  if (stored === undefined) return []
  const decoded = decode(pack, stored)
  return decoded.version === version ? decoded.entries : []
}

/** Adds to a pack, keeping only summaries of messages that are still there. */
export function addToPack(
  tx: WriteTx,
  { mailbox, number, version }: { mailbox: Uint8Array; number: number; version: number },
  { added, alive }: { added: readonly PackedSummary[]; alive: ReadonlySet<ContentId> },
): void {
  const byContent = new Map(readPack(tx, { mailbox, number, version }).map((entry) => [entry.content, entry]))
  for (const entry of added) byContent.set(entry.content, entry)
  const entries = [...byContent.values()].filter(({ content }) => alive.has(content)).slice(0, packUids)
  if (entries.length > 0) tx.put(tables.summaries, blockKey(mailbox, number), encode(pack, { version, entries }))
}

/** The packs of one index block, when it has no messages left. */
export function removeSummaries(tx: WriteTx, mailbox: Uint8Array, block: number): void {
  for (let number = block * packsPerBlock; number < (block + 1) * packsPerBlock; number += 1)
    if (tx.has(tables.summaries, blockKey(mailbox, number))) tx.remove(tables.summaries, blockKey(mailbox, number))
}
