/** How fast a file goes from one gateway to another, what a kill costs it, and how much memory it takes on both sides. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Result } from '../scripts/bench.ts'
import type { MessageId } from '../src/core/ids.ts'
import { tempFolder } from '../test/interop/support/temp-folder.ts'
import { FilePeer, type FilePeerEvent } from './files/file-peer.ts'
import { copyTime } from './files/scp.ts'
import { cpuMs, median, rssAnonMb } from './support/soak/memory.ts'

const megabyte = 1_000_000
const patienceMs = 10 * 60_000

interface Pair extends AsyncDisposable {
  readonly alice: FilePeer
  readonly bob: FilePeer
  /** Chunks that alice gave out, in order. */
  readonly given: number[]
  delivered(message: MessageId): Promise<void>
}

export const bench: Bench = async ({ quick, say }) => {
  await using folder = await tempFolder('bench-files')
  const big = join(folder.path, 'big')
  const small = join(folder.path, 'small')
  await writeRandom(small, 40 * megabyte)
  await writeRandom(big, (quick ? 200 : 1000) * megabyte)
  const { bavail, bsize } = await statfs(folder.path)
  if (bavail * bsize < 6000 * megabyte) say('less than 6 GB are free: this may end with a full disk')
  return [...(await throughput(big, small, say)), ...(await resume(folder.path, quick, say))]
}

async function throughput(path: string, warmUp: string, say: (line: string) => void): Promise<readonly Result[]> {
  await using pair = await friends()
  const { alice, bob } = pair
  const first = await alice.ask<{ readonly id: MessageId }>({ do: 'send', path: warmUp }) // code that matters is compiled
  await pair.delivered(first.id)
  await sleep(3000)
  const watched = await Promise.all([alice, bob].map(watchMemory))
  const pids = await Promise.all([alice, bob].map(async (peer) => await peer.ask<number>({ do: 'pid' })))
  const startedAt = performance.now()
  const { id, preparedMs } = await alice.ask<{ readonly id: MessageId; readonly preparedMs: number }>({
    do: 'send',
    path,
  })
  const sentAt = performance.now()
  const cpuBefore = pids.map(cpuMs)
  await pair.delivered(id)
  const endedAt = performance.now()
  const [senderCpu, receiverCpu] = pids.map((pid, side) => cpuMs(pid) - cpuBefore[side]!)
  const above = watched.map((memory) => memory.end())
  const { hash, bytes } = await hashOfFile(path)
  if ((await bob.ask<string>({ do: 'hash', message: id })) !== hash)
    throw new Error('what arrived is not what was sent')
  const megabytes = bytes / megabyte
  const scp = await copyTime(path)
  if (scp === undefined) say('sshd is not installed: no comparison')
  const rate = (ms: number): number => Math.round((megabytes / ms) * 10_000) / 10
  say(`${megabytes} MB: prepared in ${Math.round(preparedMs)} ms, carried in ${Math.round(endedAt - sentAt)} ms`)
  return [
    {
      name: 'throughput',
      unit: 'MB/s',
      value: rate(endedAt - sentAt),
      ...comparedTo(scp && megabytes / scp, rate(endedAt - sentAt)),
    },
    { name: 'prepare', unit: 'MB/s', value: rate(preparedMs) },
    { name: 'sender_cpu', unit: 'ms/MB', value: Math.round((senderCpu! / megabytes) * 10) / 10 },
    { name: 'receiver_cpu', unit: 'ms/MB', value: Math.round((receiverCpu! / megabytes) * 10) / 10 },
    { name: 'send_to_stored', unit: 'MB/s', value: rate(endedAt - startedAt) },
    { name: 'rss_above_idle', unit: 'MB', value: Math.max(...above) },
    { name: 'rss_above_idle_sender', unit: 'MB', value: above[0]! },
    { name: 'rss_above_idle_receiver', unit: 'MB', value: above[1]! },
  ]
}

const comparedTo = (peer: number | undefined, ours: number): Partial<Result> =>
  peer === undefined ? {} : { peer: 'scp', peerValue: Math.round(peer * 10) / 10, ratio: ours / peer }

