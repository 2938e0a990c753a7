/**
 * Mails per second accepted durably over SMTP from 20 sessions of 2 KB mails, on new and on reused connections, beside
 * stock smtp-server with an fsynced Maildir; rounds alternate, and the median round counts. `null_sink` is smtp-server
 * without storing, `null_sink_ours` ours. Both servers see a login and pipelined commands.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { Bench, Result } from '../scripts/bench.ts'
import { mailsPerSecond } from './smtp/client.ts'

type Kind = 'ours' | 'ours-null-sink' | 'maildir' | 'null-sink'
const peer = 'smtp-server, fsynced Maildir'
const sessions = 20

interface Measured {
  /** Mails per second. */
  readonly rate: number
  /** CPU time of the server for one mail, microseconds. */
  readonly cpu: number
}

async function measure(kind: Kind, reused: boolean, ms: number): Promise<Measured> {
  const child = fork(new URL('smtp/server.ts', import.meta.url), [kind])
  try {
    const [server] = (await once(child, 'message')) as [{ readonly port: number; readonly password: string }]
    const cpuNow = async (): Promise<number> => {
      child.send('cpu')
      const [{ cpu }] = (await once(child, 'message')) as [{ readonly cpu: NodeJS.CpuUsage }]
      return cpu.user + cpu.system
    }
    await mailsPerSecond(server, { reused, sessions, ms: ms / 4 })
    const before = await cpuNow()
    const { rate, mails } = await mailsPerSecond(server, { reused, sessions, ms })
    return { rate, cpu: ((await cpuNow()) - before) / mails }
  } finally {
    child.disconnect()
    await once(child, 'exit')
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

export const bench: Bench = async ({ quick, say }) => {
  const [rounds, ms] = quick ? [1, 2500] : [5, 5000]
  const results: Result[] = []
  for (const [name, reused] of [
    ['accept_new', false],
    ['accept_reused', true],
  ] as const) {
    const ours: Measured[] = []
    const theirs: Measured[] = []
    for (let round = 0; round < rounds; round += 1) {
      ours.push(await measure('ours', reused, ms))
      theirs.push(await measure('maildir', reused, ms))
      say(`${name} ${round + 1}/${rounds}: ${ours.at(-1)!.rate.toFixed(0)} beside ${theirs.at(-1)!.rate.toFixed(0)}`)
    }
    for (const [result, unit, of] of [
      [name, 'mails/s', ({ rate }: Measured) => rate],
      [`${name}_cpu`, 'us', ({ cpu }: Measured) => cpu],
    ] as const) {
      const [value, peerValue] = [Math.round(median(ours.map(of))), Math.round(median(theirs.map(of)))]
      results.push({ name: result, unit, value, peer, peerValue, ratio: value / peerValue })
    }
  }
  for (const [name, reused] of [
    ['null_sink', true],
    ['null_sink_new', false],
  ] as const) {
    const ours = await measure('ours-null-sink', reused, ms)
    const theirs = await measure('null-sink', reused, ms)
    results.push({ name, unit: 'mails/s', value: Math.round(theirs.rate) })
    results.push({ name: `${name}_ours`, unit: 'mails/s', value: Math.round(ours.rate) })
  }
  return results
}
