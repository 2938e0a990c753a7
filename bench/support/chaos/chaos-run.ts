/** Many gateways over weeks of virtual time: what the plan says happens to them, and the ledger says what came of it. */
import { type Log, silentLog, systemRandom } from '../../../src/core/ambient.ts'
import type { GatewayAddress } from '../../../src/core/delivery/ports.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { memoryNetwork } from '../../../src/overlay/memory-overlay.ts'
import { below, type Random, seeded } from '../seeded.ts'
import { withChaosFolder } from './chaos-folder.ts'
import { ChaosGateway, type ChaosGatewayOptions } from './chaos-gateway.ts'
import { ChaosLedger, type Verdict } from './chaos-ledger.ts'
import { type ChaosEvent, planChaos, type PlanOptions } from './chaos-plan.ts'
import { Disturbances } from './disturbances.ts'
import { DueHeap } from './due-heap.ts'
import { dayMs } from './people.ts'
import type { RelayFaults } from './unreliable-relays.ts'
import { VirtualTime } from './virtual-time.ts'

export interface ChaosOptions extends Omit<PlanOptions, 'skewMsMax'> {
  readonly seed: number
  readonly messages: number
  /** The third one takes nobody in without work. */
  readonly relaysAskWork: boolean
  /** Share of all pairs that are contacts. */
  readonly density: number
  readonly say: (line: string) => void
  /** Of one gateway by its name. */
  readonly logOf?: (name: string, nowMs: () => number) => Log
  /** Called at the end of each day, for what a caller measures, or does to them. */
  readonly onDay?: (day: number, gateways: readonly ChaosGateway[]) => void | Promise<void>
}

export interface ChaosResult extends Verdict {
  readonly messages: number
  readonly copies: number
  /** Copies that came out of a relay. */
  readonly byRelay: number
  /** Submissions that a kill interrupted. */
  readonly interrupted: number
  readonly kills: number
  readonly splits: number
  readonly delayP50Ms: number
  readonly delayP95Ms: number
  /** Virtual time that it took after everything was well again. */
  readonly drainedMs: number
}

interface Due {
  readonly dueMs: number
  readonly order: number
  readonly run: () => void
}

const oneWayMs = 25
const calmMsMax = 30 * 60_000
const drainMsMax = 36 * 3600_000
const burstMax = 80

export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  return await withChaosFolder(async (folder) => {
    using time = VirtualTime.install()
    return await new ChaosRun(options, folder, time).all()
  })
}

class ChaosRun {
  readonly #options: ChaosOptions
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #ledger: ChaosLedger
  readonly #gateways: readonly ChaosGateway[]
  readonly #relays: readonly ChaosGateway[]
  readonly #relayFaults = new Map<GatewayId, RelayFaults>()
  /** Where relays are, once they are there: that does not change. */
  #relayAddresses: readonly GatewayAddress[] = []
  readonly #disturbances: Disturbances
  readonly #network
  readonly #contacts: ChaosGateway[][]
  readonly #agenda = new DueHeap<Due>()
  readonly #failures: unknown[] = []
  #order = 0
  #number = 0
  #kills = 0
  #splits = 0
  #beganAtMs = 0
  #fuse: { turns: number; readonly burn: () => void } | undefined
  #isCalm = false
  #isOver = false

