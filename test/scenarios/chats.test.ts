/** Two people chat: by whatever comes between them, each message is shown once, after what it answers, on both sides. */
import { expect, test } from 'vitest'
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import type { ShownMessage } from '../../src/core/conversation/view.ts'
import type { MessageId } from '../../src/core/ids.ts'
import type { Part } from '../../src/core/message/part.ts'
import { tables } from '../../src/core/store/tables.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const patience = { timeout: 20_000 }

const says = (text: string): readonly Part[] => [{ kind: 'text', text }]

async function say(from: TestGateway, to: TestGateway, parts: readonly Part[] | string): Promise<MessageId> {
  const draft = { parts: typeof parts === 'string' ? says(parts) : parts }
  return (await from.node.delivery.chats.say(from.account, to.account, draft)).id
}

const between = (one: TestGateway, other: TestGateway) =>
  idOfPartner(one.account, { kind: 'direct', peer: other.account })
const history = (whose: TestGateway, other: TestGateway): readonly ShownMessage[] =>
  whose.knowledge.conversations.page(whose.account, between(whose, other), { limit: 1000 })
const texts = (whose: TestGateway, other: TestGateway) =>
  expect.poll(() => history(whose, other).map(({ text }) => text), patience)

async function friends() {
  const world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await say(bob, alice, 'hello')
  await texts(alice, bob).toEqual(['hello'])
  return { world, alice, bob, [Symbol.asyncDispose]: async () => await world[Symbol.asyncDispose]() }
}

test('what is said, edited, reacted to and taken back is the same on both sides, by the same ids', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const question = await say(alice, bob, 'shall we met?')
  await say(alice, bob, [{ kind: 'edit', target: question, body: [{ kind: 'text', text: 'shall we meet?' }] }])
  await texts(bob, alice).toEqual(['hello', 'shall we meet?'])
  await say(bob, alice, [{ kind: 'reaction', target: question, reactions: ['👍'] }])
  const wrong = await say(bob, alice, 'not for you')
  await say(bob, alice, [{ kind: 'redaction', target: wrong }])
  const same = ({ id, text, isRedacted, reactions }: ShownMessage) => ({ id, text, isRedacted, reactions })
  await expect
    .poll(() => history(alice, bob).map(same), patience)
    .toEqual([
      expect.objectContaining({ text: 'hello' }),
      { id: question, text: 'shall we meet?', isRedacted: false, reactions: [{ who: bob.account, reactions: ['👍'] }] },
      { id: wrong, text: undefined, isRedacted: true, reactions: [] },
    ])
  expect(history(alice, bob).map(same)).toEqual(history(bob, alice).map(same))
  await expect(say(alice, bob, [{ kind: 'redaction', target: wrong }])).rejects.toMatchObject({ code: 'not-yours' })
})

test('what was said while the other was away arrives once, after what it answers, also after a restart of both', async () => {
  await using scope = await friends()
  const { world, alice, bob } = scope
  await bob.stop()
  for (let number = 1; number <= 20; number += 1) await say(alice, bob, `number ${number}`)
  await alice.stop()
  const [again, back] = [await world.gateway('alice'), await world.gateway('bob')]
  const all = ['hello', ...Array.from({ length: 20 }, (_, index) => `number ${index + 1}`)]
  await texts(back, again).toEqual(all)
  const received = history(back, again)
  expect(received.every(({ hasGap }) => !hasGap)).toBe(true)
  await expect.poll(() => again.node.delivery.queued(), patience).toBe(0)
  const sent = again.knowledge.conversations
    .feedSince(again.account, 0, 1000)
    .filter(({ event }) => event.kind === 'delivered')
  expect(sent).toHaveLength(20)
})

test('two who write at once show each other the same order', async () => {
  await using scope = await friends()
  const { world, alice, bob } = scope
  world.network.disconnect('alice', 'bob')
  for (const [from, to] of [
    [alice, bob],
    [bob, alice],
  ] as const)
    for (let number = 0; number < 5; number += 1) await say(from, to, `${from.name} ${number}`)
  world.network.heal('alice', 'bob')
  world.network.announce('alice')
  await expect.poll(() => [history(alice, bob).length, history(bob, alice).length], patience).toEqual([11, 11])
  expect(history(alice, bob).map(({ id }) => id)).toEqual(history(bob, alice).map(({ id }) => id))
})

