/** Which program said what is being committed just now: it is the one that does not hear it again. In memory, for a moment. */
import type { Identity, MessageId } from '../../../core/ids.ts'
import type { Client } from '../client.ts'
import type { Element } from '../element.ts'

export interface Origin {
  readonly client: Client
  /** XEP-0280 §7: no copies for the others. */
  readonly isPrivate: boolean
  /** As it was written, for programs of another account of this gateway. */
  readonly type?: string
  /** XEP-0085, beside what it says. */
  readonly states?: readonly Element[]
  /** Of that account: the only one that is meant. */
  readonly recipient?: Client
}

export class Origins {
  readonly #said = new Map<string, Origin>()
  readonly #read = new Map<string, Origin>()

  /** @returns how to note what it says, and what to dispose once that is committed or not */
  saying(account: Identity, origin: Origin): { readonly says: (id: MessageId) => void } & Disposable {
    const names: string[] = []
    return {
      says: (id) => {
        names.push(account + id)
        this.#said.set(account + id, origin)
      },
      [Symbol.dispose]: () => {
        for (const name of names) this.#said.delete(name)
      },
    }
  }

  reading(account: Identity, upTo: MessageId, origin: Origin): Disposable {
    const name = account + upTo
    this.#read.set(name, origin)
    return { [Symbol.dispose]: () => void this.#read.delete(name) }
  }

  ofSaid(account: Identity, id: MessageId): Origin | undefined {
    return this.#said.get(account + id)
  }

  ofRead(account: Identity, upTo: MessageId): Origin | undefined {
    return this.#read.get(account + upTo)
  }
}
