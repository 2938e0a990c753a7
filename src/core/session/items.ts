/**
 * ◆ Items on the stream between two gateways: class code (1 byte) | channel tag (8) | body. Codes 1 … 4 are the frame
 * classes, code 5 is a hello. `ItemCursor` walks them in the pieces in which a stream delivers them, without copying or
 * allocating per item. Format: docs/protocol/frames.md.
 */
import { MyceliumError } from '../errors.ts'
import { channelTagBytes } from './channel-tag.ts'
import { type FrameClass, frameClasses } from './frame.ts'

export const helloBytes = 64
export const helloCode = 5
/** Length of a body by class code; 0 where there is no such code. */
const bodyLengths = Uint16Array.of(0, ...frameClasses, helloBytes)
const tagAt = 1
const itemHeaderBytes = tagAt + channelTagBytes
const itemBytesMax = itemHeaderBytes + frameClasses[3]

export const itemBytes = (code: number): number => itemHeaderBytes + bodyLengths[code]!
export const frameCode = (classBytes: FrameClass): number => frameClasses.indexOf(classBytes) + 1

/** Finds what an 8-byte tag stands for. Open addressing over two 32-bit halves: no string, bigint or allocation. */
export class TagTable<T> {
  #high = new Uint32Array(16)
  #low = new Uint32Array(16)
  #values: (T | undefined)[] = Array.from({ length: 16 })
  #size = 0

  get size(): number {
    return this.#size
  }