test('who was blocked is told so, and says nothing', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  await alice.knowledge.store.write((tx) => alice.knowledge.contacts.using(tx).block(alice.account, bob.account))
  const refused = await say(bob, alice, 'are you there?')
  await expect
    .poll(() => bob.knowledge.conversations.feedSince(bob.account, 0, 99).at(-1)?.event, patience)
    .toEqual({ kind: 'failed', message: refused, to: alice.account })
  expect(history(alice, bob).map(({ text }) => text)).toEqual(['hello'])
  await expect(say(alice, bob, 'x')).rejects.toMatchObject({ code: 'blocked' })
})

test('that something was read is told only by those who want it told', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const [hello] = history(alice, bob)
  const read = async () => await alice.node.delivery.chats.markRead(alice.account, between(alice, bob), hello!.id)
  await read()
  expect(alice.knowledge.conversations.get(alice.account, between(alice, bob))?.unread).toBe(0)
  const second = await say(bob, alice, 'second')
  await texts(alice, bob).toEqual(['hello', 'second'])
  const marksAtBob = () =>
    bob.knowledge.conversations.marks(bob.account, between(bob, alice)).map(({ who, upTo }) => ({ who, upTo }))
  expect(marksAtBob()).toEqual([])
  await alice.knowledge.store.write((tx) =>
    alice.knowledge.conversations.setSettings(tx, alice.account, { tellsRead: true }),
  )
  await alice.node.delivery.chats.markRead(alice.account, between(alice, bob), second)
  await expect.poll(marksAtBob, patience).toEqual([{ who: alice.account, upTo: second }])
})

test('what was read in private is told to nobody, whatever else is told', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const [hello] = history(alice, bob)
  const second = await say(bob, alice, 'second')
  const third = await say(bob, alice, 'third')
  await texts(alice, bob).toEqual(['hello', 'second', 'third'])
  const { conversations, store } = alice.knowledge
  await store.write((tx) => conversations.setSettings(tx, alice.account, { tellsRead: true }))
  const { chats } = alice.node.delivery
  const told = () => bob.knowledge.conversations.marks(bob.account, between(bob, alice)).map(({ upTo }) => upTo)
  // the one that may be told waits a little, and is passed meanwhile
  await chats.markRead(alice.account, between(alice, bob), hello!.id)
  await store.write((tx) =>
    conversations.mark(tx, alice.account, between(alice, bob), { who: alice.account, heads: [third] }),
  )
  expect(conversations.get(alice.account, between(alice, bob))?.unread).toBe(0)
  await expect.poll(told, patience).toEqual([hello!.id])
  chats.readIsKnown(alice.account, between(alice, bob), second)
  chats.readIsKnown(alice.account, between(alice, bob), hello!.id)
  await expect.poll(told, patience).toEqual([second])
})

test('what somebody lost is asked for and comes again, and what is nowhere holds nothing up', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const first = await say(bob, alice, 'first')
  await texts(alice, bob).toEqual(['hello', 'first'])
  // as after a disk that lost its last writes
  const { keys } = alice.knowledge.conversations.history
  await alice.knowledge.store.write((tx) =>
    tx.remove(tables.conversationMessages, keys.message(tx, alice.account, first)),
  )
  await say(bob, alice, 'second')
  await texts(alice, bob).toEqual(['hello', 'first', 'second'])
  expect(history(alice, bob).at(-1)?.hasGap).toBe(false)

  for (const side of [alice, bob])
    await side.knowledge.store.write((tx) =>
      tx.remove(
        tables.conversationMessages,
        side.knowledge.conversations.history.keys.message(tx, side.account, first),
      ),
    )
  await say(bob, alice, 'third')
  await texts(alice, bob).toEqual(['hello', 'second', 'third'])
})
