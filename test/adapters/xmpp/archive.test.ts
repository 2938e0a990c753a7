/** The archive (XEP-0313) as a window on one long order: any page is what a list would give, and costs what it holds. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { child, childText, type Element, el, elements } from '../../../src/adapters/xmpp/element.ts'
import { archiveOfAll } from '../../../src/adapters/xmpp/messages/archive.ts'
import { idOfPartner } from '../../../src/core/conversation/conversations.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { ConversationId, Identity, MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { createAccount } from '../../../src/operations/accounts.ts'
import { type BoundClient, openStages, type Stage } from './harness.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const mam = 'urn:xmpp:mam:2'
const rsm = 'http://jabber.org/protocol/rsm'
const form = 'jabber:x:data'

/** Notes of one account to itself, in few commits. */
async function notes({ gateway }: Stage, count: number): Promise<readonly MessageId[]> {
  const { store } = gateway.knowledge
  const ids: MessageId[] = []
  while (ids.length < count)
    ids.push(
      ...(await store.write((tx) =>
        Array.from({ length: Math.min(200, count - ids.length) }, (_, index) => {
          const parts = [{ kind: 'text', text: `note ${ids.length + index}` }] as const
          return gateway.node.delivery.chats.sayIn(tx, gateway.account, gateway.account, { parts }).id
        }),
      )),
    )
  return ids
}

interface Asked {
  readonly max?: number | undefined
  readonly before?: string | undefined
  readonly after?: string | undefined
  readonly fields?: Readonly<Record<string, readonly string[]>>
}

async function ask(client: BoundClient, { max, before, after, fields = {} }: Asked) {
  const set = el(
    `set ${rsm}`,
    {},
    max === undefined ? undefined : el(`max ${rsm}`, {}, String(max)),
    before === undefined ? undefined : el(`before ${rsm}`, {}, before),
    after === undefined ? undefined : el(`after ${rsm}`, {}, after),
  )
  const x = el(
    `x ${form}`,
    { type: 'submit' },
    Object.entries({ FORM_TYPE: [mam], ...fields }).map(([name, values]) =>
      el(
        `field ${form}`,
        { var: name },
        values.map((value) => el(`value ${form}`, {}, value)),
      ),
    ),
  )
  const came = await client.say(el('iq', { type: 'set', id: 'q' }, el(`query ${mam}`, {}, x, set)))
  const fin = came.at(-1)!
  const found = came.slice(0, -1).map((one) => elements(one)[0]!)
  const end = child(child(fin, `fin ${mam}`)!, `set ${rsm}`)!
  return {
    ids: found.map(({ attrs }) => attrs.id),
    times: found.map((one) => timeOf(one)),
    isComplete: child(fin, `fin ${mam}`)!.attrs.complete === 'true',
    first: childText(end, 'first'),
    last: childText(end, 'last'),
    count: childText(end, 'count'),
  }
}

const timeOf = (result: Element): string =>
  child(child(result, 'forwarded urn:xmpp:forward:0')!, 'delay urn:xmpp:delay')!.attrs.stamp!

test('any page is what a list would give', async () => {
  await using stages = await openStages(['alice'])
  const alice = stages.of('alice')
  const client = alice.bind()
  const ids = await notes(alice, 30)
  const at = fc.option(fc.nat(ids.length - 1), { nil: undefined })
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        max: fc.integer({ min: 1, max: 40 }),
        page: fc.constantFrom('first', 'last', 'after', 'before'),
        place: fc.nat(ids.length - 1),
        beforeId: at,
        afterId: at,
        isWith: fc.boolean(),
      }),
      async ({ max, page, place, beforeId, afterId, isWith }) => {
        const inForm = ids.slice(afterId === undefined ? 0 : afterId + 1, beforeId ?? ids.length)
        const left = inForm.filter((id) =>
          page === 'after' ? ids.indexOf(id) > place : page === 'before' ? ids.indexOf(id) < place : true,
        )
        const expected = page === 'before' || page === 'last' ? left.slice(-max) : left.slice(0, max)
        const got = await ask(client, {
          max,
          ...(page === 'after' ? { after: ids[place] } : {}),
          ...(page === 'before' ? { before: ids[place] } : page === 'last' ? { before: '' } : {}),
          fields: {
            ...(beforeId === undefined ? {} : { 'before-id': [ids[beforeId]!] }),
            ...(afterId === undefined ? {} : { 'after-id': [ids[afterId]!] }),
            ...(isWith ? { with: ['alice@localhost'] } : {}),
          },
        })
        expect(got.ids).toEqual(expected)
        expect(got.isComplete).toBe(left.length <= max)
        expect([got.first, got.last]).toEqual([expected[0], expected.at(-1)])
      },
    ),
    { numRuns: 150 },
  )
})

