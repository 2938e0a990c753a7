/** Use of other gateways as relays (docs/protocol/relay.md): what the core asks of them. */
import type { Ambient } from '../../core/ambient.ts'
import { toHex } from '../../core/bytes.ts'
import { type SigningKey, signingKey } from '../../core/crypto/sign.ts'
import type { GatewayAddress } from '../../core/delivery/ports.ts'
import type { DepositOutcome, RelayOffer, Relays, SendQueue, WatchHandlers } from '../../core/delivery/relay-ports.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Pipe } from '../network.ts'
import { untilAborted } from '../until-aborted.ts'
import {
  type AskRelay,
  decodeRelayAnswer,
  encodeRelayRequest,
  type OpenProof,
  type Refusal,
  type RelayAnswer,
  signRelayRequest,
} from './messages.ts'
import { type Outcome, sealDeposit, signDeposit } from './sealed.ts'
import { runWatch } from './watch.ts'
import { findWork } from './work.ts'

/** What the client needs from the overlay. */
export interface RelayTransport {
  readonly self: GatewayId
  readonly ambient: Ambient
  readonly ask: AskRelay
  /** A stream for watching. @throws `unreachable` */
  readonly openWatch: (to: GatewayAddress, options: { readonly signal: AbortSignal }) => Promise<Pipe>
}

const ownersRememberedMax = 4096

export class RelayClient implements Relays {
  readonly #transport: RelayTransport
  /** Time of the last signed request of each owner: the next one is later, whatever the clock does. */
  readonly #askedAtMs = new Map<string, number>()
  /** Signed requests of one owner go one after another: a relay takes an older one for a copy. */
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(transport: RelayTransport) {
    this.#transport = transport
  }

