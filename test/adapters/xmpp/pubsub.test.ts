/** Nodes that accounts of one gateway have for each other (XEP-0060). */
import { expect, test } from 'vitest'
import { serialise } from '../../../src/adapters/xmpp/element.ts'
import { type BoundClient, openTestXmpp } from './harness.ts'
import { openNeighbours } from './neighbours.ts'
import { xml } from './xml.ts'

const pubsubNs = 'http://jabber.org/protocol/pubsub'
const service = 'pubsub.localhost'

type Ask = (client: BoundClient, type: 'get' | 'set', inside: string, ns?: string) => Promise<string>

/** What came of it, as text. */
const ask: Ask = async (client, type, inside, ns = pubsubNs) =>
  (await client.say(xml(`<iq type='${type}' id='q' to='${service}'><pubsub xmlns='${ns}'>${inside}</pubsub></iq>`)))
    .map((one) => serialise(one))
    .join('')
const owner: Ask = async (client, type, inside) => await ask(client, type, inside, `${pubsubNs}#owner`)

const form = (fields: Readonly<Record<string, string>>): string =>
  `<x xmlns='jabber:x:data' type='submit'>${Object.entries(fields)
    .map(([name, value]) => `<field var='pubsub#${name}'><value>${value}</value></field>`)
    .join('')}</x>`
const create = (node: string, fields: Readonly<Record<string, string>> = {}): string =>
  `<create node='${node}'/><configure>${form(fields)}</configure>`
const publish = (node: string, id: string, text = id): string =>
  `<publish node='${node}'><item id='${id}'><e xmlns='urn:example'>${text}</e></item></publish>`
const subscribe = (node: string, jid = 'carol@localhost'): string => `<subscribe node='${node}' jid='${jid}'/>`

test('a service for nodes is found, and says what it can do', async () => {
  await using neighbours = await openNeighbours()
  const { hers } = neighbours
  const disco = async (to: string, what: string, node = ''): Promise<string> =>
    (
      await hers.say(
        xml(`<iq type='get' id='d' to='${to}'><query xmlns='http://jabber.org/protocol/disco#${what}'${node}/></iq>`),
      )
    )
      .map((one) => serialise(one))
      .join('')
  expect(await disco('localhost', 'items')).toContain(`jid='${service}'`)
  const info = await disco(service, 'info')
  expect(info).toContain("category='pubsub' type='service'")
  for (const feature of ['publish', 'subscribe', 'create-nodes']) expect(info).toContain(`var='${pubsubNs}#${feature}'`)
  await ask(neighbours.desk, 'set', create('news', { title: 'News' }))
  await ask(neighbours.desk, 'set', publish('news', 'a'))
  expect(await disco(service, 'items')).toContain("node='news' name='News'")
  expect(await disco(service, 'items', " node='news'")).toContain("name='a'")
  expect(await disco(service, 'info', " node='news'")).toContain("category='pubsub' type='leaf'")
  expect(await disco(service, 'info', " node='none'")).toContain('<item-not-found ')
})

test('what is published comes to subscribers that are there, and is found by those who come later', async () => {
  await using neighbours = await openNeighbours()
  const { xmpp, carol, desk, hers } = neighbours
  await ask(desk, 'set', create('news', { max_items: '2' }))
  expect(await ask(hers, 'set', publish('news', 'x'))).toContain('<forbidden ')
  const subscribed = `<subscription node='news' jid='carol@localhost' subscription='subscribed'/>`
  expect(await ask(hers, 'set', subscribe('news'))).toContain(subscribed)
  expect(await ask(hers, 'set', subscribe('news'))).toContain(subscribed)
  expect(await ask(hers, 'get', "<subscriptions node='news'/>")).toContain(subscribed)
  for (const id of ['a', 'b', 'c']) await ask(desk, 'set', publish('news', id))
  expect(hers.take().join('')).toContain("<item id='c'><e xmlns='urn:example'>c</e></item>")
  await ask(desk, 'set', publish('news', 'b', 'again'))
  const phone = xmpp.bind('phone', carol)
  const items = await ask(phone, 'get', "<items node='news'/>")
  expect(items).toContain(
    "<item id='c'><e xmlns='urn:example'>c</e></item><item id='b'><e xmlns='urn:example'>again</e>",
  )
  expect(items).not.toContain("id='a'")
  expect(phone.take()).toEqual([])
  hers.take()
  await ask(desk, 'set', "<retract node='news'><item id='b'/></retract>")
  expect(hers.take().join('')).toContain("<items node='news'><retract id='b'/></items>")
  expect(await ask(hers, 'set', "<unsubscribe node='news' jid='carol@localhost'/>")).toContain("type='result'")
  await ask(desk, 'set', publish('news', 'd'))
  expect(hers.take()).toEqual([])
})

test('nodes, what is in them and who has subscribed are there after a start of the gateway', async () => {
  await using neighbours = await openNeighbours()
  const { alice, carol, desk, hers } = neighbours
  await ask(desk, 'set', create('news'))
  await ask(desk, 'set', publish('news', 'a'))
  await ask(hers, 'set', subscribe('news', 'carol@localhost/hers'))
  using again = openTestXmpp(alice)
  const [author, reader, other] = [again.bind('desk'), again.bind('hers', carol), again.bind('phone', carol)]
  for (const client of [reader, other]) await client.send(xml('<presence/>'))
  for (const client of [reader, other]) client.take()
  expect(await ask(reader, 'get', "<items node='news'/>")).toContain("<item id='a'>")
  await ask(author, 'set', publish('news', 'b'))
  expect(reader.take().join('')).toContain("<item id='b'>")
  expect(other.take()).toEqual([])
})

