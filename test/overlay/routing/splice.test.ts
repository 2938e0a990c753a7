/** What a gateway that carries a path learns of its next hop from how the path ended. */
import { expect, test } from 'vitest'
import { MemoryPipe } from '../../../src/overlay/memory-pipe.ts'
import type { Pipe } from '../../../src/overlay/network.ts'
import { PipeReader } from '../../../src/overlay/pipe-reader.ts'
import { splice } from '../../../src/overlay/routing/splice.ts'

const pair = () => MemoryPipe.pair({ delayMs: () => 0, isConnected: () => true })

/** The opener's pipe, the destination's, a clock that stands, and what carrying told. */
function carrying() {
  const [opener, near] = pair()
  const [far, destination] = pair()
  let nowMs = 0
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs }
  const end = (pipe: Pipe) => ({ pipe, reader: new PipeReader(pipe, 1000) })
  const unansweredMs = splice(end(near), end(far), clock)
  const arrived = async (at: Pipe): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    at.receive({ data: () => resolve(), ended: () => {} })
    await promise
  }
  return {
    opener,
    destination,
    unansweredMs,
    wait: (ms: number) => void (nowMs += ms),
    /** And it is heard on the other side. */
    say: async (from: Pipe) => {
      from.write(Uint8Array.of(1))
      await arrived(from === opener ? destination : opener)
    },
  }
}

test('a destination that says nothing is named with the time that it was given, from the first unanswered word', async () => {
  const { opener, destination, unansweredMs, wait, say } = carrying()
  await say(opener)
  wait(100)
  await say(destination)
  wait(5_000)
  await say(opener)
  wait(1_000)
  await say(opener)
  wait(600)
  opener.abort('no sign of life')
  expect(await unansweredMs).toBe(1_600)
})

test.each<[string, (of: ReturnType<typeof carrying>) => Promise<void>]>([
  [
    'has answered',
    async ({ opener, destination, say, wait }) => {
      await say(opener)
      await say(destination)
      wait(5_000)
      opener.abort('no sign of life')
    },
  ],
  [
    'was asked nothing',
    async ({ opener, wait }) => {
      wait(5_000)
      opener.abort('changed my mind')
      await Promise.resolve()
    },
  ],
  [
    'is left in order',
    async ({ opener, say, wait }) => {
      await say(opener)
      wait(5_000)
      opener.end()
    },
  ],
  [
    'goes by itself',
    async ({ opener, destination, say, wait }) => {
      await say(opener)
      wait(5_000)
      destination.abort('gone')
    },
  ],
])('one that %s is not', async (_, run) => {
  const of = carrying()
  await run(of)
  // an end in order closes a pipe once both sides have said so
  of.destination.receive({ data: () => {}, ended: () => of.destination.end() })
  of.opener.receive({ data: () => {}, ended: () => of.opener.end() })
  expect(await of.unansweredMs).toBe(0)
})
