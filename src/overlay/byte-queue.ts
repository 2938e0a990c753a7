/**
 * Arriving bytes between the network and one consumer. Bytes are copied into slabs, so that what is held is what was
 * counted: a peer that sends one byte at a time costs no more than one that sends much.
 */
const slabBytes = 64 * 1024

export class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #full: Uint8Array[] = []
  #slab: Uint8Array = Buffer.alloc(0)
  #start = 0
  #end = 0
  #ended = false
  #wake: (() => void) | undefined
  #isIterated = false
  readonly #onTaken: (octets: number) => void

  /** @param onTaken told how many octets the consumer has taken, as it takes them */
  constructor(onTaken: (octets: number) => void) {
    this.#onTaken = onTaken
  }

  push(bytes: Uint8Array): void {
    if (this.#ended) return
    for (let at = 0; at < bytes.length;) {
      if (this.#end === this.#slab.length) this.#nextSlab()
      const part = Math.min(bytes.length - at, this.#slab.length - this.#end)
      this.#slab.set(bytes.subarray(at, at + part), this.#end)
      this.#end += part
      at += part
    }
    this.#wake?.()
  }

  /** What was pushed is still read; then the iteration ends. */
  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    if (this.#isIterated) throw new TypeError('a link is read by one consumer')
    this.#isIterated = true
    for (;;) {
      const piece = this.#take()
      if (piece !== undefined) {
        this.#onTaken(piece.length)
        yield piece
        continue
      }
      if (this.#ended) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = undefined
    }
  }

  #take(): Uint8Array | undefined {
    const earlier = this.#full.shift()
    if (earlier !== undefined) return earlier
    if (this.#end === this.#start) return undefined
    const piece = this.#slab.subarray(this.#start, this.#end)
    this.#start = this.#end
    return piece
  }

  #nextSlab(): void {
    if (this.#end > this.#start) this.#full.push(this.#slab.subarray(this.#start, this.#end))
    this.#slab = Buffer.allocUnsafeSlow(slabBytes)
    this.#start = 0
    this.#end = 0
  }
}
