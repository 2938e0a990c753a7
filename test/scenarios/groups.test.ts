/** Several people in a group: everybody shows the same, whoever is away, and nobody shows what was said without them. */
import { expect, test } from 'vitest'
import type { ShownMessage } from '../../src/core/conversation/view.ts'
import { readGroupOp } from '../../src/core/group/op.ts'
import { encodeRoster } from '../../src/core/group/roster.ts'
import type { GroupId, MessageId } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import { groupConversation } from '../../src/core/message/conversation.ts'
import type { Part } from '../../src/core/message/part.ts'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const patience = { timeout: 30_000, interval: 50 }
const says = (text: string): readonly Part[] => [{ kind: 'text', text }]

const history = (whose: TestGateway, group: GroupId): readonly ShownMessage[] =>
  whose.knowledge.conversations.page(whose.account, groupConversation(group), { limit: 1000 })
const texts = (whose: TestGateway, group: GroupId) =>
  expect.poll(() => history(whose, group).map(({ text }) => text), patience)
const membersAt = (whose: TestGateway, group: GroupId) =>
  [...(whose.knowledge.groupBook.groupNow(whose.account, group)?.state.members.keys() ?? [])].toSorted()
const stateAt = (whose: TestGateway, group: GroupId) => {
  const state = whose.knowledge.groupBook.groupNow(whose.account, group)?.state
  return state === undefined ? undefined : Buffer.from(encodeRoster(state)).toString('hex')
}
const standing = (whose: TestGateway, group: GroupId) => whose.node.delivery.groups.row(whose.account, group)?.state
async function say(who: TestGateway, group: GroupId, parts: readonly Part[] | string): Promise<MessageId> {
  const draft = { parts: typeof parts === 'string' ? says(parts) : parts }
  return (await who.node.delivery.groups.say(who.account, group, draft)).id
}

/** The first one knows everybody; the others do not know each other. */
async function star(world: World, names: readonly string[]): Promise<readonly TestGateway[]> {
  const [first, ...others] = await Promise.all(names.map(async (name) => await world.gateway(name)))
  for (const other of others) {
    await world.introduce(first!, other)
    await other.submit(first!.address, `hello from ${other.name}`)
  }
  await expect.poll(async () => (await first!.read()).length, patience).toBe(others.length)
  return [first!, ...others]
}

async function groupOf(people: readonly TestGateway[]): Promise<GroupId> {
  const [first, ...others] = people
  const { groups } = first!.node.delivery
  const group = await groups.create(first!.account, 'friends')
  await groups.add(
    first!.account,
    group,
    others.map(({ account }) => account),
  )
  for (const other of others) await expect.poll(() => standing(other, group), patience).toBe('joined')
  return group
}

async function allAgree(people: readonly TestGateway[], group: GroupId): Promise<void> {
  const [first, ...others] = people
  for (const other of others) {
    await expect.poll(() => stateAt(other, group), patience).toBe(stateAt(first!, group))
    await expect
      .poll(() => history(other, group).map(({ id }) => id), patience)
      .toEqual(history(first!, group).map(({ id }) => id))
  }
}

test('people who do not know each other talk in a group, and each shows the same by the same ids', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf(people)
  await say(alice, group, 'welcome')
  await texts(carol, group).toEqual(['welcome'])
  await say(bob, group, 'hello all')
  await texts(carol, group).toEqual(['welcome', 'hello all'])
  const third = await say(carol, group, 'helo')
  await say(carol, group, [{ kind: 'edit', target: third, body: [{ kind: 'text', text: 'hello' }] }])
  await texts(bob, group).toEqual(['welcome', 'hello all', 'hello'])
  await say(bob, group, [{ kind: 'reaction', target: third, reactions: ['👋'] }])
  await expect
    .poll(() => history(alice, group).at(-1)?.reactions, patience)
    .toEqual([{ who: bob.account, reactions: ['👋'] }])
  await allAgree(people, group)
  // bob and carol have each other's keys now, and are no contacts
  expect(bob.knowledge.contacts.byIdentity(bob.account, carol.account)?.state).toBe('fellow')
  await expect(bob.submit(carol.address, 'a mail')).rejects.toMatchObject({ code: 'no-such-recipient' })
})

