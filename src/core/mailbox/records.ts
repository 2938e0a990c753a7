/**
 * ◆ The packed index: 68 bytes for each message, ordered by UID, big-endian. The same bytes are rows of up to 256
 * records in the store and the columns in memory.
 *
 *      0  u32  uid             20  f64  internal date, Unix ms
 *      4  u32  flag set        28  f64  save date, Unix ms
 *      8  u64  modseq          36  32 bytes content id
 *     16  u32  size, octets
 */
import { toHex } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, ModSeq, Uid } from '../ids.ts'
import { idBytes } from '../store/content-rows.ts'

const recordBytes = 68
export const blockRecords = 256

export interface IndexRecord {
  readonly uid: Uid
  readonly flagSet: number
  readonly modSeq: ModSeq
  readonly size: number
  readonly internalDateMs: number
  readonly savedMs: number
  readonly content: ContentId
}

/** Which row holds a UID: its number says, so no two rows can hold the same UID. */
export const blockOf = (uid: Uid): number => Math.floor((uid - 1) / blockRecords)

export class Records {
  #bytes: Buffer
  #view: DataView
  #count: number
  /** Where the next UID to be looked up is expected: they are mostly asked for in order. */
  #expected = 0

  /** Takes ownership of `bytes`. @throws `store-corrupt` */
  constructor(bytes: Uint8Array = new Uint8Array()) {
    if (bytes.length % recordBytes !== 0) throw new MyceliumError('store-corrupt', { what: 'mailbox-block' })
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = viewOf(this.#bytes)
    this.#count = bytes.length / recordBytes
  }

  get count(): number {
    return this.#count
  }
  /** What the records take in memory, octets. */
  get heldBytes(): number {
    return this.#bytes.length
  }
  /** A view of the records in use. */
  get packed(): Uint8Array {
    return this.#bytes.subarray(0, this.#count * recordBytes)
  }

  uidAt(index: number): Uid {
    return this.#view.getUint32(this.#at(index)) as Uid
  }
  flagSetAt(index: number): number {
    return this.#view.getUint32(this.#at(index) + 4)
  }
  modSeqAt(index: number): ModSeq {
    const at = this.#at(index) + 8
    return (this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4)) as ModSeq
  }
  sizeAt(index: number): number {
    return this.#view.getUint32(this.#at(index) + 16)
  }
  internalDateAt(index: number): number {
    return this.#view.getFloat64(this.#at(index) + 20)
  }
  savedAt(index: number): number {
    return this.#view.getFloat64(this.#at(index) + 28)
  }
  contentAt(index: number): ContentId {
    const at = this.#at(index) + 36
    return toHex(this.#bytes.subarray(at, at + 32)) as ContentId
  }
  recordAt(index: number): IndexRecord {
    return {
      uid: this.uidAt(index),
      flagSet: this.flagSetAt(index),
      modSeq: this.modSeqAt(index),
      size: this.sizeAt(index),
      internalDateMs: this.internalDateAt(index),
      savedMs: this.savedAt(index),
      content: this.contentAt(index),
    }
  }

  /** −1 when no such UID is there. */
  indexOf(uid: Uid): number {
    const expected = this.#expected
    if (expected < this.#count && this.#view.getUint32(expected * recordBytes) === uid) {
      this.#expected = expected + 1
      return expected
    }
    const low = this.#lowerBound(uid)
    if (low >= this.#count || this.#view.getUint32(low * recordBytes) !== uid) return -1
    this.#expected = low + 1
    return low
  }

  /** The UID must be above every other. */
  push(record: IndexRecord): void {
    this.#reserve(1)
    const at = this.#count * recordBytes
    this.#view.setUint32(at, record.uid)
    this.#view.setUint32(at + 4, record.flagSet)
    this.#writeModSeq(at, record.modSeq)
    this.#view.setUint32(at + 16, record.size)
    this.#view.setFloat64(at + 20, record.internalDateMs)
    this.#view.setFloat64(at + 28, record.savedMs)
    this.#bytes.set(idBytes(record.content), at + 36)
    this.#count += 1
  }

  /** Appends a record of other records. */
  pushFrom(other: Records, index: number): void {
    this.#reserve(1)
    const from = other.#at(index)
    this.#bytes.set(other.#bytes.subarray(from, from + recordBytes), this.#count * recordBytes)
    this.#count += 1
  }

  /** Appends a row of records, up to a whole one: `fill` writes it and says how long it is. @throws `store-corrupt` */
  pushRow(fill: (room: Uint8Array) => number): void {
    this.#reserve(blockRecords)
    const at = this.#count * recordBytes
    const bytes = fill(this.#bytes.subarray(at, at + blockRecords * recordBytes))
    if (bytes % recordBytes !== 0) throw new MyceliumError('store-corrupt', { what: 'mailbox-block' })
    this.#count += bytes / recordBytes
  }

  /** A copy of the records of one row. */
  row(number: number): Uint8Array {
    const from = this.#lowerBound(number * blockRecords + 1)
    const to = this.#lowerBound((number + 1) * blockRecords + 1)
    return Buffer.from(this.#bytes.subarray(from * recordBytes, to * recordBytes))
  }

  /** Makes room for so many, so that filling them in moves nothing. */
  reserve(count: number): void {
    this.#reserve(Math.max(0, count - this.#count))
  }

  setFlags(index: number, flagSet: number, modSeq: ModSeq): void {
    const at = this.#at(index)
    this.#view.setUint32(at + 4, flagSet)
    this.#writeModSeq(at, modSeq)
  }

  /** Takes out the records of these UIDs, in one pass. */
  remove(uids: ReadonlySet<Uid>): void {
    let kept = 0
    for (let index = 0; index < this.#count; index += 1) {
      if (uids.has(this.uidAt(index))) continue
      if (kept < index) this.#bytes.copyWithin(kept * recordBytes, index * recordBytes, (index + 1) * recordBytes)
      kept += 1
    }
    this.#count = kept
  }

  /** Where the first UID is that is not below this one. */
  #lowerBound(uid: number): number {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#view.getUint32(middle * recordBytes) < uid) low = middle + 1
      else high = middle
    }
    return low
  }

  #writeModSeq(at: number, modSeq: ModSeq): void {
    this.#view.setUint32(at + 8, Math.floor(modSeq / 0x1_0000_0000))
    this.#view.setUint32(at + 12, modSeq >>> 0)
  }

  #at(index: number): number {
    if (index < 0 || index >= this.#count) throw new RangeError(`no record ${index} of ${this.#count}`)
    return index * recordBytes
  }

  #reserve(records: number): void {
    const needed = (this.#count + records) * recordBytes
    if (needed <= this.#bytes.length) return
    const grown = Buffer.alloc(Math.max(needed, 2 * this.#bytes.length, 16 * recordBytes))
    grown.set(this.packed)
    this.#bytes = grown
    this.#view = viewOf(grown)
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView => new DataView(buffer, byteOffset, byteLength)