test('a span of time takes what came in it, both ends included', async () => {
  await using stages = await openStages(['alice'])
  const alice = stages.of('alice')
  const client = alice.bind()
  const ids: MessageId[] = []
  for (let index = 0; index < 5; index += 1) {
    ids.push(...(await notes(alice, 1)))
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
  const { times } = await ask(client, {})
  for (let from = 0; from < 5; from += 1)
    for (let to = from; to < 5; to += 1) {
      const fields = { start: [times[from]!], end: [times[to]!] }
      expect((await ask(client, { fields })).ids).toEqual(ids.slice(from, to + 1))
      expect((await ask(client, { fields: { ...fields, with: ['alice@localhost'] } })).ids).toEqual(
        ids.slice(from, to + 1),
      )
    }
  expect((await ask(client, { fields: { start: ['2200-01-01T00:00:00Z'] } })).ids).toEqual([])
})

test(
  'a page of a long archive reads little more than itself, from either end and in its middle',
  { timeout: 60_000 },
  async () => {
    await using stages = await openStages(['alice'])
    const alice = stages.of('alice')
    const client = alice.bind()
    const ids = await notes(alice, 2500)
    const { history } = alice.gateway.knowledge.conversations
    const read = history.message.bind(history)
    let reads = 0
    history.message = (...given) => {
      reads += 1
      return read(...given)
    }
    const middle = ids[1200]!
    const { times } = await ask(client, { max: 1, after: middle })
    for (const fields of [{}, { with: ['alice@localhost'] }])
      for (const asked of [
        { before: '' },
        { before: middle },
        { after: middle },
        { fields: { start: [times[0]!] } },
        { before: '', fields: { end: [times[0]!] } },
      ]) {
        reads = 0
        const { ids: got } = await ask(client, { max: 20, ...asked, fields: { ...fields, ...asked.fields } })
        expect(got.length).toBeGreaterThan(0)
        expect(reads).toBeLessThan(60)
      }
  },
)

test('chats are found in their order among much else, from both ends', { timeout: 60_000 }, async () => {
  await using stages = await openStages(['alice'])
  const alice = stages.of('alice')
  const { knowledge, node, account } = alice.gateway
  const people: Identity[] = []
  for (const localName of ['carol', 'dave']) {
    await createAccount(knowledge, ambient, { localName, address: undefined, displayName: undefined })
    people.push(knowledge.accounts.byUser(localName)!.identity)
  }
  const said: MessageId[] = []
  for (const peer of [people[0]!, people[1]!, people[0]!, people[1]!, people[1]!]) {
    await notes(alice, limits.xmppArchivePassedMax / 2 + 1)
    said.push((await node.delivery.chats.say(account, peer, { parts: [{ kind: 'text', text: 'hello' }] })).id)
  }
  await notes(alice, 5)
  const isChat = (id: ConversationId) => people.some((peer) => id === idOfPartner(account, { kind: 'direct', peer }))
  const archive = archiveOfAll(alice.server, account, isChat, () => undefined)
  const to = knowledge.conversations.lastNumber(account) + 1
  const found = (span: { from: number; to: number; reverse?: boolean }) =>
    knowledge.store.read((tx) => [...archive.entries(tx, span)].map(({ id }) => id))
  expect(found({ from: 1, to })).toEqual(said)
  expect(found({ from: 1, to, reverse: true })).toEqual(said.toReversed())
  expect(knowledge.store.read((tx) => archive.count(tx, { from: 1, to }))).toBe(said.length)
})