test('who is removed shows nothing of what is said after, and says nothing any more; who is taken in again shows what is new', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf(people)
  await say(alice, group, 'one')
  await texts(carol, group).toEqual(['one'])
  await texts(bob, group).toEqual(['one'])
  await alice.node.delivery.groups.remove(alice.account, group, carol.account)
  await say(alice, group, 'two')
  await texts(bob, group).toEqual(['one', 'two'])
  await expect.poll(() => standing(carol, group), patience).toBe('left')
  expect(history(carol, group).map(({ text }) => text)).toEqual(['one'])
  await expect(say(carol, group, 'let me in')).rejects.toMatchObject({ code: 'not-a-member' })
  await say(bob, group, 'three')
  await texts(alice, group).toEqual(['one', 'two', 'three'])

  await alice.node.delivery.groups.add(alice.account, group, [carol.account])
  await expect.poll(() => standing(carol, group), patience).toBe('joined')
  await say(bob, group, 'four')
  await texts(carol, group).toEqual(['one', 'four'])
  await say(carol, group, 'five')
  await texts(bob, group).toEqual(['one', 'two', 'three', 'four', 'five'])
  await texts(alice, group).toEqual(['one', 'two', 'three', 'four', 'five'])
  expect(stateAt(carol, group)).toBe(stateAt(alice, group))
})

test('what somebody said while being removed counts nowhere in the end, and holds nobody up; who said it is told', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'eve'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, eve] = people
  const group = await groupOf(people)
  await say(eve, group, 'hello')
  await texts(bob, group).toEqual(['hello'])
  await texts(alice, group).toEqual(['hello'])
  const hello = history(alice, group)[0]!.id
  world.network.partition('alice', 'eve')
  const late = await say(eve, group, 'one more thing')
  await say(eve, group, [{ kind: 'reaction', target: hello, reactions: ['+1'] }])
  await texts(bob, group).toEqual(['hello', 'one more thing'])
  await expect.poll(() => history(bob, group)[0]?.reactions.length, patience).toBe(1)
  await alice.node.delivery.groups.remove(alice.account, group, eve.account)
  await say(bob, group, 'I have seen that')
  await texts(alice, group).toEqual(['hello', 'I have seen that'])
  await allAgree([alice, bob], group)
  for (const one of [alice, bob])
    expect(history(one, group).map(({ text, reactions }) => [text, reactions.length])).toEqual([
      ['hello', 0],
      ['I have seen that', 0],
    ])
  world.network.heal('alice', 'eve')
  await expect.poll(() => standing(eve, group), patience).toBe('left')
  await expect.poll(() => history(eve, group).find(({ id }) => id === late)?.fate, patience).toBe('failed')
  await say(alice, group, 'now we are two')
  await texts(bob, group).toEqual(['hello', 'I have seen that', 'now we are two'])
  expect(bob.knowledge.conversations.get(bob.account, groupConversation(group))).toMatchObject({ shown: 3, waiting: 0 })
}, 60_000)

test('who joins later shows what is said from then on, answers it, and nothing earlier', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf([alice, bob])
  await say(alice, group, 'before')
  await say(bob, group, 'before too')
  await texts(alice, group).toEqual(['before', 'before too'])
  await alice.node.delivery.groups.add(alice.account, group, [carol.account])
  await expect.poll(() => standing(carol, group), patience).toBe('joined')
  await say(carol, group, 'i am new')
  await texts(bob, group).toEqual(['before', 'before too', 'i am new'])
  await say(bob, group, 'welcome')
  await texts(carol, group).toEqual(['i am new', 'welcome'])
  expect(history(carol, group).every(({ hasGap }) => !hasGap)).toBe(true)
})

test('what is said while some are away reaches them, also when its author is gone by then and another hands it on', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf(people)
  await say(bob, group, 'hello')
  await texts(carol, group).toEqual(['hello'])
  await carol.stop()
  await say(alice, group, 'from alice')
  await texts(bob, group).toEqual(['hello', 'from alice'])
  await alice.stop()
  await say(bob, group, 'answers alice')
  const back = await world.gateway('carol')
  // what bob cites is with alice, who is off: bob hands it on
  await texts(back, group).toEqual(['hello', 'from alice', 'answers alice'])
  const again = await world.gateway('alice')
  await texts(again, group).toEqual(['hello', 'from alice', 'answers alice'])
  await allAgree([again, bob, back], group)
})

