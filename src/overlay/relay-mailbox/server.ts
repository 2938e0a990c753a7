/**
 * A relay: holds sealed entries for others until they fetch them (docs/protocol/relay.md). It knows queues, never people.
 * What it says is stored is on its disk, and what was stored is never thrown away for something new.
 */
import type { Ambient } from '../../core/ambient.ts'
import { fromUtf8, toHex } from '../../core/bytes.ts'
import { dhKeyBytes, type DhKeyPair, dhKeyPair } from '../../core/crypto/dh.ts'
import { relayBodySizes } from '../../core/delivery/relay-ports.ts'
import { hasCode, MyceliumError, unreachable } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Store } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'
import { type Pace, TokenBuckets } from '../../core/token-bucket.ts'
import { answerOver, outcomes as askOutcomes, refuse } from '../exchange.ts'
import { Deadline } from '../deadline.ts'
import { Gate } from '../gate.ts'
import { parseGatewayId } from '../gateway-key.ts'
import type { Pipe } from '../network.ts'
import { relayAskBounds } from '../protocols.ts'
import { untilAborted } from '../until-aborted.ts'
import { seenKeyOf, storeEntry } from './entries.ts'
import {
  type AskRelay,
  decodeRelayRequest,
  encodeRelayAnswer,
  encodeRelayRequest,
  type ForwardRequest,
  isSignedFor,
  type Offer,
  type OpenRequest,
  type RelayAnswer,
  type RelayRequest,
  type Refusal,
  type SignedRequest,
} from './messages.ts'
import { changeQueues, closeOwner, openOwner, ownerKeyOf, queueKeyOf, roomOf } from './owners.ts'
import { queueRowKey, readOwner, readTotals, slotBytes } from './rows.ts'
import { type Deposit, isDepositSigned, openDeposit, type Outcome } from './sealed.ts'
import { sweep, sweepOwners } from './sweep.ts'
import { refuseOver, Watchers } from './watchers.ts'
import { isWorkDone, workBitsFor } from './work.ts'

/** What a gateway that is a relay provides. */
export interface RelayHost {
  readonly store: Store
  /** Octets held at most (`overlay.relayBytesMax`). */
  readonly bytesMax: number
  /** Whether that gateway is one of a contact of an account here. */
  readonly isKnown: (gateway: GatewayId) => boolean
}

export interface RelayParts extends RelayHost {
  readonly self: GatewayId
  readonly ambient: Ambient
  readonly ask: AskRelay
}

interface AskContext {
  readonly from: GatewayId
  readonly signal: AbortSignal
}

/** Of one gateway: asks that are no deposits; deposits; their octets; asks forwarded in vain, each a dial somewhere. */
const askRate = { burst: 256, perSecond: 4 }
const depositRate = { burst: 512, perSecond: 32 }
const depositBytesRate = { burst: 96 * 1024 * 1024, perSecond: 8 * 1024 * 1024 }
const vainForwardRate = { burst: 8, perSecond: 1 / 30 }
/** Of one queue. */
const queueRate = { burst: 512, perSecond: 16 }
const rates = (pace: Pace): TokenBuckets => new TokenBuckets(pace, limits.relayRateKeysMax)

const ownersSweepMs = 3600_000

export async function openRelayServer(parts: RelayParts): Promise<RelayServer> {
  return new RelayServer(parts, await sealKeyOf(parts))
}

export class RelayServer implements AsyncDisposable {
  readonly #parts: RelayParts
  readonly #sealKey: DhKeyPair
  readonly #watchers: Watchers
  readonly #strangers = new Gate({ perParty: limits.relayAsksPerPeerMax, total: limits.relayAsksMax })
  readonly #acquainted = new Gate({ perParty: limits.relayAsksPerPeerMax, total: limits.relayAsksMax })
  readonly #asks = rates(askRate)
  readonly #deposits = rates(depositRate)
  readonly #depositBytes = rates(depositBytesRate)
  readonly #queueDeposits = rates(queueRate)
  readonly #vainForwards = rates(vainForwardRate)
  /** Relays that did not answer when they were asked for others, until when they are not asked (monotonic). */
  readonly #resting = new Map<GatewayId, number>()
  readonly #forwards = new Gate({ perParty: limits.relayForwardsPerPeerMax, total: limits.relayForwardsMax })
  /** Owners closed a moment ago: a copy of an older request does not open them again. */
  readonly #closed = new Map<string, number>()
  readonly #stopping = new AbortController()
  readonly #timer: NodeJS.Timeout
  #sweeping: Promise<void> = Promise.resolve()
  #isSweeping = false
  #lastSweep: { readonly wallMs: number; readonly monotonicMs: number }
  #trustsClockFromMs = 0
  #ownersSweptAtMs = -Infinity

