/**
 * Routing between gateways after Babel (RFC 8966), on demand: loops are excluded by the feasibility condition at every
 * instant, also while updates are lost, late or false. The metric is the sum of round-trip times (RFC 9616 §4) and a
 * little for each hop. Other than Babel, nobody is told of a destination who did not ask for it by its id, and a
 * destination signs its sequence numbers. No clock, no sockets: messages and times go in, messages come out.
 */
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { TokenBuckets } from '../../core/token-bucket.ts'
import { Destination } from './destination.ts'
import type { CostOf, Failure } from './destination.ts'
import type { Distance } from './distance.ts'

export type RoutingMessage =
  | {
      readonly kind: 'update'
      readonly destination: GatewayId
      readonly seqno: number
      readonly metric: number
      /** Connections between the sender and the destination: 0 at itself. */
      readonly hops: number
      readonly proof: Uint8Array
    }
  | { readonly kind: 'retraction'; readonly destination: GatewayId }
  | {
      readonly kind: 'request'
      readonly destination: GatewayId
      /** Random, the same wherever it is passed on. */
      readonly id: string
      /** How often it may be passed on. */
      readonly hopsLeft: number
      /** A sequence number below this one does not help; 0 for any. */
      readonly seqno: number
      /** How long the asker wants to hear of changes, milliseconds. */
      readonly forMs: number
    }

export interface Outgoing {
  readonly to: GatewayId
  readonly message: RoutingMessage
}

/** A gateway with a direct connection. */
export interface Neighbour {
  /** Metric of the way there; `undefined` while it does not answer. */
  readonly cost: number | undefined
  /** Whether it carries our connections on; unknown until it said so. */
  readonly servesUs: boolean | undefined
  /** Whether we carry its connections on. */
  readonly isServed: boolean
}

export interface BabelOptions {
  readonly self: GatewayId
  /** Seconds or any other count that a restart does not set back. */
  readonly seqno: number
  readonly prove: (seqno: number) => Uint8Array
  readonly newRequestId: () => string
  /** The least sequence number that a wall clock asks for; keeps them ascending across restarts. */
  readonly clockSeqno: () => number
}

export interface RouteView {
  readonly destination: GatewayId
  readonly nextHop: GatewayId | undefined
  readonly metric: number | undefined
  /** Gateways in between. */
  readonly hops: number | undefined
  /** Neighbours that could take its place at once. */
  readonly alternatives: number
  readonly sinceMs: number | undefined
  readonly failure: Failure | undefined
}

