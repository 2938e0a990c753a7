/** Key material that wipes itself at the end of its scope and never prints. */
import { inspect } from 'node:util'
import { wipe } from '../bytes.ts'

export class Secret implements Disposable {
  readonly #bytes: Uint8Array

  /** Takes ownership of `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }
  /** Lends the bytes for one call; the callee must copy what it keeps. */
  read<T>(use: (bytes: Uint8Array) => T): T {
    return use(this.#bytes)
  }
  toJSON(): string {
    return '[secret]'
  }
  toString(): string {
    return '[secret]'
  }
  [inspect.custom](): string {
    return '[secret]'
  }
  [Symbol.dispose](): void {
    wipe(this.#bytes)
  }
}
