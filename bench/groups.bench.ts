/**
 * What do groups cost, and do they agree? Ten people over slow stores: joining and sending. Five gateways as processes, three
 * of them off at random: everybody shows the same at the end, and nobody what was said without them. `GROUPS_SEED=n` makes
 * the same choices again.
 */
import type { Bench, Result } from '../scripts/bench.ts'
import { messageCpuUs, operationCpuUs, rekeyCpuMs, sendCpuMs } from './groups/costs.ts'
import { runMembers } from './groups/members.ts'
import { mlsMessageCpuUs, mlsRemoveCpuMs } from './groups/mls.ts'
import { measureSlowDisk } from './groups/slow-disk.ts'

const storeDelayMs = 50
const rounds = 5

const round = (value: number): number => Math.round(value * 1000) / 1000
const shown = (name: string, unit: string, value: number): Result => ({ name, unit, value: round(value) })
const beside = (name: string, unit: string, value: number, peerValue: number): Result => ({
  ...shown(name, unit, value),
  peer: 'ts-mls',
  peerValue: round(peerValue),
  ratio: Math.round((value / peerValue) * 1e4) / 1e4,
})

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** The sender's, the readers' and the remover's processor, beside MLS (ts-mls) in the same run. */
async function costs(quick: boolean, say: (line: string) => void): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const [size, messages] of [
    [10, 200],
    [100, 40],
    [1000, 5],
  ] as const) {
    say(`a message to ${size} members`)
    results.push(shown(`send_${size}`, 'cpu_ms', await sendCpuMs(size, { messages, rounds: quick ? 3 : 9 })))
  }
  say('a removal among 1,000 members')
  const rekey = await rekeyCpuMs(1000, quick ? 2 : 7)
  results.push(
    quick ? shown('rekey_1000', 'cpu_ms', rekey) : beside('rekey_1000', 'cpu_ms', rekey, await mlsRemoveCpuMs(1000)),
  )
  say('one message of a group, sealed and opened')
  const ours = await messageCpuUs(100, quick ? 200 : 1000, quick ? 3 : 7)
  const theirs = await mlsMessageCpuUs(100, quick ? 50 : 200, 3)
  results.push(
    beside('seal_message', 'us', ours.seal, theirs.seal),
    beside('open_message', 'us', ours.open, theirs.open),
  )
  say('one operation in a group of 1,000 members')
  results.push(shown('operation_1000', 'us', await operationCpuUs(1000, quick ? 200 : 1000)))
  return results
}

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
    ...(await costs(quick, say)),
    ...results,
    count('messages', run.messages),
    count('membership_changes', run.changes),
    count('outages', run.outages),
    count('diverged', run.diverged),
    count('leaked', run.leaked),
    { name: 'converged', unit: 'ms', value: run.convergedMs },
  ]
}
