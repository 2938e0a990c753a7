/**
 * Small sends become few writes: bytes are copied into slabs as data segments and leave as segments of up to 32 KB.
 * A libp2p write costs about 10 µs whatever its size (measured), a copy of 128 octets 20 ns.
 */
import { dataBytesMax, segmentHeaderBytes, segmentKinds, writeHeader } from './segments.ts'

const slabBytes = 64 * 1024
/** A slab with less room than this is left: a segment should not be cut short by it. */
const roomMin = 4 * 1024

export class Coalescer {
  readonly #sealed: Uint8Array[] = []
  #slab: Uint8Array = Buffer.allocUnsafeSlow(0)
  /** Where the open segment's header stands. */
  #start = 0
  #end = 0
  #pending = 0

  /** Data octets not yet taken. */
  get pending(): number {
    return this.#pending
  }

  /** Whether a segment of full size waits. */
  get isPacked(): boolean {
    return this.#sealed.length > 0
  }

  append(bytes: Uint8Array): void {
    this.#pending += bytes.length
    for (let at = 0; at < bytes.length;) {
      if (this.#end === this.#start) this.#begin()
      const segmentEnd = Math.min(this.#slab.length, this.#start + segmentHeaderBytes + dataBytesMax)
      const part = Math.min(bytes.length - at, segmentEnd - this.#end)
      this.#slab.set(part === bytes.length ? bytes : bytes.subarray(at, at + part), this.#end)
      this.#end += part
      at += part
      if (this.#end === segmentEnd) this.#seal()
    }
  }

  /** The next segment, header included; `undefined` when nothing waits. */
  take(): Uint8Array | undefined {
    if (this.#sealed.length === 0 && this.#end > this.#start) this.#seal()
    const segment = this.#sealed.shift()
    if (segment !== undefined) this.#pending -= segment.length - segmentHeaderBytes
    return segment
  }

  #begin(): void {
    if (this.#slab.length - this.#start < roomMin) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#start = 0
    }
    this.#end = this.#start + segmentHeaderBytes
  }

  #seal(): void {
    writeHeader(this.#slab, this.#start, segmentKinds.data, this.#end - this.#start - segmentHeaderBytes)
    this.#sealed.push(this.#slab.subarray(this.#start, this.#end))
    this.#start = this.#end
  }
}
