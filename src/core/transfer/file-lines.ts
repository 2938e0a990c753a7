/** Lines of a file from its beginning on; a long one comes in pieces, so that none has to be held. */

import { GivenUp } from './mail-stream.ts'

export interface RandomAccess {
  /** Octets; what is added later is not read. */
  readonly size: number
  /** From `from` (inclusive) to `to` (exclusive): all of it, or less at the end of a file that was cut meanwhile. */
  read(from: number, to: number): Promise<Uint8Array>
}

export interface Line {
  /** With its line feed, where it is here. */
  readonly bytes: Uint8Array
  readonly isStart: boolean
  /** With a line feed. */
  readonly isEnd: boolean
}

const windowBytes = 256 * 1024
const pieceBytesMax = 64 * 1024
const LF = 0x0a
const CR = 0x0d

export class FileLines {
  readonly #file: RandomAccess
  #window: Uint8Array = new Uint8Array()
  #windowAt = 0
  #isStart = true
  /** Of the first octet not yet given. */
  offset = 0

  constructor(file: RandomAccess) {
    this.#file = file
  }

  /** `undefined` at the end. @throws GivenUp when the file was cut meanwhile @param end gives no octet at or after it */
  async next(end: number = this.#file.size): Promise<Line | undefined> {
    const available = await this.#available(Math.min(end, this.#file.size))
    if (available.length === 0) return undefined
    const lf = available.indexOf(LF)
    let length = lf < 0 ? Math.min(available.length, pieceBytesMax) : Math.min(lf + 1, pieceBytesMax)
    // A CR and its LF stay in one piece.
    if (length < available.length && length > 1 && available[length - 1] === CR) length -= 1
    const bytes = available.subarray(0, length)
    const line = { bytes, isStart: this.#isStart, isEnd: bytes.at(-1) === LF }
    this.#isStart = line.isEnd
    this.offset += length
    return line
  }

  /** At least one whole piece, unless the end is near. */
  async #available(end: number): Promise<Uint8Array> {
    const held = this.#windowAt + this.#window.length - this.offset
    if (held < pieceBytesMax + 1 && this.#windowAt + this.#window.length < this.#file.size) {
      const to = Math.min(this.#file.size, this.offset + windowBytes)
      this.#window = await this.#file.read(this.offset, to)
      this.#windowAt = this.offset
      if (this.#window.length < to - this.offset) throw new GivenUp('became shorter while it was read')
    }
    const from = this.offset - this.#windowAt
    return this.#window.subarray(from, Math.max(from, end - this.#windowAt))
  }
}
