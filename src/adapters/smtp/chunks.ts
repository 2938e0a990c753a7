/**
 * A message in chunks of announced length (RFC 3030): nothing in it is looked at to find its end, so nothing in it can be
 * taken for one. Between two chunks the conversation goes on, and may end the message.
 */
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { LineReader } from '../wire/line-reader.ts'
import type { Chunk } from './command.ts'
import type { Intake } from './intake.ts'
import { LineRule } from './line-rule.ts'

export interface ChunkBounds {
  readonly bytesMax: number
  /** Any octet may come; otherwise lines are held to what DATA holds them to. */
  readonly isBinary: boolean
}

export class ChunkIntake implements Intake {
  readonly #reader: LineReader
  readonly #bounds: ChunkBounds
  readonly #nextChunk: (taken: Chunk) => Promise<Chunk>
  readonly #rule = new LineRule()
  readonly #deadline = performance.now() + limits.smtpDataMs
  #chunk: Chunk
  /** Octets of the present chunk that are still to come. */
  #left: number
  #bytes = 0
  #failure: unknown

  /** @param nextChunk answers the one that was taken and waits for the next; rejects when there will be none */
  constructor(reader: LineReader, first: Chunk, bounds: ChunkBounds, nextChunk: (taken: Chunk) => Promise<Chunk>) {
    this.#reader = reader
    this.#bounds = bounds
    this.#nextChunk = nextChunk
    this.#chunk = first
    this.#left = first.octets
  }

  get bytes(): number {
    return this.#bytes
  }
  get isComplete(): boolean {
    return this.#chunk.isLast && this.#left === 0
  }

  async *body(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const { bytesMax, isBinary } = this.#bounds
      if (this.#bytes + this.#left > bytesMax) throw new MyceliumError('message-too-large', { bytesMax })
      while (this.#left > 0) {
        const piece = await this.#next()
        if (!isBinary) this.#rule.feed(piece)
        if (this.#rule.isBroken) throw new MyceliumError('malformed')
        yield piece
      }
      if (this.#chunk.isLast) break
      await this.#goOn()
    }
    if (!this.#rule.isWhole) throw new MyceliumError('malformed')
  }

  /** Reads past the present chunk: what follows it is a command again. */
  async drain(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#bytes + this.#left > this.#bounds.bytesMax * limits.smtpOversizeFactor)
      throw new MyceliumError('message-too-large')
    while (this.#left > 0) await this.#next()
  }

  async #goOn(): Promise<void> {
    try {
      this.#chunk = await this.#nextChunk(this.#chunk)
      this.#left = this.#chunk.octets
    } catch (error) {
      this.#failure = error
      throw error
    }
  }

  async #next(): Promise<Uint8Array> {
    try {
      const waitMsMax = Math.min(limits.smtpDataPieceMs, this.#deadline - performance.now())
      const octetsMax = Math.min(this.#left, limits.wireBufferBytes)
      const piece = await this.#reader.piece({ waitMsMax, octetsMax })
      if (piece === undefined) throw new MyceliumError('connection-closed')
      this.#left -= piece.length
      this.#bytes += piece.length
      return piece
    } catch (error) {
      this.#failure = error
      throw error
    }
  }
}

/** Reads past the octets of a chunk that is not taken. @throws `connection-closed`, `timeout` */
export async function skip(reader: LineReader, octets: number, waitMsMax: number): Promise<void> {
  const deadline = performance.now() + waitMsMax
  for (let left = octets; left > 0;) {
    const pieceMsMax = Math.min(limits.smtpDataPieceMs, deadline - performance.now())
    const piece = await reader.piece({ waitMsMax: pieceMsMax, octetsMax: left })
    if (piece === undefined) throw new MyceliumError('connection-closed')
    left -= piece.length
  }
}
