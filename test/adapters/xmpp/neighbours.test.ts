/** What goes between accounts of one gateway goes as at any server (RFC 6120 §8.1, RFC 6121 §8.5). */
import { expect, test } from 'vitest'
import { serialise } from '../../../src/adapters/xmpp/element.ts'
import type { BoundClient } from './harness.ts'
import { openNeighbours } from './neighbours.ts'
import { xml } from './xml.ts'

const attrsOf = ({ inbox }: BoundClient) => inbox.splice(0).map(({ attrs }) => attrs)

test('a message keeps its id, type and address, and comes from the program that said it', async () => {
  await using neighbours = await openNeighbours()
  const { xmpp, carol, desk, hers } = neighbours
  const phone = xmpp.bind('phone', carol)
  await phone.say(xml('<presence><priority>-1</priority></presence>'))
  for (const client of [hers, phone]) client.take()
  const from = 'alice@localhost/desk'
  for (const type of ['normal', 'chat', 'headline']) {
    await desk.send(xml(`<message to='carol@localhost' type='${type}' id='m-${type}'><body>${type}</body></message>`))
    expect(attrsOf(hers), type).toEqual([{ type, id: `m-${type}`, from, to: 'carol@localhost' }])
    expect(attrsOf(phone), type).toEqual([])
  }
  for (const type of ['normal', 'chat', 'headline', 'groupchat', 'error']) {
    const to = 'carol@localhost/phone'
    await desk.send(xml(`<message to='${to}' type='${type}' id='f-${type}'><body>${type}</body></message>`))
    expect(attrsOf(phone), type).toEqual([{ type, id: `f-${type}`, from, to }])
    expect(attrsOf(hers), type).toEqual([])
  }
  // a program that is not there: a chat goes to the others, an error to nobody
  await desk.send(xml("<message to='carol@localhost/gone' type='chat' id='g1'><body>x</body></message>"))
  expect(attrsOf(hers)).toEqual([{ type: 'chat', id: 'g1', from, to: 'carol@localhost' }])
  for (const type of ['normal', 'groupchat']) {
    const got = await desk.say(
      xml(`<message to='carol@localhost/gone' type='${type}' id='g2'><body>x</body></message>`),
    )
    expect(got[0]?.attrs, type).toMatchObject({ type: 'error', id: 'g2' })
  }
  for (const to of ['carol@localhost/gone', 'carol@localhost'])
    for (const type of ['error', ...(to.includes('/') ? ['headline'] : [])])
      expect(await desk.say(xml(`<message to='${to}' type='${type}' id='g3'><body>x</body></message>`)), type).toEqual(
        [],
      )
  expect(attrsOf(hers)).toEqual([])
})

test('nothing that only a server says comes from a neighbour', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  const forged = [
    "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='carol@localhost'/>",
    "<delay xmlns='urn:xmpp:delay' stamp='2000-01-01T00:00:00Z'/>",
    "<sent xmlns='urn:xmpp:carbons:2'/>",
    "<event xmlns='http://jabber.org/protocol/pubsub#event'/>",
    "<result xmlns='urn:xmpp:mam:2'/>",
  ].join('')
  for (const to of ['carol@localhost', 'carol@localhost/hers'])
    for (const type of ['headline', 'groupchat', 'error'])
      await desk.send(
        xml(`<message to='${to}' type='${type}'><body>x</body><urgent xmlns='urn:x'/>${forged}</message>`),
      )
  const got = hers.take()
  expect(got).toHaveLength(4)
  for (const one of got) expect(one).toMatch(/><body>x<\/body><urgent xmlns='urn:x'\/><\/message>$/)
})

test('what refers to a message names it by the id that its program gave it', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await desk.send(xml("<message to='carol@localhost' type='chat' id='q1'><body>question</body></message>"))
  hers.take()
  await hers.send(
    xml(`<message to='alice@localhost/desk' type='chat' id='a1'><body>answer</body>
      <reply xmlns='urn:xmpp:reply:0' to='alice@localhost' id='q1'/></message>`),
  )
  expect(desk.take().join('')).toMatch(/id='a1'.*<reply xmlns='urn:xmpp:reply:0' to='alice@localhost' id='q1'\/>/)
  await hers.send(
    xml(`<message to='alice@localhost' type='chat' id='r1'>
      <reactions xmlns='urn:xmpp:reactions:0' id='q1'><reaction>👍</reaction></reactions></message>`),
  )
  expect(desk.take().join('')).toContain("<reactions xmlns='urn:xmpp:reactions:0' id='q1'>")
  await desk.send(
    xml(`<message to='carol@localhost' type='chat' id='q2'><body>a better question</body>
      <replace xmlns='urn:xmpp:message-correct:0' id='q1'/></message>`),
  )
  expect(hers.take().join('')).toContain("<replace xmlns='urn:xmpp:message-correct:0' id='q1'/>")
})

