import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Pace } from '../../../src/adapters/imap/pace.ts'
import { Turns } from '../../../src/adapters/wire/turns.ts'
import type { Session } from '../../../src/adapters/imap/session.ts'
import { formatThreads, type Node, type ThreadMessage } from '../../../src/adapters/imap/thread/forest.ts'
import { threadBySubject } from '../../../src/adapters/imap/thread/ordered-subject.ts'
import { threadByReferences, threadByRefs } from '../../../src/adapters/imap/thread/references.ts'
import type { Uid } from '../../../src/core/ids.ts'

const out = { line: () => {}, ready: () => Promise.resolve() }
const channel = { isClosed: false, reader: { hasEnded: false } }
const session = { channel, out, tag: 'a', context: { turns: new Turns() } } as unknown as Session

interface Given {
  readonly uid: number
  readonly id?: number
  readonly references?: readonly number[]
  readonly subject?: string
  readonly isReply?: boolean
  readonly sentMs?: number
}

const messages = (given: readonly Given[]): readonly ThreadMessage[] =>
  given.map(({ uid, id = uid, references = [], subject = `s${uid}`, isReply = false, sentMs = uid }) => ({
    uid: uid as Uid,
    id,
    references,
    subject,
    isReply,
    sentMs,
    arrivedMs: uid,
  }))

async function threaded(algorithm: typeof threadByReferences, given: readonly Given[]): Promise<string> {
  using pace = new Pace(session, given.length)
  const threads = await algorithm(messages(given), pace)
  return [...formatThreads(threads, (uid) => uid)].join('')
}

describe('REFERENCES', () => {
  test('draws the threads of the example in RFC 5256 §4', async () => {
    const given: Given[] = [
      { uid: 2 },
      { uid: 3 },
      { uid: 6, references: [3] },
      { uid: 4, references: [3, 6] },
      { uid: 23, references: [3, 6, 4] },
      { uid: 44, references: [3, 6] },
      { uid: 7, references: [6, 44] },
      { uid: 96, references: [44, 7] },
    ]
    expect(
      await threaded(
        threadByReferences,
        given.toSorted((a, b) => a.uid - b.uid),
      ),
    ).toBe('(2)(3 6 (4 23)(7 96))'.replace('(7 96)', '(44 7 96)'))
  })
  test('keeps siblings together whose parent is not there', async () => {
    expect(
      await threaded(threadByReferences, [
        { uid: 3, references: [900] },
        { uid: 5, references: [900] },
      ]),
    ).toBe('((3)(5))')
  })
  test('lets go of a parent that is not there above one message, and between two', async () => {
    expect(await threaded(threadByReferences, [{ uid: 1 }, { uid: 2, references: [1, 901, 902] }])).toBe('(1 2)')
    expect(await threaded(threadByReferences, [{ uid: 2, references: [901, 902] }])).toBe('(2)')
  })
  test('does not close a circle', async () => {
    expect(
      await threaded(threadByReferences, [
        { uid: 1, references: [2] },
        { uid: 2, references: [1] },
      ]),
    ).toBe('(2 1)')
    expect(await threaded(threadByReferences, [{ uid: 1, references: [1] }])).toBe('(1)')
  })
  test('believes a message about its own parent, and the first of two with one Message-ID', async () => {
    expect(await threaded(threadByReferences, [{ uid: 1, references: [7, 2] }, { uid: 2 }, { uid: 7 }])).toBe(
      '(2 1)(7)',
    )
    expect(
      await threaded(threadByReferences, [
        { uid: 1, id: 50 },
        { uid: 2, id: 50 },
        { uid: 3, references: [50] },
      ]),
    ).toBe('(1 3)(2)')
  })
  test('joins threads with one subject', async () => {
    const reply = { subject: 'x', isReply: true }
    const original = { subject: 'x' }
    expect(
      await threaded(threadByReferences, [
        { uid: 1, ...original },
        { uid: 2, ...reply },
      ]),
    ).toBe('(1 2)')
    expect(
      await threaded(threadByReferences, [
        { uid: 1, ...reply },
        { uid: 2, ...original },
      ]),
    ).toBe('(2 1)')
    expect(
      await threaded(threadByReferences, [
        { uid: 1, ...original },
        { uid: 2, ...original },
      ]),
    ).toBe('((1)(2))')
    expect(
      await threaded(threadByReferences, [
        { uid: 1, ...reply },
        { uid: 2, ...reply },
      ]),
    ).toBe('((1)(2))')
    // A parent that is not there stands for its subject rather than a message does.
    const lost = { references: [900], subject: 'x' }
    expect(
      await threaded(threadByReferences, [
        { uid: 1, ...original },
        { uid: 2, ...lost },
        { uid: 3, ...lost },
      ]),
    ).toBe('((1)(2)(3))')
    const other = { references: [901], subject: 'x' }
    expect(
      await threaded(threadByReferences, [
        { uid: 1, ...lost },
        { uid: 2, ...other },
        { uid: 3, ...lost },
        { uid: 4, ...other },
      ]),
    ).toBe('((1)(2)(3)(4))')
    expect(
      await threaded(threadByReferences, [
        { uid: 1, subject: '' },
        { uid: 2, subject: '' },
      ]),
    ).toBe('(1)(2)')
  })
})

