/** What was acknowledged and what was shown in one direction, written down outside of the processes that may forget. */

export interface Shown {
  /** Mailbox, UIDVALIDITY and UID. */
  readonly place: string
  /** `undefined` for a mail that nobody submitted, or not with these bytes. */
  readonly number: number | undefined
}

export interface Account {
  readonly lost: readonly number[]
  readonly shownTwice: readonly number[]
  readonly uncommitted: readonly number[]
  /** Places of mails that nobody submitted. */
  readonly foreign: readonly string[]
}

export class Ledger {
  /** Message ids of the acknowledged mails. */
  readonly #acknowledged = new Map<number, string>()
  readonly #places = new Map<number, Set<string>>()
  readonly #foreign = new Set<string>()
  readonly #uncommitted = new Set<number>()
  readonly #vanished = new Set<number>()

  get acknowledged(): number {
    return this.#acknowledged.size
  }

  get shown(): number {
    return this.#places.size
  }

  acknowledge(number: number, id: string): void {
    this.#acknowledged.set(number, id)
  }

  show({ place, number }: Shown): void {
    if (number === undefined) {
      this.#foreign.add(place)
      return
    }
    const places = this.#places.get(number) ?? new Set()
    places.add(place)
    this.#places.set(number, places)
  }

  /** Numbers acknowledged so far, to be compared with what is read from now on. */
  snapshot(): ReadonlyMap<number, string> {
    return new Map(this.#acknowledged)
  }

  /**
   * After a restart: everything acknowledged before is in Sent, and queued if it has not been delivered. The recipient's
   * mailbox must have been read after the queue.
   */
  compare(
    before: ReadonlyMap<number, string>,
    sender: { readonly sent: readonly number[]; readonly queued: readonly string[] },
    incoming: readonly Shown[],
  ): void {
    const sent = new Set(sender.sent)
    const queued = new Set(sender.queued)
    const delivered = new Set(incoming.map(({ number }) => number))
    for (const [number, id] of before) {
      if (!sent.has(number) || (!queued.has(id) && !delivered.has(number))) this.#uncommitted.add(number)
    }
    for (const mail of incoming) this.show(mail)
  }

  /** What was shown when this was called must still be in the same place in what is read afterwards. */
  expectKept(): (incoming: readonly Shown[]) => void {
    const expected = [...this.#places].flatMap(([number, places]) => [...places].map((place) => ({ number, place })))
    return (incoming) => {
      const there = new Map(incoming.map(({ place, number }) => [place, number]))
      for (const { number, place } of expected) if (there.get(place) !== number) this.#vanished.add(number)
    }
  }

  /** At the end, with everything that the recipient's client would show. */
  close(incoming: readonly Shown[]): Account {
    for (const mail of incoming) this.show(mail)
    const there = new Set(incoming.map(({ number }) => number))
    const missing = [...this.#acknowledged.keys()].filter((number) => !there.has(number))
    return {
      lost: [...new Set([...missing, ...this.#vanished])],
      shownTwice: [...this.#places].flatMap(([number, places]) => (places.size > 1 ? [number] : [])),
      uncommitted: [...this.#uncommitted],
      foreign: [...this.#foreign],
    }
  }
}