test('what is asked of a program goes to it, and its answer back; nobody answers for one that is not there', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  const unavailable = /type='error'.*<service-unavailable /
  for (const type of ['get', 'set']) {
    await desk.send(xml(`<iq to='carol@localhost/hers' type='${type}' id='i1'><test xmlns='urn:x'/></iq>`))
    const asked = attrsOf(hers)
    expect(asked).toEqual([
      {
        type,
        id: 'i1',
        from: 'alice@localhost/desk',
        to: 'carol@localhost/hers',
      },
    ])
    for (const answer of ['result', 'error']) {
      await hers.send(xml(`<iq to='alice@localhost/desk' type='${answer}' id='i1'/>`))
      expect(attrsOf(desk)).toEqual([
        {
          type: answer,
          id: 'i1',
          from: 'carol@localhost/hers',
          to: 'alice@localhost/desk',
        },
      ])
    }
    for (const to of ['carol@localhost', 'carol@localhost/gone', 'nobody@localhost', 'nobody@localhost/gone']) {
      await desk.send(xml(`<iq to='${to}' type='${type}' id='i2'><test xmlns='urn:x'/></iq>`))
      expect(desk.take().join(''), to).toMatch(unavailable)
    }
    expect(hers.inbox).toEqual([])
  }
  await hers.send(xml("<iq to='alice@localhost/gone' type='result' id='i3'/>"))
  for (const type of ['get', 'set']) {
    await desk.send(xml(`<iq to='carol@localhost' type='${type}' id='i4'><query xmlns='jabber:iq:roster'/></iq>`))
    expect(desk.take().join('')).toMatch(/type='error'.*<forbidden /)
  }
})

test('presence for one person goes there as it was addressed', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  for (const type of [undefined, 'unavailable'])
    for (const to of ['carol@localhost', 'carol@localhost/hers']) {
      const attrs = type === undefined ? '' : `type='${type}'`
      await desk.send(xml(`<presence to='${to}' ${attrs} id='p1'><marker xmlns='urn:x'/></presence>`))
      const [got] = hers.take()
      expect(got).toContain(`from='alice@localhost/desk'`)
      expect(got).toContain(`to='${to}'`)
      expect(got).toContain("<marker xmlns='urn:x'/>")
    }
})

test('to nobody of this gateway: presence is ignored, a message comes back', async () => {
  await using neighbours = await openNeighbours()
  const { desk } = neighbours
  for (const to of ['nobody@localhost', 'nobody@localhost/x']) {
    for (const type of ['', "type='unavailable'", "type='subscribe'", "type='subscribed'", "type='unsubscribe'"])
      expect(await desk.say(xml(`<presence to='${to}' ${type}/>`)), type).toEqual([])
    await desk.send(xml(`<message to='${to}' type='chat' id='n1'><body>x</body></message>`))
    expect(desk.take().join('')).toMatch(/type='error'.*<service-unavailable /)
  }
})

const rosterOf = async (client: BoundClient): Promise<string> =>
  (await client.say(xml("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>")))
    .map((stanza) => serialise(stanza))
    .join('')
const remove = (jid: string) =>
  xml(`<iq type='set' id='x'><query xmlns='jabber:iq:roster'><item jid='${jid}' subscription='remove'/></query></iq>`)
