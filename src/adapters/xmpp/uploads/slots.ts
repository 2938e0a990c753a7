/** Uploads that were promised and have not come yet: bound to an account, good once and for a while, in memory. */
import type { Ambient } from '../../../core/ambient.ts'
import { toBase64Url } from '../../../core/bytes.ts'
import { MyceliumError } from '../../../core/errors.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Wanted } from './uploads.ts'

export interface Slot extends Wanted {
  readonly account: Identity
  readonly untilMs: number
}

const idBytes = 18
export const isSlotId = (text: string): boolean => /^[\w-]{24}$/.test(text)

export class Slots {
  readonly #ambient: Ambient
  /** By id, the oldest first. */
  readonly #slots = new Map<string, Slot>()

  constructor(ambient: Ambient) {
    this.#ambient = ambient
  }

  /** @returns its id @throws `throttled` */
  add(account: Identity, wanted: Wanted): string {
    const nowMs = this.#ambient.clock.nowMs()
    for (const [id, { untilMs }] of this.#slots) if (untilMs <= nowMs) this.#slots.delete(id)
    const ofAccount = [...this.#slots.values()].filter((slot) => slot.account === account)
    if (ofAccount.length >= limits.uploadSlotsMax) throw new MyceliumError('throttled')
    const id = toBase64Url(this.#ambient.random.bytes(idBytes))
    this.#slots.set(id, { ...wanted, account, untilMs: nowMs + limits.uploadSlotMs })
    return id
  }

  /** Whoever takes it is the only one. */
  take(id: string): Slot | undefined {
    const slot = this.#slots.get(id)
    this.#slots.delete(id)
    return slot === undefined || slot.untilMs <= this.#ambient.clock.nowMs() ? undefined : slot
  }

  /** It was not used up: the connection broke, for instance. */
  giveBack(id: string, slot: Slot): void {
    this.#slots.set(id, slot)
  }
}
