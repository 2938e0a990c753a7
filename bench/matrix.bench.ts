/**
 * What Matrix programs cost: how soon what one writes comes to the other across two gateways, how many messages one
 * gateway takes beside Synapse, how long a program with 500 rooms waits at first and later, and what a thousand that wait
 * take of memory. Rounds with the peer alternate, and the median round counts.
 */
import type { Bench, Result } from '../scripts/bench.ts'
import { Synapse } from '../test/interop/support/synapse.ts'
import { twoGateways } from '../test/interop/support/two-gateways.ts'
import type { Gateway } from '../test/interop/support/gateway-process.ts'
import { latencies, sends, times, waitingMb } from './matrix/measure.ts'
import { Program } from './matrix/program.ts'
import { quantile } from './support/quantile.ts'

const median = (values: readonly number[]): number => quantile(values, 0.5)
const rounded = (value: number, digits = 1): number => Number(value.toFixed(digits))

async function programOf(gateway: Gateway, name = 'bench'): Promise<Program> {
  const { host, port } = gateway.listeners.http
  const password = await gateway.addPassword(name)
  return await Program.logIn({ url: `http://${host}:${port}`, user: gateway.name, password })
}

/** The chat of two who are contacts. */
async function chatOf(program: Program): Promise<string> {
  const { joined_rooms: rooms } = await program.ask('GET', '/joined_rooms')
  return rooms[0] as string
}

async function openPeer(
  scope: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<{ program: Program; room: string; pid: number } | undefined> {
  try {
    const synapse = scope.use(await Synapse.open({ users: { alice: 'secret' } }))
    const program = await Program.logIn({ url: synapse.url, user: 'alice', password: 'secret' })
    const { room_id: room } = await program.ask('POST', '/createRoom', { name: 'Notes' })
    return { program, room, pid: synapse.pid }
  } catch (error) {
    say(`Synapse cannot be installed: our figures only (${(error as Error).message.split('\n')[0]})`)
    return undefined
  }
}

export const bench: Bench = async ({ quick, say }) => {
  await using scope = new AsyncDisposableStack()
  const { alice, bob } = scope.use(await twoGateways())
  const [ofAlice, ofBob] = [await programOf(alice), await programOf(bob)]
  const chat = await chatOf(ofAlice)
  await latencies(ofAlice, ofBob, chat, 50)
  const took = await latencies(ofAlice, ofBob, chat, quick ? 200 : 2000)
  say(`from program to program p50 ${median(took).toFixed(1)} ms, p99 ${quantile(took, 0.99).toFixed(1)} ms`)

  const peer = quick ? undefined : await openPeer(scope, say)
  const { room_id: notes } = await ofAlice.ask('POST', '/createRoom', { name: 'Notes' })
  const [ours, theirs]: [number[], number[]] = [[], []]
  let cpuMs = 0
  let peerCpuMs = 0
  for (let round = 0; round < (quick ? 1 : 5); round += 1) {
    const how = { ms: quick ? 2000 : 4000, atOnce: 16 }
    const own = await sends(ofAlice, notes, { ...how, pid: alice.pid })
    ours.push(own.perSecond)
    cpuMs = own.cpuMs
    if (peer === undefined) continue
    const other = await sends(peer.program, peer.room, { ...how, pid: peer.pid })
    theirs.push(other.perSecond)
    peerCpuMs = other.cpuMs
    say(`sends ${round + 1}: ${own.perSecond.toFixed(0)}/s beside ${other.perSecond.toFixed(0)}/s`)
  }

  const rooms = quick ? 100 : 500
  for (let at = 0; at < rooms; at += 1) {
    const { room_id: room } = await ofBob.ask('POST', '/createRoom', { name: `Room ${at}` })
    for (let message = 0; message < 5; message += 1) await ofBob.say(room, `Message ${message}`)
  }
  const initial = await times(9, () => ofBob.sync(undefined))
  let { next_batch: since } = await ofBob.sync(undefined)
  const incremental: number[] = []
  for (let at = 0; at < 50; at += 1) {
    await ofBob.say(chat, `News ${at}`)
    const startedAt = performance.now()
    since = (await ofBob.sync(since)).next_batch
    incremental.push(performance.now() - startedAt)
  }
  say(`${rooms} rooms: at first ${median(initial).toFixed(0)} ms, later ${median(incremental).toFixed(2)} ms`)
  const waiting = await waitingMb(await programOf(bob, 'waiting'), bob.pid, quick ? 200 : 1000)

  const sendsResult: Result = { name: 'sends', unit: 'per s', value: rounded(median(ours), 0) }
  const beside = peer === undefined ? undefined : rounded(median(theirs), 0)
  const compared = (result: Result, peerValue: number | undefined): Result =>
    peerValue === undefined ? result : { ...result, peer: 'synapse', peerValue, ratio: result.value / peerValue }
  return [
    { name: 'send_to_sync_p50', unit: 'ms', value: rounded(median(took)) },
    { name: 'send_to_sync_p99', unit: 'ms', value: rounded(quantile(took, 0.99)) },
    compared(sendsResult, beside),
    compared(
      { name: 'send_cpu', unit: 'ms', value: rounded(cpuMs, 2) },
      peer === undefined ? undefined : rounded(peerCpuMs, 2),
    ),
    { name: 'initial_sync_500', unit: 'ms', value: rounded(median(initial), 0) },
    { name: 'incremental_sync', unit: 'ms', value: rounded(median(incremental), 2) },
    { name: 'rss_1000_polls', unit: 'MB', value: rounded(waiting, 0) },
  ]
}
