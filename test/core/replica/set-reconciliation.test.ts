import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MyceliumError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import {
  answerRanges,
  decodeAnswer,
  decodeQuestion,
  encodeAnswer,
  encodeQuestion,
  everything,
  ItemSet,
  type ListedItem,
  Reconciliation,
  type SetItem,
} from '../../../src/core/replica/set-reconciliation.ts'

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32)
/** Times collide often: the order must hold by id then. */
const item = (number: number, state = 0): SetItem => ({
  atMs: Math.floor(number / 3) * 1000,
  id: digest(`id ${number}`),
  version: digest(`${number} ${state}`),
})

interface Run {
  readonly needed: readonly ListedItem[]
  readonly bytes: number
  readonly rounds: number
}

/** Everything through the codec, as it travels. */
function ask(own: readonly SetItem[], theirs: readonly SetItem[]): Run {
  const asker = new Reconciliation(new ItemSet(own))
  const other = new ItemSet(theirs)
  const needed: ListedItem[] = []
  let bytes = 0
  let rounds = 0
  for (let question = asker.next(); question !== undefined; question = asker.next()) {
    const sent = encodeQuestion(question)
    const answer = encodeAnswer(answerRanges(other, decodeQuestion(sent)))
    expect(answer.length).toBeLessThan(limits.itemBytesMax)
    needed.push(...asker.take(question, decodeAnswer(answer)))
    bytes += sent.length + answer.length
    rounds += 1
  }
  return { needed, bytes, rounds }
}

const names = (items: Iterable<ListedItem>): readonly string[] =>
  Array.from(items, ({ id, version }) => id + version).toSorted()
const lackingOf = (own: readonly SetItem[], theirs: readonly SetItem[]): readonly string[] => {
  const known = new Set(names(own))
  return names(theirs).filter((name) => !known.has(name))
}
const numbers = fc.uniqueArray(fc.integer({ min: 0, max: 400 }), { maxLength: 300 })

test('the asker learns exactly what the other side has and it has not, whatever the two sets are', () => {
  fc.assert(
    fc.property(numbers, numbers, fc.array(fc.integer({ min: 0, max: 400 })), (mine, others, changed) => {
      const own = mine.map((number) => item(number))
      const theirs = others.map((number) => item(number, changed.includes(number) ? 1 : 0))
      expect(names(ask(own, theirs).needed)).toEqual(lackingOf(own, theirs))
    }),
    { numRuns: 200 },
  )
})

test('after both have asked and taken what they needed, both ask no more than one question and learn nothing', () => {
  fc.assert(
    fc.property(numbers, numbers, (mine, others) => {
      const all = [...new Set([...mine, ...others])].map((number) => item(number))
      const merged = (own: readonly number[], needed: readonly ListedItem[]): readonly SetItem[] => {
        const ids = new Set([...own.map((number) => item(number).id), ...needed.map(({ id }) => id)])
        return all.filter(({ id }) => ids.has(id))
      }
      const [a, b] = [mine.map((number) => item(number)), others.map((number) => item(number))]
      const [one, two] = [merged(mine, ask(a, b).needed), merged(others, ask(b, a).needed)]
      expect(names(one)).toEqual(names(two))
      const last = ask(one, two)
      expect({ needed: last.needed, rounds: last.rounds }).toEqual({ needed: [], rounds: 1 })
      expect(last.bytes).toBeLessThan(100)
    }),
    { numRuns: 100 },
  )
})

test('what travels grows with the difference and the depth, not with the sets', () => {
  const all = Array.from({ length: 20_000 }, (_, number) => item(number))
  const changed = new Set([17, 4_711, 12_345, 19_999])
  const other = all.map((one, number) => (changed.has(number) ? item(number, 1) : one))
  const run = ask(all, other)
  expect(run.needed).toHaveLength(changed.size)
  const depth = Math.ceil(Math.log(all.length) / Math.log(limits.reconcileSplit))
  expect(run.rounds).toBeLessThanOrEqual(depth + 1)
  const perDifference = depth * limits.reconcileSplit * 120 + limits.reconcileLeafItems * 32
  expect(run.bytes).toBeLessThan(changed.size * perDifference)
})

test('whoever has nothing is told everything, the newest first, in messages that fit an item', () => {
  const all = Array.from({ length: 5_000 }, (_, number) => item(number))
  const { needed } = ask([], all)
  const newestFirst = [...all].sort((a, b) => b.atMs - a.atMs || (a.id < b.id ? 1 : -1))
  expect(needed.map(({ id }) => id)).toEqual(newestFirst.map(({ id }) => id))
  expect(needed).toHaveLength(all.length)
})

const misbehaves = expect.objectContaining({ code: 'peer-misbehaved' })

test('an answer that leaves a gap, makes no progress or does not end is refused', () => {
  const asker = new Reconciliation(new ItemSet([item(1)]))
  const question = asker.next()!
  const whole = { kind: 'fingerprint', lower: everything.lower, count: 9, sum: new Uint8Array(16) } as const
  const upwards = { kind: 'items', lower: { atMs: 5, id: digest('x') }, items: [] } as const
  expect(() => asker.take(question, [{ kind: 'parts', parts: [whole] }])).toThrow(misbehaves)
  expect(() => asker.take(question, [{ kind: 'parts', parts: [upwards] }])).toThrow(misbehaves)
  expect(() => asker.take(question, [{ kind: 'parts', parts: [] }])).toThrow(misbehaves)
  expect(() => asker.take(question, [{ kind: 'later' }])).toThrow(misbehaves)
  expect(() => asker.take(question, [])).toThrow(misbehaves)
  expect(() => asker.take(question, [{ kind: 'parts', parts: [upwards, upwards] }])).toThrow(misbehaves)
})

test('bytes that are no message are refused, and nothing else is thrown', () => {
  const real = encodeAnswer(answerRanges(new ItemSet([item(1), item(2)]), new Reconciliation(new ItemSet([])).next()!))
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.tuple(fc.nat({ max: real.length - 1 }), fc.nat({ max: 255 })).map(([at, byte]) => {
          const changed = Uint8Array.from(real)
          changed[at] = byte
          return changed
        }),
      ),
      (bytes) => {
        for (const decode of [decodeAnswer, decodeQuestion]) {
          try {
            decode(bytes)
          } catch (error) {
            expect(error).toBeInstanceOf(MyceliumError)
          }
        }
      },
    ),
    { numRuns: 2000 },
  )
})
