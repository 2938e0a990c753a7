/** What does a group cost its sender, its readers and whoever removes somebody, beside MLS (ts-mls) in the same run? */
import type { Bench, Result } from '../scripts/bench.ts'
import { messageCpuUs, operationCpuUs, rekeyCpuMs, sendCpuMs } from './groups/costs.ts'
import { mlsMessageCpuUs, mlsRemoveCpuMs } from './groups/mls.ts'

const round = (value: number): number => Math.round(value * 1000) / 1000
const shown = (name: string, unit: string, value: number): Result => ({ name, unit, value: round(value) })
const beside = (name: string, unit: string, value: number, peerValue: number): Result => ({
  ...shown(name, unit, value),
  peer: 'ts-mls',
  peerValue: round(peerValue),
  ratio: Math.round((value / peerValue) * 1e4) / 1e4,
})

export const bench: Bench = async ({ quick, say }) => {
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
