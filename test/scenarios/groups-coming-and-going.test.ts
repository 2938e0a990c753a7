/** A group whose members come, go, fall over, are removed and added again while all of them talk. */
import { expect, test } from 'vitest'
import type { ShownMessage } from '../../src/core/conversation/view.ts'
import { hasCode } from '../../src/core/errors.ts'
import { readEnvelope } from '../../src/core/group/envelope.ts'
import type { GroupId } from '../../src/core/ids.ts'
import { groupConversation } from '../../src/core/message/conversation.ts'
import type { Part } from '../../src/core/message/part.ts'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const names = ['ann', 'ben', 'cleo', 'dov', 'eva']
const staying = names.slice(0, 4)
const steps = 300
const patience = { timeout: 90_000, interval: 200 }

/** Numbers below 1, the same for the same seed (a linear congruential generator with the constants of Numerical Recipes). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state * 1664525 + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

class Company {
  readonly #world: World
  readonly #people = new Map<string, TestGateway>()
  readonly away = new Set<string>()
  group!: GroupId

  private constructor(world: World) {
    this.#world = world
  }

  static async of(world: World): Promise<Company> {
    const company = new Company(world)
    for (const name of names) company.#people.set(name, await world.gateway(name))
    for (const [at, name] of names.entries())
      for (const other of names.slice(at + 1)) await world.introduce(company.who(name), company.who(other))
    const { node, account } = company.who('ann')
    company.group = await node.delivery.groups.create(account, 'company')
    for (const other of names.slice(1))
      await node.delivery.chats.say(account, company.who(other).account, { parts: [{ kind: 'text', text: 'hello' }] })
    await node.delivery.groups.add(
      account,
      company.group,
      names.slice(1).map((name) => company.who(name).account),
    )
    for (const name of names) await expect.poll(() => company.hasJoined(name), patience).toBe(true)
    return company
  }

  who(name: string): TestGateway {
    return this.#people.get(name)!
  }

  hasJoined(name: string): boolean {
    const { node, account } = this.who(name)
    return node.delivery.groups.row(account, this.group)?.state === 'joined'
  }

  shown(name: string): readonly ShownMessage[] {
    const { knowledge, account } = this.who(name)
    return knowledge.conversations.page(account, groupConversation(this.group), { limit: 1000 })
  }

  waiting(name: string): number | undefined {
    const { knowledge, account } = this.who(name)
    return knowledge.conversations.get(account, groupConversation(this.group))?.waiting
  }

  /** Stops it, with frames of its own still on their way or lost. */
  async goes(name: string, isCutOff: boolean): Promise<void> {
    if (isCutOff) this.#world.network.kill(name)
    await this.who(name).stop()
    this.away.add(name)
  }

  async comes(name: string): Promise<void> {
    this.#people.set(name, await this.#world.gateway(name))
    this.away.delete(name)
  }

  async say(name: string, part: Part): Promise<void> {
    const { node, account } = this.who(name)
    try {
      await node.delivery.groups.say(account, this.group, { parts: [part] })
    } catch (error) {
      // it was removed, or what it is about is not here any more
      if (!['not-a-member', 'no-such-message', 'not-yours'].some((code) => hasCode(error, code as never))) throw error
    }
  }

  async removesOrAdds(by: string, name: string): Promise<void> {
    const { node, account, knowledge } = this.who(by)
    const other = this.who(name).account
    const isMember = knowledge.groupBook.groupNow(account, this.group)!.state.members.has(other)
    if (isMember) await node.delivery.groups.remove(account, this.group, other)
    else await node.delivery.groups.add(account, this.group, [other])
  }

  /** What somebody shows that was said by others while they were no member. */
  notMeantFor(name: string): readonly string[] {
    const { knowledge, account } = this.who(name)
    return knowledge.store.read((tx) => {
      const group = knowledge.groupBook.group(tx, account, this.group)!
      return this.shown(name).flatMap(({ id, author }) => {
        const envelope = knowledge.groupBook.envelope(tx, account, id)
        const then = envelope === undefined ? undefined : group.stateAt(readEnvelope(envelope).header.heads)
        return author === account || then?.members.has(account) === true ? [] : [id]
      })
    })
  }
}

test('members who come, go and fall over show the same in the end, and who is removed nothing that was not for them', async () => {
  await using world = await openWorld()
  const company = await Company.of(world)
  const random = seeded(11)
  const oneOf = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)]!
  for (let step = 0; step < steps; step += 1) {
    const dice = random()
    const who = oneOf(names.filter((name) => !company.away.has(name) && company.hasJoined(name)))
    const own = company.shown(who).filter((one) => one.author === company.who(who).account && !one.isRedacted)
    if (dice < 0.03) {
      const name = oneOf(names.slice(2))
      if (company.away.has(name)) await company.comes(name)
      else await company.goes(name, random() < 0.5)
    } else if (dice < 0.05) await company.removesOrAdds('ann', 'eva')
    else if (dice < 0.1 && own.length > 0)
      await company.say(who, {
        kind: 'edit',
        target: oneOf(own).id,
        body: [{ kind: 'text', text: `edited in ${step}` }],
      })
    else if (dice < 0.15 && company.shown(who).length > 0)
      await company.say(who, { kind: 'reaction', target: oneOf(company.shown(who).slice(-50)).id, reactions: ['👍'] })
    else await company.say(who, { kind: 'text', text: `${step} by ${who}` })
  }
  for (const name of company.away) await company.comes(name)
  const seen = (name: string) => company.shown(name).map(({ id, text, reactions }) => ({ id, text, reactions }))
  for (const name of staying) {
    await expect.poll(() => company.waiting(name), patience).toBe(0)
    await expect.poll(() => JSON.stringify(seen(name)), patience).toBe(JSON.stringify(seen('ann')))
  }
  expect(company.shown('ann').length).toBeGreaterThan(steps / 2)
  expect(company.notMeantFor('eva')).toEqual([])
}, 240_000)
