/** Opens a connection to a gateway at whichever of its locators answers first, and rests after failures. */
import type { Clock } from '../core/ambient.ts'
import type { GatewayAddress } from '../core/delivery/ports.ts'
import { MyceliumError } from '../core/errors.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { pause } from './pause.ts'
import { untilAborted } from './until-aborted.ts'
import type { ParsedLocator } from './dial-policy.ts'

export interface DiallerParts<Connection> {
  readonly clock: Clock
  readonly candidates: (to: GatewayAddress) => readonly ParsedLocator[]
  readonly dial: (to: GatewayId, locator: ParsedLocator, signal: AbortSignal) => Promise<Connection>
  /** A second connection won by a hair: it is not needed. */
  readonly discard: (connection: Connection) => void
}

interface Rest {
  readonly untilMs: number
  readonly delayMs: number
  readonly locators: string
}

export class Dialler<Connection> {
  readonly #parts: DiallerParts<Connection>
  readonly #attempts = new Map<GatewayId, Promise<Connection>>()
  readonly #resting = new Map<GatewayId, Rest>()

  constructor(parts: DiallerParts<Connection>) {
    this.#parts = parts
  }

  /** Concurrent calls for one gateway share an attempt. @throws `unreachable` */
  dial(to: GatewayAddress): Promise<Connection> {
    const running = this.#attempts.get(to.gateway)
    if (running !== undefined) return running
    const attempt = this.#attempt(to).finally(() => this.#attempts.delete(to.gateway))
    this.#attempts.set(to.gateway, attempt)
    return attempt
  }

  /** The gateway was heard of: the next dial is not held back. */
  wake(gateway: GatewayId): void {
    this.#resting.delete(gateway)
  }

  /** The network is another one. */
  wakeAll(): void {
    this.#resting.clear()
  }

  async #attempt(to: GatewayAddress): Promise<Connection> {
    const candidates = this.#parts.candidates(to)
    if (candidates.length === 0) throw new MyceliumError('unreachable', { reason: 'no usable locator' })
    const key = candidates.map(({ locator }) => locator).join(' ')
    const rest = this.#resting.get(to.gateway)
    const nowMs = this.#parts.clock.monotonicMs()
    if (rest !== undefined && rest.locators === key && nowMs < rest.untilMs)
      throw new MyceliumError('unreachable', { reason: 'tried a moment ago' })
    try {
      const connection = await this.#race(to.gateway, candidates)
      this.#resting.delete(to.gateway)
      return connection
    } catch (error) {
      this.#rest(to.gateway, key, rest)
      throw new MyceliumError(
        'unreachable',
        { reason: 'nobody answers', locators: candidates.length },
        { cause: error },
      )
    }
  }

  /** The first to answer; each later locator starts a little after the one before, at once when that one failed. */
  async #race(gateway: GatewayId, candidates: readonly ParsedLocator[]): Promise<Connection> {
    const controllers = candidates.map(() => new AbortController())
    let before: Promise<unknown> = Promise.resolve()
    let winner: number | undefined
    const stopLosers = (): void => {
      // the winner's signal must never abort: js-libp2p ties the socket to it for its whole life
      for (const [index, controller] of controllers.entries()) if (index !== winner) controller.abort()
    }
    const timer = setTimeout(stopLosers, limits.dialMsMax)
    const tries = candidates.map((locator, index) => {
      const { signal } = controllers[index]!
      const turn = index === 0 ? before : Promise.race([before, pause(limits.dialStaggerMs * index, signal)])
      const attempt = turn.then(async () => {
        signal.throwIfAborted()
        const dialled = this.#parts.dial(gateway, locator, signal)
        // a transport that does not heed the signal (QUIC) may still connect later
        dialled.then((late) => signal.aborted && this.#parts.discard(late)).catch(() => {})
        const connection = await untilAborted(dialled, signal)
        if (winner !== undefined) {
          this.#parts.discard(connection)
          throw new MyceliumError('unreachable', { reason: 'another locator was faster' })
        }
        winner = index
        stopLosers()
        return connection
      })
      before = failureOf(attempt)
      return attempt
    })
    return await Promise.any(tries).finally(() => clearTimeout(timer))
  }

  #rest(gateway: GatewayId, locators: string, before: Rest | undefined): void {
    const delayMs = Math.min(
      limits.dialBackOffMsMax,
      before === undefined ? limits.dialBackOffMsMin : before.delayMs * 2,
    )
    this.#resting.delete(gateway)
    this.#resting.set(gateway, { untilMs: this.#parts.clock.monotonicMs() + delayMs, delayMs, locators })
    if (this.#resting.size > limits.peersKnownMax) this.#resting.delete(this.#resting.keys().next().value!)
  }
}

/** Resolves when the attempt fails, and never otherwise: only a failure starts the next one early. */
const failureOf = async (attempt: Promise<unknown>): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>()
  attempt.catch(() => resolve())
  await promise
}
