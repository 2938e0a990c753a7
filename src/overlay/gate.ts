/** Counts what runs at once, per gateway and in total. */
import type { GatewayId } from '../core/ids.ts'

export class Gate {
  readonly #perGateway = new Map<GatewayId, number>()
  readonly #waiting = new Map<GatewayId, (() => void)[]>()
  readonly #perGatewayMax: number
  readonly #max: number
  #total = 0

  constructor(bounds: { readonly perGateway: number; readonly total: number }) {
    this.#perGatewayMax = bounds.perGateway
    this.#max = bounds.total
  }

  /** How many run now. */
  get total(): number {
    return this.#total
  }

  /** False when the gateway, or all together, have their share. @param max a smaller share than all may have */
  tryEnter(gateway: GatewayId, max = this.#max): boolean {
    const running = this.#perGateway.get(gateway) ?? 0
    if (running >= this.#perGatewayMax || this.#total >= max) return false
    this.#perGateway.set(gateway, running + 1)
    this.#total += 1
    return true
  }

  /** Waits for a turn. @throws the signal's reason */
  async enter(gateway: GatewayId, signal: AbortSignal): Promise<void> {
    while (!this.tryEnter(gateway)) {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      const waiting = this.#waiting.get(gateway) ?? []
      waiting.push(resolve)
      this.#waiting.set(gateway, waiting)
      const onAbort = (): void => resolve()
      signal.addEventListener('abort', onAbort, { once: true })
      await promise
      signal.removeEventListener('abort', onAbort)
      if (signal.aborted) this.#wakeNext(gateway)
    }
  }

  leave(gateway: GatewayId): void {
    const running = (this.#perGateway.get(gateway) ?? 0) - 1
    if (running > 0) this.#perGateway.set(gateway, running)
    else this.#perGateway.delete(gateway)
    this.#total -= 1
    this.#wakeNext(gateway)
  }

  #wakeNext(gateway: GatewayId): void {
    const waiting = this.#waiting.get(gateway)
    waiting?.shift()?.()
    if (waiting?.length === 0) this.#waiting.delete(gateway)
  }
}
