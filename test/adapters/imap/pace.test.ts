import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Turns } from '../../../src/adapters/wire/turns.ts'
import { Pace } from '../../../src/adapters/imap/pace.ts'
import type { Session } from '../../../src/adapters/imap/session.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }))
afterEach(() => void vi.useRealTimers())

function listening(tag: string): {
  session: Session
  lines: string[]
  channel: { isClosed: boolean; reader: { hasEnded: boolean } }
} {
  const lines: string[] = []
  const channel = { isClosed: false, reader: { hasEnded: false } }
  const out = { line: (line: string) => lines.push(line), ready: () => Promise.resolve() }
  return { session: { tag, channel, out, context: { turns: new Turns() } } as unknown as Session, lines, channel }
}

test('who waits long is told every ten seconds how far it is (RFC 9585)', () => {
  const { session, lines } = listening('a1')
  using pace = new Pace(session, 1000)
  vi.advanceTimersByTime(9_000)
  expect(lines).toEqual([])
  pace.done = 454
  vi.advanceTimersByTime(2_000)
  expect(lines).toEqual(['* OK [INPROGRESS ("a1" 454 1000)] Still at work'])
  vi.advanceTimersByTime(10_000)
  expect(lines).toHaveLength(2)
  // All but the answer itself is done: that is not said any more.
  pace.done = 1000
  vi.advanceTimersByTime(60_000)
  expect(lines).toHaveLength(2)
})

test('a tag that would end the response code is left out', () => {
  const { session, lines } = listening('a]')
  using pace = new Pace(session, 10)
  expect(pace.done).toBe(0)
  vi.advanceTimersByTime(11_000)
  expect(lines).toEqual(['* OK [INPROGRESS (NIL 0 10)] Still at work'])
})

test('who sends no more is spoken to twice, and work for who is gone ends', async () => {
  const { session, lines, channel } = listening('a1')
  using pace = new Pace(session, 10)
  channel.reader.hasEnded = true
  vi.advanceTimersByTime(2_000)
  expect(lines).toHaveLength(2)
  await pace.rest()
  channel.isClosed = true
  vi.advanceTimersByTime(1_000)
  await expect(pace.rest()).rejects.toMatchObject({ code: 'connection-closed' })
})

test('nothing is said in the middle of a response', () => {
  const { session, lines } = listening('a1')
  using pace = new Pace(session, 0)
  expect(pace.done).toBe(0)
  vi.advanceTimersByTime(60_000)
  expect(lines).toEqual([])
})
