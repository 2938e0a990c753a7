/**
 * Which stanzas of a client were handled (XEP-0198 §4), where several are at a time: the count goes up to the first that
 * is not. What is in a transaction counts for those after it, since transactions become durable in their order.
 */

/** The number of a stanza, from 1 on. */
export type Ticket = number

export class Incoming {
  #begun: number
  #handled: number
  #noted: number
  readonly #isNoted = new Set<Ticket>()
  readonly #isDone = new Set<Ticket>()

  /** @param handled of the same stream, by another process */
  constructor(handled = 0) {
    this.#begun = handled
    this.#handled = handled
    this.#noted = handled
  }

  /** All up to this one are done with. */
  get handled(): number {
    return this.#handled
  }

  begin(): Ticket {
    this.#begun += 1
    return this.#begun
  }

  /** @returns up to where all are in a transaction by now, or done with */
  noted(ticket: Ticket): number {
    this.#isNoted.add(ticket)
    this.#forward()
    return this.#noted
  }

  done(ticket: Ticket): void {
    this.#isDone.add(ticket)
    while (this.#isDone.delete(this.#handled + 1)) this.#handled += 1
    this.#forward()
  }

  #forward(): void {
    this.#noted = Math.max(this.#noted, this.#handled)
    while (this.#isNoted.delete(this.#noted + 1) || this.#isDone.has(this.#noted + 1)) this.#noted += 1
    if (this.#isNoted.size > this.#begun - this.#handled)
      for (const ticket of this.#isNoted) if (ticket <= this.#noted) this.#isNoted.delete(ticket)
  }
}
