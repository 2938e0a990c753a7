/** Counts what runs at once, per party (a gateway, or an address) and in total. */

export class Gate {
  readonly #perParty = new Map<string, number>()
  readonly #waiting = new Map<string, (() => void)[]>()
  readonly #perPartyMax: number
  readonly #max: number
  #total = 0

  constructor(bounds: { readonly perParty: number; readonly total: number }) {
    this.#perPartyMax = bounds.perParty
    this.#max = bounds.total
  }

  /** False when the party, or all together, have their share. @param max a smaller share than all may have */
  tryEnter(party: string, max = this.#max): boolean {
    const running = this.#perParty.get(party) ?? 0
    if (running >= this.#perPartyMax || this.#total >= max) return false
    this.#perParty.set(party, running + 1)
    this.#total += 1
    return true
  }

  /** Waits for a turn. @throws the signal's reason */
  async enter(party: string, signal: AbortSignal): Promise<void> {
    while (!this.tryEnter(party)) {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      const waiting = this.#waiting.get(party) ?? []
      waiting.push(resolve)
      this.#waiting.set(party, waiting)
      const onAbort = (): void => resolve()
      signal.addEventListener('abort', onAbort, { once: true })
      await promise
      signal.removeEventListener('abort', onAbort)
      if (signal.aborted) this.#wakeNext(party)
    }
  }

  leave(party: string): void {
    const running = (this.#perParty.get(party) ?? 0) - 1
    if (running > 0) this.#perParty.set(party, running)
    else this.#perParty.delete(party)
    this.#total -= 1
    this.#wakeNext(party)
  }

  #wakeNext(party: string): void {
    const waiting = this.#waiting.get(party)
    waiting?.shift()?.()
    if (waiting?.length === 0) this.#waiting.delete(party)
  }
}
