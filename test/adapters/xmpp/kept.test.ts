/** What programs keep: against a model, through a restart, and with input that nobody means well. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeElement, encodeElement } from '../../../src/adapters/xmpp/element-codec.ts'
import { child, childrenNamed, type Element, el, elements, serialise } from '../../../src/adapters/xmpp/element.ts'
import { limits } from '../../../src/core/limits.ts'
import { openWorld } from '../../support/world.ts'
import { openStages, openTestXmpp } from './harness.ts'
import { xml } from './xml.ts'

const pubsub = 'http://jabber.org/protocol/pubsub'
const name = fc.stringMatching(/^[a-zA-Z_][\w.-]{0,8}$/)
const space = fc.constantFrom('urn:a', 'urn:b', 'jabber:client', pubsub, `${pubsub}#owner`, 'jabber:x:data')
const text = fc.string({ unit: 'binary', maxLength: 12 })
const { element } = fc.letrec<{ element: Element }>((tie) => ({
  element: fc.record({
    name,
    ns: space,
    attrs: fc.dictionary(name, text, { maxKeys: 3 }),
    children: fc.array(fc.oneof({ depthSize: 'small' }, text, tie('element')), { maxLength: 4 }),
  }),
}))

test('an element that was kept is the same again', () => {
  fc.assert(
    fc.property(element, (one) => {
      const read = decodeElement(encodeElement(one))
      // half of a character pair is no character, and cannot be written either
      expect(read && serialise(read)).toBe(serialise(one).toWellFormed())
    }),
  )
})

test('octets that are no element are none, and no name breaks out of its place', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      const read = decodeElement(bytes)
      if (read !== undefined) expect(xml(serialise(read)).name).toBe(read.name)
    }),
  )
  for (const bad of ['x><evil/', 'a b', '', 'a:b', '1a', "a='"]) {
    expect(decodeElement(encodeElement({ name: bad, ns: 'urn:x', attrs: {}, children: [] }))).toBeUndefined()
    expect(decodeElement(encodeElement({ name: 'a', ns: 'urn:x', attrs: { [bad]: '' }, children: [] }))).toBeUndefined()
  }
})

const publish = (node: string, id: string, value: number, max: number): Element =>
  xml(`<iq type='set' id='p'><pubsub xmlns='${pubsub}'><publish node='${node}'><item id='${id}'>
    <v xmlns='urn:v'>${value}</v></item></publish><publish-options><x xmlns='jabber:x:data' type='submit'>
    <field var='pubsub#max_items'><value>${max}</value></field></x></publish-options></pubsub></iq>`)

test('a node holds what was published last, as many as it may', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  using xmpp = openTestXmpp(alice)
  const desk = xmpp.bind('desk')
  const step = fc.oneof(
    fc.record({ does: fc.constant('publish' as const), id: fc.constantFrom('a', 'b', 'c', 'd'), value: fc.nat(99) }),
    fc.record({
      does: fc.constant('retract' as const),
      id: fc.constantFrom('a', 'b', 'c', 'd'),
      value: fc.constant(0),
    }),
  )
  let nodes = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.integer({ min: 1, max: 3 }), async (steps, max) => {
      nodes += 1
      const node = `urn:node:${nodes}`
      const model = new Map<string, number>()
      for (const { does, id, value } of steps) {
        if (does === 'publish') {
          expect((await desk.say(publish(node, id, value, max)))[0]?.attrs.type).toBe('result')
          model.delete(id)
          model.set(id, value)
          for (const old of [...model.keys()].slice(0, -max)) model.delete(old)
          continue
        }
        const retract = `<retract node='${node}'><item id='${id}'/></retract>`
        const [answer] = await desk.say(xml(`<iq type='set' id='r'><pubsub xmlns='${pubsub}'>${retract}</pubsub></iq>`))
        expect(answer?.attrs.type).toBe(model.delete(id) ? 'result' : 'error')
      }
      const [got] = await desk.say(
        xml(`<iq type='get' id='g'><pubsub xmlns='${pubsub}'><items node='${node}'/></pubsub></iq>`),
      )
      const items = got?.attrs.type === 'result' ? child(elements(got)[0]!, `items ${pubsub}`)! : undefined
      const found = (items === undefined ? [] : childrenNamed(items, 'item')).map(({ attrs, children }) => [
        attrs.id,
        Number((children[0] as Element).children[0]),
      ])
      expect(found).toEqual([...model])
      await desk.say(
        xml(`<iq type='set' id='d'><pubsub xmlns='${pubsub}#owner'><delete node='${node}'/></pubsub></iq>`),
      )
    }),
    { numRuns: 25 },
  )
})

test('what was kept is there after a restart', async () => {
  await using world = await openWorld()
  const before = await world.gateway('alice')
  {
    using xmpp = openTestXmpp(before)
    await xmpp.bind().say(publish('urn:kept', 'a', 7, 1))
    await xmpp
      .bind()
      .say(xml("<iq type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='urn:a'>b</a></query></iq>"))
  }
  await before.stop()
  using xmpp = openTestXmpp(await world.gateway('alice'))
  const desk = xmpp.bind()
  const items = await desk.say(
    xml(`<iq type='get' id='g'><pubsub xmlns='${pubsub}'><items node='urn:kept'/></pubsub></iq>`),
  )
  expect(serialise(items[0]!)).toContain('>7</v>')
  const kept = await desk.say(
    xml("<iq type='get' id='2'><query xmlns='jabber:iq:private'><a xmlns='urn:a'/></query></iq>"),
  )
  expect(serialise(kept[0]!)).toContain("<a xmlns='urn:a'>b</a>")
})

test('whatever a program asks is answered once, and nobody else hears of it', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  using xmpp = openTestXmpp(alice)
  const desk = xmpp.bind('desk')
  const other = xmpp.bind('other')
  const payload = fc.record({
    name: fc.constantFrom('pubsub', 'query', 'vCard', 'block', 'unblock', 'blocklist', 'enable', 'disable', 'time'),
    ns: fc.constantFrom(
      pubsub,
      `${pubsub}#owner`,
      'jabber:iq:roster',
      'jabber:iq:private',
      'jabber:iq:register',
      'vcard-temp',
      'urn:xmpp:blocking',
      'urn:xmpp:push:0',
      'http://jabber.org/protocol/disco#info',
      'http://jabber.org/protocol/disco#items',
    ),
    attrs: fc.dictionary(fc.constantFrom('node', 'jid', 'ver', 'id'), text, { maxKeys: 2 }),
    children: fc.array(
      fc.oneof(
        element,
        fc.record({
          name: fc.constantFrom('publish', 'retract', 'items', 'create', 'configure', 'delete', 'item', 'PHOTO'),
          ns: fc.constantFrom(pubsub, `${pubsub}#owner`, 'jabber:iq:roster', 'urn:xmpp:blocking', 'vcard-temp'),
          attrs: fc.dictionary(fc.constantFrom('node', 'jid', 'id', 'max_items', 'subscription'), text, { maxKeys: 3 }),
          children: fc.array(element, { maxLength: 2 }),
        }),
      ),
      { maxLength: 3 },
    ),
  })
  await fc.assert(
    fc.asyncProperty(
      payload,
      fc.constantFrom('get', 'set'),
      fc.constantFrom(undefined, 'localhost', 'a@b.example'),
      async (one, type, to) => {
        const answers = await desk.say(el('iq', { type, id: 'x', to }, one))
        const own = answers.filter(({ attrs }) => attrs.id === 'x')
        expect(own).toHaveLength(1)
        expect(['result', 'error']).toContain(own[0]!.attrs.type)
        expect(other.take()).toEqual([])
      },
    ),
    { numRuns: 400 },
  )
})

test('what is too large or too deep is refused, and too many nodes too', async () => {
  await using world = await openWorld()
  using xmpp = openTestXmpp(await world.gateway('alice'))
  const desk = xmpp.bind()
  const condition = async (item: Element, node = 'urn:n'): Promise<string> => {
    const [answer] = await desk.say(
      el(
        'iq',
        { type: 'set', id: 'p' },
        el(`pubsub ${pubsub}`, {}, el(`publish ${pubsub}`, { node }, el(`item ${pubsub}`, {}, item))),
      ),
    )
    return serialise(answer!)
  }
  expect(await condition(el('v urn:v', {}, 'x'.repeat(limits.xmppKeptElementBytesMax)))).toContain('not-acceptable')
  let deep = el('v urn:v')
  for (let at = 0; at <= limits.xmppKeptDepthMax; at += 1) deep = el('v urn:v', {}, deep)
  expect(await condition(deep)).toContain('not-acceptable')
  expect(await condition(el('v urn:v'), 'n'.repeat(limits.profileNameOctetsMax + 1))).toContain('not-acceptable')
  for (let at = 0; at < limits.xmppNodesMax; at += 1)
    await desk.say(xml(`<iq type='set' id='c'><pubsub xmlns='${pubsub}'><create node='n${at}'/></pubsub></iq>`))
  expect(await condition(el('v urn:v'))).toContain('resource-constraint')
})

test('a contact that shows no element shows nothing', { timeout: 60_000 }, async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = alice.bind('desk')
  await bob.gateway.knowledge.store.write((tx) =>
    bob.gateway.node.delivery.profiles.show(tx, bob.gateway.account, 'urn:n', [
      { id: 'bad', atMs: 1, value: Buffer.from('<evil/>') },
      { id: 'good', atMs: 2, value: encodeElement(el('v urn:v')) },
    ]),
  )
  const ask = xml(`<iq type='get' id='g' to='${bob.jid}'><pubsub xmlns='${pubsub}'><items node='urn:n'/></pubsub></iq>`)
  await expect
    .poll(async () => serialise((await desk.say(ask))[0]!), { timeout: 20_000 })
    .toContain("<items node='urn:n'><item id='good'><v xmlns='urn:v'/></item></items>")
})
