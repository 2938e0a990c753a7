/**
 * Ten people in one process over stores whose every commit takes 50 ms longer: how long until the tenth has joined and shows
 * what is said, and how long three messages take, one after the other.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openStore } from '../../src/core/store/lmdb-store.ts'
import type { WriteTx } from '../../src/core/store/store.ts'
import { groupConversation } from '../../src/core/message/conversation.ts'
import { openWorld, type TestGateway } from '../../test/support/world.ts'

export interface SlowDiskResult {
  /** From the addition until the newcomer shows a message that was said after it. */
  readonly joinMs: number
  /** Until the third of three messages is durable, each said when the one before was. */
  readonly sendsMs: number
  /** Until everybody shows the third. */
  readonly shownMs: number
}

/** As `openStore`; what commits resolves so much later. */
const slowly =
  (delayMs: number): typeof openStore =>
  async (...options) => {
    const store = await openStore(...options)
    const write = store.write.bind(store)
    store.write = async <T>(use: (tx: WriteTx) => T, more?: Parameters<typeof write>[1]): Promise<T> => {
      const result = await write(use, more)
      await sleep(delayMs)
      return result
    }
    return store
  }

async function until(holds: () => boolean, withinMs = 120_000): Promise<void> {
  for (const end = performance.now() + withinMs; !holds(); await sleep(2))
    if (performance.now() > end) throw new Error('it did not come to be')
}

export async function measureSlowDisk(members: number, delayMs: number): Promise<SlowDiskResult> {
  await using world = await openWorld()
  const people: TestGateway[] = []
  for (let number = 0; number < members; number += 1)
    people.push(await world.gateway(`person${number}`, { openStore: slowly(delayMs) }))
  const [founder, ...others] = people as [TestGateway, ...TestGateway[]]
  for (const other of others) {
    await world.introduce(founder, other)
    await other.submit(founder.address, 'hello')
  }
  await until(() => founder.knowledge.contacts.list(founder.account).every(({ state }) => state === 'active'))
  const { groups } = founder.node.delivery
  const group = await groups.create(founder.account, 'bench')
  const newcomer = others.at(-1)!
  const shows = (who: TestGateway): number =>
    who.knowledge.conversations.get(who.account, groupConversation(group))?.shown ?? 0
  const standing = (who: TestGateway) => who.node.delivery.groups.row(who.account, group)?.state
  await groups.add(
    founder.account,
    group,
    others.slice(0, -1).map(({ account }) => account),
  )
  await until(() => others.slice(0, -1).every((who) => standing(who) === 'joined'))
  const say = async (text: string): Promise<void> =>
    void (await groups.say(founder.account, group, { parts: [{ kind: 'text', text }] }))
  await say('first')
  await until(() => others.slice(0, -1).every((who) => shows(who) === 1))

  const joinStartedAt = performance.now()
  await groups.add(founder.account, group, [newcomer.account])
  await say('welcome')
  await until(() => shows(newcomer) === 1)
  const joinMs = performance.now() - joinStartedAt
  await until(() => others.slice(0, -1).every((who) => shows(who) === 2))

  const sendStartedAt = performance.now()
  for (const text of ['one', 'two', 'three']) await say(text)
  const sendsMs = performance.now() - sendStartedAt
  await until(() => others.every((who) => shows(who) === (who === newcomer ? 4 : 5)))
  return { joinMs, sendsMs, shownMs: performance.now() - sendStartedAt }
}
