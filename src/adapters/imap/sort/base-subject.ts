/** What remains of a subject without the marks of replies and forwards (RFC 5256 §2.1), in linear time. */
import { decodeWords } from '../../../core/message/mime-words.ts'

export interface BaseSubject {
  readonly base: string
  /** A reply or a forward: some mark was taken off. */
  readonly isReply: boolean
}

const forwardHead = '[fwd:'

/** @param subject as in the header, unfolded */
export function baseSubject(subject: string): BaseSubject {
  const scanner = new Scanner(decodeWords(subject).replaceAll(/[\t\r\n ]+/g, ' '))
  do {
    scanner.dropTrailers()
    scanner.dropLeaders()
  } while (scanner.openForward())
  return { base: scanner.rest, isReply: scanner.isReply }
}

class Scanner {
  readonly #text: string
  readonly #lower: string
  #start = 0
  #end: number
  isReply = false

  constructor(text: string) {
    this.#text = text
    // Only ASCII letters matter, and they keep their places.
    this.#lower = text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
    this.#end = text.length
  }

  get rest(): string {
    return this.#text.slice(this.#start, this.#end)
  }

  /** Step 2: white space and `(fwd)` at the end. */
  dropTrailers(): void {
    for (;;) {
      if (this.#end > this.#start && this.#text[this.#end - 1] === ' ') this.#end -= 1
      else if (this.#end - 5 >= this.#start && this.#lower.startsWith('(fwd)', this.#end - 5)) {
        this.#end -= 5
        this.isReply = true
      } else return
    }
  }

  /** Steps 3 to 5: white space, `Re:` and `Fwd:` with labels before them, and labels that something follows. */
  dropLeaders(): void {
    for (;;) {
      while (this.#isAt(this.#start, ' ')) this.#start += 1
      const labels = this.#labelsFrom(this.#start)
      const after = this.#afterMark(labels.end)
      if (after < 0) {
        // No mark behind the labels: they go too, unless nothing else is left. Then the last one is the subject.
        this.#start = labels.end < this.#end ? labels.end : labels.last
        return
      }
      this.#start = after
      this.isReply = true
    }
  }

  /** Step 6: `[Fwd: …]` around everything. */
  openForward(): boolean {
    const isForward = this.#lower.startsWith(forwardHead, this.#start) && this.#isAt(this.#end - 1, ']')
    if (!isForward || this.#end - this.#start <= forwardHead.length) return false
    this.#start += forwardHead.length
    this.#end -= 1
    this.isReply = true
    return true
  }

  #isAt(at: number, char: string): boolean {
    return at < this.#end && at >= this.#start && this.#text[at] === char
  }

  /** Labels one after the other: where they end, and where the last one begins. */
  #labelsFrom(start: number): { readonly end: number; readonly last: number } {
    let last = start
    let end = start
    for (;;) {
      const next = this.#afterLabel(end)
      if (next < 0) return { end, last }
      last = end
      end = next
    }
  }

  /** After `[…]` and white space; −1 where there is none. */
  #afterLabel(at: number): number {
    if (!this.#isAt(at, '[')) return -1
    let end = at + 1
    while (end < this.#end && this.#text[end] !== '[' && this.#text[end] !== ']') end += 1
    if (!this.#isAt(end, ']')) return -1
    end += 1
    while (this.#isAt(end, ' ')) end += 1
    return end
  }

  /** After `re`, `fw` or `fwd`, perhaps a label, and a colon; −1 where that is not next. */
  #afterMark(at: number): number {
    const word = ['re', 'fwd', 'fw'].find((own) => this.#lower.startsWith(own, at))
    if (word === undefined) return -1
    let end = at + word.length
    while (this.#isAt(end, ' ')) end += 1
    const afterLabel = this.#afterLabel(end)
    if (afterLabel >= 0) end = afterLabel
    return this.#isAt(end, ':') ? end + 1 : -1
  }
}
