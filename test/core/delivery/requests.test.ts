import { expect, test } from 'vitest'
import type { Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { type RequestRow, roomFor } from '../../../src/core/delivery/requests.ts'

const hour = 3600_000
const source = (number: number): Uint8Array => Buffer.alloc(16, `${number}`.padStart(4, '0'))
const newcomer = (number: number, mayLeaveMail = true) => ({ source: source(number), nowMs: hour, mayLeaveMail })

let made = 0
/** `count` strangers from one source, one after another. */
const crowd = (count: number, from: number, { mails = 1, sinceMs = 0 } = {}): RequestRow[] =>
  Array.from({ length: count }, (_, index) => ({
    identity: `${(made += 1)}`.padStart(64, '0') as Identity,
    source: source(from),
    sinceMs: sinceMs + index,
    mails,
    bytes: mails * 1000,
    flights: [],
  }))

test('there is room until the list is full', () => {
  expect(roomFor([], newcomer(1)).kind).toBe('free')
  const almost = Array.from({ length: limits.requestsMax - 1 }, (_, number) => crowd(1, number)).flat()
  expect(roomFor(almost, newcomer(999)).kind).toBe('free')
})

test('one source has its share and no more, however much room there is', () => {
  const theirs = crowd(limits.requestsPerSourceMax, 1)
  expect(roomFor(theirs, newcomer(1)).kind).toBe('full')
  expect(roomFor(theirs, newcomer(2)).kind).toBe('free')
  const silent = crowd(1, 1, { mails: 0 })
  expect(roomFor([...theirs.slice(1), ...silent], newcomer(1))).toEqual({ kind: 'instead', of: silent[0] })
})

test('in a full list those who sent nothing give way first, the oldest of the most crowded source', () => {
  const written = crowd(50, 1)
  const silent = [...crowd(40, 2, { mails: 0, sinceMs: 500 }), ...crowd(10, 3, { mails: 0 })]
  const others = [...crowd(50, 4), ...crowd(50, 5)]
  const room = roomFor([...written, ...silent, ...others], newcomer(1))
  expect(room.kind).toBe('full') // the newcomer's own source has its share
  expect(roomFor([...written, ...silent, ...others], newcomer(6))).toEqual({ kind: 'instead', of: silent[0] })
})

test('somebody who came just now has time to write', () => {
  const fresh = { mails: 0, sinceMs: hour - limits.requestGraceMs + 100 }
  const full = Array.from({ length: limits.requestsMax }, (_, number) => crowd(1, number, fresh)).flat()
  expect(roomFor(full, newcomer(999)).kind).toBe('full')
})

test('a newcomer from elsewhere takes the place of the oldest of a crowd, while there is room for mail that stays', () => {
  const full = [1, 2, 3, 4].flatMap((number) => crowd(50, number))
  expect(roomFor(full, newcomer(9))).toEqual({ kind: 'instead', of: full[0] })
  expect(roomFor(full, newcomer(9, false)).kind).toBe('full')
  expect(roomFor(full, newcomer(1)).kind).toBe('full')
})

test('where every source is the same size nobody with mail gives way', () => {
  const full = Array.from({ length: limits.requestsMax }, (_, number) => crowd(1, number)).flat()
  expect(roomFor(full, newcomer(999)).kind).toBe('full')
})