test('ORDEREDSUBJECT puts the oldest message above all others (RFC 5256 §3)', async () => {
  const given = [166, 167, 168, 169, 172].map((uid): Given => ({ uid }))
  const one = [174, 175, 176, 178].map((uid): Given => ({ uid, subject: 'one' }))
  const two = [
    { uid: 180, subject: 'two', sentMs: 2000 },
    { uid: 181, subject: 'two', sentMs: 1000 },
  ]
  expect(await threaded(threadBySubject, [...given, ...one, ...two])).toBe(
    '(166)(167)(168)(169)(172)(174 (175)(176)(178))(181 180)',
  )
})

test('REFS orders threads by their latest arrival, whatever their subjects', async () => {
  const given: Given[] = [{ uid: 1 }, { uid: 2, subject: 's3' }, { uid: 3 }, { uid: 4, references: [1] }]
  expect(await threaded(threadByRefs, given)).toBe('(2)(3)(1 4)')
})

const anyMessages = fc.array(
  fc.record({
    id: fc.integer({ min: 0, max: 12 }),
    references: fc.array(fc.integer({ min: 1, max: 15 }), { maxLength: 5 }),
    subject: fc.constantFrom('', 'a', 'b', 'c'),
    isReply: fc.boolean(),
    sentMs: fc.integer({ min: 0, max: 5 }),
  }),
  { maxLength: 25 },
)

const everyNode = (threads: readonly Node[]): readonly Node[] =>
  threads.flatMap((node) => [node, ...everyNode(node.children)])

test.each([
  ['ORDEREDSUBJECT', threadBySubject],
  ['REFERENCES', threadByReferences],
  ['REFS', threadByRefs],
] as const)('%s names every message once, and no message that is not there below another', async (_name, algorithm) => {
  await fc.assert(
    fc.asyncProperty(anyMessages, async (drawn) => {
      const given = drawn.map((message, at) => ({ ...message, uid: at + 1 }))
      using pace = new Pace(session, given.length)
      const threads = await algorithm(messages(given), pace)
      const nodes = everyNode(threads)
      const uids = nodes.flatMap(({ message }) => (message === undefined ? [] : [message.uid as number]))
      expect(uids.toSorted((a, b) => a - b)).toEqual(given.map(({ uid }) => uid))
      for (const node of nodes) {
        if (node.message === undefined) expect(node.children.length).toBeGreaterThan(1)
        expect(node.children.every(({ message }) => message !== undefined)).toBe(true)
      }
      const text = [...formatThreads(threads, (uid) => uid)].join('')
      expect(text.replaceAll(/[^()]/g, '').length % 2).toBe(0)
      expect(text).toMatch(/^(?:\([\d ()]+\))*$/)
    }),
    { numRuns: 300 },
  )
})

test('a thread as long as a mailbox, in the worst order, is threaded in turns', async () => {
  const count = 20_000
  const chain = Array.from({ length: count }, (_none, at): Given => ({ uid: at + 1, references: at === 0 ? [] : [at] }))
  const text = await threaded(threadByReferences, chain)
  expect(text.startsWith('(1 2 3 ') && text.endsWith(` ${count})`)).toBe(true)
  // Everybody answers the one who comes later.
  const backwards = chain.map(({ uid }): Given => ({ uid, references: uid === count ? [] : [uid + 1] }))
  expect((await threaded(threadByReferences, backwards)).startsWith(`(${count} ${count - 1} `)).toBe(true)
})
