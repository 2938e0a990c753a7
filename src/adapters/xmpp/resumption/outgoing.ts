/**
 * What a client was sent and has not acknowledged (XEP-0198 §4), as a state without any input or output. Every stanza has
 * a number; those that are kept wait until they are durable, and everything behind them waits too, so that the order
 * stays. A peer says how far it is by the low 32 bits of a number.
 */
export interface Item {
  /** From 1 on. */
  readonly number: number
  readonly xml: string
  /** It must outlive this process. */
  readonly isKept: boolean
  /** Unix milliseconds. */
  readonly atMs: number
}

const modulus = 2 ** 32

/** The first number from `base` on whose low 32 bits are these. */
export const nearest = (low: number, base: number): number => base + ((((low - base) % modulus) + modulus) % modulus)

export class Outgoing {
  /** The last one that the peer has acknowledged. */
  #acknowledged = 0
  /** Those after it, in order. */
  #items: Item[] = []
  /** How many of them are durable, or need not be. */
  #durable = 0
  /** How many of them were sent on the present connection. */
  #sent = 0
  /** The highest number that has ever left. */
  #reached = 0
  #bytes = 0

  /** @param after the number before the first one */
  constructor(after = 0) {
    this.#acknowledged = after
    this.#reached = after
  }

  get acknowledged(): number {
    return this.#acknowledged
  }
  /** The last number given. */
  get last(): number {
    return this.#acknowledged + this.#items.length
  }
  /** Not acknowledged; characters count as bytes. */
  get bytes(): number {
    return this.#bytes
  }
  get length(): number {
    return this.#items.length
  }
  /** Sent and not acknowledged. */
  get unanswered(): number {
    return this.#sent
  }

  add(xml: string, isKept: boolean, atMs: number): void {
    const item = { number: this.last + 1, xml, isKept, atMs }
    this.#items.push(item)
    this.#bytes += xml.length
    if (!isKept && this.#durable === this.#items.length - 1) this.#durable += 1
  }

  /** All that the peer has not acknowledged. */
  get items(): readonly Item[] {
    return this.#items
  }

  /** Those that must be made durable before anything behind them can leave. */
  unsaved(): readonly Item[] {
    return this.#items.slice(this.#durable).filter(({ isKept }) => isKept)
  }

  /** Everything up to this number is durable, as far as it needs to be. */
  saved(number: number): void {
    this.#durable = Math.max(this.#durable, Math.min(number, this.last) - this.#acknowledged)
    while (this.#items[this.#durable]?.isKept === false) this.#durable += 1
  }

  /** The next that may leave; it counts as sent then. */
  takeNext(): Item | undefined {
    if (this.#sent >= this.#durable) return undefined
    const item = this.#items[this.#sent]!
    this.#sent += 1
    this.#reached = Math.max(this.#reached, item.number)
    return item
  }

  /** On a new connection all that was not acknowledged is sent again. */
  sendAgain(): void {
    this.#sent = 0
  }

  /** @returns those that need not be kept any more; `undefined` when the peer says more than it was sent */
  acknowledge(low: number): readonly Item[] | undefined {
    const number = nearest(low, this.#acknowledged)
    const count = number - this.#acknowledged
    if (number > this.#reached) return undefined
    const gone = this.#items.splice(0, count)
    this.#acknowledged = number
    this.#durable = Math.max(0, this.#durable - count)
    this.#sent = Math.max(0, this.#sent - count)
    for (const { xml } of gone) this.#bytes -= xml.length
    return gone
  }

  /**
   * What another process kept, for a peer that says how far it is: what it has not had follows after that, without the
   * gaps of what was not kept. Numbers change, so whoever keeps them writes them anew, in the same transaction.
   */
  static takenUp(kept: readonly Item[], low: number): Outgoing {
    const after = nearest(low, 0)
    const taken = new Outgoing(after)
    for (const { number, xml, atMs } of kept) if (number > after) taken.add(xml, true, atMs)
    return taken
  }
}
