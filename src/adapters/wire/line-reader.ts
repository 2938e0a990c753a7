/**
 * What a line protocol reads from its socket: lines, exact lengths and raw pieces, pulled one at a time. Unread input
 * is bounded (the peer waits), every line has a length limit and every wait has a time limit. Only CRLF ends a line.
 */
import type { Readable } from 'node:stream'
import { concat } from '../../core/bytes.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

const cr = 0x0d
const lf = 0x0a
/** Many small pieces are joined, so that one byte per packet does not cost a buffer object per byte. */
const piecesMax = 32

export interface LineBounds {
  /** CRLF included. */
  readonly octetsMax: number
  /** From the call to the whole line, milliseconds: a peer that drips bytes gains nothing. */
  readonly waitMsMax: number
}

export class LineReader {
  readonly #onWait: () => void
  #pieces: Uint8Array[] = []
  #buffered = 0
  #ended = false
  #interrupted = false
  #source: Readable | undefined
  #wake: (() => void) | undefined
  /** When the present wait ends. */
  #deadline = 0
  /** One for all waits, since they are many and short and their deadlines move on: it may fire early, never late. */
  #timer: NodeJS.Timeout | undefined
  #timerAt = 0

  /** @param onWait called before each wait for the peer: the moment to send what was written so far */
  constructor(onWait: () => void = () => {}) {
    this.#onWait = onWait
  }

  /** Bytes that have arrived and were not read. */
  get buffered(): number {
    return this.#buffered
  }

  /** The peer sends nothing more; what has arrived can still be read. */
  get hasEnded(): boolean {
    return this.#ended
  }

  readonly #onData = (piece: Uint8Array): void => {
    this.#pieces.push(piece)
    this.#buffered += piece.length
    if (this.#pieces.length > piecesMax) this.#pieces = [concat(...this.#pieces)]
    if (this.#buffered >= limits.wireBufferBytes) this.#source?.pause()
    this.#wake?.()
  }
  readonly #onEnd = (): void => {
    this.#ended = true
    this.#wake?.()
  }

  /** Reads from `source` from now on. An error of the source is an end of input. */
  attach(source: Readable): void {
    this.detach()
    this.#source = source
    this.#ended = false
    source.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onEnd).on('close', this.#onEnd)
  }

