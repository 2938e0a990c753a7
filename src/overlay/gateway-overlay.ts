/** The overlay over any network: links, asks, who is connected, and what the core hears of it. */
import type { Ambient } from '../core/ambient.ts'
import type { SigningKey } from '../core/crypto/sign.ts'
import type {
  AskTopic,
  GatewayAddress,
  Link,
  Locator,
  Overlay,
  OverlayHandlers,
  PeerStatus,
  RouteStatus,
} from '../core/delivery/ports.ts'
import type { Relays } from '../core/delivery/relay-ports.ts'
import { MyceliumError } from '../core/errors.ts'
import { shortId } from './gateway-id.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import type { Reachability } from '../core/reachability.ts'
import { type Answering, answerOver, askOver, isMisbehaviour, outcomes, refuse } from './exchange.ts'
import { Gate } from './gate.ts'
import { sourceOfPath, StrangerAsks } from './stranger-asks.ts'
import { Links } from './links.ts'
import type { DirectNetwork, Pipe } from './network.ts'
import { PeerBook } from './peer-book.ts'
import {
  type AskBounds,
  askBounds,
  askProtocol,
  askTopicOf,
  linkProtocol,
  relayAskBounds,
  relayProtocol,
  relayWatchProtocol,
} from './protocols.ts'
import { RelayClient } from './relay-mailbox/client.ts'
import { openRelayServer, type RelayHost, type RelayParts, type RelayServer } from './relay-mailbox/server.ts'
import { RoutedNetwork } from './routing/routed-network.ts'
import { pause } from './pause.ts'
import { reasonOf } from './reason.ts'

export interface GatewayOverlayOptions {
  readonly ambient: Ambient
  readonly key: SigningKey
  /** Whether this neighbour's connections are carried on to others. */
  readonly serves: (neighbour: GatewayId) => boolean
  /** What others found out about this gateway, where there is something to find out. */
  readonly reachability?: (() => Reachability) | undefined
  /** Whether this gateway wants to be reached through a neighbour, and stays connected to it. */
  readonly isKept?: (neighbour: GatewayId) => boolean
  /** For a gateway that is a relay. */
  readonly relay?: RelayHost | undefined
}

interface Asker {
  readonly from: GatewayId
  readonly source: string
}

export class GatewayOverlay implements Overlay {
  readonly reachability: (() => Reachability) | undefined
  readonly #network: RoutedNetwork
  readonly #ambient: Ambient
  readonly #links: Links
  readonly #book: PeerBook
  readonly #asking = new Gate({ perParty: limits.asksPerPeerMax, total: Infinity })
  readonly #answering = new Gate({ perParty: limits.asksPerPeerMax, total: limits.asksMax })
  readonly #arriving = new Gate({ perParty: limits.asksArrivingPerSourceMax, total: limits.asksArrivingMax })
  readonly #askingRelays = new Gate({ perParty: limits.relayAsksPerPeerMax, total: Infinity })
  readonly relays: Relays
  readonly #relayHost: RelayHost | undefined
  #relay: RelayServer | undefined
  readonly #strangers: StrangerAsks
  #handlers: OverlayHandlers | undefined
  /** What came between the opening of the listeners and `serve`. */
  #early: (() => void)[] = []

