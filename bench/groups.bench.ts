/**
 * What do groups cost, and do they agree? Ten people over slow stores: joining and sending. Five gateways as processes, three
 * of them off at random: everybody shows the same at the end, and nobody what was said without them. `GROUPS_SEED=n` makes
 * the same choices again.
 */
import type { Bench, Result } from '../scripts/bench.ts'
import { runMembers } from './groups/members.ts'
import { measureSlowDisk } from './groups/slow-disk.ts'

const storeDelayMs = 50
const rounds = 5

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

export const bench: Bench = async ({ quick, say }) => {
  const slow = []
  for (let round = 0; round < (quick ? 1 : rounds); round += 1) slow.push(await measureSlowDisk(10, storeDelayMs))
  const ms = (name: string, values: readonly number[]): Result => ({
    name,
    unit: 'ms',
    value: Math.round(median(values)),
  })
  const results = [
    ms(
      'join_10',
      slow.map(({ joinMs }) => joinMs),
    ),
    ms(
      'three_sends_10',
      slow.map(({ sendsMs }) => sendsMs),
    ),
    ms(
      'three_shown_10',
      slow.map(({ shownMs }) => shownMs),
    ),
  ]
  for (const { name, value } of results) say(`${name} ${value} ms`)
  const seed = Number(process.env['GROUPS_SEED'] ?? Date.now() % 1_000_000)
  say(`GROUPS_SEED=${seed}`)
  const run = await runMembers({
    messages: quick ? 60 : 1000,
    edits: quick ? 5 : 50,
    reactions: quick ? 5 : 50,
    changes: quick ? 2 : 10,
    seed,
    settleMs: quick ? 30_000 : 300_000,
    say,
  })
  const count = (name: string, value: number): Result => ({ name, unit: 'count', value })
  return [
    ...results,
    count('messages', run.messages),
    count('membership_changes', run.changes),
    count('outages', run.outages),
    count('diverged', run.diverged),
    count('leaked', run.leaked),
    { name: 'converged', unit: 'ms', value: run.convergedMs },
  ]
}
