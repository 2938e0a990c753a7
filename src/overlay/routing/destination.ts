/** What one gateway knows of the ways to one destination: announced routes, which one is used, who waits to hear of it. */
import type { GatewayId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { better, isFeasible } from './distance.ts'
import type { Distance } from './distance.ts'

/** As a neighbour announced it. */
export interface Route extends Distance {
  /** Connections between that neighbour and the destination: gateways between here and there. */
  readonly hops: number
  /** The destination's signature over the sequence number. */
  readonly proof: Uint8Array
  readonly expiresAtMs: number
}

/** A neighbour that asked, and what it was told last. */
export interface Subscriber {
  untilMs: number
  told: Distance | undefined
}

interface Penalty {
  readonly untilMs: number
  readonly delayMs: number
}

export interface Failure {
  readonly neighbour: GatewayId
  readonly reason: string
  readonly atMs: number
}

/** Cost of the way to a neighbour; `undefined` where it is not to be used. */
export type CostOf = (neighbour: GatewayId) => number | undefined

export class Destination {
  readonly id: GatewayId
  readonly routes = new Map<GatewayId, Route>()
  readonly subscribers = new Map<GatewayId, Subscriber>()
  selected: GatewayId | undefined
  selectedAtMs = 0
  /** Until when somebody here needs it. */
  wantedUntilMs = 0
  refreshedAtMs = 0
  askedAtMs = -Infinity
  askDelayMs: number = limits.routeRequestMsMin
  seqnoAskedAtMs = -Infinity
  failure: Failure | undefined
  /** Somebody was not told of something, for a moment. */
  hasHeldBack = false
  /** The best distance that was ever announced from here (RFC 8966 §3.2.5, the source table), and until when it binds. */
  #own: Distance | undefined
  #ownUntilMs = 0
  readonly #penalties = new Map<GatewayId, Penalty>()

  constructor(id: GatewayId) {
    this.id = id
  }

  get own(): Distance | undefined {
    return this.#own
  }

  /** RFC 8966 §3.7.3: before a distance is announced, it binds. */
  announced(distance: Distance, nowMs: number): void {
    this.#own = better(distance, this.#own)
    this.#ownUntilMs = nowMs + limits.routeSourceMs
  }

  /** The whole way through a neighbour; `undefined` where it cannot be used. */
  metricThrough(neighbour: GatewayId, costOf: CostOf): number | undefined {
    const route = this.routes.get(neighbour)
    const cost = costOf(neighbour)
    if (route === undefined || cost === undefined || route.hops > limits.pathHopsMax) return undefined
    const metric = route.metric + cost
    return metric > limits.routeMetricMax ? undefined : metric
  }

  isFeasibleThrough(neighbour: GatewayId): boolean {
    const route = this.routes.get(neighbour)
    return route !== undefined && isFeasible(route, this.#own)
  }

  isPenalised(neighbour: GatewayId, nowMs: number): boolean {
    return (this.#penalties.get(neighbour)?.untilMs ?? 0) > nowMs
  }

  penalise(neighbour: GatewayId, nowMs: number): void {
    const before = this.#penalties.get(neighbour)
    const delayMs = Math.min(
      before === undefined ? limits.pathPenaltyMsMin : before.delayMs * 2,
      limits.pathPenaltyMsMax,
    )
    this.#penalties.set(neighbour, { untilMs: nowMs + delayMs, delayMs })
  }

  forgive(neighbour: GatewayId): void {
    this.#penalties.delete(neighbour)
  }

  /** Neighbours through which it may be reached, best first; those that led nowhere come last. */
  usable(costOf: CostOf, nowMs: number): { readonly neighbour: GatewayId; readonly metric: number }[] {
    return [...this.routes.keys()]
      .flatMap((neighbour) => {
        const metric = this.isFeasibleThrough(neighbour) ? this.metricThrough(neighbour, costOf) : undefined
        return metric === undefined ? [] : [{ neighbour, metric, rank: this.isPenalised(neighbour, nowMs) ? 1 : 0 }]
      })
      .sort((a, b) => a.rank - b.rank || a.metric - b.metric)
  }

  /**
   * RFC 8966 §3.6 with the hysteresis of RFC 9616 §4: another route replaces a usable one only when it is clearly
   * better, so that jitter in round-trip times moves nothing.
   * @returns whether the choice is another one now
   */
  select(costOf: CostOf, nowMs: number): boolean {
    const usable = this.usable(costOf, nowMs)
    const [best] = usable
    const current = usable.find(({ neighbour }) => neighbour === this.selected)
    const isKept =
      current !== undefined &&
      best !== undefined &&
      this.isPenalised(current.neighbour, nowMs) === this.isPenalised(best.neighbour, nowMs) &&
      best.metric + marginOf(current.metric) >= current.metric
    const chosen = isKept ? current.neighbour : best?.neighbour
    if (chosen === this.selected) return false
    this.selected = chosen
    this.selectedAtMs = nowMs
    return true
  }

  /** A neighbour with a route that would be clearly better, or the only one, were it not for its old sequence number. */
  starving(costOf: CostOf, nowMs: number): GatewayId | undefined {
    const { selected } = this
    const isSound = selected !== undefined && !this.isPenalised(selected, nowMs)
    const current = isSound ? (this.metricThrough(selected, costOf) ?? Infinity) : Infinity
    return [...this.routes.keys()]
      .filter((neighbour) => !this.isFeasibleThrough(neighbour) && !this.isPenalised(neighbour, nowMs))
      .map((neighbour) => ({ neighbour, metric: this.metricThrough(neighbour, costOf) ?? Infinity }))
      .filter(({ metric }) => metric + marginOf(current) < current)
      .sort((a, b) => a.metric - b.metric)[0]?.neighbour
  }

  /** Until when anybody but one neighbour needs it: what that neighbour may be asked for. */
  neededUntilMs(except?: GatewayId): number {
    let untilMs = this.wantedUntilMs
    for (const [neighbour, subscriber] of this.subscribers)
      if (neighbour !== except) untilMs = Math.max(untilMs, subscriber.untilMs)
    return untilMs
  }

  /** Lets go of what has run out. @returns whether nothing is left that binds or is needed */
  expire(nowMs: number): boolean {
    for (const [neighbour, { expiresAtMs }] of this.routes) if (expiresAtMs <= nowMs) this.routes.delete(neighbour)
    for (const [neighbour, { untilMs }] of this.subscribers) if (untilMs <= nowMs) this.subscribers.delete(neighbour)
    for (const [neighbour, { untilMs, delayMs }] of this.#penalties)
      if (untilMs + delayMs <= nowMs) this.#penalties.delete(neighbour)
    if (this.#ownUntilMs <= nowMs) this.#own = undefined
    return this.#own === undefined && this.wantedUntilMs <= nowMs && this.subscribers.size === 0
  }

  leave(neighbour: GatewayId): void {
    this.routes.delete(neighbour)
    this.subscribers.delete(neighbour)
  }
}

/** How much better another route must be. */
const marginOf = (metric: number): number =>
  metric === Infinity ? 0 : Math.max(limits.routeHysteresisMin, metric / limits.routeHysteresisPart)