/** What happened to subscriptions, in short. */
const subscriptionsIn = ({ inbox }: BoundClient): readonly string[] =>
  inbox.splice(0).flatMap((stanza) => {
    const { type, from } = stanza.attrs
    if (stanza.name === 'presence' && /^(?:un)?subscribed?$/.test(type ?? '')) return [`${type} from ${from}`]
    const item = /<item ([^>]*)\/>/.exec(serialise(stanza))?.[1]
    return item === undefined ? [] : [item.replace(/ name='[^']*'/, '')]
  })

test('a subscription between two accounts ends, is asked for and granted, each side by itself', async () => {
  await using neighbours = await openNeighbours()
  const { xmpp, carol, desk, hers } = neighbours
  for (const client of [desk, hers]) expect(await rosterOf(client)).toContain("subscription='both'")
  await desk.send(remove('carol@localhost'))
  expect(subscriptionsIn(desk)).toEqual(["jid='carol@localhost' subscription='remove'"])
  const heard = subscriptionsIn(hers)
  expect(heard).toContain('unsubscribe from alice@localhost')
  expect(heard).toContain('unsubscribed from alice@localhost')
  expect(heard).toContain("jid='alice@localhost' subscription='none'")
  expect(await rosterOf(desk)).not.toContain('carol')
  await desk.send(remove('carol@localhost'))
  expect(desk.take().join('')).toContain('<item-not-found ')

  await desk.send(xml("<presence type='subscribe' to='carol@localhost/hers'><status>please</status></presence>"))
  expect(subscriptionsIn(desk)).toEqual(["jid='carol@localhost' subscription='none' ask='subscribe'"])
  expect(hers.take().join('')).toMatch(/type='subscribe' from='alice@localhost' to='carol@localhost'.*please/)
  // who comes later hears of it too
  const later = xmpp.bind('later', carol)
  await later.say(xml('<presence/>'))
  expect(await later.say(xml("<presence type='unavailable'/>"))).toBeDefined()
  await later.send(xml('<presence/>'))
  const [again] = later.take().filter((stanza) => stanza.includes("type='subscribe'"))
  expect(again).toMatch(/from='alice@localhost' to='carol@localhost'.*please/)
  hers.take()
  await hers.send(xml("<presence type='subscribed' to='alice@localhost'/>"))
  expect(subscriptionsIn(hers)).toEqual(["jid='alice@localhost' subscription='from'"])
  expect(subscriptionsIn(desk)).toEqual(['subscribed from carol@localhost', "jid='carol@localhost' subscription='to'"])
  // granted to nobody who asked
  await desk.send(xml("<presence type='subscribed' to='carol@localhost'/>"))
  expect([...subscriptionsIn(hers), ...subscriptionsIn(desk)]).toEqual([])
  await hers.send(xml("<presence type='unsubscribed' to='alice@localhost'/>"))
  expect(subscriptionsIn(desk)).toContain('unsubscribed from carol@localhost')
  expect(await rosterOf(desk)).toContain("jid='carol@localhost' name='Carol' subscription='none'")
})

test('who is not subscribed sees neither presence nor events of the other', async () => {
  await using neighbours = await openNeighbours()
  const { alice, carol, desk, hers } = neighbours
  const { knowledge } = alice
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, carol, { tellsPresence: true }))
  await hers.say(xml('<presence><show>away</show></presence>'))
  expect(desk.take().join('')).toContain("<presence from='carol@localhost/mycelium'")
  await hers.say(
    xml(`<iq type='set' id='2'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:x'><item id='1'>
      <e xmlns='urn:x'/></item></publish></pubsub></iq>`),
  )
  const items = xml(`<iq type='get' id='3' to='carol@localhost'><pubsub xmlns='http://jabber.org/protocol/pubsub'>
      <items node='urn:x'/></pubsub></iq>`)
  await desk.send(items)
  expect(desk.take().join('')).toContain("<e xmlns='urn:x'/>")
  await hers.say(xml("<presence type='unsubscribed' to='alice@localhost'/>"))
  expect(desk.take().join('')).toContain("<presence type='unavailable' from='carol@localhost/mycelium'")
  await hers.say(xml('<presence/>'))
  expect(desk.take().join('')).not.toContain('carol@localhost/mycelium')
  await desk.send(items)
  expect(desk.take().join('')).not.toContain("<e xmlns='urn:x'/>")
})

test('whoever grants a subscription shows its programs, until it takes it back or they leave', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  const caps = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:x' ver='v'/>"
  const seen = () => desk.take().filter((stanza) => stanza.includes("from='carol@localhost/hers'"))
  await hers.send(xml(`<presence>${caps}</presence>`))
  expect(seen()).toEqual([])
  const grant = async () => {
    await desk.send(xml("<presence type='subscribe' to='carol@localhost'/>"))
    await hers.send(xml("<presence type='subscribed' to='alice@localhost'/>"))
  }
  await hers.send(xml("<presence type='unsubscribed' to='alice@localhost'/>"))
  await grant()
  expect(seen().join('')).toContain(caps)
  await hers.send(xml(`<presence><show>dnd</show>${caps}</presence>`))
  expect(seen().join('')).toContain('<show>dnd</show>')
  const phone = neighbours.xmpp.bind('phone')
  await phone.send(xml('<presence/>'))
  expect(phone.take().join('')).toContain("from='carol@localhost/hers'")
  await hers.send(xml("<presence type='unsubscribed' to='alice@localhost'/>"))
  expect(seen().at(-1)).toContain("type='unavailable'")
  await hers.send(xml('<presence/>'))
  expect(seen()).toEqual([])
  await grant()
  expect(seen()).toHaveLength(1)
  await hers.send(xml("<presence type='unavailable'><status>bye</status></presence>"))
  expect(seen().join('')).toMatch(/type='unavailable'.*<status>bye<\/status>/)
})

