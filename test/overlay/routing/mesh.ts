/** Many gateways' routing in one simulated network: links that fail and heal, messages that are late, lost or in another order. */
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { Babel } from '../../../src/overlay/routing/babel.ts'
import type { RoutingMessage } from '../../../src/overlay/routing/babel.ts'

/** Reproducible numbers in 0 … 1 (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Link {
  readonly a: number
  readonly b: number
  cost: number
  isUp: boolean
  /** Counts how often it came up: what was sent before is lost. */
  life: number
}

interface Flight {
  readonly atMs: number
  readonly from: number
  readonly to: number
  readonly life: number
  readonly message: RoutingMessage | 'up' | 'down'
}

export const nameOf = (index: number): GatewayId => `gateway-${String(index).padStart(2, '0')}` as GatewayId

export class Mesh {
  nowMs = 0
  lossRate = 0
  delayMsMax = 400
  readonly size: number
  readonly hostile = new Set<number>()
  readonly links: Link[] = []
  readonly #roll: () => number
  readonly #nodes: Babel[] = []
  /** Life of the link to each neighbour as a node knows it. */
  readonly #known: Map<number, number>[] = []
  #flights: Flight[] = []
  /** asker, asked, destination: who may be told what. */
  readonly #asked = new Set<string>()
  readonly wanted = new Set<string>()
  messages = 0

  constructor(size: number, roll: () => number) {
    this.size = size
    this.#roll = roll
    for (let index = 0; index < size; index += 1) {
      this.#nodes.push(this.#fresh(index, 1_000))
      this.#known.push(new Map())
    }
  }

  node(index: number): Babel {
    return this.#nodes[index]!
  }