  /** Lets go of the source: what it says next belongs to somebody else. Bytes already taken stay in `buffered`. */
  detach(): void {
    const source = this.#source
    this.#source = undefined
    source?.off('data', this.#onData).off('end', this.#onEnd).off('error', this.#onEnd).off('close', this.#onEnd)
  }

  /** Whoever waits, or asks later, finds the end of input. */
  close(): void {
    this.detach()
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#onEnd()
  }

  /** The next `line` that would wait at a line's beginning, now or later, rejects with `shutting-down`. */
  interrupt(): void {
    this.#interrupted = true
    this.#wake?.()
  }

  /** First byte of what comes next, without taking it; `undefined` at the end of input. @throws `timeout`, `shutting-down` */
  async peek({ waitMsMax }: { readonly waitMsMax: number }): Promise<number | undefined> {
    const deadline = performance.now() + waitMsMax
    while (this.#buffered === 0) if (!(await this.#more(deadline, true))) return undefined
    return this.#pieces.find((piece) => piece.length > 0)![0]
  }

  /**
   * The next line, without CRLF; `undefined` at the end of input (an unfinished line is dropped).
   * @throws `line-too-long` (the rest of the line is still unread: `skipLine`), `timeout`, `shutting-down`;
   *   `malformed` for a CR or LF outside a CRLF, after taking everything up to the LF
   */
  async line({ octetsMax, waitMsMax }: LineBounds): Promise<Uint8Array | undefined> {
    let deadline: number | undefined
    let scanned = 0
    for (;;) {
      const end = this.#indexOfLf(scanned)
      if ((end < 0 ? this.#buffered : end + 1) > octetsMax) {
        this.#take(Math.min(octetsMax, end < 0 ? octetsMax : end))
        throw new MyceliumError('line-too-long', { octetsMax })
      }
      if (end >= 0) return withoutCrlf(this.#take(end + 1))
      scanned = this.#buffered
      deadline ??= performance.now() + waitMsMax
      if (!(await this.#more(deadline, scanned === 0))) return undefined
    }
  }

  /** Drops everything up to and including the next LF. False at the end of input. @throws `line-too-long`, `timeout` */
  async skipLine({ octetsMax, waitMsMax }: LineBounds): Promise<boolean> {
    const deadline = performance.now() + waitMsMax
    let skipped = 0
    for (;;) {
      const end = this.#indexOfLf(0)
      skipped += this.#take(end < 0 ? this.#buffered : end + 1).length
      if (skipped > octetsMax) throw new MyceliumError('line-too-long', { octetsMax })
      if (end >= 0) return true
      if (!(await this.#more(deadline, false))) return false
    }
  }

  /**
   * Whatever has arrived, as one piece that the caller owns, at most `octetsMax` long; `undefined` at the end of input.
   * @throws `timeout`
   */
  async piece({ waitMsMax, octetsMax }: LineBounds): Promise<Uint8Array | undefined> {
    const deadline = performance.now() + waitMsMax
    while (this.#buffered === 0) if (!(await this.#more(deadline, false))) return undefined
    const first = this.#pieces.find((piece) => piece.length > 0)!
    return this.#take(Math.min(first.length, octetsMax))
  }

  /** Exactly `length` bytes in pieces as they arrive. @throws `connection-closed` when input ends before, `timeout` (per piece) */
  async *pieces(length: number, { waitMsMax }: { readonly waitMsMax: number }): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0;) {
      const piece = await this.piece({ waitMsMax, octetsMax: left })
      if (piece === undefined) throw new MyceliumError('connection-closed')
      left -= piece.length
      yield piece
    }
  }

  /** Exactly `length` bytes in one array: `length` must be bounded by the caller. @throws `connection-closed`, `timeout` (for all of it) */
  async exactly(length: number, { waitMsMax }: { readonly waitMsMax: number }): Promise<Uint8Array> {
    const deadline = performance.now() + waitMsMax
    const whole = new Uint8Array(length)
    for (let at = 0; at < length;) {
      const piece = await this.piece({ waitMsMax: deadline - performance.now(), octetsMax: length - at })
      if (piece === undefined) throw new MyceliumError('connection-closed')
      whole.set(piece, at)
      at += piece.length
    }
    return whole
  }

  /** Everything that has arrived and was not read, for whoever reads the source from now on. */
  takeBuffered(): Uint8Array {
    return this.#take(this.#buffered)
  }

  /** Puts bytes back in front of what is unread. */
  unread(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.#pieces.unshift(bytes)
    this.#buffered += bytes.length
  }

  /** Waits for input. False at its end. */
  async #more(deadline: number, atLineStart: boolean): Promise<boolean> {
    if (atLineStart && this.#interrupted) throw new MyceliumError('shutting-down')
    if (this.#ended) return false
    this.#onWait()
    const before = this.#buffered
    // A line may be longer than the buffer's bound, so asking for more always lets the source go on.
    this.#source?.resume()
    const leftMs = deadline - performance.now()
    if (leftMs <= 0) throw new MyceliumError('timeout')
    this.#deadline = deadline
    if (this.#timer === undefined || this.#timerAt > deadline) this.#setTimer()
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
    if (this.#buffered > before) return true
    if (this.#ended) return false
    if (atLineStart && this.#interrupted) throw new MyceliumError('shutting-down')
    if (performance.now() >= deadline - 1) throw new MyceliumError('timeout')
    return true
  }

  #setTimer(): void {
    clearTimeout(this.#timer)
    this.#timerAt = this.#deadline
    this.#timer = setTimeout(this.#onTimer, this.#deadline - performance.now())
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined
    if (this.#wake === undefined) return
    if (performance.now() < this.#deadline - 1) this.#setTimer()
    else this.#wake()
  }

  #indexOfLf(from: number): number {
    let start = 0
    for (const piece of this.#pieces) {
      if (from < start + piece.length) {
        const found = piece.indexOf(lf, Math.max(0, from - start))
        if (found >= 0) return start + found
      }
      start += piece.length
    }
    return -1
  }

  /** Removes and returns the first `length` buffered bytes; without copying when they lie in one piece. */
  #take(length: number): Uint8Array {
    this.#buffered -= length
    const first = this.#pieces[0]
    if (first !== undefined && first.length >= length) {
      if (first.length === length) this.#pieces.shift()
      else this.#pieces[0] = first.subarray(length)
      return first.subarray(0, length)
    }
    const parts: Uint8Array[] = []
    for (let left = length; left > 0;) {
      const piece = this.#pieces.shift()!
      const part = piece.subarray(0, left)
      if (part.length < piece.length) this.#pieces.unshift(piece.subarray(left))
      parts.push(part)
      left -= part.length
    }
    return concat(...parts)
  }
}

/** @throws `malformed` */
function withoutCrlf(line: Uint8Array): Uint8Array {
  const end = line.length - 2
  if (line.indexOf(cr) !== end || end < 0) throw new MyceliumError('malformed', { octets: line.length })
  return line.subarray(0, end)
}
