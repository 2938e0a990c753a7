/**
 * A search over one mailbox: columns decide first, then what is left is read. It keeps the thread for a few
 * milliseconds at a time, and what it finds is what a plain reading of every message finds.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { concat } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity, Uid } from '../ids.ts'
import type { Blobs } from '../store/blobs.ts'
import type { MailboxColumns } from './mailbox.ts'
import { columnsJudge, foldKey, matches, type SearchKey, settle } from './search.ts'

const sliceMs = 8 // ours: how long a search may keep the thread
const batchMax = 16_384

export interface SearchParts {
  readonly account: Identity
  /** Asked anew after each pause: they follow commits. */
  readonly columns: () => MailboxColumns
  readonly contents: Pick<Blobs, 'readInline' | 'read'>
}

interface Open {
  readonly at: number
  readonly content: ContentId
  readonly key: SearchKey
}

/** UIDs that match, in the order given; those that are gone do not. */
export async function searchMailbox(
  parts: SearchParts,
  uids: readonly Uid[],
  key: SearchKey,
  { signal }: { readonly signal: AbortSignal },
): Promise<Uid[]> {
  const folded = foldKey(key)
  const pace = new Pace(signal)
  const found: Uid[] = []
  for (let from = 0; from < uids.length; from += batchMax) {
    const batch = uids.slice(from, from + batchMax)
    const verdicts = new Uint8Array(batch.length)
    const open = await judgeColumns(parts, batch, { key: folded, verdicts, pace })
    for (const { at, content, key: rest } of open) {
      verdicts[at] = (await readMatches(parts, content, rest)) ? 1 : 0
      if (pace.isOver) await pace.rest()
    }
    for (const [at, uid] of batch.entries()) if (verdicts[at] === 1) found.push(uid)
  }
  return found
}

async function judgeColumns(
  { columns }: SearchParts,
  uids: readonly Uid[],
  { key, verdicts, pace }: { readonly key: SearchKey; readonly verdicts: Uint8Array; readonly pace: Pace },
): Promise<readonly Open[]> {
  const open: Open[] = []
  let current = columns()
  for (const [at, uid] of uids.entries()) {
    if (at % 64 === 63 && pace.isOver) {
      await pace.rest()
      current = columns()
    }
    const index = current.indexOf(uid)
    if (index < 0) continue
    const outcome = settle(key, columnsJudge(current, index))
    if (typeof outcome === 'boolean') verdicts[at] = outcome ? 1 : 0
    else open.push({ at, content: current.contentAt(index), key: outcome })
  }
  return open
}

/** False for content that is gone. */
async function readMatches({ account, contents }: SearchParts, content: ContentId, key: SearchKey): Promise<boolean> {
  try {
    const inline = contents.readInline(account, content)
    return matches(key, inline ?? concat(...(await Array.fromAsync(contents.read(account, content)))))
  } catch (error) {
    if (error instanceof MyceliumError && error.code === 'no-such-message') return false
    throw error
  }
}

/** Gives the thread back in time. */
class Pace {
  readonly #signal: AbortSignal
  #until = performance.now() + sliceMs

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  get isOver(): boolean {
    return performance.now() > this.#until
  }

  async rest(): Promise<void> {
    await nextTurn()
    this.#signal.throwIfAborted()
    this.#until = performance.now() + sliceMs
  }
}