test('whoever leaves is out, and the next one brings new keys', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf(people)
  await alice.node.delivery.groups.leave(alice.account, group)
  await expect.poll(() => membersAt(bob, group), patience).toEqual([bob.account, carol.account].toSorted())
  await expect.poll(() => membersAt(carol, group), patience).toEqual([bob.account, carol.account].toSorted())
  await say(carol, group, 'now we are two')
  await texts(bob, group).toEqual(['now we are two'])
  await say(bob, group, 'so it is')
  await texts(carol, group).toEqual(['now we are two', 'so it is'])
  expect(history(alice, group)).toEqual([])
  expect(standing(alice, group)).toBe('left')
})

test('rules hold: only admins add and remove, rename and change rules, and in a group where only admins write nobody else does', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf(people)
  const denied = { code: 'not-permitted' }
  await expect(bob.node.delivery.groups.remove(bob.account, group, carol.account)).rejects.toMatchObject(denied)
  await expect(bob.node.delivery.groups.rename(bob.account, group, 'mine')).rejects.toMatchObject(denied)
  await alice.node.delivery.groups.grant(alice.account, group, bob.account)
  await expect
    .poll(
      async () =>
        await bob.node.delivery.groups.rename(bob.account, group, 'ours').then(
          () => true,
          () => false,
        ),
      patience,
    )
    .toBe(true)
  await expect.poll(() => carol.knowledge.groupBook.groupNow(carol.account, group)?.state.name, patience).toBe('ours')
  await bob.node.delivery.groups.setPolicy(bob.account, group, { post: 'admins' })
  await expect
    .poll(() => carol.knowledge.groupBook.groupNow(carol.account, group)?.state.policy.post, patience)
    .toBe('admins')
  await expect(say(carol, group, 'hush')).rejects.toMatchObject(denied)
  await say(bob, group, 'heard')
  await texts(carol, group).toEqual(['heard'])
})

test('a person whom a stranger adds is asked first', async () => {
  await using world = await openWorld()
  const [alice, bob, carol] = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const group = await groupOf([alice, bob, carol])
  // bob knows carol through that group only
  await expect.poll(() => bob.knowledge.contacts.byIdentity(bob.account, carol.account)?.state, patience).toBe('fellow')
  const second = await bob.node.delivery.groups.create(bob.account, 'another')
  await bob.node.delivery.groups.add(bob.account, second, [carol.account])
  await expect.poll(() => standing(carol, second), patience).toBe('invited')
  await expect(say(carol, second, 'x')).rejects.toMatchObject({ code: 'not-permitted' })
  await carol.node.delivery.groups.accept(carol.account, second)
  await say(carol, second, 'thank you')
  await texts(bob, second).toEqual(['thank you'])
  expect(standing(carol, group)).toBe('joined')
})

test('where the rules share history, who joins shows what was said before, with edits and without what was taken back', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf([alice, bob])
  await alice.node.delivery.groups.setPolicy(alice.account, group, { sharesHistory: true })
  await say(alice, group, 'one')
  await texts(bob, group).toEqual(['one'])
  const wrong = await say(bob, group, 'wrong')
  const typo = await say(bob, group, 'tow')
  await say(bob, group, [{ kind: 'edit', target: typo, body: [{ kind: 'text', text: 'two' }] }])
  await say(bob, group, [{ kind: 'redaction', target: wrong }])
  await texts(alice, group).toEqual(['one', undefined, 'two'])
  await alice.node.delivery.groups.add(alice.account, group, [carol.account])
  await texts(carol, group).toEqual(['one', 'two'])
  await say(carol, group, 'three')
  await texts(bob, group).toEqual(['one', undefined, 'two', 'three'])
})

