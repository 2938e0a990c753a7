/** Now and then a body to ourselves at each relay: one that takes it and does not give it back loses mail too. */
import type { Ambient } from '../../ambient.ts'
import { MyceliumError } from '../../errors.ts'
import { limits } from '../../limits.ts'
import type { Keyring } from '../needs.ts'
import type { GatewayAddress } from '../ports.ts'
import type { Relays } from '../relay-ports.ts'
import { leavingIdBytes, sealBody } from './body.ts'
import type { RelayBook } from './book.ts'
import { newestOf, ownPair } from './keeper.ts'
import type { RelayChoice } from './queues.ts'

interface ProberParts {
  readonly book: RelayBook
  readonly relays: Relays
  readonly keyring: Keyring
  readonly ambient: Ambient
  readonly carrierFor: (relay: GatewayAddress) => GatewayAddress | undefined
  readonly isWatched: (choice: RelayChoice) => boolean
  readonly onLost: (choice: RelayChoice) => void
}

interface Probes {
  /** When the next one goes, Unix milliseconds. */
  dueAtMs: number
  /** The last one, until it is back. */
  out: { readonly id: Uint8Array; sinceMs: number } | undefined
}

const nameOf = ({ account, relay }: RelayChoice): string => account + relay.gateway

export class RelayProber {
  readonly #parts: ProberParts
  readonly #probes = new Map<string, Probes>()

  constructor(parts: ProberParts) {
    this.#parts = parts
  }

  /** One of ours came out of this relay; an old one proves nothing. */
  returned(choice: RelayChoice, id: Uint8Array): void {
    const probes = this.#probes.get(nameOf(choice))
    if (probes?.out !== undefined && Buffer.compare(probes.out.id, id) === 0) probes.out = undefined
  }

  /** Once a minute. */
  async tick(signal: AbortSignal): Promise<void> {
    for (const choice of this.#parts.book.choices()) {
      if (choice.retiredAtMs === 0) await this.#look(choice, signal)
    }
  }

  async #look(choice: RelayChoice, signal: AbortSignal): Promise<void> {
    const { ambient, isWatched, onLost } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const name = nameOf(choice)
    const probes = this.#probes.get(name) ?? { dueAtMs: nowMs + this.#pauseMs(), out: undefined }
    this.#probes.set(name, probes)
    // while nobody watches, nothing can come back: the time counts from when somebody does
    if (!isWatched(choice)) {
      if (probes.out !== undefined) probes.out.sinceMs = nowMs
      return
    }
    if (probes.out !== undefined && nowMs - probes.out.sinceMs > limits.relayProbeMsMax) {
      probes.out = undefined
      onLost(choice)
    }
    if (nowMs < probes.dueAtMs) return
    probes.dueAtMs = nowMs + this.#pauseMs()
    // it may be back before the relay's answer is
    const id = ambient.random.bytes(leavingIdBytes)
    probes.out = { id, sinceMs: nowMs }
    if (!(await this.#leave(choice, id, signal))) this.returned(choice, id)
  }

  #pauseMs(): number {
    return limits.relayProbeMs * (0.5 + this.#parts.ambient.random.bytes(1)[0]! / 256)
  }

  async #leave(choice: RelayChoice, leavingId: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const { book, relays, keyring, ambient, carrierFor } = this.#parts
    const { device } = keyring.own(choice.account).party
    const queue = newestOf(book.inQueues(ownPair(choice.account, device)), choice.relay.gateway, true)
    if (queue === undefined) return false
    const nowMs = ambient.clock.nowMs()
    const body = sealBody(
      queue.bodyKey,
      // its number follows from no count: the queue to ourselves has no gaps to look for
      { number: 1, leavingId, leftAtMs: nowMs, content: { kind: 'probe' } },
      ambient.random,
    )
    try {
      const outcome = await relays.deposit(
        { relay: choice.relay, sealKey: choice.sealKey, sendSeed: queue.sendSeed },
        { id: ambient.random.bytes(16), body, expiresAtMs: nowMs + limits.relayProbeMs },
        {
          through: carrierFor(choice.relay),
          signal: AbortSignal.any([signal, AbortSignal.timeout(limits.relayAskMs)]),
        },
      )
      return outcome === 'stored'
    } catch (error) {
      if (!(error instanceof MyceliumError) && !(error instanceof DOMException)) throw error
      return false
    }
  }
}