  constructor(network: DirectNetwork, options: GatewayOverlayOptions) {
    const { ambient } = options
    this.reachability = options.reachability
    this.#network = new RoutedNetwork({ network, ...options })
    const { relay } = options
    this.#ambient = ambient
    this.#relayHost = relay
    this.relays = new RelayClient({
      self: network.self,
      ambient,
      ask: async (to, request, options) => await this.#askRelay(to, request, options),
      openWatch: async (to, options) => await this.#openWatch(to, options),
    })
    this.#book = new PeerBook(ambient.clock)
    this.#strangers = new StrangerAsks(ambient)
    this.#links = new Links({
      network: this.#network,
      ambient,
      onLink: (link) => this.#handlers?.onLink(link),
      onTrouble: (gateway, reason) => this.#onTrouble(gateway, reason),
      onPathLost: (gateway) => void this.#restore(gateway),
    })
  }

  /** Begins to accept. Separate from `serve`, so that a network that cannot start fails the opening. */
  async start(): Promise<void> {
    await using opened = new AsyncDisposableStack()
    if (this.#relayHost !== undefined) {
      const ask: RelayParts['ask'] = async (to, request, options) => await this.#askRelay(to, request, options)
      const parts = { ...this.#relayHost, self: this.self, ambient: this.#ambient, ask }
      this.#relay = opened.use(await openRelayServer(parts))
    }
    await this.#network.start({
      onConnected: (gateway) => {
        this.#book.connected(gateway.gateway)
        this.#whenServing(() => this.#handlers!.onReachable(gateway))
      },
      onDisconnected: (gateway) => {
        this.#book.disconnected(gateway)
        this.#strangers.left(gateway)
      },
      onSeen: (gateway) => {
        this.#links.live(gateway.gateway)?.probe() // it may have come from another network since
        this.#handlers?.onReachable(gateway)
      },
      onDirect: (gateway, isUp) => {
        if (isUp) void this.#links.move(gateway).catch(() => {})
      },
      onLocatorsChanged: () => this.#handlers?.onLocatorsChanged(),
      onShaken: () => this.#links.probeAll(),
      onMisbehaved: (gateway, reason) => this.#onTrouble(gateway, reason),
      onPipe: (protocol, pipe, from) => this.#onPipe(protocol, pipe, from),
    })
    opened.move()
  }

  get self(): GatewayId {
    return this.#network.self
  }

  locators(): readonly Locator[] {
    return this.#network.locators()
  }

  listeners(): readonly string[] {
    return this.#network.listeners()
  }

  serve(handlers: OverlayHandlers): void {
    if (this.#handlers !== undefined) throw new TypeError('serve is called once')
    this.#handlers = handlers
    for (const deliver of this.#early.splice(0)) deliver()
  }

  async link(to: GatewayAddress, { signal }: { readonly signal: AbortSignal }): Promise<Link> {
    this.#refuseSelf(to.gateway)
    try {
      return await this.#links.link(to, signal)
    } catch (error) {
      throw this.#explained(to.gateway, error, signal)
    }
  }

  async ask(
    to: GatewayAddress,
    topic: AskTopic,
    request: Uint8Array,
    { signal, answerBytesMax }: { readonly signal: AbortSignal; readonly answerBytesMax: number },
  ): Promise<Uint8Array> {
    const how = {
      gate: this.#asking,
      protocol: askProtocol(topic),
      bounds: { ...askBounds[topic], answerMax: answerBytesMax },
    }
    return await this.#ask(to, request, { ...how, signal })
  }

  peers(): readonly PeerStatus[] {
    return this.#book.statuses(this.#links, this.#network)
  }

  routes(): readonly RouteStatus[] {
    return this.#network.routes()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#relay?.[Symbol.asyncDispose]()
    this.#links.closeAll()
    await this.#network[Symbol.asyncDispose]()
  }

  #onPipe(protocol: string, pipe: Pipe, from: GatewayId): void {
    const topic = askTopicOf(protocol)
    if (this.#handlers === undefined) this.#whenServing(() => this.#onPipe(protocol, pipe, from))
    else if (protocol === linkProtocol) void this.#links.accept(pipe, from)
    else if (topic !== undefined) void this.#answer(topic, pipe, from)
    else if (protocol === relayProtocol || protocol === relayWatchProtocol) void this.#serveRelay(protocol, pipe, from)
    else pipe.abort('unknown protocol')
  }

  #whenServing(deliver: () => void): void {
    if (this.#handlers !== undefined) deliver()
    else if (this.#early.length < limits.asksMax) this.#early.push(deliver)
  }

  async #answer(topic: AskTopic, pipe: Pipe, from: GatewayId): Promise<void> {
    const source = sourceOfPath(from, this.#network.path(from))
    const isFamiliar = this.#handlers!.isFamiliar?.(from) ?? true
    const answered = { handler: this.#handlers!.answer[topic], ...askBounds[topic] }
    try {
      if (isFamiliar) await this.#answerFamiliar(pipe, { from, source }, answered)
      else await this.#answerStranger(pipe, { from, source }, answered)
    } catch (error) {
      pipe.abort('not answered')
      if (isMisbehaviour(error)) this.#onTrouble(from, `${topic}: ${reasonOf(error)}`)
      else this.#ambient.log.debug('overlay.ask-failed', { topic, gateway: shortId(from), error: reasonOf(error) })
    }
  }

  async #answerFamiliar(pipe: Pipe, asker: Asker, answered: Answering): Promise<void> {
    if (!this.#answering.tryEnter(asker.from)) return refuse(pipe, outcomes.busy)
    try {
      await answerOver(pipe, asker, answered)
    } finally {
      this.#answering.leave(asker.from)
    }
  }

  /** It holds a place among those who are answered only once its question is here and its turn has come. */
  async #answerStranger(pipe: Pipe, asker: Asker, answered: Answering): Promise<void> {
    const { from, source } = asker
    const waitMs = this.#strangers.turn(from, source)
    if (waitMs === undefined || !this.#arriving.tryEnter(source)) {
      refuse(pipe, outcomes.busy)
      if (this.#strangers.isDeaf(from)) this.#network.drop(from, 'asks too fast')
      return
    }
    const { clock } = this.#ambient
    const untilMs = clock.monotonicMs() + waitMs
    let isAnswered = false
    const mayAnswer = async (signal: AbortSignal): Promise<boolean> => {
      const leftMs = untilMs - clock.monotonicMs()
      if (leftMs > 0) await pause(leftMs, signal)
      isAnswered = this.#answering.tryEnter(from, limits.asksStrangersMax)
      return isAnswered
    }
    try {
      await answerOver(pipe, asker, { ...answered, readMs: () => limits.strangerAskReadMs, mayAnswer })
    } finally {
      this.#arriving.leave(source)
      if (isAnswered) this.#answering.leave(from)
    }
  }

  /** A link over a path that broke comes up again over another one, without waiting for somebody who needs it. */
  async #restore(gateway: GatewayId): Promise<void> {
    const signal = AbortSignal.timeout(limits.dialMsMax)
    try {
      if (await this.#network.restore(gateway, { signal })) await this.#links.link({ gateway, locators: [] }, signal)
    } catch (error) {
      this.#ambient.log.debug('overlay.path-not-restored', { gateway: shortId(gateway), reason: reasonOf(error) })
    }
  }

  async #ask(
    to: GatewayAddress,
    request: Uint8Array,
    {
      gate,
      protocol,
      bounds,
      signal,
    }: { readonly gate: Gate; readonly protocol: string; readonly bounds: AskBounds; readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    this.#refuseSelf(to.gateway)
    if (request.length > bounds.requestMax) throw new MyceliumError('too-large', { octetsMax: bounds.requestMax })
    await gate.enter(to.gateway, signal)
    try {
      await this.#network.connect(to, { signal })
      const pipe = await this.#network.open(to.gateway, protocol, { signal })
      return await askOver(pipe, request, { signal, answerBytesMax: bounds.answerMax, msMax: bounds.msMax })
    } catch (error) {
      throw this.#explained(to.gateway, error, signal)
    } finally {
      gate.leave(to.gateway)
    }
  }

  async #askRelay(
    to: GatewayAddress,
    request: Uint8Array,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    const how = { gate: this.#askingRelays, protocol: relayProtocol, bounds: relayAskBounds }
    return await this.#ask(to, request, { ...how, signal })
  }

  async #openWatch(to: GatewayAddress, { signal }: { readonly signal: AbortSignal }): Promise<Pipe> {
    this.#refuseSelf(to.gateway)
    try {
      await this.#network.connect(to, { signal })
      return await this.#network.open(to.gateway, relayWatchProtocol, { signal })
    } catch (error) {
      throw this.#explained(to.gateway, error, signal)
    }
  }

  async #serveRelay(protocol: string, pipe: Pipe, from: GatewayId): Promise<void> {
    if (this.#relay === undefined) {
      if (protocol === relayProtocol) refuse(pipe, outcomes.refused)
      else pipe.abort('no relay')
      return
    }
    try {
      await (protocol === relayProtocol ? this.#relay.answer(pipe, from) : this.#relay.watch(pipe, from))
    } catch (error) {
      pipe.abort('not served')
      if (isMisbehaviour(error)) this.#onTrouble(from, `relay: ${reasonOf(error)}`)
      else this.#ambient.log.debug('relay.not-served', { gateway: shortId(from), error: reasonOf(error) })
    }
  }

  #onTrouble(gateway: GatewayId, reason: string): void {
    this.#book.failed(gateway, reason)
    this.#ambient.log.debug('overlay.trouble', { gateway: shortId(gateway), reason })
  }

  #refuseSelf(gateway: GatewayId): void {
    if (gateway === this.self) throw new MyceliumError('unreachable', { reason: 'own gateway' })
  }

  /** Every failure as one of the two codes of the port; the caller's own abort stays what it is. */
  #explained(gateway: GatewayId, error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason
    this.#book.failed(gateway, reasonOf(error))
    if (error instanceof MyceliumError && (error.code === 'unreachable' || error.code === 'peer-misbehaved'))
      return error
    return new MyceliumError('unreachable', { reason: 'connection lost' }, { cause: error })
  }
}
