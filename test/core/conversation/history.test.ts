/** Any order of arrival, duplicates included, ends in the same history, in which nothing stands before what it answers. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { Conversations, idOfPartner } from '../../../src/core/conversation/conversations.ts'
import { type Arriving, onlyOwn, type Taken } from '../../../src/core/conversation/history.ts'
import type { DeviceId, Identity, MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { encodeMessage, type Message, messageIdOf } from '../../../src/core/message/message.ts'
import type { Part } from '../../../src/core/message/part.ts'
import { openMemoryStore } from '../../support/memory-store.ts'

const [alice, bob] = ['a'.repeat(64) as Identity, 'b'.repeat(64) as Identity]
const device = 'd'.repeat(64) as DeviceId
const partner = { kind: 'direct', peer: bob } as const
const conversation = idOfPartner(alice, partner)
const startMs = 1_700_000_000_000

interface Draft {
  readonly author: Identity
  readonly sentAtMs: number
  readonly parents: readonly MessageId[]
  readonly parts: readonly Part[]
}

let nonces = 0
function arriving({ author, sentAtMs, parents, parts }: Draft): Arriving {
  nonces += 1
  const nonce = Buffer.alloc(16)
  nonce.writeUInt32BE(nonces)
  const message: Message = {
    author,
    device,
    nonce,
    sentAtMs,
    expiresAtMs: sentAtMs + limits.messageExpiryMs,
    place: { kind: 'direct', with: author === alice ? bob : alice },
    parents,
    relations: [],
    parts,
  }
  const encoded = encodeMessage(message)
  return { id: messageIdOf(encoded), encoded, message }
}

const says = (text: string): readonly Part[] => [{ kind: 'text', text }]

function replica(nowMs = () => systemClock.nowMs()) {
  const ambient: Ambient = { clock: { ...systemClock, nowMs }, random: systemRandom, log: silentLog }
  const store = openMemoryStore()
  const conversations = new Conversations({ store, ambient, judge: onlyOwn })
  const take = async (one: Arriving): Promise<Taken> =>
    await store.write((tx) => conversations.take(tx, alice, partner, one))
  const shown = () => conversations.page(alice, conversation, { limit: 1000 })
  return { store, conversations, take, shown }
}

/** A conversation as two people with wrong clocks write it, each seeing only some of what the other wrote. */
const drafts = fc
  .array(
    fc.record({
      author: fc.constantFrom(alice, bob),
      clockMs: fc.integer({ min: -100_000, max: 100_000 }),
      cites: fc.array(fc.nat(), { maxLength: 3 }),
      about: fc.option(fc.record({ at: fc.nat(), what: fc.constantFrom('edit', 'reaction', 'redaction') }), {
        nil: undefined,
        freq: 2,
      }),
    }),
    { minLength: 1, maxLength: 14 },
  )
  .map((wishes) => {
    const made: Arriving[] = []
    for (const [index, { author, clockMs, cites, about }] of wishes.entries()) {
      const target = about === undefined ? undefined : made[about.at % Math.max(1, made.length)]?.id
      const parents = new Set([
        ...cites.flatMap((cite) => (made.length === 0 ? [] : [made[cite % made.length]!.id])),
        ...(target === undefined ? [] : [target]),
      ])
      made.push(
        arriving({
          author,
          sentAtMs: startMs + clockMs,
          parents: [...parents],
          parts: partsOf(about?.what ?? 'text', target, index),
        }),
      )
    }
    return made
  })

function partsOf(what: string, target: MessageId | undefined, index: number): readonly Part[] {
  if (target === undefined) return says(`message ${index}`)
  switch (what) {
    case 'edit':
      return [{ kind: 'edit', target, body: [{ kind: 'text', text: `edit ${index}` }] }]
    case 'reaction':
      return [{ kind: 'reaction', target, reactions: [`r${index}`] }]
    default:
      return [{ kind: 'redaction', target }]
  }
}