test('what is said in a group to which a stranger added somebody waits in Requests, with one notice', async () => {
  await using world = await openWorld()
  const [alice, bob, carol] = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  await groupOf([alice, bob, carol])
  await expect.poll(() => bob.knowledge.contacts.byIdentity(bob.account, carol.account)?.state, patience).toBe('fellow')
  const second = await bob.node.delivery.groups.create(bob.account, 'another')
  await bob.node.delivery.groups.add(bob.account, second, [carol.account])
  await say(bob, second, 'buy this')
  await say(bob, second, 'and this')
  await expect.poll(async () => (await carol.read('Requests')).length, patience).toBe(2)
  expect(await carol.read()).toHaveLength(1)
  await carol.node.delivery.groups.accept(carol.account, second)
  await say(bob, second, 'thank you')
  await expect.poll(async () => (await carol.read('Groups/another')).length, patience).toBe(1)
})

test('more than half of the admins vouch for where the group stands, and one alone does not', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf(people)
  const { groups } = alice.node.delivery
  const isAdminAt = (whose: TestGateway, who: TestGateway) =>
    whose.knowledge.groupBook.groupNow(whose.account, group)?.state.members.get(who.account)?.grants.length === 1
  for (const admin of [bob, carol]) {
    await groups.grant(alice.account, group, admin.account)
    for (const one of people) await expect.poll(() => isAdminAt(one, admin), patience).toBe(true)
  }
  const hasCheckpoint = (whose: TestGateway) =>
    [...(whose.knowledge.groupBook.groupNow(whose.account, group)?.ops() ?? [])].some(
      (signed) => readGroupOp(signed).op.action.kind === 'checkpoint',
    )
  world.network.disconnect('alice', 'bob')
  world.network.disconnect('alice', 'carol')
  await groups.checkpoint(alice.account, group)
  expect(hasCheckpoint(alice)).toBe(false)
  world.network.heal('alice', 'bob')
  world.network.announce('alice')
  for (const one of [alice, bob]) await expect.poll(() => hasCheckpoint(one), patience).toBe(true)
  await allAgree(people, group)
})

test('members tell each other what they have read, where the rules let them and they want it told', async () => {
  await using world = await openWorld()
  const people = (await star(world, ['alice', 'bob', 'carol'])) as [TestGateway, TestGateway, TestGateway]
  const [alice, bob, carol] = people
  const group = await groupOf(people)
  const conversation = groupConversation(group)
  const wants = async (who: TestGateway) =>
    await who.knowledge.store.write((tx) =>
      who.knowledge.conversations.setSettings(tx, who.account, { tellsRead: true }),
    )
  const marksAt = (who: TestGateway) =>
    who.knowledge.conversations.marks(who.account, conversation).map((mark) => mark.who)
  await wants(bob)
  const first = await say(alice, group, 'first')
  for (const who of [bob, carol]) {
    await texts(who, group).toEqual(['first'])
    await who.node.delivery.chats.markRead(who.account, conversation, first)
  }
  await expect.poll(() => marksAt(alice), patience).toEqual([bob.account])
  await alice.node.delivery.groups.setPolicy(alice.account, group, { readReceipts: false })
  await wants(carol)
  const second = await say(alice, group, 'second')
  await texts(carol, group).toEqual(['first', 'second'])
  await expect
    .poll(() => carol.knowledge.groupBook.groupNow(carol.account, group)?.state.policy.readReceipts)
    .toBe(false)
  await carol.node.delivery.chats.markRead(carol.account, conversation, second)
  await new Promise((resolve) => {
    setTimeout(resolve, limits.receiptDelayMs + 500)
  })
  expect(marksAt(alice)).toEqual([bob.account])
})

test('a member whose mailbox is full is not given what is said, and its author hears of that', async () => {
  await using world = await openWorld()
  const [alice, bob] = (await star(world, ['alice', 'bob'])) as [TestGateway, TestGateway]
  const group = await groupOf([alice, bob])
  await say(alice, group, 'one')
  await texts(bob, group).toEqual(['one'])
  await bob.knowledge.store.write((tx) => bob.knowledge.quotas.set(tx, bob.account, 1))
  const refused = await say(alice, group, 'two')
  await expect
    .poll(() => alice.knowledge.conversations.feedSince(alice.account, 0, 99).at(-1)?.event, patience)
    .toEqual({ kind: 'failed', message: refused, to: bob.account })
  expect(history(bob, group).map(({ text }) => text)).toEqual(['one'])
})
