/** Contacts as programs see them: strangers who ask, people who are there, accounts of one gateway, and very many of them. */
import { expect, test } from 'vitest'
import { type Element, serialise } from '../../../src/adapters/xmpp/element.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { Contact } from '../../../src/core/account/contact.ts'
import type { Contacts } from '../../../src/core/account/contacts.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { createAccount } from '../../../src/operations/accounts.ts'
import { hearOf } from '../../support/strangers.ts'
import { openWorld } from '../../support/world.ts'
import { openStages, openTestXmpp } from './harness.ts'
import { xml } from './xml.ts'

const patience = { timeout: 20_000 }
const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const texts = (stanzas: readonly Element[]): readonly string[] => stanzas.map((stanza) => serialise(stanza))

test('a stranger asks to subscribe, is accepted by an answer, and another one is turned away for good', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  using xmpp = openTestXmpp(alice)
  const desk = xmpp.bind('desk')
  await desk.say(xml("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"))
  await desk.say(xml('<presence/>'))
  const { contacts } = alice.knowledge
  for (const name of ['eve', 'mallory'] as const) {
    const stranger = await world.gateway(name)
    await hearOf(stranger, alice)
    await stranger.submit(alice.address, 'hello')
    await expect.poll(() => desk.inbox.length, patience).toBeGreaterThan(0)
    expect(desk.take().join('')).toContain(`<presence type='subscribe' from='${stranger.address}'`)
    // it is shown to who comes later, and not twice to who is there
    const phone = xmpp.bind('phone')
    const shown = texts(await phone.say(xml('<presence/>'))).filter((stanza) => stanza.includes("type='subscribe'"))
    expect(shown).toHaveLength(1)
    phone.leave()
    desk.take()
    const answer = name === 'eve' ? 'subscribed' : 'unsubscribed'
    const came = await desk.say(xml(`<presence type='${answer}' to='${stranger.address}'/>`))
    const contact = contacts.byIdentity(alice.account, stranger.account)!
    if (name === 'eve') {
      expect(contact).toMatchObject({ state: 'active', blocked: false })
      expect(texts(came).join('')).toContain(`jid='${stranger.address}' name='eve' subscription='both'`)
    } else {
      expect(contact).toMatchObject({ state: 'request', blocked: true })
      expect(contacts.requests(alice.account)).toEqual([])
    }
  }
})

test('who tells that they are there is shown so, and what goes out is one word for all programs', async () => {
  await using stages = await openStages()
  const { gateway, server, bind } = stages.of('alice')
  const bob = stages.of('bob').gateway
  const desk = bind('desk')
  await desk.say(xml('<presence/>'))
  const { signals } = gateway.node.delivery
  const hear = (availability: 'available' | 'away' | 'offline'): string => {
    const device = bob.knowledge.people.deviceOf(bob.account)
    const pair = { account: gateway.account, device, peer: bob.account, peerDevice: device }
    signals.received(pair, [{ kind: 'presence', availability }])
    return desk.take().join('')
  }
  expect(hear('available')).toMatch(/^<presence from='bob@[^']+\/mycelium' to='[^']+'><c /)
  expect(hear('away')).toContain('<show>away</show>')
  expect(hear('offline')).toContain('<show>xa</show>')

  const own: string[] = []
  const told = signals.setAvailability.bind(signals)
  signals.setAvailability = (account, availability, protocol) => {
    own.push(availability)
    told(account, availability, protocol)
  }
  const phone = bind('phone')
  await phone.say(xml('<presence><show>away</show></presence>'))
  await desk.say(xml("<presence type='unavailable'/>"))
  await phone.say(xml('<presence><show>dnd</show></presence>'))
  phone.leave()
  expect(own).toEqual(['available', 'away', 'available', 'offline'])
  expect(server.hub.of(gateway.account)).toHaveLength(1)
})

test('accounts of one gateway are in each other’s roster, and see each other’s nodes and pictures', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  await createAccount(alice.knowledge, ambient, { localName: 'carol', address: undefined, displayName: 'Carol' })
  const carol = alice.knowledge.accounts.byUser('carol')!.identity
  using xmpp = openTestXmpp(alice)
  const desk = xmpp.bind('desk')
  const hers = xmpp.bind('hers', carol)
  const roster = await desk.say(xml("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"))
  expect(texts(roster).join('')).toContain("<item jid='carol@localhost' name='Carol' subscription='both'/>")
  await desk.say(xml('<presence/>'))
  await hers.say(xml('<presence/>'))
  // carol does not tell
  expect(desk.take().join('')).not.toContain('carol')
  await alice.knowledge.store.write((tx) =>
    alice.knowledge.conversations.setSettings(tx, carol, { tellsPresence: true }),
  )
  await hers.say(xml('<presence><show>away</show></presence>'))
  expect(desk.take().join('')).toContain("from='carol@localhost/mycelium'")
  await hers.say(
    xml(`<iq type='set' id='2'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:x'><item id='1'>
      <e xmlns='urn:x'/></item></publish></pubsub></iq>`),
  )
  const got = await desk.say(
    xml(`<iq type='get' id='3' to='carol@localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'>
      <items node='urn:x'/></pubsub></iq>`),
  )
  expect(texts(got).join('')).toContain("<e xmlns='urn:x'/>")
  // directed presence goes from one to the other, and ends when its program does
  await hers.say(xml("<presence to='alice@localhost'><status>here</status></presence>"))
  expect(desk.take().join('')).toContain("from='carol@localhost/hers'")
  hers.leave()
  expect(desk.take().join('')).toContain("type='unavailable' from='carol@localhost/hers'")
})

