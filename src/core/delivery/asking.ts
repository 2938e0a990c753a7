/**
 * When to ask again for what is missing: each time after twice as long, as whoever is asked may be away and is told of
 * every question in the end.
 */
import { limits } from '../limits.ts'

interface Asked {
  readonly times: number
  readonly nextMs: number
}

export class Asking<Id extends string> {
  readonly #asked = new Map<string, Map<Id, Asked>>()

  /**
   * Those of `missing` that it is time to ask for, each with how often it was asked for before.
   * @param missing everything that is missing to whoever asks; what is not any more is forgotten
   */
  due<T extends { readonly id: Id }>(
    asker: string,
    missing: readonly T[],
    nowMs: number,
  ): readonly (T & Pick<Asked, 'times'>)[] {
    const before = this.#asked.get(asker)
    const after = new Map<Id, Asked>()
    const due = missing.flatMap((one) => {
      const { times, nextMs } = before?.get(one.id) ?? { times: 0, nextMs: 0 }
      const isDue = nextMs <= nowMs
      const wait = Math.min(limits.parentAskAgainMs * 2 ** times, limits.parentAskAgainMsMax)
      after.set(one.id, isDue ? { times: times + 1, nextMs: nowMs + wait } : { times, nextMs })
      return isDue ? [{ ...one, times }] : []
    })
    if (after.size === 0) this.#asked.delete(asker)
    else this.#asked.set(asker, after)
    return due
  }
}
