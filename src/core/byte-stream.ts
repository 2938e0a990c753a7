/** Pieces on their way from who has them to who reads them: bounded, so that the faster one has to wait. */
import { limits } from './limits.ts'

export class ByteStream implements AsyncIterable<Uint8Array> {
  #pieces: Uint8Array[] = []
  #isOver = false
  #failure: { readonly error: unknown } | undefined
  #changed = Promise.withResolvers<void>()

  /** Resolves when there is room for more. @throws what the stream failed with: nobody reads on */
  async push(bytes: Uint8Array | undefined, isLast: boolean): Promise<void> {
    this.#throwIfFailed()
    if (bytes !== undefined) this.#pieces.push(bytes)
    if (isLast) this.#isOver = true
    this.#change()
    while (this.#pieces.length >= limits.transferPiecesMax && this.#failure === undefined) await this.#changed.promise
    this.#throwIfFailed()
  }

  #throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** The reader learns it after what is here, and who pushes at once. */
  fail(error: unknown): void {
    this.#failure ??= { error }
    this.#change()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        this.#change()
        yield piece
      } else if (this.#isOver) return
      else if (this.#failure !== undefined) throw this.#failure.error
      else await this.#changed.promise
    }
  }

  #change(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}
