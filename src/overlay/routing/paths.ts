/**
 * Paths through other gateways (docs/protocol/routing.md §4): opening one, ending one that leads here, and carrying
 * those of others. A path is nothing but piped streams; who is at its ends is proven over it, not by it.
 */
import type { Ambient } from '../../core/ambient.ts'
import { toHex } from '../../core/bytes.ts'
import { hasCode, MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { TokenBuckets } from '../../core/token-bucket.ts'
import { Gate } from '../gate.ts'
import { shortId } from '../gateway-id.ts'
import type { DirectNetwork, Pipe } from '../network.ts'
import { PipeReader } from '../pipe-reader.ts'
import { pathProtocol } from '../protocols.ts'
import {
  decodePathAnswer,
  decodePathRequest,
  encodePathAnswer,
  encodePathRequest,
  newPathId,
  pathAnswerBytes,
  pathRequestBytes,
} from './path-messages.ts'
import type { PathAnswer, PathRequest, PathVerdict } from './path-messages.ts'
import { splice } from './splice.ts'
import { reasonOf } from '../reason.ts'

export interface PathsParts {
  readonly network: DirectNetwork
  readonly ambient: Ambient
  /** Neighbours that lead to a destination, best first. */
  readonly nextHops: (destination: GatewayId) => readonly GatewayId[]
  /** The same, waiting a little for an answer where none is known. */
  readonly find: (destination: GatewayId, options: { readonly signal: AbortSignal }) => Promise<readonly GatewayId[]>
  /** Whether a neighbour's connections are carried on to others. */
  readonly serves: (neighbour: GatewayId) => boolean
  /** A next hop did not lead to the destination, or what it led to said nothing. */
  readonly onSuccess: (destination: GatewayId, neighbour: GatewayId) => void
  readonly onFailure: (destination: GatewayId, neighbour: GatewayId, reason: string) => void
}

/** An accepted path, nobody authenticated yet. */
interface Open {
  readonly pipe: Pipe
  readonly reader: PipeReader
  readonly via: GatewayId
  readonly answer: PathAnswer
}

const pathUpgradeMsMin = 2_500
const upgradeRoundTrips = 8
/** A carried path whose opener gives it up sooner says nothing about its next hop. */
const swallowedMsMin = 1_000

export class Paths {
  readonly #parts: PathsParts
  readonly #carried = new Gate({ perParty: limits.pathsPerNeighbourMax, total: limits.pathsMax })
  readonly #openings = new TokenBuckets(
    { perSecond: limits.pathOpeningsPerSecondMax, burst: limits.pathOpeningsPerSecondMax },
    limits.peersKnownMax,
  )
  /** Paths that pass or begin here: a request that meets one goes in a circle. */
  readonly #ids = new Set<string>()

  constructor(parts: PathsParts) {
    this.#parts = parts
  }

  /**
   * A connection through other gateways, tried over one next hop after the other.
   * @param hops neighbours to try, best first
   * @throws `unreachable`, the signal's reason
   */
  async connect(
    destination: GatewayId,
    hops: readonly GatewayId[],
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const id = newPathId(this.#parts.ambient.random)
    const key = toHex(id)
    let failure: unknown = new MyceliumError('unreachable', { reason: 'no path' })
    this.#ids.add(key)
    try {
      for (const via of hops.filter((hop) => hop !== destination).slice(0, limits.pathTriesMax)) {
        signal.throwIfAborted()
        try {
          await this.#connectVia(via, { hopsLeft: limits.pathHopsMax - 1, id, destination }, signal)
          return this.#parts.onSuccess(destination, via)
        } catch (error) {
          failure = error
          if (!signal.aborted) this.#parts.onFailure(destination, via, reasonOf(error, 'connection lost'))
        }
      }
    } finally {
      this.#ids.delete(key)
    }
    throw failure
  }

  /** A path stream that a neighbour opened. */
  async accept(pipe: Pipe, from: GatewayId): Promise<void> {
    const isTaken = this.#carried.tryEnter(from)
    try {
      if (!isTaken || !this.#openings.take(from, this.#parts.ambient.clock.monotonicMs())) return decline(pipe, 'busy')
      const reader = new PipeReader(pipe, limits.pathEarlyBytesMax)
      const bytes = await reader.exactly(pathRequestBytes, AbortSignal.timeout(limits.pathOpenMsMax))
      const request = decodePathRequest(bytes)
      if (request === undefined) throw new MyceliumError('peer-misbehaved', { reason: 'no path request' })
      if (request.destination === this.#parts.network.self) await this.#end(pipe, reader, from)
      else await this.#carry({ pipe, reader }, request, from)
    } catch (error) {
      pipe.abort('no path')
      this.#parts.ambient.log.debug('overlay.path-failed', {
        gateway: shortId(from),
        reason: reasonOf(error, 'connection lost'),
      })
    } finally {
      if (isTaken) this.#carried.leave(from)
    }
  }

  async #connectVia(via: GatewayId, request: PathRequest, signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts.ambient
    const askedAtMs = clock.monotonicMs()
    const open = await this.#open(via, request, signal)
    // a handshake is a few round trips: what does not answer much longer than the opening took swallows bytes
    const patienceMs = Math.ceil(pathUpgradeMsMin + (clock.monotonicMs() - askedAtMs) * upgradeRoundTrips)
    if (open.answer.verdict !== 'accepted') {
      open.pipe.end()
      throw new MyceliumError('unreachable', { reason: `path: ${open.answer.verdict}` })
    }
    const timeout = AbortSignal.timeout(Math.min(patienceMs, limits.pathUpgradeMsMax))
    const bounded = AbortSignal.any([signal, timeout])
    try {
      const end = { peer: request.destination, via, hops: open.answer.hops }
      await this.#parts.network.adopt(pipeAfter(open.pipe, open.reader), end, { signal: bounded })
    } catch (error) {
      open.pipe.abort('not authenticated')
      signal.throwIfAborted()
      throw new MyceliumError('unreachable', { reason: 'path carries nothing' }, { cause: error })
    }
  }

  async #open(via: GatewayId, request: PathRequest, signal: AbortSignal): Promise<Open> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(limits.pathOpenMsMax)])
    const pipe = await this.#parts.network.openDirect(via, pathProtocol, { signal: bounded })
    try {
      const reader = new PipeReader(pipe, limits.pathEarlyBytesMax)
      pipe.write(encodePathRequest(request))
      const answer = decodePathAnswer(await reader.exactly(pathAnswerBytes, bounded))
      if (answer === undefined) throw new MyceliumError('unreachable', { reason: 'garbled path answer' })
      return { pipe, reader, via, answer }
    } catch (error) {
      pipe.abort('no path')
      signal.throwIfAborted()
      if (hasCode(error, 'unreachable')) throw error
      throw new MyceliumError('unreachable', { reason: 'no answer to the path request' }, { cause: error })
    }
  }

  /** The path was for us: whoever is at the other end has to say so over it. */
  async #end(pipe: Pipe, reader: PipeReader, from: GatewayId): Promise<void> {
    pipe.write(encodePathAnswer({ verdict: 'accepted', hops: 0 }))
    // how many gateways are in between is not for us to know: at least the one that asked
    const end = { peer: undefined, via: from, hops: 1 }
    await this.#parts.network.adopt(pipeAfter(pipe, reader), end, {
      signal: AbortSignal.timeout(limits.pathUpgradeMsMax),
    })
    const { promise, resolve } = Promise.withResolvers<unknown>()
    pipe.closed.addEventListener('abort', resolve, { once: true })
    if (!pipe.closed.aborted) await promise
  }

  async #carry(
    near: { readonly pipe: Pipe; readonly reader: PipeReader },
    request: PathRequest,
    from: GatewayId,
  ): Promise<void> {
    const key = toHex(request.id)
    if (!this.#parts.serves(from)) return decline(near.pipe, 'refused')
    if (this.#ids.has(key)) return decline(near.pipe, 'loop')
    if (request.hopsLeft === 0 && !this.#parts.network.isNeighbour(request.destination))
      return decline(near.pipe, 'no-route')
    this.#ids.add(key)
    try {
      const far = await this.#onward(near.pipe, request, from)
      if (far === undefined) return decline(near.pipe, 'no-route')
      near.pipe.write(encodePathAnswer({ verdict: 'accepted', hops: far.answer.hops + 1 }))
      const unansweredMs = await splice(near, far, this.#parts.ambient.clock)
      if (unansweredMs >= swallowedMsMin) this.#parts.onFailure(request.destination, far.via, 'path carries nothing')
    } finally {
      this.#ids.delete(key)
    }
  }

  /** The first next hop that agrees, never back to whoever asked. */
  async #onward(near: Pipe, request: PathRequest, from: GatewayId): Promise<Open | undefined> {
    const { destination } = request
    const signal = AbortSignal.any([near.closed, AbortSignal.timeout(limits.pathOpenMsMax)])
    const isNeighbour = this.#parts.network.isNeighbour(destination)
    const known = isNeighbour ? this.#parts.nextHops(destination) : await this.#parts.find(destination, { signal })
    const candidates = new Set(isNeighbour ? [...known, destination] : known)
    candidates.delete(from)
    const onward = { ...request, hopsLeft: Math.max(0, request.hopsLeft - 1) }
    for (const via of [...candidates].slice(0, limits.pathTriesMax)) {
      if (signal.aborted) return undefined
      if (request.hopsLeft === 0 && via !== destination) continue
      try {
        const open = await this.#open(via, onward, signal)
        if (open.answer.verdict === 'accepted' && open.answer.hops < limits.pathHopsMax) return open
        open.pipe.end()
        this.#parts.onFailure(destination, via, `path: ${open.answer.verdict}`)
      } catch (error) {
        if (!near.closed.aborted) this.#parts.onFailure(destination, via, reasonOf(error, 'connection lost'))
      }
    }
    return undefined
  }
}

function decline(pipe: Pipe, verdict: Exclude<PathVerdict, 'accepted'>): void {
  pipe.write(encodePathAnswer({ verdict, hops: 0 }))
  pipe.end()
}

/** The pipe as it is after what was read from it. */
const pipeAfter = (pipe: Pipe, reader: PipeReader): Pipe => ({
  closed: pipe.closed,
  hops: pipe.hops,
  get isFull() {
    return pipe.isFull
  },
  write: (bytes) => pipe.write(bytes),
  drained: async () => await pipe.drained(),
  receive: (sink) => reader.handOver(sink),
  pause: () => pipe.pause(),
  resume: () => pipe.resume(),
  end: () => pipe.end(),
  abort: (reason) => pipe.abort(reason),
})