  constructor(options: ChaosOptions, folder: string, time: VirtualTime) {
    this.#options = options
    this.#time = time
    this.#random = seeded(options.seed)
    this.#ledger = new ChaosLedger(options.gateways)
    const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs }
    this.#network = memoryNetwork({ clock, random: systemRandom, log: silentLog })
    this.#network.setDelay(oneWayMs)
    this.#gateways = Array.from({ length: options.gateways }, (_, index) =>
      this.#make(folder, index, `gateway-${String.fromCodePoint(97 + index)}`, {
        relays: () => this.#relayAddresses,
        relayFaults: this.#relayFaults,
      }),
    )
    this.#relays = Array.from({ length: options.relays }, (_, index) =>
      this.#make(folder, options.gateways + index, `relay-${index + 1}`, {
        relay: { asksWork: options.relaysAskWork && index === 2 },
      }),
    )
    this.#contacts = this.#gateways.map(() => [])
    this.#disturbances = new Disturbances(
      this.#network,
      [...this.#gateways, ...this.#relays].map(({ name }) => name),
    )
    time.onBusyTurn = () => this.#burn()
  }

  #make(folder: string, index: number, name: string, kind: Partial<ChaosGatewayOptions>): ChaosGateway {
    const { seed, logOf } = this.#options
    const log = logOf?.(name, () => this.#time.nowMs)
    return new ChaosGateway({
      index,
      name,
      folder,
      network: this.#network,
      time: this.#time,
      ledger: this.#ledger,
      seed,
      random: seeded(seed * 1000 + index),
      ...kind,
      ...(log === undefined ? {} : { log }),
    })
  }

  async all(): Promise<ChaosResult> {
    await this.#meet()
    await this.#live()
    const drainedMs = await this.#drain()
    const misplaced = (
      await this.#time.during(Promise.all(this.#gateways.map(async (gateway) => await gateway.inspect())))
    ).flat()
    if (misplaced.length > 0) throw new Error(misplaced.join(', '))
    const verdict = this.#ledger.close()
    this.#isOver = true
    const all = [...this.#gateways, ...this.#relays]
    await this.#time.during(Promise.all(all.map(async (gateway) => await gateway.stop())))
    this.#throwFailures()
    return {
      ...verdict,
      messages: this.#ledger.promised,
      copies: this.#ledger.promisedCopies,
      byRelay: this.#ledger.byRelay,
      interrupted: this.#number - this.#ledger.promised,
      kills: this.#kills,
      splits: this.#splits,
      delayP50Ms: this.#ledger.delayMs(0.5),
      delayP95Ms: this.#ledger.delayMs(0.95),
      drainedMs,
    }
  }

  /** Everybody is there and learns whom it knows. */
  async #meet(): Promise<void> {
    await this.#time.during(Promise.all(this.#relays.map(async (relay) => await relay.start())))
    this.#relayAddresses = this.#relays.map((relay) => relay.whereItIs)
    await this.#time.during(Promise.all(this.#gateways.map(async (gateway) => await gateway.start())))
    const pairs: (readonly [ChaosGateway, ChaosGateway])[] = []
    for (const [at, a] of this.#gateways.entries()) {
      for (const b of this.#gateways.slice(at + 1)) {
        const isNext = b.index === at + 1
        if (isNext || this.#random() < this.#options.density) pairs.push([a, b])
      }
    }
    await this.#time.during(Promise.all(pairs.map(async ([a, b]) => await b.meet(a))))
    const isKnown = ([a, b]: readonly [ChaosGateway, ChaosGateway]): boolean => a.knows(b) && b.knows(a)
    while (!pairs.every(isKnown)) {
      if (this.#time.nowMs > calmMsMax) throw new Error('they do not come to know each other')
      await this.#time.passTo(this.#time.nowMs + 1000)
    }
    for (const [a, b] of pairs) {
      this.#contacts[a.index]!.push(b)
      this.#contacts[b.index]!.push(a)
    }
    this.#options.say(`${pairs.length} pairs of contacts after ${Math.round(this.#time.nowMs / 1000)} s`)
    await this.#time.during(Promise.all(this.#gateways.map(async (gateway) => await gateway.stop())))
    this.#beganAtMs = this.#time.nowMs
  }

  async #live(): Promise<void> {
    const { days } = this.#options
    const plan = planChaos(this.#random, { ...this.#options, skewMsMax: 4 * 60_000 })
    for (const { atMs, event } of plan) this.#at(this.#beganAtMs + atMs, () => this.#happen(event))
    for (let day = 1; day <= days; day += 1) {
      await this.#passTo(this.#beganAtMs + day * dayMs)
      this.#report(day)
      await this.#time.during(Promise.resolve(this.#options.onDay?.(day, this.#gateways)))
    }
  }

  /** Whatever is on the agenda up to a moment happens. */
  async #passTo(untilMs: number): Promise<void> {
    for (let next = this.#agenda.first; next !== undefined && next.dueMs <= untilMs; next = this.#agenda.first) {
      this.#agenda.pop()
      await this.#time.passTo(next.dueMs)
      next.run()
      this.#throwFailures()
    }
    await this.#time.passTo(untilMs)
    this.#throwFailures()
  }

  /** Everything is well again; whatever was promised arrives. @returns how long that took */
  async #drain(): Promise<number> {
    const beganAtMs = this.#time.nowMs
    this.#disturbances.endAll()
    this.#fuse = undefined
    this.#isCalm = true
    for (const gateway of this.#gateways) {
      Object.assign(gateway.link, { loss: 0, swaps: 0, doubles: 0 })
      this.#background(gateway.start())
    }
    this.#relayFaults.clear()
    for (const relay of this.#relays) this.#background(relay.start())
    await this.#passTo(beganAtMs + 60_000)
    // without relays nobody learns where somebody went who moved while both were away
    if (this.#relays.length === 0) for (const { name } of this.#gateways) this.#network.announce(name)
    while (this.#ledger.promised < this.#options.messages) {
      for (const who of this.#gateways.keys()) this.#write(who, 1)
      await this.#passTo(this.#time.nowMs + 10_000)
    }
    const isDrained = (): boolean =>
      this.#gateways.every(({ isRunning, isSettled, queued }) => isRunning && isSettled && queued === 0)
    while (!isDrained() && this.#time.nowMs - beganAtMs < drainMsMax) {
      await this.#passTo(this.#time.nowMs + 5000)
    }
    for (const gateway of this.#gateways) if (gateway.queued > 0) this.#sayWhatWaits(gateway)
    return this.#time.nowMs - beganAtMs
  }

  #sayWhatWaits({ name, running, account }: ChaosGateway): void {
    const { delivery } = running.node
    const waiting = delivery.waiting()
    for (const other of this.#gateways) {
      const forOther = waiting.filter(({ ref }) => ref.recipient === other.account)
      if (forOther.length === 0) continue
      const where = running.knowledge.people.contact(account!, other.account!)?.devices.map((device) => device.where)
      const isKnown = where?.some((at) => at?.locators.some((locator) => other.locators.includes(locator)))
      const relays = forOther.map(({ atRelays }) => atRelays?.count ?? 0)
      this.#options.say(
        `${name} has ${forOther.length} for ${other.name}: ${JSON.stringify(delivery.courierOf(account!, other.account!))}, ` +
          `knows where it is: ${isKnown}, at ${Math.min(...relays)} to ${Math.max(...relays)} relays`,
      )
    }
  }

  #happen(event: ChaosEvent): void {
    switch (event.kind) {
      case 'on':
        this.#background(this.#gateways[event.who]!.start())
        return
      case 'off':
        this.#leave(this.#gateways[event.who]!, event.how)
        return
      case 'crash':
        this.#crash(event)
        return
      case 'split':
        this.#splits += 1
        this.#disturbances.split(new Set(event.side.map((who) => this.#gateways[who]!.name)), event.isSilent)
        return
      case 'unite':
        this.#disturbances.unite()
        return
      case 'move':
        this.#network.move(this.#gateways[event.who]!.name)
        return
      case 'weather': {
        const { loss, swaps, doubles } = event
        Object.assign(this.#gateways[event.who]!.link, { loss, swaps, doubles })
        return
      }
      case 'skew':
        this.#gateways[event.who]!.skewMs = event.ms
        return
      case 'relay-off': {
        const relay = this.#relays[event.relay]!
        const { how } = event
        this.#background(how === 'stop' ? relay.stop() : how === 'kill' ? relay.kill() : relay.lose())
        this.#at(this.#time.nowMs + event.awayMs, () => this.#background(relay.start()))
        return
      }
      case 'relay-faults':
        this.#relayFaults.set(this.#relayAddresses[event.relay]!.gateway, event.faults)
        return
      case 'write':
        this.#write(event.who, event.share)
    }
  }

  #leave(gateway: ChaosGateway, how: 'stop' | 'kill' | 'silence'): void {
    if (how === 'stop') this.#background(gateway.stop())
    else if (how === 'kill') this.#kill(gateway)
    else {
      this.#disturbances.silence(gateway.name)
      this.#at(this.#time.nowMs + 1000 + below(this.#random, 40_000), () => {
        if (this.#isCalm) return
        this.#kill(gateway)
        this.#disturbances.unsilence(gateway.name)
      })
    }
  }

  #crash({ who, turns, awayMs }: Extract<ChaosEvent, { kind: 'crash' }>): void {
    const gateway = this.#gateways[who]!
    if (!gateway.isRunning || this.#fuse !== undefined) return
    this.#fuse = {
      turns,
      burn: () => {
        if (!gateway.isRunning) return
        this.#kill(gateway)
        this.#at(this.#time.nowMs + awayMs, () => this.#background(gateway.start()))
      },
    }
    const others = this.#contacts[who]!
    // in the act: it writes, or somebody writes to it
    this.#write(this.#random() < 0.5 ? who : others[below(this.#random, others.length)]!.index, 0, gateway)
  }

  #burn(): void {
    if (this.#fuse === undefined) return
    this.#fuse.turns -= 1
    if (this.#fuse.turns > 0) return
    const { burn } = this.#fuse
    this.#fuse = undefined
    burn()
  }

  #kill(gateway: ChaosGateway): void {
    if (gateway.isRunning) this.#kills += 1
    this.#background(gateway.kill())
  }

  /** As many as bring all of them to their share, more or less, and one at least. */
  #write(who: number, share: number, reader?: ChaosGateway): void {
    const gateway = this.#gateways[who]!
    if (!gateway.isRunning) return
    const missing = share * this.#options.messages - this.#ledger.promised
    const count = Math.min(burstMax, 1 + below(this.#random, Math.max(1, Math.round(missing / 2))))
    const isSpread = this.#random() < 0.3
    for (let at = 0; at < count; at += 1) {
      const to = this.#readers(who, reader)
      const submit = async (): Promise<void> => {
        if (isSpread) await this.#time.sleep(below(this.#random, 120_000))
        if (!gateway.isRunning || this.#isOver) return
        this.#number += 1
        await gateway.submit(this.#number, to)
      }
      this.#background(submit())
    }
  }

  #readers(who: number, reader: ChaosGateway | undefined): readonly ChaosGateway[] {
    const known = this.#contacts[who]!
    if (reader !== undefined && reader.index !== who) return [reader]
    const draw = this.#random()
    const count = draw < 0.8 ? 1 : draw < 0.97 ? 2 + below(this.#random, 2) : known.length
    const chosen = new Set<ChaosGateway>()
    while (chosen.size < Math.min(count, known.length)) chosen.add(known[below(this.#random, known.length)]!)
    return [...chosen]
  }

  #at(dueMs: number, run: () => void): void {
    this.#order += 1
    this.#agenda.push({ dueMs, order: this.#order, run })
  }

  #background(work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#failures.push(error))
  }

  #throwFailures(): void {
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  #report(day: number): void {
    const queued = this.#gateways.reduce((sum, gateway) => sum + gateway.queued, 0)
    const { promised, promisedCopies, shown, byRelay, wrong, examples } = this.#ledger
    const facts = [`${promised} mails`, `${shown} of ${promisedCopies} copies shown`, `${byRelay} by relay`]
    facts.push(`${queued} queued`)
    facts.push(`${this.#kills} kills`, `${wrong} wrong`, `${this.#time.moments} moments`)
    this.#options.say(`day ${day}: ${facts.join(', ')}`)
    if (wrong > 0) this.#options.say(examples.join('\n'))
  }
}