test('of a million contacts a program is told of as many as it can take', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const many = Array.from({ length: 1_000_000 }, (_, at) => at.toString(16).padStart(64, '0') as Identity)
  const contactOf = (identity: Identity): Contact =>
    ({ identity, state: 'active', blocked: false, displayName: '', addresses: [] }) as unknown as Contact
  const list = many.map(contactOf)
  const contacts = {
    watch: () => () => {},
    list: () => list,
    requests: () => [],
    resolve: () => ({ kind: 'unknown' }),
    byIdentity: (_: Identity, identity: Identity) => contactOf(identity),
  } as unknown as Contacts
  using xmpp = openTestXmpp(alice, 'localhost', { contacts })
  const desk = xmpp.bind('desk')
  const [roster] = await desk.say(xml("<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"))
  expect((roster!.children[0] as Element).children).toHaveLength(limits.xmppRosterItemsMax)
  const presences = await desk.say(xml('<presence/>'))
  expect(presences.length).toBeLessThanOrEqual(limits.xmppPresencesMax + 1)
})

test('programs are told when it is surer who a contact is', async () => {
  await using stages = await openStages()
  const { gateway, bind } = stages.of('alice')
  const bob = stages.of('bob').gateway
  const desk = bind('desk')
  await desk.say(xml('<presence/>'))
  const { contacts, store } = gateway.knowledge
  const { fingerprint } = contacts.byIdentity(gateway.account, bob.account)!
  await store.write((tx) => contacts.using(tx).verify(gateway.account, bob.account, fingerprint))
  expect(desk.take().join('')).toContain('is now trusted as: in-person')
  const vcard = xml(`<iq type='get' id='v' to='${stages.of('bob').jid}'><vCard xmlns='vcard-temp'/></iq>`)
  expect(texts(await desk.say(vcard)).join('')).toContain('Trust: in-person.')
})

test('what is for contacts is the same on both gateways of an account', { timeout: 60_000 }, async () => {
  await using world = await openWorld()
  const first = await world.gateway('alice')
  const second = await world.gateway('second', { joins: first })
  using here = openTestXmpp(first)
  using there = openTestXmpp(second)
  const [desk, phone] = [here.bind('desk'), there.bind('phone')]
  const list = 'eu.siacs.conversations.axolotl.devicelist'
  const publish = (ids: readonly string[]): Element => {
    const devices = ids.map((id) => `<device id='${id}'/>`).join('')
    return xml(`<iq type='set' id='1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='${list}'>
      <item id='current'><list xmlns='eu.siacs.conversations.axolotl'>${devices}</list></item></publish></pubsub></iq>`)
  }
  const get = xml(
    `<iq type='get' id='2'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='${list}'/></pubsub></iq>`,
  )
  await desk.say(publish(['1']))
  await expect.poll(async () => texts(await phone.say(get)).join(''), patience).toContain("<device id='1'/></list>")
  await phone.say(publish(['1', '2']))
  const both = "<device id='1'/><device id='2'/></list>"
  await expect.poll(async () => texts(await desk.say(get)).join(''), patience).toContain(both)
  expect(texts(await phone.say(get)).join('')).toContain(both)
})

test('who comes by an address or a domain that was blocked before anybody had it is blocked at once', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const eve = await world.gateway('eve')
  using xmpp = openTestXmpp(alice)
  const desk = xmpp.bind('desk')
  await desk.say(xml('<presence/>'))
  const domain = eve.address.slice(eve.address.indexOf('@') + 1)
  await desk.say(xml(`<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='${domain}'/></block></iq>`))
  desk.take()
  await hearOf(eve, alice)
  await eve.submit(alice.address, 'hello')
  const { contacts } = alice.knowledge
  await expect.poll(() => contacts.byIdentity(alice.account, eve.account)?.blocked, patience).toBe(true)
  expect(contacts.requests(alice.account)).toEqual([])
  expect(desk.take().join('')).not.toContain('subscribe')
})
