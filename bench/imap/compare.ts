/** Runs each operation on each server in turn, round after round, and takes the median of its processor time. */
import type { Result } from '../../scripts/bench.ts'
import { type Operation, operations } from './operations.ts'
import { processorMs } from '../support/processor-time.ts'
import type { Server } from './servers.ts'

interface Sample {
  readonly cpuMs: number
  readonly wallMs: number
}

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

export const rounded = (value: number): number => Number(value.toPrecision(3))

export async function compare(
  servers: readonly Server[],
  rounds: number,
  say: (line: string) => void,
): Promise<readonly Result[]> {
  const results: Result[] = []
  for (const operation of operations) {
    const samples = new Map(servers.map((server) => [server, [] as Sample[]]))
    // the first round fills caches and is not counted
    for (let round = 0; round <= rounds; round += 1) {
      for (const server of servers) {
        const sample = await measure(server, operation)
        if (round > 0) samples.get(server)!.push(sample)
      }
    }
    const figures = servers.map(({ name }, at) => {
      const taken = samples.get(servers[at]!)!
      return { name, cpuMs: median(taken.map(({ cpuMs }) => cpuMs)), wallMs: median(taken.map(({ wallMs }) => wallMs)) }
    })
    const figure = ({ name, cpuMs, wallMs }: (typeof figures)[0]): string =>
      `${name} ${rounded(cpuMs)} ms processor, ${rounded(wallMs)} ms in all`
    say(`${operation.name}: ${figures.map(figure).join('; ')}`)
    const [ours, peer] = figures
    results.push({
      name: operation.name,
      unit: 'cpu_ms',
      value: rounded(ours!.cpuMs),
      ...(peer === undefined
        ? {}
        : { peer: peer.name, peerValue: rounded(peer.cpuMs), ratio: rounded(ours!.cpuMs / peer.cpuMs) }),
    })
  }
  return results
}

async function measure({ client, pid }: Server, { run, times, mailbox = 'INBOX' }: Operation): Promise<Sample> {
  await client.run(`SELECT ${mailbox}`)
  const cpuBefore = processorMs(pid)
  const startedAt = performance.now()
  for (let time = 0; time < times; time += 1) await run(client, time)
  return {
    cpuMs: (processorMs(pid) - cpuBefore) / times,
    wallMs: (performance.now() - startedAt) / times,
  }
}