/** One file, and kills of either side at random moments while it is on its way; each life listens at another address. */
async function resume(folder: string, quick: boolean, say: (line: string) => void): Promise<readonly Result[]> {
  const path = join(folder, 'resumed')
  await writeRandom(path, (quick ? 150 : 800) * megabyte)
  const killsMax = quick ? 4 : 20
  await using pair = await friends()
  const { alice, bob, given } = pair
  const { id } = await alice.ask<{ readonly id: MessageId }>({ do: 'send', path })
  const { hash, bytes } = await hashOfFile(path)
  const chunks = Math.ceil(bytes / (1024 * 1024))
  const before = new Set<number>()
  const wasted: number[] = []
  const countWaste = (): void => {
    wasted.push(given.filter((index) => before.has(index)).length)
    for (const index of given.splice(0)) before.add(index)
  }
  let kills = 0
  for (; kills < killsMax; kills += 1) {
    // some chunks into each life
    const until = Math.min(
      chunks - 2,
      before.size + Math.max(1, Math.floor((chunks / (killsMax + 1)) * (0.5 + Math.random()))),
    )
    await reached(() => new Set([...before, ...given]).size >= until)
    await sleep(Math.random() * 30)
    const victim = kills % 2 === 0 ? bob : alice
    await victim.kill()
    countWaste()
    await victim.start()
  }
  await pair.delivered(id)
  countWaste()
  const arrived = await bob.ask<string>({ do: 'hash', message: id })
  if (arrived !== hash) throw new Error('what arrived is not what was sent')
  say(`${kills} kills, ${wasted.reduce((sum, one) => sum + one, 0)} chunks given twice, of ${chunks}; hash verified`)
  return [
    { name: 'resume_waste', unit: 'chunks', value: Math.max(...wasted) },
    { name: 'kills', unit: 'count', value: kills },
  ]
}

async function friends(): Promise<Pair> {
  await using scope = new AsyncDisposableStack()
  const given: number[] = []
  const fates = new Map<MessageId, string>()
  let greeted = false
  const hear = (event: FilePeerEvent): void => {
    if ('given' in event) given.push(event.given)
    else if ('fate' in event) fates.set(event.message, event.fate)
    else greeted = true
  }
  const alice = scope.use(await FilePeer.start('alice', hear))
  const bob = scope.use(await FilePeer.start('bob', () => {}))
  await bob.ask({ do: 'accept', link: await alice.ask<string>({ do: 'invite' }) })
  await bob.ask({ do: 'say', text: 'hello' })
  await reached(() => greeted)
  const owned = scope.move()
  return {
    alice,
    bob,
    given,
    delivered: async (message) => {
      await reached(() => fates.has(message))
      if (fates.get(message) !== 'delivered') throw new Error('not delivered')
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

async function reached(isSo: () => boolean): Promise<void> {
  const until = performance.now() + patienceMs
  while (!isSo()) {
    if (performance.now() > until) throw new Error('waited too long')
    await sleep(5)
  }
}

/** The most that a process holds above what it held at rest. */
async function watchMemory(peer: FilePeer): Promise<{ readonly end: () => number }> {
  const pid = await peer.ask<number>({ do: 'pid' })
  const atRest: number[] = []
  for (let at = 0; at < 10; at += 1) {
    atRest.push(rssAnonMb(pid))
    await sleep(100)
  }
  let highest = 0
  const timer = setInterval(() => (highest = Math.max(highest, rssAnonMb(pid))), 20)
  return {
    end() {
      clearInterval(timer)
      return Math.round((highest - median(atRest)) * 10) / 10
    },
  }
}

async function writeRandom(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w')
  try {
    for (let at = 0; at < bytes; at += megabyte)
      await file.write(globalThis.crypto.getRandomValues(new Uint8Array(65_536)), 0, 65_536, at)
    await file.truncate(bytes)
  } finally {
    await file.close()
  }
}

async function hashOfFile(path: string): Promise<{ readonly hash: string; readonly bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
    hash.update(piece)
    bytes += piece.length
  }
  return { hash: hash.digest('hex'), bytes }
}
