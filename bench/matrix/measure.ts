/** What programs do with a homeserver: write and hear, as fast as it takes; come with many rooms; wait in great number. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { processorMs } from '../support/processor-time.ts'
import type { Answer, Program } from './program.ts'

const pollMs = 30_000

/** From one's writing to the other's hearing, milliseconds, one after the other. */
export async function latencies(from: Program, to: Program, room: string, count: number): Promise<readonly number[]> {
  const took: number[] = []
  let { next_batch: since } = await to.sync(undefined)
  for (let at = 0; at < count; at += 1) {
    const startedAt = performance.now()
    const said = from.say(room, `Message ${at} ${'m'.repeat(100)}`)
    for (let isHeard = false; !isHeard;) {
      const answer: Answer = await to.sync(since, pollMs)
      since = answer.next_batch
      const events: readonly Answer[] = answer.rooms?.join?.[room]?.timeline.events ?? []
      isHeard = events.some(({ content }) => content.body?.startsWith(`Message ${at} `) === true)
    }
    took.push(performance.now() - startedAt)
    await said
  }
  return took
}

export interface Sends {
  readonly perSecond: number
  /** Of the server's processor, for one: milliseconds. */
  readonly cpuMs: number
}

/** Messages of one room that are taken a second, with so many on their way at once. */
export async function sends(
  from: Program,
  room: string,
  { pid, ms, atOnce }: { readonly pid: number; readonly ms: number; readonly atOnce: number },
): Promise<Sends> {
  const untilMs = performance.now() + ms
  let taken = 0
  const cpu = processorMs(pid)
  const worker = async (): Promise<void> => {
    while (performance.now() < untilMs) {
      await from.say(room, `Flood ${'m'.repeat(100)}`)
      taken += 1
    }
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: atOnce }, worker))
  return {
    perSecond: (taken / (performance.now() - startedAt)) * 1000,
    cpuMs: (processorMs(pid) - cpu) / taken,
  }
}

/** Milliseconds of each. */
export async function times(count: number, ask: () => Promise<unknown>): Promise<readonly number[]> {
  const took: number[] = []
  for (let at = 0; at < count; at += 1) {
    const startedAt = performance.now()
    await ask()
    took.push(performance.now() - startedAt)
  }
  return took
}

/** What so many requests that wait take of the server's own memory, MB. */
export async function waitingMb(program: Program, pid: number, count: number): Promise<number> {
  const { next_batch: since } = await program.sync(undefined)
  await sleep(2000)
  const before = await anonymousKb(pid)
  const waiting = Array.from({ length: count }, () => program.sync(since, 60_000).catch(() => undefined))
  await sleep(3000)
  const after = await anonymousKb(pid)
  program.close()
  await Promise.all(waiting)
  return (after - before) / 1024
}

/** RssAnon: what the process itself holds, without mapped files. */
async function anonymousKb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/RssAnon:\s+(\d+) kB/.exec(status)?.[1])
}
