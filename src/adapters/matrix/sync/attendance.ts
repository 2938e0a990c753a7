/** Which programs are there: those that have asked for news lately, as they say of themselves (Client-Server API, "Presence"). */
import type { Ambient } from '../../../core/ambient.ts'
import type { Availability, Signals } from '../../../core/delivery/signals.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Caller } from '../http/api.ts'

export const presences = { online: 'available', unavailable: 'away', offline: 'offline' } as const
export type Presence = keyof typeof presences

interface Seen {
  readonly availability: Availability
  /** Monotonic milliseconds. */
  readonly untilMs: number
}

export class Attendance implements Disposable {
  readonly #signals: Pick<Signals, 'setAvailability'>
  readonly #ambient: Ambient
  /** By device. */
  readonly #seen = new Map<Identity, Map<string, Seen>>()
  readonly #timer: NodeJS.Timeout

  constructor({ signals, ambient }: { readonly signals: Pick<Signals, 'setAvailability'>; readonly ambient: Ambient }) {
    this.#signals = signals
    this.#ambient = ambient
    this.#timer = setInterval(() => this.#tick(), limits.matrixAwayMs / 6)
    this.#timer.unref()
  }

  /** @param text what the program says of itself */
  saw({ account, device }: Pick<Caller, 'account' | 'device'>, text: string): void {
    const availability = text in presences ? presences[text as Presence] : 'available'
    const devices = this.#seen.get(account) ?? new Map<string, Seen>()
    this.#seen.set(account, devices.set(device, { availability, untilMs: this.#nowMs() + limits.matrixAwayMs }))
    this.#tell(account, devices)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #tick(): void {
    for (const [account, devices] of this.#seen) {
      for (const [device, { untilMs }] of devices) if (untilMs < this.#nowMs()) devices.delete(device)
      if (devices.size === 0) this.#seen.delete(account)
      this.#tell(account, devices)
    }
  }

  #tell(account: Identity, devices: ReadonlyMap<string, Seen>): void {
    const all = new Set([...devices.values()].map(({ availability }) => availability))
    const together = all.has('available') ? 'available' : all.has('away') ? 'away' : 'offline'
    this.#signals.setAvailability(account, together, 'matrix')
  }

  #nowMs(): number {
    return this.#ambient.clock.monotonicMs()
  }
}