test('what an account is, another one learns once it is subscribed; of nobody there is nothing to learn', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  const ask = async (what: string, to: string, node = ''): Promise<string> => {
    await desk.send(
      xml(`<iq type='get' id='d' to='${to}'><query xmlns='http://jabber.org/protocol/disco#${what}' ${node}/></iq>`),
    )
    return desk.take().join('')
  }
  expect(await ask('info', 'carol@localhost')).toContain("<identity category='account' type='registered'/>")
  expect(await ask('info', 'carol@localhost/gone')).toContain('<service-unavailable ')
  expect(await ask('items', 'carol@localhost/gone')).toContain('<service-unavailable ')
  await hers.send(xml("<presence type='unsubscribed' to='alice@localhost'/>"))
  desk.take()
  for (const to of ['carol@localhost', 'nobody@localhost'])
    for (const node of ['', "node='n'"]) {
      expect(await ask('info', to, node)).toMatch(/type='error'.*<service-unavailable /)
      expect(await ask('items', to, node)).toMatch(/type='result'.*<query xmlns='[^']*'(?: node='n')?\/>/)
    }
  expect(await ask('items', 'nobody@elsewhere.example')).toContain('<service-unavailable ')
})

test('the archive has what a neighbour said as it came: its id, its program, to whom', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await desk.send(xml("<message to='carol@localhost' type='chat' id='m1'><body>kept</body></message>"))
  hers.take()
  await hers.send(xml("<iq type='set' id='a'><query xmlns='urn:xmpp:mam:2'/></iq>"))
  expect(hers.take().join('')).toContain(
    "<message xmlns='jabber:client' type='chat' id='m1' from='alice@localhost/desk' to='carol@localhost'>",
  )
})

test('a room between neighbours: who makes it is not invited to it, ids stay, and who is not in it learns of nobody', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  const room = 'choir@groups.localhost'
  const enter = xml(`<presence to='${room}/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>`)
  await desk.send(enter)
  const entered = desk.take().join('')
  expect(entered).toContain("<status code='201'/>")
  expect(entered).not.toContain('<invite ')
  for (const what of ['info', 'items']) {
    const query = `<query xmlns='http://jabber.org/protocol/disco#${what}'/>`
    await hers.send(xml(`<iq type='get' id='d' to='${room}/alice'>${query}</iq>`))
    expect(hers.take().join(''), what).toMatch(/type='error'.*<bad-request /)
  }
  await desk.send(
    xml(
      `<message to='${room}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='carol@localhost'/></x></message>`,
    ),
  )
  expect(hers.take().join('')).toContain(`<message from='${room}'`)
  await hers.send(enter)
  for (const client of [desk, hers]) client.take()
  await hers.send(xml(`<message to='${room}' type='groupchat' id='m1'><body>one</body></message>`))
  await hers.send(
    xml(
      `<message to='${room}' type='groupchat' id='m2'><body>two</body><replace xmlns='urn:xmpp:message-correct:0' id='m1'/></message>`,
    ),
  )
  const heard = desk.take()
  expect(heard[0]).toMatch(/id='m1' from='choir@groups\.localhost\/Carol'.*<body>one/)
  expect(heard[1]).toMatch(/id='m2'.*<replace xmlns='urn:xmpp:message-correct:0' id='m1'\/>/)
})

test('who types is told to whoever sees that one is there, or is written to by somebody who tells of presence', async () => {
  await using neighbours = await openNeighbours()
  const { alice, desk, hers } = neighbours
  const state = (name: string) => `<${name} xmlns='http://jabber.org/protocol/chatstates'/>`
  const typing = xml(`<message to='carol@localhost' type='chat' id='s1'>${state('composing')}</message>`)
  await desk.send(typing)
  expect(hers.take()).toEqual([])
  const { store, conversations } = alice.knowledge
  await store.write((tx) => conversations.setSettings(tx, alice.account, { tellsPresence: true }))
  await desk.send(typing)
  const [heard, ...more] = hers.take()
  expect(heard).toContain("from='alice@localhost/desk'")
  expect(heard).toContain(state('composing'))
  expect(more).toEqual([])
  await desk.send(
    xml(`<message to='carol@localhost/hers' type='chat' id='s2'><body>hi</body>${state('active')}</message>`),
  )
  expect(hers.take().join('')).toContain(state('active'))
  // as to contacts: whom one writes to may know that one writes
  for (const type of ['unsubscribe', 'unsubscribed'])
    await hers.send(xml(`<presence type='${type}' to='alice@localhost'/>`))
  for (const client of [desk, hers]) client.take()
  await desk.send(typing)
  expect(hers.take().join('')).toContain(state('composing'))
})

test('who is disabled is shown as gone, though nothing was told of their programs', async () => {
  await using neighbours = await openNeighbours()
  const { alice, carol, desk } = neighbours
  await alice.knowledge.accounts.setDisabled(carol, true)
  expect(attrsOf(desk).map(({ type, from }) => [type, from])).toEqual([['unavailable', 'carol@localhost/mycelium']])
})
