/**
 * A search over one mailbox: columns decide first, then the index, and what is left is read. It keeps the thread for a
 * few milliseconds at a time, and what it finds is what a plain reading of every message finds.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { hasCode } from '../errors.ts'
import type { ContentId, Identity, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import { parseHeaders } from '../message/header.ts'
import type { Blobs } from '../store/blobs.ts'
import { accountKey } from '../store/content-rows.ts'
import type { Store } from '../store/store.ts'
import type { MailboxColumns } from './mailbox.ts'
import { Needles, OpenPack } from './search-index.ts'
import { packOf } from './search-packs.ts'
import type { SearchThread } from './search-thread.ts'
import { storedSource } from './stored-source.ts'
import { columnsJudge, foldKey, headerJudge, type Leaf, matches, type SearchKey, settle } from './search.ts'

const sliceMs = 8 // ours: how long searches may keep the thread, all of them together
const sliceMsMin = 0.5 // ours: a turn costs something too
const batchMax = 16_384

export interface SearchParts {
  readonly account: Identity
  /** Asked anew after each pause: they follow commits. */
  readonly columns: () => MailboxColumns
  readonly store: Store
  readonly blobs: Blobs
  readonly thread: SearchThread
  /** A row of the index is damaged. */
  readonly rebuild: () => Promise<void>
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
  using pace = new Pace(signal)
  const found: Uid[] = []
  for (let from = 0; from < uids.length; from += batchMax) {
    const batch = uids.slice(from, from + batchMax)
    const verdicts = new Uint8Array(batch.length)
    const open = await judgeColumns(parts, batch, { key: folded, verdicts, pace })
    const unread = await judgeIndex(parts, open, { verdicts, pace })
    for (const { at, content, key: rest } of unread) {
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
    if (at % 8 === 7 && pace.isOver) {
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

/** Pack by pack, whatever order the messages have: each is opened once. */
async function judgeIndex(
  { store, account, rebuild }: SearchParts,
  open: readonly Open[],
  { verdicts, pace }: { readonly verdicts: Uint8Array; readonly pace: Pace },
): Promise<readonly Open[]> {
  const unread: Open[] = []
  const needles = new Needles()
  let isDamaged = false
  for (const [name, messages] of Map.groupBy(open, ({ content }) => packOf(content))) {
    store.read((tx) => {
      const pack = new OpenPack(tx, accountKey(tx, account), name, needles)
      for (const { at, content, key } of messages) {
        const outcome = settle(key, (leaf) => pack.judge(leaf, content))
        if (typeof outcome === 'boolean') verdicts[at] = outcome ? 1 : 0
        else unread.push({ at, content, key: outcome })
      }
      isDamaged ||= pack.isDamaged
    })
    if (pace.isOver) await pace.rest()
  }
  if (isDamaged) await rebuild()
  return unread.sort((a, b) => a.at - b.at)
}

/** False for content that is gone or damaged: there is nothing in it that could be found. */
async function readMatches(parts: SearchParts, content: ContentId, key: SearchKey): Promise<boolean> {
  const { account, blobs, thread } = parts
  try {
    const inline = blobs.readInline(account, content)
    if (inline !== undefined) return matches(key, inline)
    const outcome = settle(key, await headerOf(parts, content))
    if (typeof outcome === 'boolean') return outcome
    const source = storedSource(blobs, account, content)
    if (source.size <= limits.searchSliceBytesMax) return matches(outcome, await source.read(0, source.size))
    // A second time alone with a new thread, as it may have been another message that ended the first; this thread reads none.
    return (await thread.matches(outcome, source)) ?? (await thread.matches(outcome, source)) ?? false
  } catch (error) {
    if (hasCode(error, 'no-such-message') || hasCode(error, 'store-corrupt')) return false
    throw error
  }
}

/** What the header section alone decides, where it lies within the first octets. */
async function headerOf(
  { account, blobs }: SearchParts,
  content: ContentId,
): Promise<(leaf: Leaf) => boolean | undefined> {
  const beginning = await storedSource(blobs, account, content).read(0, limits.searchSliceBytesMax)
  const { fields, bodyStart } = parseHeaders(beginning)
  return bodyStart < beginning.length ? headerJudge(fields) : () => undefined
}

/** Gives the thread back in time. */
class Pace implements Disposable {
  /** Searches at work now: they share one thread. */
  static #searches = 0
  readonly #signal: AbortSignal
  #until: number

  constructor(signal: AbortSignal) {
    this.#signal = signal
    Pace.#searches += 1
    this.#until = this.#nextUntil()
  }

  get isOver(): boolean {
    return performance.now() > this.#until
  }

  async rest(): Promise<void> {
    await nextTurn()
    this.#signal.throwIfAborted()
    this.#until = this.#nextUntil()
  }

  #nextUntil(): number {
    return performance.now() + Math.max(sliceMsMin, sliceMs / Pace.#searches)
  }

  [Symbol.dispose](): void {
    Pace.#searches -= 1
  }
}
