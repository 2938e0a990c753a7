/** XEP-0124 §15: a client that may be overheard proves by hashes that each request is its own. Only its last key is known here. */
import { createHash } from 'node:crypto'

export class KeySequence {
  #last: string | undefined

  /** @param newkey of the request that made the session; without one there is no sequence */
  constructor(newkey: string | undefined) {
    this.#last = newkey
  }

  /** Whether this request may follow. */
  accepts({ key, newkey }: { readonly key?: string; readonly newkey?: string }): boolean {
    if (this.#last === undefined) return true
    if (key === undefined || createHash('sha1').update(key).digest('hex') !== this.#last.toLowerCase()) return false
    this.#last = newkey ?? key
    return true
  }
}
