/** Packs of summaries in memory: those used last, up to a bound, and none once nobody has asked for a while. */
import type { MailboxId, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import { type Pack, packOf, slotOf } from './summary-packs.ts'

interface Held {
  readonly mailbox: MailboxId
  readonly number: number
  readonly pack: Pack
  bytes: number
}

/** What a pack takes in memory besides its summaries. */
const emptyPackBytes = 1024

export class SummaryCache implements Disposable {
  readonly #held = new Map<string, Held>()
  readonly #read: (mailbox: MailboxId, number: number) => Pack
  #bytes = 0
  /** The one used last: messages are asked for in order. */
  #last: Held | undefined
  #isUsed = false
  #timer: NodeJS.Timeout | undefined

  /** @param read what is at rest of a pack */
  constructor(read: (mailbox: MailboxId, number: number) => Pack) {
    this.#read = read
  }

  get(mailbox: MailboxId, uid: Uid): Buffer | undefined {
    return this.#packOf(mailbox, packOf(uid)).pack[slotOf(uid)]
  }

  set(mailbox: MailboxId, uid: Uid, summary: Uint8Array): void {
    const held = this.#packOf(mailbox, packOf(uid))
    const slot = slotOf(uid)
    const added = summary.length - (held.pack[slot]?.length ?? 0)
    held.pack[slot] = Buffer.from(summary.buffer, summary.byteOffset, summary.byteLength)
    held.bytes += added
    this.#bytes += added
    this.#evict()
  }

  #packOf(mailbox: MailboxId, number: number): Held {
    const last = this.#last
    if (last !== undefined && last.number === number && last.mailbox === mailbox) return last
    const key = `${mailbox}${number}`
    let held = this.#held.get(key)
    if (held === undefined) {
      const pack = this.#read(mailbox, number)
      const bytes = pack.reduce((sum, summary) => sum + (summary?.length ?? 0), emptyPackBytes)
      held = { mailbox, number, pack, bytes }
      this.#bytes += bytes
    }
    this.#held.delete(key)
    this.#held.set(key, held)
    this.#last = held
    this.#isUsed = true
    this.#timer ??= setTimeout(() => this.#rest(), limits.summaryCacheIdleMs).unref()
    this.#evict()
    return held
  }

  /** Never the one used last. */
  #evict(): void {
    for (const [key, held] of this.#held) {
      if (this.#bytes <= limits.summaryCacheBytesMax || held === this.#last) return
      this.#held.delete(key)
      this.#bytes -= held.bytes
    }
  }

  #rest(): void {
    this.#timer = undefined
    if (this.#isUsed) {
      this.#isUsed = false
      this.#timer = setTimeout(() => this.#rest(), limits.summaryCacheIdleMs).unref()
      return
    }
    this.#held.clear()
    this.#bytes = 0
    this.#last = undefined
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
