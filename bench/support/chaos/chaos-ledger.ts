/**
 * What must be true at the end, kept outside of the gateways: each mail whose submission resolved is in the mailbox of
 * each of its recipients once, and nothing else is there. Knows nothing of how mail travels.
 */

export interface Verdict {
  /** Copies that were promised and are not there. */
  readonly lost: number
  /** Copies of which a mailbox ever showed more than one. */
  readonly shownTwice: number
  /** Mails that nobody submitted, or not to this recipient, or with other bytes. */
  readonly foreign: number
  /** Mails without a promise that reached some of their recipients for good, and others not. */
  readonly halves: number
  readonly examples: readonly string[]
}

interface Mail {
  readonly from: number
  readonly to: readonly number[]
  readonly atMs: number
  isPromised: boolean
}

const examplesMax = 20

export class ChaosLedger {
  readonly #mails = new Map<number, Mail>()
  /** For each recipient: where each number is. */
  readonly #places: readonly Map<number, string>[]
  /** … and which number is at each place. */
  readonly #numbers: readonly Map<string, number>[]
  readonly #delaysMs: number[] = []
  readonly #examples: string[] = []
  #promised = 0
  #promisedCopies = 0
  #shown = 0
  #byRelay = 0
  #twice = 0
  #foreign = 0
  #vanished = 0

  constructor(gateways: number) {
    this.#places = Array.from({ length: gateways }, () => new Map<number, string>())
    this.#numbers = Array.from({ length: gateways }, () => new Map<string, number>())
  }

  /** Mails that were promised. */
  get promised(): number {
    return this.#promised
  }
  get promisedCopies(): number {
    return this.#promisedCopies
  }
  get shown(): number {
    return this.#shown
  }
  /** Copies that came out of a relay. */
  get byRelay(): number {
    return this.#byRelay
  }
  /** What is wrong so far. */
  get wrong(): number {
    return this.#twice + this.#foreign + this.#vanished
  }
  get examples(): readonly string[] {
    return this.#examples
  }

  begin(number: number, mail: { readonly from: number; readonly to: readonly number[]; readonly atMs: number }): void {
    this.#mails.set(number, { ...mail, isPromised: false })
  }

  promise(number: number): void {
    const mail = this.#mails.get(number)!
    mail.isPromised = true
    this.#promised += 1
    this.#promisedCopies += mail.to.length
  }

  knows(at: number, place: string): boolean {
    return this.#numbers[at]!.has(place)
  }

  /** @param place UIDVALIDITY and UID in the inbox of gateway `at` */
  show(
    at: number,
    place: string,
    number: number | undefined,
    { nowMs, isByRelay = false }: { readonly nowMs: number; readonly isByRelay?: boolean },
  ): void {
    const mail = number === undefined ? undefined : this.#mails.get(number)
    if (number === undefined || mail === undefined || !mail.to.includes(at)) {
      this.#foreign += 1
      this.#example(`${at} shows at ${place} what is not for it: ${number}`)
      return
    }
    const before = this.#numbers[at]!.get(place)
    if (before !== undefined) {
      if (before === number) return
      this.#vanished += 1
      this.#example(`${at} shows ${number} at ${place}, where ${before} was`)
      return
    }
    this.#numbers[at]!.set(place, number)
    const known = this.#places[at]!.get(number)
    if (known !== undefined) {
      this.#twice += 1
      this.#example(`${at} shows ${number} of ${mail.from} at ${known} and ${place}`)
      return
    }
    this.#places[at]!.set(number, place)
    this.#shown += 1
    if (isByRelay) this.#byRelay += 1
    this.#delaysMs.push(nowMs - mail.atMs)
  }

  /** Everything that a mailbox shows now: what it showed before must be in it. */
  compare(at: number, places: ReadonlySet<string>): void {
    for (const [place, number] of this.#numbers[at]!) {
      if (places.has(place)) continue
      this.#vanished += 1
      this.#example(`${at} no longer shows ${number} at ${place}`)
    }
  }

  /** Milliseconds of virtual time from submission to mailbox, of the share `at` of all copies. */
  delayMs(at: number): number {
    const sorted = this.#delaysMs.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? 0
  }

  close(): Verdict {
    let lost = this.#vanished
    let halves = 0
    for (const [number, { from, to, isPromised }] of this.#mails) {
      const missing = to.filter((at) => !this.#places[at]!.has(number))
      if (missing.length === 0) continue
      if (isPromised) lost += missing.length
      else if (missing.length < to.length) halves += 1
      else continue
      this.#example(`${number} of ${from} is not at ${missing.join(', ')}${isPromised ? '' : ' but at others'}`)
    }
    return { lost, shownTwice: this.#twice, foreign: this.#foreign, halves, examples: this.#examples }
  }

  #example(text: string): void {
    if (this.#examples.length < examplesMax) this.#examples.push(text)
  }
}
