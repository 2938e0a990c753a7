/** When people's machines are on: days and nights, weeks and weekends, and a holiday. */
import { below, type Random } from '../seeded.ts'

export interface Presence {
  readonly fromMs: number
  readonly toMs: number
}

const minuteMs = 60_000
const hourMs = 60 * minuteMs
export const dayMs = 24 * hourMs

type Habit = (random: Random, day: number) => readonly Presence[]

const between = (random: Random, from: number, to: number): number => from + random() * (to - from)
const stay = (fromHour: number, toHour: number): Presence => ({ fromMs: fromHour * hourMs, toMs: toHour * hourMs })
const isWeekend = (day: number): boolean => day % 7 >= 5

/** A machine in an office or a cellar that is never switched off; it has its accidents like all others. */
const box: Habit = () => [stay(0, 24)]
/** From nine to five with a break at noon. */
const worker: Habit = (random, day) => {
  if (isWeekend(day)) return random() < 0.2 ? [stay(11, between(random, 11.2, 13))] : []
  return [
    stay(between(random, 8, 9.5), between(random, 11.8, 12.4)),
    stay(between(random, 12.8, 13.5), between(random, 16, 18.5)),
  ]
}
/** After work, and longer at weekends. */
const evening: Habit = (random, day) =>
  isWeekend(day)
    ? [stay(between(random, 10, 12), between(random, 14, 16)), stay(between(random, 18, 20), between(random, 22, 24))]
    : [stay(between(random, 18, 20), between(random, 21, 23.5))]
/** A look now and then. */
const passerBy: Habit = (random) => {
  const looks = Array.from({ length: 2 + below(random, 6) }, () => between(random, 7, 23.3)).toSorted((a, b) => a - b)
  return looks.map((hour) => stay(hour, hour + between(random, 0.05, 0.6)))
}
/** Every few days. */
const seldom: Habit = (random) => (random() < 0.4 ? [stay(between(random, 9, 21), between(random, 21.5, 23))] : [])

const habits: readonly Habit[] = [box, worker, evening, passerBy, worker, seldom, evening, passerBy, worker, box]

/** @param index of the person: it gives the habit, the time zone and who is away for a week */
export function presences(random: Random, index: number, days: number): readonly Presence[] {
  const habit = habits[index % habits.length]!
  const zoneMs = below(random, 3) * 4 * hourMs
  const isTravelling = index % 3 === 1 && days > 8
  const leavesOn = isTravelling ? 1 + below(random, days - 8) : Infinity
  const stays: Presence[] = []
  for (let day = 0; day < days; day += 1) {
    if (day >= leavesOn && day < leavesOn + 7) continue
    for (const { fromMs, toMs } of habit(random, day)) {
      const at = day * dayMs + zoneMs
      stays.push({ fromMs: at + fromMs, toMs: Math.min(at + toMs, days * dayMs) })
    }
  }
  return united(stays.filter(({ fromMs, toMs }) => toMs > fromMs))
}

function united(stays: readonly Presence[]): readonly Presence[] {
  const joined: Presence[] = []
  for (const next of stays.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const last = joined.at(-1)
    if (last === undefined || next.fromMs > last.toMs) joined.push(next)
    else joined[joined.length - 1] = { fromMs: last.fromMs, toMs: Math.max(last.toMs, next.toMs) }
  }
  return joined
}
