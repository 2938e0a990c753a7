/**
 * Is anything lost or shown twice among twelve gateways and three relays in a month of holidays, partitions, kills, bad links
 * and careless relays? And does mail arrive whose sender is dead, with two of three relays? Time is virtual
 * (support/chaos/virtual-time.ts). `CHAOS_SEED=n` makes the same choices again. Fails when it was less than it says.
 */
import type { Bench } from '../scripts/bench.ts'
import { runChaos } from './support/chaos/chaos-run.ts'
import { runDeadSender } from './support/chaos/dead-sender.ts'
import { heldMb } from '../test/support/held-memory.ts'

export const bench: Bench = async ({ quick, say }) => {
  const seed = Number(process.env['CHAOS_SEED'] ?? Date.now() % 1_000_000)
  if (!Number.isSafeInteger(seed)) throw new Error('CHAOS_SEED is a whole number')
  say(`CHAOS_SEED=${seed}`)
  const messages = quick ? 500 : 100_000
  const days = quick ? 1 : 30
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
    onDay: async () => void memory.push(await heldMb()),
  })
  let delivered = 0
  for (const survivor of quick ? [seed % 3] : [0, 1, 2]) {
    const left = await runDeadSender({ seed, survivor, messages: quick ? 50 : 500 })
    for (const example of left.examples) say(example)
    if (left.foreign + left.lost + left.shownTwice > 0) throw new Error(`dead sender: ${JSON.stringify(left)}`)
    delivered += left.messages
    say(`sender and two relays dead: ${left.messages} delivered by the one that is left`)
  }
  for (const example of found.examples) say(example)
  if (found.messages < messages) throw new Error(`only ${found.messages} messages`)
  if (found.foreign + found.halves > 0) throw new Error(`${found.foreign} foreign, ${found.halves} in part`)
  const third = Math.ceil(days / 3)
  const count = (name: string, value: number) => ({ name, unit: 'count', value })
  return [
    count('messages', found.messages),
    count('lost', found.lost),
    count('shown_twice', found.shownTwice),
    count('copies', found.copies),
    count('dead_sender_delivered', delivered),
    count('by_relay', found.byRelay),
    count('kills', found.kills),
    count('interrupted', found.interrupted),
    count('partitions', found.splits),
    { name: 'delay_p50', unit: 'virtual s', value: found.delayP50Ms / 1000 },
    { name: 'delay_p95', unit: 'virtual s', value: found.delayP95Ms / 1000 },
    { name: 'drain', unit: 'virtual s', value: found.drainedMs / 1000 },
    { name: 'held_early', unit: 'MB', value: Math.max(...memory.slice(0, third)) },
    { name: 'held_late', unit: 'MB', value: Math.max(...memory.slice(-third)) },
  ]
}