describe('history', () => {
  test('is the same whatever came first, and shows each message once, after what it cites', async () => {
    await fc.assert(
      fc.asyncProperty(
        drafts.chain((made) =>
          fc.tuple(
            fc.constant(made),
            fc.shuffledSubarray([...made, ...made], { minLength: made.length * 2, maxLength: made.length * 2 }),
          ),
        ),
        async ([made, order]) => {
          const [straight, shuffled] = [replica(), replica()]
          for (const one of made) await straight.take(one)
          for (const one of order) await shuffled.take(one)
          const strip = ({ number: _n, receivedAtMs: _r, ...rest }: ReturnType<typeof straight.shown>[number]) => rest
          expect(shuffled.shown().map(strip)).toEqual(straight.shown().map(strip))
          for (const { shown, conversations } of [straight, shuffled]) {
            const ids = shown().map(({ id }) => id)
            const bodies = made.filter(({ message }) => message.parts[0]!.kind === 'text').map(({ id }) => id)
            expect(ids.toSorted()).toEqual(bodies.toSorted())
            const numbers = new Map(
              conversations
                .archive(alice, conversation, { after: 0, limit: 1000 })
                .map(({ id, number }) => [id, number]),
            )
            for (const { id, message } of made)
              for (const parent of message.parents) {
                if (!ids.includes(id) || !ids.includes(parent)) continue
                expect(ids.indexOf(parent)).toBeLessThan(ids.indexOf(id))
                expect(numbers.get(parent)).toBeLessThan(numbers.get(id)!)
              }
            expect(conversations.get(alice, conversation)).toMatchObject({ waiting: 0, shown: bodies.length })
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  test('what a feed has given stays as it is, and what comes is after it', async () => {
    await fc.assert(
      fc.asyncProperty(drafts, async (made) => {
        const { conversations, take } = replica()
        let given: readonly unknown[] = []
        for (const one of made.toReversed()) {
          await take(one)
          const feed = conversations.feedSince(alice, 0, 1000)
          expect(feed.slice(0, given.length)).toEqual(given)
          expect(feed.map(({ number }) => number)).toEqual(feed.map((_, index) => index + 1))
          given = feed
        }
      }),
      { numRuns: 100 },
    )
  })

  test('a message waits for what it cites, and is shown without it once that is given up', async () => {
    const { store, conversations, take, shown } = replica()
    const first = arriving({ author: bob, sentAtMs: startMs, parents: [], parts: says('first') })
    const second = arriving({ author: bob, sentAtMs: startMs + 1, parents: [first.id], parts: says('second') })
    const third = arriving({ author: bob, sentAtMs: startMs + 2, parents: [second.id], parts: says('third') })
    expect(await take(third)).toEqual({ kind: 'waiting', for: [second.id] })
    expect(await take(second)).toEqual({ kind: 'waiting', for: [first.id] })
    expect(shown()).toEqual([])
    const missing = store.read((tx) => conversations.history.missing.since(tx, alice, Infinity, 10))
    // the second is here, though it waits itself
    expect(missing.map(({ id }) => id)).toEqual([first.id])
    await store.write((tx) => conversations.history.giveUp(tx, alice, first.id, conversation))
    expect(shown().map(({ text, hasGap }) => [text, hasGap])).toEqual([
      ['second', true],
      ['third', false],
    ])
    // it comes after all: last in the order of arrival, first in that of ranks
    expect(await take(first)).toEqual({ kind: 'shown' })
    expect(shown().map(({ text }) => text)).toEqual(['first', 'second', 'third'])
    expect(conversations.archive(alice, conversation, { after: 0, limit: 9 }).map(({ text }) => text)).toEqual([
      'second',
      'third',
      'first',
    ])
  })

  test('what is missing is found behind hundreds that are here and wait', async () => {
    const { store, conversations, take } = replica()
    const first = arriving({ author: bob, sentAtMs: startMs, parents: [], parts: says('first') })
    let before = first
    for (let number = 1; number <= 200; number += 1) {
      before = arriving({ author: bob, sentAtMs: startMs + number, parents: [before.id], parts: says(`${number}`) })
      await take(before)
    }
    const missing = store.read((tx) => conversations.history.missing.since(tx, alice, Infinity, 1))
    expect(missing).toEqual([{ id: first.id, conversation, citedBy: bob }])
    await take(first)
    expect(conversations.get(alice, conversation)).toMatchObject({ shown: 201, waiting: 0 })
  })

  test('what was struck while it waited leaves no question behind', async () => {
    const { store, conversations, take, shown } = replica()
    const missing = arriving({ author: bob, sentAtMs: startMs, parents: [], parts: says('never here') })
    const struck = arriving({ author: bob, sentAtMs: startMs + 1, parents: [missing.id], parts: says('struck') })
    const last = arriving({ author: bob, sentAtMs: startMs + 2, parents: [struck.id], parts: says('last') })
    await take(struck)
    await take(last)
    await store.write((tx) => conversations.history.strike(tx, alice, struck.id))
    expect(store.read((tx) => conversations.history.missing.since(tx, alice, Infinity, 9))).toEqual([])
    expect(shown().map(({ text, hasGap }) => [text, hasGap])).toEqual([['last', true]])
  })

  test('nobody edits or takes back the words of another', async () => {
    const { take, shown, conversations } = replica()
    const first = arriving({ author: bob, sentAtMs: startMs, parents: [], parts: says('mine') })
    await take(first)
    const forged: readonly Part[][] = [
      [{ kind: 'edit', target: first.id, body: [{ kind: 'text', text: 'yours' }] }],
      [{ kind: 'redaction', target: first.id }],
    ]
    for (const parts of forged)
      expect(await take(arriving({ author: alice, sentAtMs: startMs, parents: [first.id], parts }))).toEqual({
        kind: 'shown',
      })
    expect(shown()).toMatchObject([{ text: 'mine', isRedacted: false, editedAtMs: undefined }])
    expect(conversations.feedSince(alice, 0, 9)).toHaveLength(1)
    // and what cites such a thing is not held up by it
    const heads = conversations.get(alice, conversation)!.heads
    await take(arriving({ author: bob, sentAtMs: startMs, parents: heads, parts: says('well') }))
    expect(shown().map(({ text }) => text)).toEqual(['mine', 'well'])
  })

  test('a message dated a year ahead is refused by name, one dated a year back has its place and pushes nothing', async () => {
    const { take, shown } = replica(() => startMs)
    const yearMs = 365 * 24 * 3600_000
    const ahead = arriving({ author: bob, sentAtMs: startMs + yearMs, parents: [], parts: says('ahead') })
    expect(await take(ahead)).toEqual({ kind: 'refused', reason: 'clock-off' })
    await take(arriving({ author: bob, sentAtMs: startMs, parents: [], parts: says('now') }))
    await take(arriving({ author: bob, sentAtMs: startMs - yearMs, parents: [], parts: says('back') }))
    expect(shown().map(({ text }) => text)).toEqual(['back', 'now'])
  })

  test('what is taken back keeps its place and loses its words', async () => {
    const { store, take, shown, conversations } = replica()
    const first = arriving({ author: bob, sentAtMs: startMs, parents: [], parts: says('secret') })
    await take(first)
    const edited: readonly Part[] = [{ kind: 'edit', target: first.id, body: [{ kind: 'text', text: 'secret too' }] }]
    const edit = arriving({ author: bob, sentAtMs: startMs, parents: [first.id], parts: edited })
    await take(edit)
    await take(
      arriving({
        author: bob,
        sentAtMs: startMs,
        parents: [first.id],
        parts: [{ kind: 'redaction', target: first.id }],
      }),
    )
    expect(shown()).toMatchObject([{ text: undefined, isRedacted: true, author: bob }])
    for (const { id } of [first, edit]) {
      const row = store.read((tx) => conversations.history.message(tx, alice, id))!
      expect(Buffer.from(row.encoded).includes('secret')).toBe(false)
    }
  })

  test('a million messages that wait are not held: the oldest bound shows what comes on', async () => {
    const { take, conversations } = replica()
    const unknown = (index: number) => index.toString(16).padStart(64, '0') as MessageId
    for (let index = 0; index < limits.conversationWaitingMax + 5; index += 1)
      await take(arriving({ author: bob, sentAtMs: startMs, parents: [unknown(index)], parts: says('x') }))
    expect(conversations.get(alice, conversation)).toMatchObject({ waiting: limits.conversationWaitingMax, shown: 5 })
  })

  test('read marks only go on, and unread counts what others wrote after them', async () => {
    const { store, take, conversations } = replica()
    const sent: Arriving[] = []
    for (let index = 0; index < 4; index += 1) {
      const parents = sent.length === 0 ? [] : [sent.at(-1)!.id]
      sent.push(arriving({ author: bob, sentAtMs: startMs + index, parents, parts: says(`${index}`) }))
      await take(sent.at(-1)!)
    }
    const mark = async (index: number) =>
      await store.write((tx) => conversations.mark(tx, alice, conversation, { who: alice, heads: [sent[index]!.id] }))
    expect(conversations.get(alice, conversation)?.unread).toBe(4)
    expect(await mark(2)).toBe(true)
    expect(conversations.get(alice, conversation)?.unread).toBe(1)
    expect(await mark(1)).toBe(false)
    expect(conversations.get(alice, conversation)?.unread).toBe(1)
  })
})
