/** A relay without a network around it: asks and streams from gateways of any name, also such as no honest client makes. */
import type { Ambient } from '../../../src/core/ambient.ts'
import { systemRandom } from '../../../src/core/ambient.ts'
import type { SigningKey } from '../../../src/core/crypto/sign.ts'
import type { GatewayAddress } from '../../../src/core/delivery/ports.ts'
import { relayBodySizes } from '../../../src/core/delivery/relay-ports.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { askOver } from '../../../src/overlay/exchange.ts'
import { gatewayIdOf } from '../../../src/overlay/gateway-key.ts'
import { MemoryPipe } from '../../../src/overlay/memory-pipe.ts'
import type { Pipe } from '../../../src/overlay/network.ts'
import { PipeReader } from '../../../src/overlay/pipe-reader.ts'
import {
  decodeRelayAnswer,
  encodeRelayRequest,
  type OpenProof,
  type RelayAnswer,
  signRelayRequest,
} from '../../../src/overlay/relay-mailbox/messages.ts'
import { type Deposit, type Outcome, sealDeposit, signDeposit } from '../../../src/overlay/relay-mailbox/sealed.ts'
import { openRelayServer, type RelayParts, type RelayServer } from '../../../src/overlay/relay-mailbox/server.ts'
import {
  readWatchMessage,
  signHello,
  watchAnswerBytesMax,
  type WatchMessage,
} from '../../../src/overlay/relay-mailbox/watch-messages.ts'
import { newKey, soon } from './support.ts'

export const newGateway = (): GatewayId => gatewayIdOf(systemRandom.bytes(32))

export interface DirectOptions {
  readonly store: Store
  readonly ambient: Ambient
  readonly bytesMax?: number
  readonly known?: ReadonlySet<GatewayId>
  readonly ask?: RelayParts['ask']
  readonly self?: GatewayId
}

export interface DirectRelay extends AsyncDisposable {
  readonly self: GatewayId
  readonly server: RelayServer
  /** What broke: the first errors that `answer` and `watch` ended with. */
  readonly faults: unknown[]
  pipe(from: GatewayId, protocol: 'ask' | 'watch'): Pipe
  ask(request: Uint8Array, from: GatewayId): Promise<RelayAnswer>
  open(owner: SigningKey, from: GatewayId, proof?: OpenProof): Promise<RelayAnswer>
  queues(
    owner: SigningKey,
    from: GatewayId,
    change: { readonly create?: readonly Uint8Array[]; readonly remove?: readonly Uint8Array[] },
  ): Promise<RelayAnswer>
  close(owner: SigningKey, from: GatewayId): Promise<RelayAnswer>
  deposit(sendKey: SigningKey, from: GatewayId, deposit?: Partial<Deposit>): Promise<Outcome | RelayAnswer>
  watch(owner: SigningKey, from: GatewayId, options?: { readonly stay?: boolean }): DirectWatch
  sealKey(): Promise<Uint8Array>
}

export interface DirectWatch {
  readonly pipe: Pipe
  next(): Promise<WatchMessage>
  say(bytes: Uint8Array): void
}

const never = new AbortController().signal

export async function directRelay(options: DirectOptions): Promise<DirectRelay> {
  const { store, ambient, bytesMax = 256 * 1024 * 1024, known = new Set() } = options
  const { self = newGateway(), ask = async () => await Promise.reject(new Error('no network')) } = options
  const isKnown = (gateway: GatewayId): boolean => known.has(gateway)
  const server = await openRelayServer({ store, ambient, bytesMax, isKnown, self, ask })
  const nowMs = (): number => ambient.clock.nowMs()
  let lastMs = 0
  const nextMs = (): number => (lastMs = Math.max(nowMs(), lastMs + 1))
  let sealKey: Uint8Array | undefined
  const relay: DirectRelay = {
    self,
    server,
    faults: [],
    pipe(from, protocol) {
      const [near, far] = MemoryPipe.pair({ delayMs: () => 0, isConnected: () => true })
      const serving = protocol === 'ask' ? server.answer(far, from) : server.watch(far, from)
      serving.catch((error: unknown) => {
        if (relay.faults.length < 100) relay.faults.push(error)
        far.abort('fault')
      })
      return near
    },
    async ask(request, from) {
      const bounds = { answerBytesMax: 4096, msMax: 60_000, signal: never }
      return decodeRelayAnswer(await askOver(relay.pipe(from, 'ask'), request, bounds))
    },
    open: async (owner, from, proof = { kind: 'known' }) =>
      await relay.ask(signRelayRequest({ kind: 'open', atMs: nextMs(), proof }, owner, self), from),
    queues: async (owner, from, { create = [], remove = [] }) =>
      await relay.ask(signRelayRequest({ kind: 'queues', atMs: nextMs(), create, remove }, owner, self), from),
    close: async (owner, from) =>
      await relay.ask(signRelayRequest({ kind: 'close', atMs: nextMs() }, owner, self), from),
    async deposit(sendKey, from, changed = {}) {
      const entry = {
        entryId: systemRandom.bytes(16),
        expiresAtMs: nowMs() + 24 * 3600_000,
        body: new Uint8Array(relayBodySizes[0]).fill(1),
        ...changed,
      }
      const deposit = { ...signDeposit(self, sendKey, entry), ...changed }
      const { sealed, readOutcome } = sealDeposit(await relay.sealKey(), deposit, systemRandom)
      const answer = await relay.ask(encodeRelayRequest({ kind: 'deposit', sealed }), from)
      return answer.kind === 'deposited' ? readOutcome(answer.outcome) : answer
    },
    watch(owner, from, { stay = true } = {}) {
      const pipe = relay.pipe(from, 'watch')
      const reader = new PipeReader(pipe, 16 * 1024 * 1024)
      pipe.write(signHello({ atMs: nowMs(), stay }, owner, { relay: self, recipient: from }))
      return {
        pipe,
        next: async () => await readWatchMessage(reader, watchAnswerBytesMax, soon().signal),
        say: (bytes) => pipe.write(bytes),
      }
    },
    async sealKey() {
      if (sealKey !== undefined) return sealKey
      const offer = await relay.ask(encodeRelayRequest({ kind: 'describe' }), newGateway())
      if (offer.kind !== 'offer') throw new Error('no offer')
      return (sealKey = Uint8Array.from(offer.sealKey))
    },
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  }
  return relay
}

/** An owner of a contact's gateway with one queue. */
export async function ownerWithQueue(
  relay: DirectRelay,
  from: GatewayId,
): Promise<{ readonly owner: SigningKey; readonly sendKey: SigningKey }> {
  const owner = newKey()
  const sendKey = newKey()
  await relay.open(owner, from)
  await relay.queues(owner, from, { create: [sendKey.publicKey] })
  return { owner, sendKey }
}

export const somewhere = (gateway: GatewayId): GatewayAddress => ({ gateway, locators: ['/ip4/203.0.113.9/tcp/1'] })
