/** How fast mail goes from one gateway's client to another's mailbox, durable at both ends. */
import type { Bench, Result } from '../scripts/bench.ts'
import { smtpToExists } from './support/mail-latency.ts'
import { type Peer, startPeer } from './support/peer.ts'
import { quantile } from './support/quantile.ts'

const bodyBytes = 512

async function cpuMs(peer: Peer): Promise<number> {
  const { user, system } = await peer.ask<NodeJS.CpuUsage>({ do: 'cpu' })
  return (user + system) / 1000
}

const tenths = (ms: number): number => Math.round(ms * 10) / 10

export const bench: Bench = async ({ quick, say }) => [
  ...(await throughput(quick, say)),
  ...(await latency(quick, say)),
]

async function latency(quick: boolean, say: (line: string) => void): Promise<readonly Result[]> {
  const took = (await smtpToExists(quick ? 150 : 500)).slice(20) // the first ones meet code that is still being compiled
  say(`${took.length} single mails, SMTP 250 to EXISTS`)
  return [
    { name: 'smtp_to_exists_p50', unit: 'ms', value: tenths(quantile(took, 0.5)) },
    { name: 'smtp_to_exists_p95', unit: 'ms', value: tenths(quantile(took, 0.95)) },
  ]
}

async function throughput(quick: boolean, say: (line: string) => void): Promise<readonly Result[]> {
  await using alice = await startPeer('alice')
  await using bob = await startPeer('bob')
  await bob.ask({ do: 'accept', link: await alice.ask<string>({ do: 'invite' }) })
  let sent = 0
  const send = async (count: number): Promise<number> => {
    const { tookMs } = await bob.ask<{ readonly tookMs: number }>({
      do: 'send',
      count,
      bytes: bodyBytes,
      atOnce: 256,
      firstNumber: sent,
    })
    sent += count
    return tookMs
  }
  await send(quick ? 6000 : 30_000) // until the code that matters is compiled
  const count = quick ? 10_000 : 50_000
  const before = await Promise.all([bob, alice].map(cpuMs))
  const tookMs = await send(count)
  const [sender, receiver] = (await Promise.all([bob, alice].map(cpuMs))).map(
    (after, side) => ((after - before[side]!) / count) * 1000,
  )
  const arrived = await alice.ask<number>({ do: 'received' })
  say(`${arrived} of ${sent} arrived`)
  if (arrived !== sent) throw new Error(`only ${arrived} of ${sent} arrived`)
  return [
    { name: 'throughput_512', unit: 'messages/s', value: Math.round((count / tookMs) * 1000) },
    { name: 'sender_cpu', unit: 'us', value: Math.round(sender!) },
    { name: 'receiver_cpu', unit: 'us', value: Math.round(receiver!) },
  ]
}
