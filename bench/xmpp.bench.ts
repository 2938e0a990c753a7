/**
 * What XMPP programs cost: messages between 100 pairs of accounts of one gateway, as many as it takes beside Prosody with
 * the same users, and how soon each comes at 200 a second; logins and idle connections with TLS. Every message counted is
 * in both archives, on the disk, and acknowledged to its author. Rounds alternate, and the median round counts. At the end
 * what programs lose when both their gateways are killed again and again while they talk, and when the network is cut
 * between all of them.
 */
import type { Bench, Result } from '../scripts/bench.ts'
import { quantile } from './support/quantile.ts'
import { cutRun } from './xmpp/cuts.ts'
import { killRun } from './xmpp/kills.ts'
import { idle, Pairs } from './xmpp/measure.ts'
import { openGateway, openProsody, type Server } from './xmpp/servers.ts'

const perSecond = 200

const median = (values: readonly number[]): number => quantile(values, 0.5)
const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits))

interface Measured {
  readonly perCore: number
  readonly rate: number
  readonly p50: number
  readonly p99: number
}

async function measured(
  servers: readonly Server[],
  { rounds, floodMs, pacedMs, say }: { rounds: number; floodMs: number; pacedMs: number; say: (line: string) => void },
): Promise<readonly Measured[]> {
  using scope = new DisposableStack()
  const sides: { server: Server; pairs: Pairs; floods: Awaited<ReturnType<Pairs['flood']>>[]; took: number[] }[] = []
  for (const server of servers) sides.push({ server, pairs: scope.use(await Pairs.of(server)), floods: [], took: [] })
  for (const { pairs } of sides) await pairs.flood(floodMs / 3)
  for (let round = 0; round < rounds; round += 1) {
    for (const { server, pairs, floods, took } of sides) {
      const flood = await pairs.flood(floodMs)
      floods.push(flood)
      const latencies = await pairs.latencies(perSecond, pacedMs)
      took.push(...latencies)
      const [p50, p99] = [quantile(latencies, 0.5).toFixed(1), quantile(latencies, 0.99).toFixed(1)]
      say(
        `${server.name} ${round + 1}/${rounds}: ${flood.rate.toFixed(0)}/s, ${flood.perCore.toFixed(0)}/s per core; at ${perSecond}/s p50 ${p50} ms, p99 ${p99} ms`,
      )
    }
  }
  return sides.map(({ floods, took }) => ({
    perCore: median(floods.map((flood) => flood.perCore)),
    rate: median(floods.map((flood) => flood.rate)),
    p50: quantile(took, 0.5),
    p99: quantile(took, 0.99),
  }))
}

export const bench: Bench = async ({ quick, say }) => {
  await using scope = new AsyncDisposableStack()
  const users = quick ? 40 : 200
  const gateway = await openGateway(scope, users)
  const prosody = await openProsody(scope, users, say)
  const { logins, loginCpuMs, kbPerConnection } = await idle(gateway, quick ? 200 : 1000)
  say(`${logins.toFixed(0)} logins/s, ${loginCpuMs.toFixed(1)} ms of processor each; ${kbPerConnection.toFixed(0)} kB`)
  const servers = prosody === undefined ? [gateway] : [gateway, prosody]
  const [ours, theirs] = await measured(servers, {
    rounds: quick ? 1 : 5,
    floodMs: quick ? 3000 : 5000,
    pacedMs: quick ? 2000 : 5000,
    say,
  })
  const killed = await killRun(quick ? { messages: 1000, kills: 3 } : { messages: 10_000, kills: 6 })
  say(`killed: ${killed.resumed} streams went on, ${killed.disordered} out of order`)
  const cut = await cutRun({ ...(quick ? { messages: 1000, cuts: 12 } : { messages: 10_000, cuts: 72 }), seed: 1, say })
  say(`cut: ${cut.resumed} streams went on, ${cut.refused} did not, ${cut.begunAnew} were begun anew by their programs`)
  for (const fault of cut.faults) say(fault)
  const compared = (name: string, unit: string, of: (side: Measured) => number, digits = 0): Result => {
    const value = rounded(of(ours!), digits)
    if (theirs === undefined) return { name, unit, value }
    const peerValue = rounded(of(theirs), digits)
    return { name, unit, value, peer: 'prosody', peerValue, ratio: value / peerValue }
  }
  return [
    compared('archived_per_core', 'messages/s', ({ perCore }) => perCore),
    compared('archived', 'messages/s', ({ rate }) => rate),
    compared('p50_at_200', 'ms', ({ p50 }) => p50, 1),
    compared('p99_at_200', 'ms', ({ p99 }) => p99, 1),
    { name: 'kb_per_idle_tls', unit: 'kB', value: rounded(kbPerConnection) },
    { name: 'logins', unit: 'per s', value: rounded(logins) },
    { name: 'login_cpu', unit: 'ms', value: rounded(loginCpuMs, 1) },
    { name: 'lost', unit: 'count', value: killed.lost },
    { name: 'doubled', unit: 'count', value: killed.doubled },
    { name: 'cut_lost', unit: 'count', value: cut.lost },
    { name: 'cut_doubled', unit: 'count', value: cut.doubled },
    { name: 'cut_disordered', unit: 'count', value: cut.disordered },
  ]
}
