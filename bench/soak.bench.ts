/**
 * Half an hour of what mail programs do, twenty at once on four accounts: an independent model follows every
 * acknowledgement and checks every answer. Reports what was wrong, and whether memory stayed flat.
 * `SOAK_SEED=n` repeats the choices, `SOAK_MINUTES=n` changes the length.
 */
import type { Bench } from '../scripts/bench.ts'
import { median, rssAnonMb } from './support/soak/memory.ts'
import { Soak } from './support/soak/soak-run.ts'

const sampleMs = 1000
const settleEveryMs = 15_000
const warmUpShare = 0.3

export const bench: Bench = async ({ quick, say }) => {
  const seed = Number(process.env['SOAK_SEED'] ?? Date.now() % 1_000_000)
  const minutes = Number(process.env['SOAK_MINUTES'] ?? (quick ? 0.5 : 30))
  if (!Number.isSafeInteger(seed) || !(minutes > 0)) throw new Error('SOAK_SEED and SOAK_MINUTES are numbers')
  say(`SOAK_SEED=${seed}, ${minutes} minutes`)
  await using soak = await Soak.open({ seed, accounts: 4, clientsPerAccount: 5, messagesMax: 400, say })
  const memory: number[] = []
  const sampling = setInterval(() => memory.push(rssAnonMb(soak.pid)), sampleMs)
  using _ = { [Symbol.dispose]: () => clearInterval(sampling) }
  const endAt = performance.now() + minutes * 60_000
  while (performance.now() < endAt) {
    await soak.play(AbortSignal.timeout(Math.ceil(Math.min(settleEveryMs, endAt - performance.now()))))
    await soak.settle()
    say(
      `${soak.actions} actions, ${soak.delivered} mails sent, ${soak.wrong.length} wrong, ${Math.round(memory.at(-1) ?? 0)} MB`,
    )
  }
  const warm = memory.slice(Math.floor(memory.length * warmUpShare))
  const half = Math.floor(warm.length / 2)
  const [early, late] = [median(warm.slice(0, half)), median(warm.slice(half))]
  return [
    { name: 'actions', unit: 'count', value: soak.actions },
    { name: 'deliveries', unit: 'count', value: soak.delivered },
    { name: 'wrong', unit: 'count', value: soak.wrong.length },
    { name: 'lost', unit: 'count', value: soak.lost },
    { name: 'rss_early', unit: 'MB', value: Math.round(early) },
    { name: 'rss_late', unit: 'MB', value: Math.round(late) },
  ]
}