  constructor(parts: RelayParts, sealKey: DhKeyPair) {
    this.#parts = parts
    this.#sealKey = sealKey
    this.#watchers = new Watchers(parts)
    const { clock } = parts.ambient
    this.#lastSweep = { wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() }
    this.#timer = setInterval(() => void this.sweep(), limits.relaySweepMs).unref()
  }

  /** One ask on a stream of its own. @throws `peer-misbehaved`, `unreachable` */
  async answer(pipe: Pipe, from: GatewayId): Promise<void> {
    const gate = this.#isAcquainted(from) ? this.#acquainted : this.#strangers
    if (this.#stopping.signal.aborted || !gate.tryEnter(from)) return refuse(pipe, askOutcomes.busy)
    try {
      const handler = async (request: Uint8Array, context: AskContext): Promise<Uint8Array> =>
        encodeOrPass(await this.#handle(request, context))
      await answerOver(pipe, { from, source: from }, { handler, ...relayAskBounds })
    } finally {
      gate.leave(from)
    }
  }

  /** One stream of an owner who watches; resolves when it is over. @throws `peer-misbehaved`, `unreachable` */
  async watch(pipe: Pipe, from: GatewayId): Promise<void> {
    if (this.#stopping.signal.aborted) return pipe.abort('stopping')
    if (!this.#asks.take(from, this.#nowMs())) return refuseOver(pipe, 'throttled')
    await this.#watchers.serve(pipe, from)
  }

  /** What is due by now. Once a minute by itself; concurrent calls share one. */
  sweep(): Promise<void> {
    if (this.#isSweeping) return this.#sweeping
    this.#isSweeping = true
    this.#sweeping = this.#sweep()
      .catch((error: unknown) => {
        if (!hasCode(error, 'shutting-down'))
          this.#parts.ambient.log.warn('relay.sweep-failed', {
            code: error instanceof MyceliumError ? error.code : 'unexpected',
          })
      })
      .finally(() => {
        this.#isSweeping = false
      })
    return this.#sweeping
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    this.#stopping.abort(new MyceliumError('shutting-down'))
    this.#watchers.endAll()
    await this.#sweeping
  }

  #isAcquainted(gateway: GatewayId): boolean {
    return this.#parts.isKnown(gateway) || this.#watchers.watchesHere(gateway)
  }

  async #handle(encoded: Uint8Array, context: AskContext): Promise<RelayAnswer | Uint8Array> {
    const request = decodeOrThrow(encoded)
    const { from } = context
    switch (request.kind) {
      case 'deposit':
        return await this.#deposit(request.sealed, from)
      case 'forward':
        return await this.#forward(request, context)
      case 'describe':
        return this.#asks.take(from, this.#nowMs()) ? this.#offer(from) : refused('throttled')
      case 'open':
      case 'queues':
      case 'close':
        return this.#asks.take(from, this.#nowMs())
          ? await this.#signed(request, encoded, context)
          : refused('throttled')
      default:
        return unreachable(request)
    }
  }

  #offer(from: GatewayId): Offer {
    const isKnown = this.#parts.isKnown(from)
    const { bytesMax, queuesMax } = roomOf(isKnown ? 'known' : 'work')
    return {
      kind: 'offer',
      sealKey: this.#sealKey.publicKey,
      workBits: workBitsFor(this.#parts.store.read(readTotals)),
      known: isKnown ? 1 : 0,
      bytesMax,
      queuesMax,
      holdMsMax: limits.relayHoldMsMax,
    }
  }

  async #signed(request: SignedRequest, encoded: Uint8Array, { from }: AskContext): Promise<RelayAnswer> {
    const { self, store, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    if (Math.abs(request.atMs - nowMs) > limits.relayClockSkewMs) return refused('signature')
    if (request.kind === 'open' && !this.#isProven(request, from)) return refused('proof')
    if (!isSignedFor(self, request, encoded)) return refused('signature')
    const newSlot = (): Uint8Array => Uint8Array.from(ambient.random.bytes(slotBytes))
    switch (request.kind) {
      case 'open':
        if (this.#isJustClosed(request)) return refused('signature')
        return await withDiskFull(store.write((tx) => openOwner(tx, request, { from, nowMs, newSlot })))
      case 'queues':
        return await withDiskFull(store.write((tx) => changeQueues(tx, request, nowMs)))
      case 'close': {
        const slot = store.read((tx) => readOwner(tx, ownerKeyOf(tx, request.owner))?.slot)
        const answer = await store.write((tx) => closeOwner(tx, request))
        if (answer.kind === 'done') this.#onClosed(request, slot)
        return answer
      }
      default:
        return unreachable(request)
    }
  }

  /** Of a capability the store knows. */
  #isProven({ proof, owner, atMs }: OpenRequest, from: GatewayId): boolean {
    if (proof.kind === 'known') return this.#parts.isKnown(from)
    if (proof.kind === 'capability') return true
    // what was asked for a moment ago still does: others may have opened meanwhile
    const bits = workBitsFor(this.#parts.store.read(readTotals)) - 2
    return isWorkDone({ relay: this.#parts.self, owner, atMs }, proof.nonce, Math.max(limits.relayWorkBits, bits))
  }

  #onClosed({ owner, atMs }: SignedRequest, slot: Uint8Array | undefined): void {
    if (slot !== undefined) this.#watchers.end(slot)
    this.#closed.set(toHex(owner), atMs)
    if (this.#closed.size > limits.relayRateKeysMax) this.#closed.delete(this.#closed.keys().next().value!)
    void this.sweep()
  }

  #isJustClosed({ owner, atMs }: OpenRequest): boolean {
    const closedAtMs = this.#closed.get(toHex(owner))
    return closedAtMs !== undefined && atMs <= closedAtMs
  }

  async #deposit(sealed: Uint8Array, from: GatewayId): Promise<RelayAnswer> {
    if (!this.#mayDeposit(from, sealed)) return refused('throttled')
    const opened = openDeposit(this.#sealKey, sealed)
    if (opened === undefined) return refused('signature')
    const outcome = await this.#store(opened.deposit)
    return { kind: 'deposited', outcome: opened.sealOutcome(outcome) }
  }

  #nowMs(): number {
    return this.#parts.ambient.clock.monotonicMs()
  }

  #mayDeposit(from: GatewayId, sealed: Uint8Array): boolean {
    const nowMs = this.#nowMs()
    return this.#deposits.take(from, nowMs) && this.#depositBytes.take(from, nowMs, sealed.length)
  }

  async #store(deposit: Deposit): Promise<Outcome> {
    const { self, store, ambient, bytesMax } = this.#parts
    const nowMs = ambient.clock.nowMs()
    if (!(relayBodySizes as readonly number[]).includes(deposit.body.length)) return 'size'
    if (deposit.expiresAtMs <= nowMs) return 'expired'
    const { queue, isThere, isStored } = store.read((tx) => {
      const queue = queueKeyOf(tx, deposit.sendId)
      const isThere = tx.has(tables.relayQueues, queueRowKey(queue))
      return { queue, isThere, isStored: tx.has(tables.relaySeen, seenKeyOf(tx, deposit)) }
    })
    if (!isThere) return 'no-such-queue'
    if (!isDepositSigned(self, deposit)) return 'signature'
    if (isStored) return 'stored'
    if (!this.#queueDeposits.take(toHex(queue), this.#nowMs())) return 'throttled'
    try {
      const stored = await store.write((tx) => storeEntry(tx, deposit, { queue, bytesMax, nowMs }))
      if (stored.slot !== undefined) this.#watchers.wake(stored.slot)
      return stored.outcome
    } catch (error) {
      if (hasCode(error, 'disk-full')) return 'full'
      throw error
    }
  }

  /** Carries a deposit to another relay for somebody who does not want to be seen there. The answer is passed on untouched. */
  async #forward(request: ForwardRequest, { from, signal }: AskContext): Promise<RelayAnswer | Uint8Array> {
    if (!this.#isAcquainted(from)) return refused('not-offered')
    const gateway = parseGatewayId(request.gateway)
    if (gateway === undefined || gateway === this.#parts.self) return refused('unreachable')
    if (this.#isResting(gateway)) return refused('unreachable')
    const isWithin = this.#mayDeposit(from, request.sealed) && this.#vainForwards.has(from, this.#nowMs())
    if (!isWithin || !this.#forwards.tryEnter(from)) return refused('throttled')
    const startedMs = this.#nowMs()
    try {
      using deadline = new Deadline(limits.relayForwardMsMax, signal, this.#stopping.signal)
      const bounded = deadline.signal
      const deposit = encodeRelayRequest({ kind: 'deposit', sealed: request.sealed })
      const asked = this.#parts.ask({ gateway, locators: request.locators }, deposit, { signal: bounded })
      return await untilAborted(asked, bounded)
    } catch (error) {
      // the asker may have left because the other relay says nothing
      if (!signal.aborted || this.#nowMs() - startedMs >= limits.relayForwardSilenceMs) this.#rest(gateway)
      signal.throwIfAborted()
      this.#vainForwards.take(from, this.#nowMs())
      this.#parts.ambient.log.debug('relay.not-forwarded', {
        code: error instanceof MyceliumError ? error.code : 'lost',
      })
      return refused('unreachable')
    } finally {
      this.#forwards.leave(from)
    }
  }

  /** One that did not answer is left alone for a while: those who ask for it must not use up what others may ask. */
  #rest(gateway: GatewayId): void {
    this.#resting.delete(gateway)
    this.#resting.set(gateway, this.#nowMs() + limits.relayRestMs)
    if (this.#resting.size > limits.relayRateKeysMax) this.#resting.delete(this.#resting.keys().next().value!)
  }

  #isResting(gateway: GatewayId): boolean {
    return (this.#resting.get(gateway) ?? 0) > this.#nowMs()
  }

  async #sweep(): Promise<void> {
    const { store, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    if (!this.#trustsClock(nowMs)) return
    const { signal } = this.#stopping
    const context = { nowMs, isWatching: this.#watchers.isWatching }
    await sweep(store, context, signal)
    if (signal.aborted || ambient.clock.monotonicMs() - this.#ownersSweptAtMs < ownersSweepMs) return
    this.#ownersSweptAtMs = ambient.clock.monotonicMs()
    await sweepOwners(store, context)
    await sweep(store, context, signal)
  }

  /** A clock that jumped ahead by more than a day is not believed for a day: what is held would be gone. */
  #trustsClock(wallMs: number): boolean {
    const monotonicMs = this.#nowMs()
    const jumpMs = wallMs - this.#lastSweep.wallMs - (monotonicMs - this.#lastSweep.monotonicMs)
    this.#lastSweep = { wallMs, monotonicMs }
    if (jumpMs > limits.clockForwardMsAlarm) {
      this.#parts.ambient.log.warn('relay.clock-jumped', { byMs: jumpMs })
      this.#trustsClockFromMs = monotonicMs + limits.clockForwardMsAlarm
    }
    if (jumpMs < -limits.clockForwardMsAlarm) this.#trustsClockFromMs = 0
    return monotonicMs >= this.#trustsClockFromMs
  }
}

const refused = (reason: Refusal): RelayAnswer => ({ kind: 'refused', reason })
const encodeOrPass = (answer: RelayAnswer | Uint8Array): Uint8Array =>
  answer instanceof Uint8Array ? answer : encodeRelayAnswer(answer)

/** @throws `peer-misbehaved` */
function decodeOrThrow(encoded: Uint8Array): RelayRequest {
  try {
    return decodeRelayRequest(encoded)
  } catch (error) {
    throw new MyceliumError('peer-misbehaved', { reason: 'no relay request' }, { cause: error })
  }
}

async function withDiskFull(writing: Promise<RelayAnswer>): Promise<RelayAnswer> {
  try {
    return await writing
  } catch (error) {
    if (hasCode(error, 'disk-full')) return refused('full')
    throw error
  }
}

const sealKeyName = fromUtf8('relay-seal-key')

/** Made once: senders hold its public half for as long as their queues. */
async function sealKeyOf({ store, ambient }: RelayParts): Promise<DhKeyPair> {
  const known = store.read((tx) => tx.get(tables.meta, sealKeyName))
  if (known !== undefined) return dhKeyPair(known)
  const made = Uint8Array.from(ambient.random.bytes(dhKeyBytes))
  await store.write((tx) => tx.put(tables.meta, sealKeyName, made))
  return dhKeyPair(made)
}