  set(tag: Uint8Array, value: T): void {
    if ((this.#size + 1) * 2 > this.#values.length) this.#grow()
    const view = new DataView(tag.buffer, tag.byteOffset, channelTagBytes)
    this.#put(view.getUint32(0), view.getUint32(4), value)
  }

  /** Empties it; cursors over it go on. */
  clear(): void {
    this.#high = new Uint32Array(16)
    this.#low = new Uint32Array(16)
    this.#values = Array.from({ length: 16 })
    this.#size = 0
  }

  find(high: number, low: number): T | undefined {
    const mask = this.#values.length - 1
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const value = this.#values[slot]
      if (value === undefined || (this.#low[slot] === low && this.#high[slot] === high)) return value
    }
  }

  #put(high: number, low: number, value: T): void {
    const mask = this.#values.length - 1
    let slot = low & mask
    while (this.#values[slot] !== undefined && (this.#low[slot] !== low || this.#high[slot] !== high)) {
      slot = (slot + 1) & mask
    }
    if (this.#values[slot] === undefined) this.#size += 1
    this.#high[slot] = high
    this.#low[slot] = low
    this.#values[slot] = value
  }

  #grow(): void {
    const [high, low, values] = [this.#high, this.#low, this.#values]
    this.#high = new Uint32Array(values.length * 2)
    this.#low = new Uint32Array(values.length * 2)
    this.#values = Array.from({ length: values.length * 2 })
    this.#size = 0
    for (let slot = 0; slot < values.length; slot += 1) {
      const value = values[slot]
      if (value !== undefined) this.#put(high[slot]!, low[slot]!, value)
    }
  }
}

/**
 * `cursor.push(piece)`, then `while (cursor.next())` look at `code`, `channel` and `body()`. What is left of an item that
 * has not fully arrived is carried to the next piece, and then copied once. Bodies stay valid as long as their piece does.
 */
export class ItemCursor<T> {
  /** Class code of the item. */
  code = 0
  /** What the item's tag stands for; `undefined` when the table does not hold it: skip the item, and count it. */
  channel: T | undefined
  readonly #tags: TagTable<T>
  readonly #carry = Buffer.alloc(itemBytesMax)
  readonly #carryView: DataView = new DataView(this.#carry.buffer, this.#carry.byteOffset, itemBytesMax)
  #carried = 0
  #piece: Uint8Array = new Uint8Array()
  #view: DataView = this.#carryView
  #at = 0
  #source: Uint8Array = this.#carry
  #bodyAt = 0
  #lastHigh = 0
  #lastLow = 0
  #lastChannel: T | undefined

  /** The table may change between calls of `push`. */
  constructor(tags: TagTable<T>) {
    this.#tags = tags
  }

  /** Takes the next piece of the stream; every item of the piece before must have been taken. Keeps a view of it. */
  push(piece: Uint8Array): void {
    this.#piece = piece
    this.#view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength)
    this.#at = 0
    this.#lastChannel = undefined
  }

  /** Moves to the next whole item; false when there is none yet. @throws `peer-misbehaved` for an unknown class code */
  next(): boolean {
    if (this.#carried > 0) return this.#nextCarried()
    const at = this.#at
    const left = this.#piece.length - at
    if (left === 0) return false
    const code = this.#piece[at]!
    const length = bodyLengths[code]
    if (length === undefined || length === 0) throw new MyceliumError('peer-misbehaved', { code })
    const end = at + itemHeaderBytes + length
    if (end > this.#piece.length) {
      this.#carry.set(at === 0 ? this.#piece : this.#piece.subarray(at))
      this.#carried = left
      this.#at = this.#piece.length
      return false
    }
    this.code = code
    this.#source = this.#piece
    this.#bodyAt = at + itemHeaderBytes
    this.#at = end
    this.#find(this.#view, at + tagAt)
    return true
  }

  /** Completes the carried item from the front of the piece. */
  #nextCarried(): boolean {
    const code = this.#carry[0]!
    const whole = itemBytes(code)
    const taken = Math.min(whole - this.#carried, this.#piece.length - this.#at)
    this.#carry.set(this.#piece.subarray(this.#at, this.#at + taken), this.#carried)
    this.#at += taken
    this.#carried += taken
    if (this.#carried < whole) return false
    this.#carried = 0
    this.code = code
    this.#source = Buffer.from(this.#carry.subarray(0, whole)) // `#carry` may be needed again before the next `push`
    this.#bodyAt = itemHeaderBytes
    this.#find(this.#carryView, tagAt)
    return true
  }

  #find(view: DataView, at: number): void {
    const high = view.getUint32(at)
    const low = view.getUint32(at + 4)
    if (this.#lastChannel === undefined || high !== this.#lastHigh || low !== this.#lastLow) {
      this.#lastHigh = high
      this.#lastLow = low
      this.#lastChannel = this.#tags.find(high, low)
    }
    this.channel = this.#lastChannel
  }

  get isHello(): boolean {
    return this.code === helloCode
  }
  /** Bytes of an unfinished item that wait for the rest: at most one item. */
  get carried(): number {
    return this.#carried
  }
  /** The item's frame or hello: a view. */
  body(): Uint8Array {
    return this.#source.subarray(this.#bodyAt, this.#bodyAt + bodyLengths[this.code]!)
  }
}

/** Lays items into one preallocated slab for one `Link.send`. */
export class ItemWriter {
  readonly slab: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(slab: Uint8Array) {
    this.slab = slab
    this.#view = new DataView(slab.buffer, slab.byteOffset, slab.byteLength)
  }

  get length(): number {
    return this.#at
  }
  hasRoom(code: number): boolean {
    return this.#at + itemBytes(code) <= this.slab.length
  }
  /** Writes code and tag of an item and passes over its body; where the body begins. Check `hasRoom` first. */
  header(code: number, tagHigh: number, tagLow: number): number {
    const at = this.#at
    this.slab[at] = code
    this.#view.setUint32(at + tagAt, tagHigh)
    this.#view.setUint32(at + tagAt + 4, tagLow)
    this.#at = at + itemHeaderBytes + bodyLengths[code]!
    return at + itemHeaderBytes
  }
  /** What was written since the last `reset`: a view. */
  written(): Uint8Array {
    return this.slab.subarray(0, this.#at)
  }
  reset(): void {
    this.#at = 0
  }
}

/** Frames of one channel as they follow each other on the stream, for one send. */
export function encodeItems(tag: Uint8Array, frames: readonly Uint8Array[]): Uint8Array {
  let length = 0
  for (const frame of frames) length += itemHeaderBytes + frame.length
  const items = Buffer.allocUnsafe(length)
  let at = 0
  for (const frame of frames) {
    items[at] = frameCode(frame.length as FrameClass)
    items.set(tag, at + tagAt)
    items.set(frame, at + itemHeaderBytes)
    at += itemHeaderBytes + frame.length
  }
  return items
}

/** One item as bytes of its own: for a hello, or a single frame. */
export function encodeItem(tag: Uint8Array, body: Uint8Array): Uint8Array {
  const item = Buffer.allocUnsafe(itemHeaderBytes + body.length)
  item[0] = body.length === helloBytes ? helloCode : frameCode(body.length as FrameClass)
  item.set(tag, tagAt)
  item.set(body, itemHeaderBytes)
  return item
}
