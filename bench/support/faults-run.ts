/**
 * Two gateways write to each other over a bad link while they are killed and lose their power. Every acknowledgement and
 * everything shown is written down here, outside of both, and compared after each restart and at the end.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Faults } from '../../test/support/unreliable-overlay.ts'
import { ChildEnded } from './child.ts'
import type { FaultsEvent } from './faults-process.ts'
import { Side } from './faults-side.ts'
import { type Account, Ledger } from './ledger.ts'
import { checkPowerLoss } from './power-loss-check.ts'
import { buildShim } from './power-loss.ts'
import { below, type Random, seeded } from './seeded.ts'

export interface FaultRunOptions {
  /** At least so many are acknowledged. */
  readonly messages: number
  readonly kills: number
  readonly seed: number
  readonly link: Faults
  /** Fails when it takes longer. */
  readonly withinMs: number
  readonly say: (line: string) => void
}

export interface FaultRunResult {
  readonly messages: number
  readonly kills: number
  readonly powerLosses: number
  /** Pages, lengths and names that were written, not synced, and lost with the power. */
  readonly unsyncedLost: number
  readonly lost: number
  readonly shownTwice: number
  readonly acknowledgedUncommitted: number
}

const burstMax = 24
const pauseMsMax = 40
const sayEveryMs = 3000

export async function runFaults(options: FaultRunOptions): Promise<FaultRunResult> {
  await using scope = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'mycelium-faults-'))
  scope.defer(async () => await rm(folder, { recursive: true, force: true }))
  const shim = await buildShim(folder)
  await checkPowerLoss(folder, shim)
  const run = new FaultRun(options)
  const timer = setInterval(() => options.say(run.progress()), sayEveryMs)
  scope.defer(() => clearInterval(timer))
  scope.use(run)
  const bound = new AbortController()
  scope.defer(() => bound.abort())
  const tooLong = sleep(options.withinMs, undefined, { signal: bound.signal }).then(() => {
    throw new Error(`not done after ${options.withinMs / 1000} s: ${run.progress()}`)
  })
  tooLong.catch(() => {})
  return await Promise.race([run.all(folder, shim), tooLong])
}

/** One side and what its mails become at the other. */
interface Direction {
  readonly from: Side
  readonly ledger: Ledger
}

class FaultRun implements AsyncDisposable {
  readonly #options: FaultRunOptions
  readonly #random: Random
  readonly #ledgers = { alice: new Ledger(), bob: new Ledger() }
  readonly #events = new Map<string, number>()
  #sides: Side[] = []
  #kills = 0
  #powerLosses = 0
  #unsyncedLost = 0
  #nextNumber = 1
  /** How many may be submitted by now: what is left is for the kills that are left. */
  #quota = 0
  #phase = 'starting'
  #isOver = false

  constructor(options: FaultRunOptions) {
    this.#options = options
    this.#random = seeded(options.seed)
  }