  connect(a: number, b: number, cost: number): void {
    if (a === b || this.#between(a, b) !== undefined) return
    const link = { a, b, cost, isUp: false, life: 0 }
    this.links.push(link)
    this.#raise(link)
  }

  cut(link: Link): void {
    if (!link.isUp) return
    link.isUp = false
    for (const [from, to] of endsOf(link)) this.#fly(from, to, link.life, 'down')
  }

  heal(link: Link): void {
    if (!link.isUp) this.#raise(link)
  }

  setCost(link: Link, cost: number): void {
    link.cost = cost
    for (const [at, other] of endsOf(link)) {
      if (this.#known[at]!.get(other) === link.life && link.isUp) this.#tell(at, other, cost)
    }
  }

  /** The process ends and another begins, with nothing but its clock: or not even that. */
  restart(index: number, isClockLost: boolean): void {
    const links = this.links.filter(({ a, b, isUp }) => isUp && (a === index || b === index))
    for (const link of links) this.cut(link)
    this.#nodes[index] = this.#fresh(index, isClockLost ? 1 : 1_000 + Math.floor(this.nowMs / 1000))
    this.#known[index] = new Map()
    for (const link of links) this.#raise(link)
  }

  want(from: number, to: number): void {
    if (from === to) return
    this.wanted.add(`${from}>${to}`)
    this.node(from).want(nameOf(to), this.nowMs)
    this.#collect(from)
  }

  penalise(from: number, to: number): void {
    const [next] = this.node(from).nextHops(nameOf(to), this.nowMs)
    if (next !== undefined) this.node(from).penalise(nameOf(to), next, 'test', this.nowMs)
    this.#collect(from)
  }

  /** A hostile node says whatever it likes. */
  say(from: number, message: RoutingMessage): void {
    for (const [other, life] of this.#known[from]!) {
      if (message.kind === 'request') this.#asked.add(`${from} ${other} ${message.destination}`)
      this.#fly(from, other, life, message)
    }
  }

  /** @param check called after every single step */
  run(ms: number, check: () => void): void {
    const untilMs = this.nowMs + ms
    while (this.nowMs < untilMs) {
      const stepMs = Math.min(untilMs, this.nowMs + limits.routeTickMs)
      this.#deliver(stepMs, check)
      this.nowMs = stepMs
      for (const [index, node] of this.#nodes.entries()) {
        node.tick(this.nowMs)
        this.#collect(index)
      }
      check()
    }
  }

  /** Where a node would send a path now, over links that are really there. */
  edges(index: number, destination: number): number[] {
    return this.node(index)
      .nextHops(nameOf(destination), this.nowMs)
      .map((next) => Number(next.slice(-2)))
      .filter((next) => {
        const link = this.#between(index, next)
        return (
          link?.isUp === true &&
          [this.#known[index]!.get(next), this.#known[next]!.get(index)].every((life) => life === link.life)
        )
      })
  }

  /** A circle of honest nodes that would pass a path round, if there is one. */
  loop(destination: number): readonly number[] | undefined {
    const done = new Set<number>([destination, ...this.hostile])
    const visit = (at: number, trail: readonly number[]): readonly number[] | undefined => {
      if (trail.includes(at)) return [...trail, at]
      if (done.has(at)) return undefined
      for (const next of this.edges(at, destination)) {
        const found = visit(next, [...trail, at])
        if (found !== undefined) return found
      }
      done.add(at)
      return undefined
    }
    for (let index = 0; index < this.size; index += 1) {
      const found = visit(index, [])
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Least metric from a node over at most `hopsMax` gateways in between; Infinity where there is no way. */
  optimum(from: number, to: number, hopsMax: number = limits.pathHopsMax): number {
    let best = Array.from({ length: this.size }, (_, index) => (index === to ? 0 : Infinity))
    for (let round = 0; round <= hopsMax; round += 1) {
      const next = [...best]
      for (const { a, b, cost, isUp } of this.links) {
        if (!isUp) continue
        next[a] = Math.min(next[a]!, best[b]! + cost)
        next[b] = Math.min(next[b]!, best[a]! + cost)
      }
      best = next
    }
    return best[from]!
  }

  #fresh(index: number, seqno: number): Babel {
    const startedAtMs = this.nowMs
    let count = 0
    return new Babel({
      self: nameOf(index),
      seqno,
      prove: () => new Uint8Array(),
      newRequestId: () => `${index}-${startedAtMs}-${(count += 1)}`,
      clockSeqno: () => seqno + Math.floor((this.nowMs - startedAtMs) / 1000),
    })
  }

  #raise(link: Link): void {
    link.isUp = true
    link.life += 1
    for (const [from, to] of endsOf(link)) this.#fly(from, to, link.life, 'up')
  }

  #tell(at: number, other: number, cost: number): void {
    this.node(at).neighbour(nameOf(other), { cost, servesUs: undefined, isServed: true }, this.nowMs)
    this.#collect(at)
  }

  #collect(from: number): void {
    for (const { to, message } of this.node(from).take()) {
      const other = Number(to.slice(-2))
      const life = this.#known[from]!.get(other)
      if (life === undefined) continue
      if (message.kind === 'request') this.#asked.add(`${from} ${other} ${message.destination}`)
      else if (!this.#asked.has(`${other} ${from} ${message.destination}`)) throw new Error('told without being asked')
      if (!this.hostile.has(from)) this.#fly(from, other, life, message)
    }
  }

  #fly(from: number, to: number, life: number, message: Flight['message']): void {
    const isState = message === 'up' || message === 'down'
    if (!isState && this.#roll() < this.lossRate) return
    this.messages += 1
    this.#flights.push({ atMs: this.nowMs + this.#roll() * this.delayMsMax, from, to, life, message })
  }

  #deliver(untilMs: number, check: () => void): void {
    for (;;) {
      const due = this.#flights.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)
      if (due.length === 0) return
      const taken = new Set(due)
      this.#flights = this.#flights.filter((flight) => !taken.has(flight))
      for (const flight of due) {
        this.nowMs = Math.max(this.nowMs, flight.atMs)
        this.#land(flight)
        check()
      }
    }
  }

  #land({ from, to, life, message }: Flight): void {
    const known = this.#known[to]!.get(from)
    if (message === 'up') {
      const link = this.#between(from, to)
      if (link === undefined || link.life !== life || !link.isUp) return
      if (known !== undefined) this.node(to).neighbourGone(nameOf(from), this.nowMs)
      this.#known[to]!.set(from, life)
      this.#tell(to, from, link.cost)
    } else if (message === 'down') {
      if (known === undefined || known > life) return
      this.#known[to]!.delete(from)
      this.node(to).neighbourGone(nameOf(from), this.nowMs)
    } else if (known === life && !this.hostile.has(to)) {
      this.node(to).receive(nameOf(from), message, this.nowMs)
    }
    this.#collect(to)
  }

  #between(a: number, b: number): Link | undefined {
    return this.links.find((link) => (link.a === a && link.b === b) || (link.a === b && link.b === a))
  }
}

const endsOf = ({ a, b }: Link): readonly (readonly [number, number])[] => [
  [a, b],
  [b, a],
]