export class Babel {
  readonly #options: BabelOptions
  readonly #neighbours = new Map<GatewayId, Neighbour>()
  readonly #destinations = new Map<GatewayId, Destination>()
  /** Who waits to hear of this gateway itself. */
  readonly #self: Destination
  readonly #seen = new Map<string, number>()
  readonly #requests = new TokenBuckets(
    { perSecond: limits.routeRequestsPerSecondMax, burst: limits.routeRequestsPerSecondMax },
    limits.peersKnownMax,
  )
  readonly #costOf: CostOf = (neighbour) => this.#neighbours.get(neighbour)?.cost
  #seqno: number
  #proof: Uint8Array
  #seqnoAtMs = -Infinity
  #out: Outgoing[] = []

  constructor(options: BabelOptions) {
    this.#options = options
    this.#self = new Destination(options.self)
    this.#seqno = options.seqno
    this.#proof = options.prove(options.seqno)
  }

  /** What is to be sent, in order; each is handed out once. */
  take(): readonly Outgoing[] {
    return this.#out.splice(0)
  }

  /** How many destinations are held. */
  get size(): number {
    return this.#destinations.size
  }

  /** A neighbour is there, or is not what it was. */
  neighbour(id: GatewayId, neighbour: Neighbour, nowMs: number): void {
    const before = this.#neighbours.get(id)
    this.#neighbours.set(id, neighbour)
    const mayBeAsked = ({ cost, servesUs }: Neighbour): boolean => cost !== undefined && servesUs !== false
    const isNew = mayBeAsked(neighbour) && (before === undefined || !mayBeAsked(before))
    for (const destination of this.#destinations.values()) {
      if (destination.routes.has(id)) this.#reselect(destination, nowMs)
      if (isNew && destination.selected === undefined && destination.neededUntilMs(id) > nowMs)
        this.#request(destination, this.#mayAsk(destination, id) ? [id] : [], nowMs)
    }
  }

  /** Its connection is gone, and with it what it said and asked. */
  neighbourGone(id: GatewayId, nowMs: number): void {
    this.#neighbours.delete(id)
    this.#self.leave(id)
    for (const destination of this.#destinations.values()) {
      destination.leave(id)
      if (destination.selected === id) this.#reselect(destination, nowMs)
    }
  }

  /** Somebody here needs a way to a destination now and for a while. */
  want(id: GatewayId, nowMs: number): void {
    if (id === this.#options.self) return
    const destination = this.#destination(id)
    if (destination === undefined) return
    const isNew = destination.wantedUntilMs <= nowMs
    destination.wantedUntilMs = nowMs + limits.routeInterestMs
    if (destination.selected !== undefined) return
    if (isNew) destination.askDelayMs = limits.routeRequestMsMin
    this.#ask(destination, nowMs)
  }

  /** Whether there is anybody who could be asked for a destination. */
  canAsk(id: GatewayId): boolean {
    const destination = this.#destinations.get(id)
    return destination !== undefined && this.#askable(destination).length > 0
  }

  /** Neighbours to ask for a path, best first. */
  nextHops(id: GatewayId, nowMs: number): readonly GatewayId[] {
    const destination = this.#destinations.get(id)
    if (destination === undefined) return []
    const usable = destination.usable(this.#costOf, nowMs).map(({ neighbour }) => neighbour)
    const { selected } = destination
    if (selected === undefined || destination.isPenalised(selected, nowMs)) return usable
    return [selected, ...usable.filter((neighbour) => neighbour !== selected)]
  }

  /** A next hop led nowhere, whatever it announced: others come before it for a while. */
  penalise(id: GatewayId, neighbour: GatewayId, reason: string, nowMs: number): void {
    const destination = this.#destinations.get(id)
    if (destination === undefined) return
    destination.failure = { neighbour, reason, atMs: nowMs }
    if (!destination.routes.has(neighbour)) return
    destination.penalise(neighbour, nowMs)
    this.#reselect(destination, nowMs)
    if (this.isSound(id, nowMs)) return
    const starving = destination.starving(this.#costOf, nowMs)
    if (starving === undefined) this.#ask(destination, nowMs)
    else this.#askForSeqno(destination, starving, nowMs)
  }

  /** Whether there is a next hop that has not led nowhere. */
  isSound(id: GatewayId, nowMs: number): boolean {
    const destination = this.#destinations.get(id)
    const [best] = destination?.usable(this.#costOf, nowMs) ?? []
    return best !== undefined && !destination!.isPenalised(best.neighbour, nowMs)
  }

  /** A path through this next hop works. */
  praise(id: GatewayId, neighbour: GatewayId): void {
    this.#destinations.get(id)?.forgive(neighbour)
  }

  receive(from: GatewayId, message: RoutingMessage, nowMs: number): void {
    if (!this.#neighbours.has(from)) return
    if (message.kind === 'request') this.#onRequest(from, message, nowMs)
    else if (message.kind === 'update') this.#onUpdate(from, message, nowMs)
    else this.#onRetraction(from, message.destination, nowMs)
  }

  /** Expiry, repetition, and what was put off. */
  tick(nowMs: number): void {
    this.#self.expire(nowMs)
    const isAsked = this.#self.subscribers.size > 0
    if (isAsked && nowMs - this.#seqnoAtMs >= limits.routeSequenceMs) this.#nextSeqno(nowMs)
    for (const [id, atMs] of this.#seen) {
      if (nowMs - atMs < limits.routeRequestSeenMs) break
      this.#seen.delete(id)
    }
    for (const [id, destination] of this.#destinations) {
      if (destination.expire(nowMs)) this.#destinations.delete(id)
      else this.#tick(destination, nowMs)
    }
  }

  routes(nowMs: number): readonly RouteView[] {
    return [...this.#destinations.values()]
      .filter((destination) => destination.neededUntilMs() > nowMs)
      .map((destination) => {
        const { id, selected, failure } = destination
        const alternatives = destination.usable(this.#costOf, nowMs).filter(({ neighbour }) => neighbour !== selected)
        return {
          destination: id,
          nextHop: selected,
          metric: selected === undefined ? undefined : destination.metricThrough(selected, this.#costOf),
          hops: selected === undefined ? undefined : destination.routes.get(selected)?.hops,
          alternatives: alternatives.length,
          sinceMs: selected === undefined ? undefined : destination.selectedAtMs,
          failure,
        }
      })
  }

  #tick(destination: Destination, nowMs: number): void {
    this.#reselect(destination, nowMs)
    if (destination.hasHeldBack && !this.#isHeldBack(destination, nowMs)) {
      destination.hasHeldBack = false
      this.#announce(destination, nowMs, 'all')
    }
    if (destination.neededUntilMs() <= nowMs) return
    if (destination.selected === undefined) return this.#ask(destination, nowMs)
    const starving = destination.starving(this.#costOf, nowMs)
    if (starving !== undefined) this.#askForSeqno(destination, starving, nowMs)
    if (nowMs - destination.askedAtMs >= limits.routeSearchMs) this.#search(destination, nowMs)
    else if (nowMs - destination.refreshedAtMs >= limits.routeRefreshMs) this.#refresh(destination, nowMs)
  }

  #onUpdate(from: GatewayId, update: Extract<RoutingMessage, { kind: 'update' }>, nowMs: number): void {
    const destination = this.#destinations.get(update.destination)
    // what nobody asked for is not kept
    if (destination === undefined) return
    const { seqno, metric, hops, proof } = update
    destination.routes.set(from, { seqno, metric, hops, proof, expiresAtMs: nowMs + limits.routeExpiryMs })
    this.#reselect(destination, nowMs)
    if (destination.selected === from) this.#announce(destination, nowMs, 'changed')
    const starving = destination.starving(this.#costOf, nowMs)
    if (starving === from) this.#askForSeqno(destination, from, nowMs)
  }

  #onRetraction(from: GatewayId, id: GatewayId, nowMs: number): void {
    const destination = this.#destinations.get(id)
    if (destination?.routes.delete(from) === true) this.#reselect(destination, nowMs)
  }

  #onRequest(from: GatewayId, request: Extract<RoutingMessage, { kind: 'request' }>, nowMs: number): void {
    if (!this.#requests.take(from, nowMs)) return
    if (request.destination === this.#options.self) return this.#onRequestForSelf(from, request, nowMs)
    if (this.#neighbours.get(from)?.isServed !== true || !this.#maySubscribe(from, request.destination)) return
    const destination = this.#destination(request.destination)
    if (destination === undefined) return
    this.#subscribe(destination, from, request.forMs, nowMs)
    this.#announceTo(destination, from, nowMs, true)
    const isSeen = this.#seen.has(request.id)
    this.#remember(request.id, nowMs)
    if (request.hopsLeft === 0) {
      // RFC 8966 §3.8.1.1: who repeats a request hears also that there is nothing any more
      const { told } = destination.subscribers.get(from)!
      if (told === undefined) this.#send(from, { kind: 'retraction', destination: destination.id })
    }
    if (isSeen || request.hopsLeft === 0) return
    const { selected } = destination
    const isHelped =
      selected !== undefined && selected !== from && destination.routes.get(selected)!.seqno >= request.seqno
    if (isHelped) return
    // RFC 8966 §3.8.1.2: a request for a sequence number follows the route in use, where there is one
    const isOnRoute = request.seqno > 0 && selected !== undefined && selected !== from
    const targets = isOnRoute ? [selected] : this.#askable(destination).filter((neighbour) => neighbour !== from)
    this.#request(destination, targets, nowMs, request)
  }

  #onRequestForSelf(from: GatewayId, request: Extract<RoutingMessage, { kind: 'request' }>, nowMs: number): void {
    this.#subscribe(this.#self, from, request.forMs, nowMs)
    const isWanted = request.seqno > this.#seqno && nowMs - this.#seqnoAtMs >= limits.routeSequenceMsMin
    if (isWanted) this.#nextSeqno(nowMs)
    else this.#announceTo(this.#self, from, nowMs, true)
  }

  /** RFC 8966 §3.7.1, §3.8.1.2: never ahead of the clock by more than one, so that a restart begins above the last one. */
  #nextSeqno(nowMs: number): void {
    this.#seqno = Math.max(this.#seqno + 1, this.#options.clockSeqno())
    this.#proof = this.#options.prove(this.#seqno)
    this.#seqnoAtMs = nowMs
    this.#announce(this.#self, nowMs, 'all')
  }

  #subscribe(destination: Destination, neighbour: GatewayId, forMs: number, nowMs: number): void {
    const untilMs = nowMs + Math.min(forMs, limits.routeInterestMs)
    const subscriber = destination.subscribers.get(neighbour)
    if (subscriber === undefined) destination.subscribers.set(neighbour, { untilMs, told: undefined })
    else subscriber.untilMs = Math.max(subscriber.untilMs, untilMs)
  }

  #maySubscribe(neighbour: GatewayId, id: GatewayId): boolean {
    if (this.#destinations.get(id)?.subscribers.has(neighbour) === true) return true
    let count = 0
    for (const { subscribers } of this.#destinations.values()) if (subscribers.has(neighbour)) count += 1
    return count < limits.routeSubscriptionsMax
  }

  #reselect(destination: Destination, nowMs: number): void {
    const before = destination.selected
    if (!destination.select(this.#costOf, nowMs)) return
    this.#announce(destination, nowMs, 'changed')
    // RFC 8966 §3.8.2.1: what was reachable is not any more; a new sequence number makes other routes feasible
    if (destination.selected === undefined && before !== undefined) {
      destination.askDelayMs = limits.routeRequestMsMin
      if (destination.neededUntilMs() > nowMs) this.#ask(destination, nowMs)
    }
  }

  #announce(destination: Destination, nowMs: number, which: 'all' | 'changed'): void {
    for (const neighbour of destination.subscribers.keys())
      this.#announceTo(destination, neighbour, nowMs, which === 'all')
  }

  /** Tells one subscriber what there is, if it is news or must be repeated. */
  #announceTo(destination: Destination, to: GatewayId, nowMs: number, isRepeated: boolean): void {
    const subscriber = destination.subscribers.get(to)
    if (subscriber === undefined || subscriber.untilMs <= nowMs) return
    const update = this.#updateFor(destination, to)
    if (update === undefined) {
      // RFC 8966 §3.7.4, split horizon: no route is announced to where it leads, and one announced before is taken back
      if (subscriber.told !== undefined) this.#send(to, { kind: 'retraction', destination: destination.id })
      subscriber.told = undefined
      return
    }
    if (!isRepeated && !isNews(update, subscriber.told)) return
    if (this.#isHeldBack(destination, nowMs)) {
      destination.hasHeldBack = true
      return
    }
    if (destination !== this.#self) destination.announced(update, nowMs)
    subscriber.told = update
    this.#send(to, update)
  }

  /**
   * A new sequence number was asked for, to make another way feasible than one that led nowhere. If that one is shorter,
   * the number comes through it first: announced at once, it would bind, and the other way would never be feasible.
   */
  #isHeldBack(destination: Destination, nowMs: number): boolean {
    const { selected, seqnoAskedAtMs } = destination
    if (selected === undefined || !destination.isPenalised(selected, nowMs)) return false
    return nowMs - seqnoAskedAtMs < limits.routeHoldBackMs
  }

  #updateFor(destination: Destination, to: GatewayId): Extract<RoutingMessage, { kind: 'update' }> | undefined {
    const { id, selected } = destination
    if (destination === this.#self)
      return { kind: 'update', destination: id, seqno: this.#seqno, metric: 0, hops: 0, proof: this.#proof }
    if (selected === undefined || selected === to) return undefined
    const metric = destination.metricThrough(selected, this.#costOf)
    if (metric === undefined) return undefined
    const { seqno, hops, proof } = destination.routes.get(selected)!
    if (hops >= limits.pathHopsMax) return undefined
    return { kind: 'update', destination: id, seqno, metric, hops: hops + 1, proof }
  }

  /** Asks everybody who may know, at a pace that falls off while nobody does. */
  #ask(destination: Destination, nowMs: number): void {
    if (nowMs - destination.askedAtMs < destination.askDelayMs) return
    destination.askDelayMs =
      destination.askedAtMs === -Infinity
        ? limits.routeRequestMsMin
        : Math.min(destination.askDelayMs * 2, limits.routeRequestMsMax)
    destination.askedAtMs = nowMs
    destination.refreshedAtMs = nowMs
    this.#request(destination, this.#askable(destination), nowMs)
  }

  /** Whoever had no route when it was asked may have a better one by now. */
  #search(destination: Destination, nowMs: number): void {
    destination.askedAtMs = nowMs
    destination.refreshedAtMs = nowMs
    const request = { id: this.#options.newRequestId(), hopsLeft: limits.pathHopsMax, seqno: 0 }
    this.#request(destination, this.#carriers(destination), nowMs, request)
  }

  #askForSeqno(destination: Destination, neighbour: GatewayId, nowMs: number): void {
    if (nowMs - destination.seqnoAskedAtMs < limits.routeRequestMsMin * 2) return
    destination.seqnoAskedAtMs = nowMs
    this.#request(destination, [neighbour], nowMs)
  }

  /** RFC 8966 §3.8.2.3: routes that are used, and those in reserve, do not run out. */
  #refresh(destination: Destination, nowMs: number): void {
    destination.refreshedAtMs = nowMs
    const kept = [...destination.routes.keys()]
      .map((neighbour) => ({ neighbour, metric: destination.metricThrough(neighbour, this.#costOf) ?? Infinity }))
      .sort(
        (a, b) =>
          Number(b.neighbour === destination.selected) - Number(a.neighbour === destination.selected) ||
          a.metric - b.metric,
      )
      .slice(0, limits.routeAlternativesMax)
      .map(({ neighbour }) => neighbour)
    const request = { id: this.#options.newRequestId(), hopsLeft: 1, seqno: 0 }
    this.#request(destination, kept, nowMs, request)
  }

  /** @param passed on a request of somebody else, whose id and reach it keeps */
  #request(
    destination: Destination,
    targets: readonly GatewayId[],
    nowMs: number,
    passed?: { readonly id: string; readonly hopsLeft: number; readonly seqno: number },
  ): void {
    if (targets.length === 0) return
    const needed = destination.own === undefined ? 0 : destination.own.seqno + 1
    const { id, hopsLeft, seqno } = passed ?? {
      id: this.#options.newRequestId(),
      hopsLeft: limits.pathHopsMax,
      seqno: needed,
    }
    this.#remember(id, nowMs)
    for (const to of targets) {
      const forMs = destination.neededUntilMs(to) - nowMs
      if (forMs <= 0) continue
      const message = {
        kind: 'request',
        destination: destination.id,
        id,
        hopsLeft: hopsLeft - 1,
        seqno,
        forMs,
      } as const
      this.#send(to, message)
    }
  }

  /** The destination itself where it is a neighbour; else those that carry for us, and those who have not said. */
  #askable(destination: Destination): GatewayId[] {
    return this.#neighbours.get(destination.id)?.cost === undefined ? this.#carriers(destination) : [destination.id]
  }

  #carriers(destination: Destination): GatewayId[] {
    const rank = (neighbour: GatewayId): number => (this.#neighbours.get(neighbour)?.servesUs === true ? 0 : 1)
    return [...this.#neighbours.keys()]
      .filter((neighbour) => this.#mayAsk(destination, neighbour))
      .sort((a, b) => rank(a) - rank(b))
      .slice(0, limits.routeRequestFanMax)
  }

  #mayAsk(destination: Destination, neighbour: GatewayId): boolean {
    const known = this.#neighbours.get(neighbour)
    if (known?.cost === undefined) return false
    return neighbour === destination.id || known.servesUs !== false
  }

  #destination(id: GatewayId): Destination | undefined {
    const known = this.#destinations.get(id)
    if (known !== undefined) return known
    // nothing is put out to make room: what was announced from here binds until it has run out
    if (this.#destinations.size >= limits.routeDestinationsMax) return undefined
    const made = new Destination(id)
    this.#destinations.set(id, made)
    return made
  }

  #remember(id: string, nowMs: number): void {
    this.#seen.delete(id)
    this.#seen.set(id, nowMs)
    if (this.#seen.size > limits.routeRequestsSeenMax) this.#seen.delete(this.#seen.keys().next().value!)
  }

  #send(to: GatewayId, message: RoutingMessage): void {
    this.#out.push({ to, message })
  }
}

/** RFC 8966 §3.7.2: a new sequence number or a metric that is another by more than a tenth. */
const isNews = (update: Distance, told: Distance | undefined): boolean =>
  told === undefined ||
  told.seqno !== update.seqno ||
  Math.abs(told.metric - update.metric) > Math.max(limits.routeHysteresisMin / 2, told.metric / 10)
