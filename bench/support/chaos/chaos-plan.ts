/** Everything that is to happen, made from the seed before it begins. */
import { below, type Random } from '../seeded.ts'
import { dayMs, type Presence, presences } from './people.ts'
import type { RelayFaults } from './unreliable-relays.ts'

export type ChaosEvent =
  | { readonly kind: 'on'; readonly who: number }
  /** `silence`: its network is gone for a while before it ends, as when a battery or a cable goes. */
  | { readonly kind: 'off'; readonly who: number; readonly how: 'stop' | 'kill' | 'silence' }
  /** Killed in the middle of something, after so many turns of the event loop in which anybody works. */
  | { readonly kind: 'crash'; readonly who: number; readonly turns: number; readonly awayMs: number }
  | { readonly kind: 'split'; readonly side: readonly number[]; readonly isSilent: boolean }
  | { readonly kind: 'unite' }
  /** A new address. */
  | { readonly kind: 'move'; readonly who: number }
  | {
      readonly kind: 'weather'
      readonly who: number
      readonly loss: number
      readonly swaps: number
      readonly doubles: number
    }
  | { readonly kind: 'skew'; readonly who: number; readonly ms: number }
  /** A relay is gone for a while: switched off, killed, or its disk is lost with all that it holds. */
  | {
      readonly kind: 'relay-off'
      readonly relay: number
      readonly how: 'stop' | 'kill' | 'lose'
      readonly awayMs: number
    }
  /** From now on a relay treats so what it hands out. */
  | { readonly kind: 'relay-faults'; readonly relay: number; readonly faults: RelayFaults }
  /** Somebody writes; the share of all mails that should be written by then. */
  | { readonly kind: 'write'; readonly who: number; readonly share: number }

export interface Planned {
  readonly atMs: number
  readonly event: ChaosEvent
}

export interface PlanOptions {
  readonly gateways: number
  readonly relays: number
  readonly days: number
  /** How often one person writes, in minutes of being there. */
  readonly writesEveryMs: number
  /** For each gateway and day. */
  readonly crashesADay: number
  readonly lossMax: number
  readonly skewMsMax: number
}

export function planChaos(random: Random, options: PlanOptions): readonly Planned[] {
  const { gateways, days } = options
  const everybody = Array.from({ length: gateways }, (_, who) => who)
  const there = everybody.map((who) => presences(random, who, days))
  const planned = [
    ...everybody.flatMap((who) => comings(random, who, there[who]!)),
    ...everybody.flatMap((who) => accidents(random, who, there[who]!, options)),
    ...splits(random, options),
    ...writings(random, there, options),
    ...Array.from({ length: options.relays }, (_, relay) => relayTroubles(random, relay, options)).flat(),
  ]
  return planned.toSorted((a, b) => a.atMs - b.atMs)
}

function comings(random: Random, who: number, stays: readonly Presence[]): readonly Planned[] {
  return stays.flatMap(({ fromMs, toMs }) => {
    const draw = random()
    const how = draw < 0.6 ? 'stop' : draw < 0.8 ? 'kill' : 'silence'
    return [
      { atMs: fromMs, event: { kind: 'on', who } },
      { atMs: toMs, event: { kind: 'off', who, how } },
    ]
  })
}

function accidents(
  random: Random,
  who: number,
  stays: readonly Presence[],
  { days, crashesADay, lossMax, skewMsMax }: PlanOptions,
): readonly Planned[] {
  const some = (perDay: number, make: () => ChaosEvent): readonly Planned[] =>
    Array.from({ length: Math.round(perDay * days) }, () => ({ atMs: momentOf(random, stays), event: make() }))
  const isGood = (): boolean => random() < 0.3
  return [
    ...some(crashesADay, () => ({
      kind: 'crash',
      who,
      turns: below(random, random() < 0.5 ? 5 : 60), // a mail is committed in the second one
      awayMs: random() < 0.8 ? 1000 + below(random, 120_000) : below(random, 3 * 3600_000),
    })),
    ...some(0.5, () => ({ kind: 'move', who })),
    ...some(3, () =>
      isGood()
        ? { kind: 'weather', who, loss: 0, swaps: 0, doubles: 0 }
        : { kind: 'weather', who, loss: random() * lossMax, swaps: random() * 0.2, doubles: random() * 0.2 },
    ),
    ...some(1, () => ({ kind: 'skew', who, ms: Math.round((2 * random() - 1) * skewMsMax) })),
  ]
}

function momentOf(random: Random, stays: readonly Presence[]): number {
  const total = stays.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0)
  let left = random() * total
  for (const { fromMs, toMs } of stays) {
    if (left < toMs - fromMs) return Math.round(fromMs + left)
    left -= toMs - fromMs
  }
  return 0
}

/** One at a time: a few minutes to most of a day. */
function splits(random: Random, { gateways, days }: PlanOptions): readonly Planned[] {
  const planned: Planned[] = []
  for (let atMs = random() * dayMs * 0.5; atMs < days * dayMs;) {
    const forMs = random() < 0.7 ? random() * 3600_000 : random() * 0.7 * dayMs
    const side = Array.from({ length: gateways }, (_, who) => who).filter(() => random() < 0.5)
    planned.push(
      { atMs: Math.round(atMs), event: { kind: 'split', side, isSilent: random() < 0.4 } },
      { atMs: Math.round(atMs + forMs), event: { kind: 'unite' } },
    )
    atMs += forMs + random() * dayMs * 0.8
  }
  return planned
}

/** Each is away every few days for hours to days, and each has its days of being careless in its own way. */
function relayTroubles(random: Random, relay: number, { days }: PlanOptions): readonly Planned[] {
  const planned: Planned[] = []
  for (let atMs = random() * 2 * dayMs; atMs < days * dayMs;) {
    const draw = random()
    const how = draw < 0.45 ? 'stop' : draw < 0.85 ? 'kill' : 'lose'
    const awayMs = Math.round(random() < 0.5 ? random() * 3600_000 : random() * 2.5 * dayMs)
    planned.push({ atMs: Math.round(atMs), event: { kind: 'relay-off', relay, how, awayMs } })
    atMs += awayMs + random() * 3 * dayMs
  }
  const good = { loses: 0, delayMsMax: 0, shuffles: false }
  const careless = [
    { ...good, loses: 0.3 },
    { ...good, delayMsMax: 6 * 3600_000 },
    { ...good, shuffles: true },
  ][relay % 3]!
  for (let atMs = random() * 3 * dayMs; atMs < days * dayMs; atMs += random() * 6 * dayMs) {
    const untilMs = atMs + random() * 3 * dayMs
    planned.push(
      { atMs: Math.round(atMs), event: { kind: 'relay-faults', relay, faults: careless } },
      { atMs: Math.round(untilMs), event: { kind: 'relay-faults', relay, faults: good } },
    )
  }
  return planned
}

function writings(
  random: Random,
  there: readonly (readonly Presence[])[],
  { writesEveryMs }: PlanOptions,
): readonly Planned[] {
  const moments = there.flatMap((stays, who) =>
    stays.flatMap(({ fromMs, toMs }) => {
      const count = Math.ceil((toMs - fromMs) / writesEveryMs)
      return Array.from({ length: count }, () => ({ who, atMs: Math.round(fromMs + random() * (toMs - fromMs)) }))
    }),
  )
  const inOrder = moments.toSorted((a, b) => a.atMs - b.atMs)
  return inOrder.map(({ who, atMs }, at) => ({
    atMs,
    event: { kind: 'write', who, share: (at + 1) / inOrder.length },
  }))
}
