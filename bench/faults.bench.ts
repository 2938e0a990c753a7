/**
 * Is anything lost, shown twice or acknowledged too early, when both gateways are killed, lose their power and talk over
 * a bad link? `FAULTS_SEED=n` makes the same choices again. Fails when there was too little of anything to say so.
 */
import type { Bench } from '../scripts/bench.ts'
import { runFaults } from './support/faults-run.ts'

const link = { loss: 0.05, swaps: 0.1, doubles: 0.1 }

export const bench: Bench = async ({ quick, say }) => {
  const seed = Number(process.env['FAULTS_SEED'] ?? Date.now() % 1_000_000)
  if (!Number.isSafeInteger(seed)) throw new Error('FAULTS_SEED is a whole number')
  say(`FAULTS_SEED=${seed}`)
  const messages = quick ? 2000 : 10_000
  const kills = quick ? 10 : 50
  const withinMs = (quick ? 3 : 20) * 60_000
  const found = await runFaults({ messages, kills, seed, link, withinMs, say })
  if (found.messages < messages || found.kills < kills)
    throw new Error(`only ${found.messages} messages and ${found.kills} kills`)
  if (found.unsyncedLost === 0) throw new Error('no power loss met a write that was not synced')
  const count = (name: string, value: number) => ({ name, unit: 'count', value })
  return [
    count('messages', found.messages),
    count('kills', found.kills),
    count('power_losses', found.powerLosses),
    count('unsynced_pages_dropped', found.unsyncedLost),
    count('lost', found.lost),
    count('shown_twice', found.shownTwice),
    count('acknowledged_uncommitted', found.acknowledgedUncommitted),
  ]
}
