/** Calls between programs of two gateways, over the overlay: what they say to each other, who else hears it, what stays. */
import { expect, test } from 'vitest'
import { type Element, el, serialise } from '../../../../src/adapters/xmpp/element.ts'
import { bareOf, fullOf } from '../../../../src/adapters/xmpp/jid.ts'
import { idOfPartner } from '../../../../src/core/conversation/conversations.ts'
import { limits } from '../../../../src/core/limits.ts'
import { openWorld, type TestGateway } from '../../../support/world.ts'
import { type BoundClient, openTestXmpp } from '../harness.ts'

const patience = { timeout: 20_000 }
const jmi = 'urn:xmpp:jingle-message:0'
const jingleNs = 'urn:xmpp:jingle:1'
const iceNs = 'urn:xmpp:jingle:transports:ice-udp:1'
const rtpNs = 'urn:xmpp:jingle:apps:rtp:1'

const history = ({ knowledge, account }: TestGateway, other: TestGateway) =>
  knowledge.conversations.page(account, idOfPartner(account, { kind: 'direct', peer: other.account }), { limit: 100 })

async function friends() {
  const world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text: 'hello' }] })
  await expect.poll(() => history(alice, bob).length, patience).toBe(1)
  const [atAlice, atBob] = [openTestXmpp(alice), openTestXmpp(bob)]
  return {
    alice,
    bob,
    atAlice,
    atBob,
    desk: atAlice.bind('desk'),
    bobs: bareOf(atAlice.server.names.person(alice.account, bob.account)),
    alices: bareOf(atBob.server.names.person(bob.account, alice.account)),
    async [Symbol.asyncDispose]() {
      atAlice[Symbol.dispose]()
      atBob[Symbol.dispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

/** The next stanza that it is sent. */
async function next(client: BoundClient): Promise<Element> {
  await expect.poll(() => client.inbox.length, patience).toBeGreaterThan(0)
  return client.inbox.shift()!
}

const step = (to: string, name: string, type = 'chat') =>
  el('message', { to, type }, el(`${name} ${jmi}`, { id: 'call1' }), el('store urn:xmpp:hints'))
const propose = (to: string) =>
  el(
    'message',
    { to, type: 'chat' },
    el(`propose ${jmi}`, { id: 'call1' }, el(`description ${rtpNs}`, { media: 'audio' })),
  )

const candidate = (type: string, attrs = {}) =>
  el(`candidate ${iceNs}`, { id: type, type, ip: '192.0.2.7', port: 9, ...attrs })
const jingle = (to: string, id: string, action: string, ...candidates: readonly Element[]) =>
  el(
    'iq',
    { to, id, type: 'set' },
    el(
      `jingle ${jingleNs}`,
      { action, sid: 'call1' },
      el(
        `content ${jingleNs}`,
        { creator: 'initiator', name: '0' },
        el(`description ${rtpNs}`, { media: 'audio' }, el(`payload-type ${rtpNs}`, { id: 111, name: 'opus' })),
        el(`transport ${iceNs}`, { ufrag: 'u', pwd: 'p' }, candidates),
      ),
    ),
  )

/** One program asks and the other one says yes; each sees the other's address and the very same jingle. */
async function exchange(from: BoundClient, to: BoundClient, request: Element): Promise<Element> {
  await from.say(request)
  const arrived = await next(to)
  expect(arrived.attrs).toEqual({
    from: arrived.attrs.from,
    to: fullOf(to.client.jid),
    id: request.attrs.id,
    type: 'set',
  })
  await to.say(el('iq', { to: arrived.attrs.from, id: arrived.attrs.id, type: 'result' }))
  const answer = await next(from)
  expect(answer).toEqual(
    el('iq', { from: request.attrs.to, to: fullOf(from.client.jid), id: request.attrs.id, type: 'result' }),
  )
  return arrived
}

test('a call from proposal to its end between two gateways leaves one line in the conversation and nothing else', async () => {
  await using scope = await friends()
  const { alice, bob, atAlice, atBob, desk, bobs, alices } = scope
  const phone = atAlice.bind('phone')
  phone.client.state.carbons = true
  const tablet = atBob.bind('tablet')
  const laptop = atBob.bind('laptop')
  laptop.client.state.carbons = true

  await desk.say(propose(bobs))
  expect(serialise(await next(phone))).toContain("<sent xmlns='urn:xmpp:carbons:2'>")
  const rings = await next(tablet)
  expect((await next(laptop)).children).toEqual(rings.children)
  expect(rings.attrs).toEqual({ from: rings.attrs.from, to: bareOf(tablet.client.jid), type: 'chat' })
  const caller = rings.attrs.from!
  expect(caller.startsWith(`${alices}/`)).toBe(true)
  expect(caller).not.toContain('desk')

  // the other program of the callee stops ringing, the caller learns who answers
  expect(await tablet.say(step(bareOf(tablet.client.jid), 'accept'))).toHaveLength(1)
  expect(serialise(await next(laptop))).toContain('<accept ')
  await tablet.say(step(caller, 'proceed'))
  const proceeds = await next(desk)
  expect(proceeds.children).toEqual([el(`proceed ${jmi}`, { id: 'call1' }), el('store urn:xmpp:hints')])
  expect(serialise(await next(phone))).toContain("<received xmlns='urn:xmpp:carbons:2'>")
  await next(laptop)
  const callee = proceeds.attrs.from!

  const relayed = candidate('relay', { ip: '198.51.100.1' })
  const offer = jingle(callee, 'a1', 'session-initiate', candidate('host'), relayed)
  const offered = await exchange(desk, tablet, offer)
  expect(offered.attrs.from).toBe(caller)
  expect(offered.children).toEqual(jingle(callee, 'a1', 'session-initiate', relayed).children)
  await exchange(tablet, desk, jingle(caller, 'b1', 'session-accept'))
  const reflexive = candidate('srflx', { 'rel-addr': '10.0.0.2', 'rel-port': 4 })
  const found = await exchange(desk, tablet, jingle(callee, 'a2', 'transport-info', reflexive))
  expect(found.children).toEqual(jingle(callee, 'a2', 'transport-info', candidate('srflx')).children)
  await exchange(tablet, desk, jingle(caller, 'b2', 'session-terminate'))
  await tablet.say(step(alices, 'finish'))
  expect(serialise(await next(desk))).toContain('<finish ')

  await expect.poll(() => history(bob, alice).length, patience).toBe(2)
  for (const [side, other] of [
    [alice, bob],
    [bob, alice],
  ] as const) {
    const [, call, ...more] = history(side, other)
    expect([call?.author, call?.call?.protocol, more]).toEqual([alice.account, 'jingle', []])
  }
  expect(laptop.take().filter((stanza) => stanza.startsWith('<iq'))).toEqual([])
})

test('an iq for a program that is not known, or of another kind, is refused; for one that has gone the other gateway says so', async () => {
  await using scope = await friends()
  const { atBob, desk, bobs, alices } = scope
  const refused = async (stanza: Element) => serialise((await desk.say(stanza))[0]!)
  expect(await refused(jingle(`${bobs}/guessed`, '1', 'session-initiate'))).toContain('<service-unavailable ')
  expect(await refused(jingle(bobs, '2', 'session-initiate'))).toContain('<service-unavailable ')
  const ping = el('iq', { to: `${bobs}/guessed`, id: '3', type: 'get' }, el('ping urn:xmpp:ping'))
  expect(await refused(ping)).toContain('<service-unavailable ')

  const tablet = atBob.bind('tablet')
  await tablet.say(propose(alices))
  const { from: callee } = (await next(desk)).attrs
  // it asks and goes before it is answered
  await desk.say(jingle(callee!, '4', 'session-initiate'))
  await next(tablet)
  for (const feature of atBob.server.features) feature.gone?.(tablet.client)
  atBob.server.hub.remove(tablet.client)
  expect(serialise(await next(desk))).toContain('<recipient-unavailable ')
  await desk.say(jingle(callee!, '5', 'session-terminate'))
  const late = await next(desk)
  expect(late.attrs).toEqual({ from: callee, to: fullOf(desk.client.jid), id: '5', type: 'error' })
  expect(serialise(late)).toContain('<service-unavailable ')
})

test('a proposal to somebody whose gateway is away is answered at once and stays as a call in the conversation', async () => {
  await using scope = await friends()
  const { alice, bob, atBob, desk, bobs } = scope
  atBob[Symbol.dispose]()
  await bob.stop()
  await expect
    .poll(async () => (await desk.say(propose(bobs))).map((stanza) => serialise(stanza)).join(''), patience)
    .toContain('<recipient-unavailable ')
  expect(history(alice, bob).map(({ call }) => call?.protocol)).toEqual([undefined, 'jingle'])
})

test('nothing but a call comes in as one: no text, no carbon of somebody else, no answer that nobody waits for', async () => {
  await using scope = await friends()
  const { alice, bob, atBob, desk, bobs } = scope
  const tablet = atBob.bind('tablet')
  const send = (xml: string) =>
    alice.node.delivery.callSignals.send(alice.account, bob.account, { protocol: 'jingle', payload: Buffer.from(xml) })
  const from = "xmlns='jabber:client' from='AAAAAAAAAAAA'"
  const bad = [
    '',
    '<message/>',
    `<message ${from}><body>hi</body></message>`,
    `<message ${from} type='groupchat'><propose xmlns='${jmi}' id='1'/></message>`,
    `<message ${from} type='error'><propose xmlns='${jmi}' id='1'/></message>`,
    `<message xmlns='jabber:client' from='too short'><propose xmlns='${jmi}' id='1'/></message>`,
    `<iq ${from} to='BBBBBBBBBBBB' id='1' type='result'/>`,
    `<iq ${from} to='BBBBBBBBBBBB' id='1' type='get'><query xmlns='jabber:iq:roster'/></iq>`,
    `<presence ${from} type='unavailable'/>`,
    `<!DOCTYPE x [<!ENTITY a 'b'>]><message ${from}><propose xmlns='${jmi}' id='1'/></message>`,
    '<a>'.repeat(100) + '</a>'.repeat(100),
  ]
  for (const xml of bad) send(xml)
  send(
    `<message ${from}><propose xmlns='${jmi}' id='1'/><body>hi</body><sent xmlns='urn:xmpp:carbons:2'/>` +
      `<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/><store xmlns='urn:xmpp:hints'/></message>`,
  )
  const arrived = await next(tablet)
  expect(arrived.children).toEqual([el(`propose ${jmi}`, { id: '1' }), el('store urn:xmpp:hints')])
  expect(tablet.inbox).toEqual([])
  // and a program cannot send more than that either
  await desk.say({ ...propose(bobs), children: [...propose(bobs).children, el('body', {}, 'hi')] })
  expect((await next(tablet)).children).toEqual(propose(bobs).children)
})

test('who sends too much is refused, and what is too large never leaves', async () => {
  await using scope = await friends()
  const { desk, bobs } = scope
  const large = el('message', { to: bobs, type: 'chat' }, el(`ringing ${jmi}`, { id: 'x'.repeat(20_000) }))
  expect(serialise((await desk.say(large))[0]!)).toContain('<policy-violation ')
  const answers: string[] = []
  for (let count = 0; count < 2 * limits.callSignalsBurst; count += 1)
    answers.push(...(await desk.say(step(bobs, 'ringing'))).map((stanza) => serialise(stanza)))
  expect(answers.at(-1)).toContain('<resource-constraint ')
})