  async describe(at: GatewayAddress, { signal }: { readonly signal: AbortSignal }): Promise<RelayOffer | undefined> {
    const answer = await this.#ask(at, encodeRelayRequest({ kind: 'describe' }), signal).catch((error: unknown) => {
      if (isRefusedAs(error, 'refused')) return undefined
      throw error
    })
    if (answer === undefined || (answer.kind === 'refused' && answer.reason === 'not-offered')) return undefined
    if (answer.kind !== 'offer') throw refusedBy(answer)
    const { sealKey, workBits, known, bytesMax, queuesMax, holdMsMax } = answer
    return { sealKey: Uint8Array.from(sealKey), workBits, isKnown: known === 1, bytesMax, queuesMax, holdMsMax }
  }

  async open(
    at: GatewayAddress,
    owner: SigningKey,
    { capability, signal }: { readonly capability?: Uint8Array | undefined; readonly signal: AbortSignal },
  ): Promise<void> {
    if (capability !== undefined) return await this.#open(at, owner, { kind: 'capability', capability }, signal)
    const offer = await this.describe(at, { signal })
    if (offer === undefined) throw new MyceliumError('peer-misbehaved', { reason: 'not-offered' })
    if (offer.isKnown) return await this.#open(at, owner, { kind: 'known' }, signal)
    await this.#openByWork(at, owner, { bits: offer.workBits, signal })
  }

  async queues(
    at: GatewayAddress,
    owner: SigningKey,
    { create, remove }: { readonly create: readonly Uint8Array[]; readonly remove: readonly Uint8Array[] },
    { signal }: { readonly signal: AbortSignal },
  ): Promise<void> {
    const most = limits.relayQueueChangesMax
    for (let from = 0; from < Math.max(create.length, remove.length, 1); from += most) {
      const part = { create: create.slice(from, from + most), remove: remove.slice(from, from + most) }
      await this.#inTurn(owner, async (atMs) => {
        const request = signRelayRequest({ kind: 'queues', atMs, ...part }, owner, at.gateway)
        expectDone(await this.#ask(at, request, signal))
      })
    }
  }

  async close(at: GatewayAddress, owner: SigningKey, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    await this.#inTurn(owner, async (atMs) => {
      const answer = await this.#ask(at, signRelayRequest({ kind: 'close', atMs }, owner, at.gateway), signal)
      // an answer that was lost, and the question again: it is closed
      if (answer.kind !== 'refused' || answer.reason !== 'unknown-owner') expectDone(answer)
    })
  }

  async deposit(
    queue: SendQueue,
    entry: { readonly id: Uint8Array; readonly body: Uint8Array; readonly expiresAtMs: number },
    { through, signal }: { readonly through: GatewayAddress | undefined; readonly signal: AbortSignal },
  ): Promise<DepositOutcome> {
    const { relay, sealKey, sendSeed } = queue
    const { id: entryId, body, expiresAtMs } = entry
    const deposit = signDeposit(relay.gateway, signingKey(sendSeed), { entryId, body, expiresAtMs })
    const { sealed, readOutcome } = sealDeposit(sealKey, deposit, this.#transport.ambient.random)
    const isCarried = through !== undefined && through.gateway !== relay.gateway
    const asked = isCarried
      ? this.#ask(through, encodeRelayRequest({ kind: 'forward', ...relay, sealed }), signal)
      : this.#ask(relay, encodeRelayRequest({ kind: 'deposit', sealed }), signal)
    const answer = await asked.catch((error: unknown) => {
      if (isRefusedAs(error, 'busy')) return undefined
      throw error
    })
    if (answer === undefined) return 'throttled'
    if (answer.kind === 'deposited') return outcomeOf[readOutcome(answer.outcome)]
    if (answer.kind === 'refused' && answer.reason === 'throttled') return 'throttled'
    throw refusedBy(answer)
  }

  async watch(
    at: GatewayAddress,
    owner: SigningKey,
    handlers: WatchHandlers,
    { stay, signal }: { readonly stay: boolean; readonly signal: AbortSignal },
  ): Promise<void> {
    const { self, ambient } = this.#transport
    const pipe = await this.#transport.openWatch(at, { signal })
    await runWatch(pipe, { owner, handlers, stay, relay: at.gateway, recipient: self, ambient, signal })
  }

  /** Others may have opened while this looked: what the relay asks for can have grown meanwhile, once. */
  async #openByWork(
    at: GatewayAddress,
    owner: SigningKey,
    { bits, signal }: { readonly bits: number; readonly signal: AbortSignal },
  ): Promise<void> {
    await this.#inTurn(owner, async (firstAtMs) => {
      for (let atMs = firstAtMs; ; atMs = this.#nextAtMs(owner)) {
        const work = { relay: at.gateway, owner: owner.publicKey, atMs }
        const nonce = await findWork(work, bits, { signal })
        if (nonce === undefined) continue
        const proof: OpenProof = { kind: 'work', nonce }
        return expectDone(
          await this.#ask(at, signRelayRequest({ kind: 'open', atMs, proof }, owner, at.gateway), signal),
        )
      }
    })
  }

  async #open(at: GatewayAddress, owner: SigningKey, proof: OpenProof, signal: AbortSignal): Promise<void> {
    await this.#inTurn(owner, async (atMs) => {
      expectDone(await this.#ask(at, signRelayRequest({ kind: 'open', atMs, proof }, owner, at.gateway), signal))
    })
  }

  async #inTurn(owner: SigningKey, ask: (atMs: number) => Promise<void>): Promise<void> {
    const key = toHex(owner.publicKey)
    const before = this.#turns.get(key) ?? Promise.resolve()
    const turn = before.catch(() => {}).then(async () => await ask(this.#nextAtMs(owner)))
    this.#turns.set(key, turn)
    try {
      await turn
    } finally {
      if (this.#turns.get(key) === turn) this.#turns.delete(key)
    }
  }

  #nextAtMs(owner: SigningKey): number {
    const key = toHex(owner.publicKey)
    const atMs = Math.max(this.#transport.ambient.clock.nowMs(), (this.#askedAtMs.get(key) ?? 0) + 1)
    this.#askedAtMs.delete(key)
    this.#askedAtMs.set(key, atMs)
    if (this.#askedAtMs.size > ownersRememberedMax) this.#askedAtMs.delete(this.#askedAtMs.keys().next().value!)
    return atMs
  }

  async #ask(to: GatewayAddress, request: Uint8Array, signal: AbortSignal): Promise<RelayAnswer> {
    const answer = await untilAborted(this.#transport.ask(to, request, { signal }), signal)
    try {
      return decodeRelayAnswer(answer)
    } catch (error) {
      throw new MyceliumError('peer-misbehaved', { reason: 'garbled answer' }, { cause: error })
    }
  }
}

const outcomeOf: Readonly<Record<Outcome, DepositOutcome>> = {
  stored: 'stored',
  full: 'full',
  'no-such-queue': 'no-such-queue',
  size: 'refused',
  expired: 'refused',
  throttled: 'throttled',
  signature: 'refused',
}

const isRefusedAs = (error: unknown, reason: string): boolean =>
  error instanceof MyceliumError && error.code === 'peer-misbehaved' && error.details['reason'] === reason

function expectDone(answer: RelayAnswer): void {
  if (answer.kind !== 'done') throw refusedBy(answer)
}

function refusalError(reason: Refusal): MyceliumError {
  return new MyceliumError(reason === 'unreachable' ? 'unreachable' : 'peer-misbehaved', { reason })
}
const refusedBy = (answer: RelayAnswer): MyceliumError =>
  answer.kind === 'refused'
    ? refusalError(answer.reason)
    : new MyceliumError('peer-misbehaved', { reason: 'answer to another question' })
