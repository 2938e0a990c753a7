/**
 * The UIDs of a mailbox as one typed array that its sessions share. UIDs only ever come at the end, so there the array
 * may grow under everybody who looks at its beginning; when messages go, a new one is made for whoever asks next.
 */
import type { Uid } from '../ids.ts'
import type { Records } from './records.ts'

const spareUids = 64

export class UidList {
  readonly #records: Records
  #array: Uint32Array | undefined
  #count = 0
  /** As given out last. */
  #shown: Uint32Array | undefined

  constructor(records: Records) {
    this.#records = records
  }

  get heldBytes(): number {
    return this.#array?.byteLength ?? 0
  }

  all(): Uint32Array {
    this.#array ??= this.#read()
    this.#shown ??= this.#array.subarray(0, this.#count)
    return this.#shown
  }

  /** The UID must be above every other. */
  push(uid: Uid): void {
    if (this.#array === undefined) return
    if (this.#count === this.#array.length) {
      const larger = new Uint32Array(roomFor(this.#count))
      larger.set(this.#array)
      this.#array = larger
    }
    this.#array[this.#count] = uid
    this.#count += 1
    this.#shown = undefined
  }

  /** Some are gone. */
  drop(): void {
    this.#array = undefined
    this.#shown = undefined
  }

  #read(): Uint32Array {
    const { count } = this.#records
    const array = new Uint32Array(roomFor(count))
    for (let index = 0; index < count; index += 1) array[index] = this.#records.uidAt(index)
    this.#count = count
    return array
  }
}

const roomFor = (count: number): number => count + (count >>> 3) + spareUids

/** Ascending and each once; the same list where it is so already. */
export function ascending(uids: readonly Uid[]): readonly Uid[] {
  for (let at = 1; at < uids.length; at += 1)
    if (uids[at - 1]! >= uids[at]!) return [...new Set(uids)].sort((a, b) => a - b)
  return uids
}
