/** One message on its way in: decoded pieces for whoever stores it, and the rest read away when that one gave up. */
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { LineReader } from '../wire/line-reader.ts'
import { DataDecoder } from './data.ts'

/** A message while it is read from its client. */
export interface Intake {
  /** Message bytes so far, as they will be stored. */
  readonly bytes: number
  /** Its end was read. */
  readonly isComplete: boolean
  /** Iterate once. @throws `malformed`, `message-too-large`, `connection-closed`, `timeout` */
  body(): AsyncGenerator<Uint8Array>
  /**
   * Reads on to where the next command begins, so that the reply finds a client that listens and nothing of the message
   * is taken for a command. @throws `message-too-large` when that is too far, `connection-closed`, `timeout`
   */
  drain(): Promise<void>
}

/** After DATA: up to the line with only a dot. */
export class DottedIntake implements Intake {
  readonly #reader: LineReader
  readonly #bytesMax: number
  readonly #decoder = new DataDecoder()
  readonly #deadline = performance.now() + limits.smtpDataMs
  #bytes = 0
  #failure: unknown

  constructor(reader: LineReader, bytesMax: number) {
    this.#reader = reader
    this.#bytesMax = bytesMax
  }

  /** Dots removed. */
  get bytes(): number {
    return this.#bytes
  }
  get isComplete(): boolean {
    return this.#decoder.isDone
  }

  async *body(): AsyncGenerator<Uint8Array> {
    while (!this.#decoder.isDone) {
      const text = await this.#next()
      if (this.#decoder.isMalformed) throw new MyceliumError('malformed')
      if (this.#bytes > this.#bytesMax) throw new MyceliumError('message-too-large', { bytesMax: this.#bytesMax })
      if (text.length > 0) yield text
    }
  }

  async drain(): Promise<void> {
    while (!this.#decoder.isDone) {
      if (this.#failure !== undefined) throw this.#failure
      await this.#next()
      if (this.#bytes > this.#bytesMax * limits.smtpOversizeFactor) throw new MyceliumError('message-too-large')
    }
  }

  async #next(): Promise<Uint8Array> {
    try {
      const waitMsMax = Math.min(limits.smtpDataPieceMs, this.#deadline - performance.now())
      const piece = await this.#reader.piece({ waitMsMax, octetsMax: limits.wireBufferBytes })
      if (piece === undefined) throw new MyceliumError('connection-closed')
      const { text, rest } = this.#decoder.feed(piece)
      this.#reader.unread(rest)
      this.#bytes += text.length
      return text
    } catch (error) {
      this.#failure = error
      throw error
    }
  }
}
