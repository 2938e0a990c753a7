/**
 * The promise of relays at its hardest: somebody writes to a person who is away, leaves it at three relays, and is gone for
 * good with two of the three before that person comes back.
 */
import { silentLog, systemRandom } from '../../../src/core/ambient.ts'
import type { GatewayAddress } from '../../../src/core/delivery/ports.ts'
import { memoryNetwork } from '../../../src/overlay/memory-overlay.ts'
import { seeded } from '../seeded.ts'
import { withChaosFolder } from './chaos-folder.ts'
import { ChaosGateway, type ChaosGatewayOptions } from './chaos-gateway.ts'
import { ChaosLedger, type Verdict } from './chaos-ledger.ts'
import { dayMs } from './people.ts'
import { VirtualTime } from './virtual-time.ts'

export interface DeadSenderResult extends Verdict {
  readonly messages: number
  readonly byRelay: number
}

/** @param survivor which of the three relays lives on */
export async function runDeadSender(options: {
  readonly seed: number
  readonly messages: number
  readonly survivor: number
}): Promise<DeadSenderResult> {
  return await withChaosFolder(async (folder) => {
    using time = VirtualTime.install()
    return await new DeadSender(folder, time, options.seed).run(options)
  })
}

const relayCount = 3

class DeadSender {
  readonly #time: VirtualTime
  readonly #ledger = new ChaosLedger(2)
  readonly #relays: readonly ChaosGateway[]
  readonly #sender: ChaosGateway
  readonly #recipient: ChaosGateway
  #addresses: readonly GatewayAddress[] = []

  constructor(folder: string, time: VirtualTime, seed: number) {
    this.#time = time
    const clock = { nowMs: () => time.nowMs, monotonicMs: () => time.nowMs }
    const network = memoryNetwork({ clock, random: systemRandom, log: silentLog })
    network.setDelay(25)
    const make = (index: number, name: string, kind: Partial<ChaosGatewayOptions>): ChaosGateway => {
      const random = seeded(seed * 1000 + index)
      return new ChaosGateway({ index, name, folder, network, time, ledger: this.#ledger, seed, random, ...kind })
    }
    const relays = (): readonly GatewayAddress[] => this.#addresses
    this.#sender = make(0, 'sender', { relays })
    this.#recipient = make(1, 'recipient', { relays })
    this.#relays = Array.from({ length: relayCount }, (_, at) =>
      make(2 + at, `relay-${at + 1}`, { relay: { asksWork: false } }),
    )
  }

  async run({
    messages,
    survivor,
  }: {
    readonly messages: number
    readonly survivor: number
  }): Promise<DeadSenderResult> {
    const [sender, recipient] = [this.#sender, this.#recipient]
    await this.#meet()
    await this.#time.during(recipient.stop())
    const numbers = Array.from({ length: messages }, (_, at) => at + 1)
    await this.#time.during(Promise.all(numbers.map(async (number) => await sender.submit(number, [recipient]))))
    await this.#until('everything lies at three relays', () => this.#isLeft())
    const deaths = this.#relays.filter((_, at) => at !== survivor).map(async (relay) => await relay.kill())
    await this.#time.during(Promise.all([sender.kill(), ...deaths]))
    await this.#time.passTo(this.#time.nowMs + dayMs)
    await this.#time.during(recipient.start())
    // what is late is lost
    await this.#time.passTo(this.#time.nowMs + 3600_000)
    const misplaced = await this.#time.during(recipient.inspect())
    if (misplaced.length > 0) throw new Error(misplaced.join(', '))
    await this.#time.during(Promise.all([recipient.stop(), ...this.#relays.map(async (relay) => await relay.stop())]))
    return { ...this.#ledger.close(), messages: this.#ledger.promised, byRelay: this.#ledger.byRelay }
  }

  async #meet(): Promise<void> {
    const [sender, recipient] = [this.#sender, this.#recipient]
    await this.#time.during(Promise.all(this.#relays.map(async (relay) => await relay.start())))
    this.#addresses = this.#relays.map((relay) => relay.whereItIs)
    await this.#time.during(Promise.all([sender.start(), recipient.start()]))
    await this.#time.during(recipient.meet(sender))
    const knowsQueues = (): boolean =>
      sender.running.node.delivery.relays!.queuesOf(sender.account!, recipient.account!) === relayCount
    await this.#until('the sender knows three queues', knowsQueues)
  }

  #isLeft(): boolean {
    const { delivery } = this.#sender.running.node
    return delivery.waiting().every(({ atRelays }) => atRelays?.count === relayCount) && delivery.relays!.isQuiet()
  }

  async #until(what: string, isSo: () => boolean): Promise<void> {
    const untilMs = this.#time.nowMs + 3600_000
    while (!isSo()) {
      if (this.#time.nowMs > untilMs) throw new Error(`not in an hour: ${what}`)
      await this.#time.passTo(this.#time.nowMs + 1000)
    }
  }
}
