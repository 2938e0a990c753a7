/**
 * Is anything lost or shown twice among twelve gateways in a month of holidays, partitions, kills and bad links? The month
 * passes in virtual time (support/chaos/virtual-time.ts). `CHAOS_SEED=n` makes the same choices again.
 */
import type { Bench } from '../scripts/bench.ts'
import { runChaos } from './support/chaos/chaos-run.ts'
import { rssAnonMb } from './support/soak/memory.ts'

export const bench: Bench = async ({ quick, say }) => {
  const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000)
  if (!Number.isSafeInteger(seed)) throw new Error('CHAOS_SEED is a whole number')
  say(`CHAOS_SEED=${seed}`)
  const messages = quick ? 1500 : 100_000
  const days = quick ? 2 : 30
  const memory: number[] = []
  const found = await runChaos({
    seed,
    gateways: 12,
    relays: 3,
    relaysAskWork: !quick,
    days,
    messages,
    density: 0.8,
    writesEveryMs: 30 * 60_000,
    crashesADay: 2,
    lossMax: 0.2,
    say,
    onDay: () => void memory.push(rssAnonMb(process.pid)),
  })
  for (const example of found.examples) say(example)
  if (found.messages < messages) throw new Error(`only ${found.messages} messages`)
  if (found.foreign + found.halves > 0) throw new Error(`${found.foreign} foreign, ${found.halves} in part`)
  const count = (name: string, value: number) => ({ name, unit: 'count', value })
  return [
    count('messages', found.messages),
    count('lost', found.lost),
    count('shown_twice', found.shownTwice),
    count('copies', found.copies),
    count('by_relay', found.byRelay),
    count('kills', found.kills),
    count('interrupted', found.interrupted),
    count('partitions', found.splits),
    { name: 'delay_p50', unit: 'virtual s', value: found.delayP50Ms / 1000 },
    { name: 'delay_p95', unit: 'virtual s', value: found.delayP95Ms / 1000 },
    { name: 'drain', unit: 'virtual s', value: found.drainedMs / 1000 },
    { name: 'rss_early', unit: 'MB', value: memory[Math.floor(memory.length / 4)] ?? 0 },
    { name: 'rss_late', unit: 'MB', value: memory.at(-1) ?? 0 },
  ]
}