  progress(): string {
    const { alice, bob } = this.#ledgers
    const sums = [
      `${this.#acknowledged} acknowledged`,
      `${alice.shown + bob.shown} shown`,
      `${this.#kills} kills (${this.#powerLosses} power losses, ${this.#unsyncedLost} pages)`,
    ]
    const events = [...this.#events].map(([event, count]) => `${event} ${count}`)
    return `${this.#phase}: ${sums.join(', ')}${events.length === 0 ? '' : `; ${events.join(', ')}`}`
  }

  async all(folder: string, shim: string): Promise<FaultRunResult> {
    await this.#start(folder, shim)
    this.#phase = 'faults'
    const feeding = Promise.all(this.#sides.map((side) => this.#feed(side)))
    await Promise.all([feeding, this.#killAll()])
    await this.#drained()
    // what was shown and acknowledged must not need power
    await this.#strike(this.#sides, 'power')
    await this.#drained()
    return this.#result(await this.#close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#sides.map((side) => side[Symbol.asyncDispose]()))
  }

  get #acknowledged(): number {
    return this.#ledgers.alice.acknowledged + this.#ledgers.bob.acknowledged
  }

  async #start(folder: string, shim: string): Promise<void> {
    const { link } = this.#options
    const start = async (name: 'alice' | 'bob'): Promise<Side> =>
      await Side.start({ name, folder, shim, link, onEvent: (event) => this.#note(name, event) })
    this.#sides = await Promise.all([start('alice'), start('bob')])
    const [alice, bob] = this.#sides as [Side, Side]
    await bob.accept(await alice.invite())
  }

  #note(name: 'alice' | 'bob', event: FaultsEvent): void {
    if (event.kind === 'acknowledged') this.#ledgers[name].acknowledge(event.number, event.id)
    else if (event.kind === 'shown') this.#ledgers[name === 'alice' ? 'bob' : 'alice'].show(event.mail)
    else this.#events.set(event.event, (this.#events.get(event.event) ?? 0) + 1)
  }

  /** Submits in bursts for as long as there is something to submit. Numbers without an acknowledgement are never used again. */
  async #feed(side: Side): Promise<void> {
    while (!this.#isOver && this.#acknowledged < this.#options.messages) {
      await sleep(1 + below(this.#random, pauseMsMax))
      if (!side.isRunning || this.#acknowledged >= this.#quota) continue
      const count = 1 + below(this.#random, burstMax)
      const first = this.#nextNumber
      this.#nextNumber += count
      try {
        await side.submit(first, count)
      } catch (error) {
        if (!(error instanceof ChildEnded)) throw error
      }
    }
  }

  /** Spread over the messages, each at some moment between two shares of them. The last two are for the end. */
  async #killAll(): Promise<void> {
    const { messages, kills } = this.#options
    const share = messages / (kills - 2)
    while (!this.#isOver && this.#kills < kills - 2) {
      const moment = share * (this.#kills + this.#random())
      this.#quota = share * (this.#kills + 1)
      while (!this.#isOver && this.#acknowledged < moment) await sleep(1)
      await sleep(below(this.#random, 20))
      const both = this.#random() < 0.1
      const victims = both ? this.#sides : [this.#sides[below(this.#random, 2)]!]
      await this.#strike(victims, this.#powerLosses * 3 <= this.#kills ? 'power' : 'kill')
    }
    this.#quota = Number.POSITIVE_INFINITY
  }

  /** Kills, starts again, and looks whether what was promised before is kept. */
  async #strike(victims: readonly Side[], how: 'kill' | 'power'): Promise<void> {
    const strikeOne = async (side: Side): Promise<void> => {
      if (how === 'kill') await side.kill()
      else this.#unsyncedLost += await side.pullPlug(this.#share(), this.#random)
      this.#kills += 1
      this.#powerLosses += how === 'power' ? 1 : 0
    }
    await Promise.all(victims.map(strikeOne))
    await sleep(below(this.#random, 100))
    await Promise.all(victims.map((side) => side.restart()))
    await this.#compare()
  }

  /** Everything in half of the cases, else any part. */
  #share(): number {
    return this.#random() < 0.5 ? 1 : this.#random()
  }

  async #compare(): Promise<void> {
    const directions = this.#directions()
    const before = directions.map(({ ledger }) => ({ acknowledged: ledger.snapshot(), kept: ledger.expectKept() }))
    const outgoing = await Promise.all(directions.map(({ from }) => from.outgoing()))
    const incoming = await this.#incoming()
    for (const [at, { ledger }] of directions.entries()) {
      ledger.compare(before[at]!.acknowledged, outgoing[at]!, incoming[at]!)
      before[at]!.kept(incoming[at]!)
    }
  }

  #directions(): readonly Direction[] {
    const [alice, bob] = this.#sides as [Side, Side]
    return [
      { from: alice, ledger: this.#ledgers.alice },
      { from: bob, ledger: this.#ledgers.bob },
    ]
  }

  /** What the other side of each direction shows. */
  async #incoming() {
    return await Promise.all(this.#sides.toReversed().map((side) => side.incoming()))
  }

  async #drained(): Promise<void> {
    this.#phase = 'left in peace'
    for (;;) {
      const waiting = await Promise.all(this.#sides.map((side) => side.waiting()))
      this.#phase = `left in peace, waiting: ${waiting.map(({ count, why }) => `${count} (${why})`).join(' and ')}`
      if (this.#isOver || waiting.every(({ count }) => count === 0)) return
      await sleep(20)
    }
  }

  async #close(): Promise<readonly Account[]> {
    const incoming = await this.#incoming()
    return this.#directions().map(({ ledger }, at) => ledger.close(incoming[at]!))
  }

  #result(accounts: readonly Account[]): FaultRunResult {
    const foreign = accounts.flatMap(({ foreign }) => foreign)
    if (foreign.length > 0) throw new Error(`${foreign.length} mails that nobody submitted: ${foreign[0]}`)
    const sum = (of: (account: Account) => readonly number[]): number =>
      accounts.reduce((total, account) => total + of(account).length, 0)
    return {
      messages: this.#acknowledged,
      kills: this.#kills,
      powerLosses: this.#powerLosses,
      unsyncedLost: this.#unsyncedLost,
      lost: sum(({ lost }) => lost),
      shownTwice: sum(({ shownTwice }) => shownTwice),
      acknowledgedUncommitted: sum(({ uncommitted }) => uncommitted),
    }
  }
}
