/** Relays that do not do what they promised, as their users meet it: entries they took are gone, late or in another order. */
import type { GatewayId } from '../../../src/core/ids.ts'
import type { RelayEntry, Relays, WatchHandlers } from '../../../src/core/delivery/relay-ports.ts'
import type { Random } from '../seeded.ts'
import type { VirtualTime } from './virtual-time.ts'

export interface RelayFaults {
  /** Share of entries that are gone. */
  loses: number
  /** Until a batch is handed out, at most. */
  delayMsMax: number
  shuffles: boolean
}

interface Parts {
  /** By the relay's gateway; read for each batch. */
  readonly faults: ReadonlyMap<GatewayId, RelayFaults>
  readonly time: VirtualTime
  readonly random: Random
  /** Around the taking of a batch. */
  readonly onEntries: <T>(taken: Promise<T>) => Promise<T>
}

export function unreliableRelays(relays: Relays, parts: Parts): Relays {
  return {
    describe: async (...asked) => await relays.describe(...asked),
    open: async (...asked) => await relays.open(...asked),
    queues: async (...asked) => await relays.queues(...asked),
    close: async (...asked) => await relays.close(...asked),
    deposit: async (...asked) => await relays.deposit(...asked),
    async watch(at, owner, handlers, options) {
      await relays.watch(at, owner, faulty(at.gateway, handlers, parts), options)
    },
  }
}

function faulty(relay: GatewayId, handlers: WatchHandlers, { faults, time, random, onEntries }: Parts): WatchHandlers {
  return {
    onDrained: () => handlers.onDrained(),
    async onEntries(entries) {
      const { loses, delayMsMax, shuffles } = faults.get(relay) ?? { loses: 0, delayMsMax: 0, shuffles: false }
      if (delayMsMax > 0) await time.sleep(random() * delayMsMax)
      const isLost = new Map(entries.map((entry) => [entry, random() < loses]))
      const kept = entries.filter((entry) => isLost.get(entry) === false)
      const lost = entries.filter((entry) => isLost.get(entry) === true).map(({ number }) => number)
      const handedOut = shuffles ? shuffled(kept, random) : kept
      const taken = handedOut.length === 0 ? [] : await onEntries(handlers.onEntries(handedOut))
      return [...taken, ...lost]
    },
  }
}

const shuffled = (entries: readonly RelayEntry[], random: Random): readonly RelayEntry[] =>
  entries
    .map((entry) => ({ entry, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ entry }) => entry)