test('subscriptions are refused as XEP-0060 says', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await ask(desk, 'set', create('open'))
  await ask(desk, 'set', create('closed', { access_model: 'whitelist' }))
  await ask(desk, 'set', create('seen', { access_model: 'presence' }))
  expect(await ask(hers, 'set', subscribe('open', 'alice@localhost'))).toMatch(/<bad-request .*<invalid-jid /)
  expect(await ask(hers, 'set', subscribe('none'))).toContain('<item-not-found ')
  expect(await ask(hers, 'set', subscribe('closed'))).toMatch(/<not-allowed .*<closed-node /)
  expect(await ask(hers, 'set', subscribe('seen'))).toContain("subscription='subscribed'")
  await hers.send(xml("<presence type='unsubscribe' to='alice@localhost'/>"))
  hers.take()
  expect(await ask(hers, 'get', "<items node='seen'/>")).toMatch(/<not-authorized .*<presence-subscription-required /)
  const unsubscribe = (jid: string, more = ''): string => `<unsubscribe node='open' jid='${jid}'${more}/>`
  expect(await ask(hers, 'set', unsubscribe('carol@localhost'))).toMatch(/<unexpected-request .*<not-subscribed /)
  expect(await ask(hers, 'set', unsubscribe('alice@localhost'))).toContain('<forbidden ')
  expect(await ask(hers, 'set', unsubscribe('carol@localhost', " subid='1'"))).toMatch(
    /<not-acceptable .*<invalid-subid /,
  )
})

test('an owner says who is on the list, who publishes and who is out, and sees who has subscribed', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await ask(desk, 'set', create('team', { access_model: 'whitelist' }))
  const affiliate = (jid: string, to: string): string =>
    `<affiliations node='team'><affiliation jid='${jid}' affiliation='${to}'/></affiliations>`
  expect(await owner(hers, 'set', affiliate('carol@localhost', 'owner'))).toContain('<forbidden ')
  expect(await owner(desk, 'set', affiliate('dave@elsewhere.example', 'member'))).toContain('<item-not-found ')
  expect(await owner(desk, 'set', affiliate('alice@localhost', 'none'))).toContain('<not-acceptable ')
  await owner(desk, 'set', affiliate('carol@localhost', 'publisher'))
  expect(await ask(hers, 'set', subscribe('team'))).toContain("subscription='subscribed'")
  expect(await ask(hers, 'set', publish('team', 'hers'))).toContain("type='result'")
  expect(await ask(hers, 'get', '<affiliations/>')).toContain("<affiliation node='team' affiliation='publisher'/>")
  expect(await owner(desk, 'get', "<affiliations node='team'/>")).toContain(
    "<affiliation jid='alice@localhost' affiliation='owner'/><affiliation jid='carol@localhost' affiliation='publisher'/>",
  )
  expect(await owner(desk, 'get', "<subscriptions node='team'/>")).toContain("jid='carol@localhost'")
  await owner(desk, 'set', affiliate('carol@localhost', 'outcast'))
  expect(await ask(hers, 'get', "<items node='team'/>")).toContain('<forbidden ')
  expect(await owner(desk, 'get', "<subscriptions node='team'/>")).not.toContain('carol')
})

test('what is published fits how the node is set up', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await ask(desk, 'set', create('bell', { persist_items: '0', deliver_payloads: '0', publish_model: 'open' }))
  await ask(desk, 'set', create('list'))
  expect(await ask(desk, 'set', publish('bell', 'a'))).toMatch(/<bad-request .*<item-forbidden /)
  expect(await ask(hers, 'set', "<publish node='bell'/>")).toContain("type='result'")
  expect(await ask(desk, 'set', "<publish node='list'/>")).toMatch(/<bad-request .*<item-required /)
  expect(await ask(desk, 'set', "<publish node='list'><item id='a'/></publish>")).toMatch(/<payload-required /)
  expect(await ask(desk, 'set', create('tree', { node_type: 'collection' }))).toContain('<not-acceptable ')
  expect(await ask(desk, 'set', create('list'))).toContain('<conflict ')
})

test('an owner sets up, empties and deletes a node, and subscribers hear of it', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await ask(desk, 'set', create('news'))
  await ask(hers, 'set', subscribe('news'))
  for (const id of ['a', 'b']) await ask(desk, 'set', publish('news', id))
  hers.take()
  await owner(desk, 'set', `<configure node='news'>${form({ max_items: '1' })}</configure>`)
  expect(await owner(desk, 'get', "<configure node='news'/>")).toContain("var='pubsub#max_items'")
  expect(await ask(hers, 'get', "<items node='news'/>")).not.toContain("id='a'")
  await owner(desk, 'set', "<purge node='news'/>")
  expect(hers.take().join('')).toContain("<purge node='news'/>")
  expect(await ask(hers, 'get', "<items node='news'/>")).toContain("<items node='news'/>")
  expect(await owner(hers, 'set', "<delete node='news'/>")).toContain('<forbidden ')
  await owner(desk, 'set', "<delete node='news'/>")
  expect(hers.take().join('')).toContain("<delete node='news'/>")
  expect(await owner(desk, 'set', "<delete node='news'/>")).toContain('<item-not-found ')
})
