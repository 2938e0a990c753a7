/** Halls: rooms between accounts of one gateway, as at any server (XEP-0045). */
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { child, type Element, elements, serialise } from '../../../src/adapters/xmpp/element.ts'
import { type BoundClient, openStages } from './harness.ts'
import { type Neighbours, openNeighbours } from './neighbours.ts'
import { xml } from './xml.ts'

const room = 'tea@rooms.localhost'
const mucNs = 'http://jabber.org/protocol/muc'
const errorNs = 'urn:ietf:params:xml:ns:xmpp-stanzas'

const entering = (nick: string, inside = ''): Element =>
  xml(`<presence to='${room}/${nick}'><x xmlns='${mucNs}'>${inside}</x></presence>`)

const query = (type: 'get' | 'set', ns: string, inside: string): Element =>
  xml(`<iq type='${type}' id='q' to='${room}'><query xmlns='${mucNs}#${ns}'>${inside}</query></iq>`)

const formOf = (fields: Readonly<Record<string, string>>): string =>
  `<x xmlns='jabber:x:data' type='submit'>${Object.entries(fields)
    .map(([name, value]) => `<field var='muc#roomconfig_${name}'><value>${value}</value></field>`)
    .join('')}</x>`

/** In a few words: what came to a program, in its order. */
function words(stanza: Element): string {
  const { from = '', type = '' } = stanza.attrs
  const where = from.split('/')[1] ?? ''
  const error = child(stanza, 'error')
  if (error !== undefined) return `${stanza.name} error ${elements(error).find(({ ns }) => ns === errorNs)!.name}`
  const x = child(stanza, `x ${mucNs}#user`)
  const item = x && child(x, 'item')
  const codes = x === undefined ? [] : elements(x).flatMap(({ name, attrs }) => (name === 'status' ? attrs.code! : []))
  const said = [child(stanza, 'body'), child(stanza, 'subject')].flatMap((one) => (one ? serialise(one) : []))
  return [
    stanza.name,
    where,
    type,
    item && `${item.attrs.affiliation} ${item.attrs.role} ${item.attrs.jid ?? '-'}`,
    item?.attrs.nick,
    codes.join(' '),
    ...said,
  ]
    .filter((one) => one !== undefined && one !== '')
    .join(' ')
}

const told = async ({ send, inbox }: BoundClient, stanza: Element): Promise<readonly string[]> => {
  await send(stanza)
  return inbox.splice(0).map(words)
}
const heard = ({ inbox }: BoundClient): readonly string[] => inbox.splice(0).map(words)

/** Alice has made it, and Carol is in. */
async function openTea(fields: Readonly<Record<string, string>> = {}): Promise<Neighbours> {
  const neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await desk.send(entering('ali'))
  await desk.send(query('set', 'owner', formOf(fields)))
  await hers.send(entering('caro'))
  for (const client of [desk, hers]) client.take()
  return neighbours
}

test('who enters a hall that is not there makes it, and lets others in by setting it up', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  expect(await told(desk, entering('ali'))).toEqual([
    'presence ali owner moderator alice@localhost/desk 100 201 110',
    'message groupchat <subject/>',
  ])
  expect(await told(hers, entering('caro'))).toEqual(['presence error item-not-found'])
  expect(await told(desk, query('set', 'owner', formOf({ roomname: 'Tea' })))).toEqual(['iq result'])
  expect(await told(hers, entering('ali'))).toEqual(['presence error conflict'])
  expect(await told(hers, entering('caro'))).toEqual([
    'presence ali owner moderator alice@localhost/desk',
    'presence caro none participant carol@localhost/hers 100 110',
    'message groupchat <subject/>',
  ])
  expect(heard(desk)).toEqual(['presence caro none participant carol@localhost/hers'])
})

test('it is found by its service, and says how it is', async () => {
  await using neighbours = await openTea({ roomname: 'Tea', whois: 'moderators', moderatedroom: '1' })
  const { hers } = neighbours
  const ask = async (to: string, what: 'info' | 'items'): Promise<string> =>
    (
      await hers.say(
        xml(`<iq type='get' id='d' to='${to}'><query xmlns='http://jabber.org/protocol/disco#${what}'/></iq>`),
      )
    )
      .map((one) => serialise(one))
      .join('')
  expect(await ask('localhost', 'items')).toContain("jid='rooms.localhost'")
  expect(await ask('rooms.localhost', 'info')).toContain(`var='${mucNs}'`)
  expect(await ask('rooms.localhost', 'items')).toContain(`<item jid='${room}' name='Tea'/>`)
  expect(await ask(room, 'items')).toContain(`<item jid='${room}/ali' name='ali'/>`)
  const info = await ask(room, 'info')
  for (const feature of ['muc_open', 'muc_public', 'muc_moderated', 'muc_semianonymous', 'muc_temporary'])
    expect(info).toContain(`var='${feature}'`)
})

test('to whoever is alone at a gateway no place for halls is shown', async () => {
  await using stages = await openStages(['alice'])
  const { say } = stages.of('alice').bind()
  const ask = xml("<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>")
  const [items] = await say(ask)
  expect(serialise(items!)).toContain('groups.localhost')
  expect(serialise(items!)).not.toContain('rooms.localhost')
})

test('what is said comes to all with its id, under the nick and with an occupant-id that nobody can claim', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  await hers.send(
    xml(
      `<message type='groupchat' id='m1' to='${room}'><body>hi</body><occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/></message>`,
    ),
  )
  const [[mine], [theirs]] = [hers.inbox.splice(0), desk.inbox.splice(0)]
  expect(words(theirs!)).toBe('message caro groupchat <body>hi</body>')
  expect(theirs!.attrs.id).toBe('m1')
  const idOf = (stanza: Element): string => child(stanza, 'occupant-id urn:xmpp:occupant-id:0')!.attrs.id!
  expect(elements(theirs!).filter(({ name }) => name === 'occupant-id')).toHaveLength(1)
  expect(idOf(theirs!)).not.toBe('forged')
  expect(idOf(mine!)).toBe(idOf(theirs!))
  // who comes later is shown it; who has left is shown nothing
  await hers.send(xml(`<presence type='unavailable' to='${room}/caro'/>`))
  hers.take()
  expect(await told(hers, xml(`<message type='groupchat' to='${room}'><body>x</body></message>`))).toEqual([
    'message error not-acceptable',
  ])
  await hers.send(entering('caro'))
  expect(heard(hers)).toContain('message caro groupchat <body>hi</body>')
})

test('several programs of an account are one occupant under one nick, and each leaves by itself', async () => {
  await using neighbours = await openTea()
  const { xmpp, carol, desk, hers } = neighbours
  const phone = xmpp.bind('phone', carol)
  await phone.send(entering('caro'))
  expect(phone.inbox.splice(0).map(words).at(-2)).toBe('presence caro none participant carol@localhost/phone 100 110')
  desk.take()
  hers.take()
  expect(await told(hers, xml(`<presence type='unavailable' to='${room}/caro'/>`))).toEqual([
    'presence caro unavailable none none carol@localhost/hers 110',
  ])
  expect(heard(desk)).toEqual([])
  phone.leave()
  expect(heard(desk)).toEqual(['presence caro unavailable none none carol@localhost/phone'])
})

test('another nick is told as the same occupant, and not had where it is taken or kept for somebody', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  expect(await told(hers, xml(`<presence to='${room}/ali'/>`))).toEqual(['presence error conflict'])
  const register = (nick: string): Element =>
    xml(
      `<iq type='set' id='r' to='${room}'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='muc#register_roomnick'><value>${nick}</value></field></x></query></iq>`,
    )
  expect(await told(desk, register('queen'))).toEqual(['iq result'])
  expect(await told(hers, xml(`<presence to='${room}/queen'/>`))).toEqual(['presence error conflict'])
  // who has not entered yet has a nick kept too, and loses it with a ban (§9.1)
  await hers.send(xml(`<presence type='unavailable' to='${room}/caro'/>`))
  expect(await told(hers, register('lady'))).toContain('iq result')
  const ban = (affiliation: string): Element =>
    query('set', 'admin', `<item jid='carol@localhost' affiliation='${affiliation}'/>`)
  for (const affiliation of ['outcast', 'none']) await desk.send(ban(affiliation))
  expect(await told(desk, xml(`<presence to='${room}/lady'/>`))).toContain(
    'presence lady owner moderator alice@localhost/desk 110',
  )
  await hers.send(entering('caro'))
  for (const client of [desk, hers]) client.take()
  await hers.send(xml(`<presence to='${room}/lina'><show>away</show></presence>`))
  expect(heard(desk)).toEqual([
    'presence caro unavailable none participant carol@localhost/hers lina 303',
    'presence lina none participant carol@localhost/hers',
  ])
})

test('roles and affiliations change as XEP-0045 says who may do what', async () => {
  await using neighbours = await openTea({ moderatedroom: '1' })
  const { desk, hers } = neighbours
  const change = (attrs: string): Element => query('set', 'admin', `<item ${attrs}/>`)
  const say = xml(`<message type='groupchat' to='${room}'><body>may I?</body></message>`)
  expect(await told(hers, say)).toEqual(['message error forbidden'])
  expect(await told(hers, change("nick='caro' role='participant'"))).toEqual(['iq error forbidden'])
  expect(await told(desk, change("nick='caro' role='participant'"))).toEqual([
    'presence caro none participant carol@localhost/hers',
    'iq result',
  ])
  expect(await told(desk, change("jid='carol@localhost' affiliation='admin'"))).toEqual([
    'presence caro admin moderator carol@localhost/hers',
    'iq result',
  ])
  hers.take()
  // an admin is under the owner, bans nobody of them and not herself
  expect(await told(hers, change("jid='alice@localhost' affiliation='outcast'"))).toEqual(['iq error not-allowed'])
  expect(await told(hers, change("jid='carol@localhost' affiliation='outcast'"))).toEqual(['iq error conflict'])
  expect(await told(hers, change("nick='ali' role='none'"))).toEqual(['iq error not-allowed'])
  expect(await told(desk, change("jid='alice@localhost' affiliation='member'"))).toEqual(['iq error conflict'])
  // anybody can be in a list, whether or not they are known
  expect(await told(hers, change("jid='mallory@elsewhere.example' affiliation='outcast'"))).toEqual(['iq result'])
  const lists = await desk.say(query('get', 'admin', "<item affiliation='outcast'/>"))
  expect(serialise(lists[0]!)).toContain("<item affiliation='outcast' jid='mallory@elsewhere.example'/>")
  expect(await told(desk, change("jid='carol@localhost' affiliation='outcast'"))).toEqual([
    'presence caro unavailable outcast none carol@localhost/hers 301',
    'iq result',
  ])
  expect(heard(hers)).toEqual(['presence caro unavailable outcast none carol@localhost/hers 301 110'])
  expect(await told(hers, entering('caro'))).toEqual(['presence error forbidden'])
})

test('all that one request asks for is done, or nothing of it', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  const items = "<item jid='carol@localhost' affiliation='member'/><item nick='nobody' role='none'/>"
  expect(await told(desk, query('set', 'admin', items))).toEqual(['iq error item-not-found'])
  expect(heard(hers)).toEqual([])
})

test('a hall for members lets in who is invited, one with a password who knows it, and a full one admins', async () => {
  await using neighbours = await openNeighbours()
  const { desk, hers } = neighbours
  await desk.send(entering('ali'))
  const setUp = async (fields: Readonly<Record<string, string>>): Promise<void> => {
    await desk.send(query('set', 'owner', formOf(fields)))
    desk.take()
  }
  await setUp({ membersonly: '1' })
  expect(await told(hers, entering('caro'))).toEqual(['presence error registration-required'])
  await desk.send(
    xml(
      `<message to='${room}'><x xmlns='${mucNs}#user'><invite to='carol@localhost'><reason>come</reason></invite></x></message>`,
    ),
  )
  expect(hers.take().join('')).toContain(`<invite from='alice@localhost/desk'><reason>come</reason></invite>`)
  await hers.send(entering('caro'))
  expect(heard(hers)).toContain('presence caro member participant carol@localhost/hers 100 110')
  await hers.send(xml(`<presence type='unavailable' to='${room}/caro'/>`))
  hers.take()
  await setUp({ membersonly: '0', passwordprotectedroom: '1', roomsecret: 'sesame' })
  expect(await told(hers, entering('caro'))).toEqual(['presence error not-authorized'])
  await hers.send(entering('caro', '<password>sesame</password>'))
  expect(heard(hers)).toContain('presence caro member participant carol@localhost/hers 100 110')
  await hers.send(xml(`<presence type='unavailable' to='${room}/caro'/>`))
  hers.take()
  await setUp({ passwordprotectedroom: '0', maxusers: '1' })
  expect(await told(hers, entering('caro'))).toEqual(['presence error service-unavailable'])
  await desk.send(query('set', 'admin', "<item jid='carol@localhost' affiliation='admin'/>"))
  await hers.send(entering('caro'))
  expect(heard(hers)).toContain('presence caro admin moderator carol@localhost/hers 100 110')
})

test('what changes about a hall is told, and who may not be in it any more is out', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  await desk.send(query('set', 'owner', formOf({ whois: 'moderators', membersonly: '1' })))
  expect(heard(hers)).toEqual([
    'message groupchat 173',
    'message groupchat 104',
    'presence caro unavailable none none carol@localhost/hers 322 110',
  ])
  expect(await told(desk, query('set', 'owner', formOf({ maxusers: 'many' })))).toContain('iq error not-acceptable')
  expect(await told(hers, query('get', 'owner', ''))).toEqual(['iq error forbidden'])
})

test('in a semi-anonymous hall only moderators see who is who, and what programs ask each other tells nothing', async () => {
  await using neighbours = await openTea({ whois: 'moderators' })
  const { desk, hers } = neighbours
  const asked = async (from: BoundClient, to: BoundClient, nick: string): Promise<readonly string[]> => {
    await from.send(xml(`<iq type='get' id='v' to='${room}/${nick}'><query xmlns='jabber:iq:version'/></iq>`))
    const [got] = to.inbox.splice(0)
    const { id, from: asker } = got!.attrs
    await to.send(xml(`<iq type='result' id='${id}' to='${asker}'><query xmlns='jabber:iq:version'/></iq>`))
    const [answer] = from.inbox.splice(0)
    return [asker!, `${answer!.attrs.id} ${answer!.attrs.type} ${answer!.attrs.from}`]
  }
  expect(await asked(hers, desk, 'ali')).toEqual([`${room}/caro`, `v result ${room}/ali`])
  expect(await asked(desk, hers, 'caro')).toEqual([`${room}/ali`, `v result ${room}/caro`])
  // the other moderator's own presence, as Carol sees it
  await desk.send(xml(`<presence to='${room}/ali'><show>dnd</show></presence>`))
  expect(heard(hers)).toEqual(['presence ali owner moderator -'])
  await hers.send(xml(`<presence to='${room}/caro'><show>dnd</show></presence>`))
  expect(heard(desk)).toContain('presence caro none participant carol@localhost/hers')
})

test('a word to one alone goes to no other, and not at all where the hall does not let it', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  const whisper = xml(`<message type='chat' id='w' to='${room}/ali'><body>psst</body></message>`)
  expect(await told(hers, whisper)).toEqual([])
  expect(heard(desk)).toEqual(['message caro chat <body>psst</body>'])
  await desk.send(query('set', 'owner', formOf({ allowpm: 'moderators' })))
  for (const client of [desk, hers]) client.take()
  expect(await told(hers, whisper)).toEqual(['message error forbidden'])
})

test('moderators give the subject, others where they may, and who enters is shown it', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  const subject = xml(`<message type='groupchat' to='${room}'><subject>cake</subject></message>`)
  expect(await told(hers, subject)).toEqual(['message error forbidden'])
  expect(await told(desk, subject)).toEqual(['message ali groupchat <subject>cake</subject>'])
  await desk.send(query('set', 'owner', formOf({ changesubject: '1' })))
  for (const client of [desk, hers]) client.take()
  expect(await told(hers, xml(`<message type='groupchat' to='${room}'><subject/></message>`))).toEqual([
    'message caro groupchat <subject/>',
  ])
})

test('a self-ping says whether one is still in (XEP-0410)', async () => {
  await using neighbours = await openTea()
  const { hers } = neighbours
  const ping = xml(`<iq type='get' id='p' to='${room}/caro'><ping xmlns='urn:xmpp:ping'/></iq>`)
  expect(await told(hers, ping)).toEqual(['iq caro result'])
  await hers.send(xml(`<presence type='unavailable' to='${room}/caro'/>`))
  hers.take()
  expect(await told(hers, ping)).toEqual(['iq error not-acceptable'])
})

test('it ends with the last one, or by its owner, who may say where to go', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  await desk.send(query('set', 'owner', "<destroy jid='cake@rooms.localhost'><reason>more room</reason></destroy>"))
  const [out] = hers.inbox.splice(0)
  expect(words(out!)).toBe('presence caro unavailable none none - 110')
  expect(serialise(out!)).toContain(`<destroy jid='cake@rooms.localhost'><reason>more room</reason></destroy>`)
  desk.take()
  await hers.send(entering('caro'))
  expect(heard(hers)[0]).toBe('presence caro owner moderator carol@localhost/hers 100 201 110')
  hers.leave()
  expect((await told(desk, entering('ali')))[0]).toBe('presence ali owner moderator alice@localhost/desk 100 201 110')
})

test('its picture is its owner’s to give, and is told (XEP-0486)', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  const card = (to: string): Element =>
    xml(`<iq type='set' id='c' to='${to}'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>YWJj</BINVAL></PHOTO></vCard></iq>`)
  expect(await told(hers, card(room))).toEqual(['iq error forbidden'])
  await desk.send(card(room))
  expect(hers.take().join('')).toContain('<photo>a9993e364706816aba3e25717850c26c9cd0d89d</photo>')
  const got = await hers.say(xml(`<iq type='get' id='g' to='${room}'><vCard xmlns='vcard-temp'/></iq>`))
  expect(serialise(got[0]!)).toContain('<BINVAL>YWJj</BINVAL>')
})

test('only accounts of this gateway are invited: for others there are groups', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  const invite = (to: string): Element =>
    xml(`<message to='${room}'><x xmlns='${mucNs}#user'><invite to='${to}'/></x></message>`)
  expect(await told(desk, invite('dave@elsewhere.example'))).toEqual(['message error not-acceptable'])
  expect(await told(desk, invite('nobody@localhost'))).toEqual(['message error service-unavailable'])
  await desk.send(
    xml(`<message to='carol@localhost'><x xmlns='jabber:x:conference' jid='${room}' reason='cake'/></message>`),
  )
  expect(hers.take().join('')).toContain(`<x xmlns='jabber:x:conference' jid='${room}' reason='cake'/>`)
  hers.leave()
  expect(await told(desk, invite('carol@localhost'))).toContain('message error recipient-unavailable')
})

test('a program that is resumed after a start of the gateway hears that it is in none of them any more', async () => {
  await using neighbours = await openTea()
  const { xmpp, hers } = neighbours
  const { notes } = hers.client.state
  hers.leave()
  const back = xmpp.bind('hers', neighbours.carol)
  back.client.state.notes = notes
  for (const feature of xmpp.server.features) feature.bound?.(back.client)
  expect(heard(back)).toEqual(['presence caro unavailable none none - 110 332'])
  expect(back.client.state.notes.halls).toBeUndefined()
})

test('what is kept of those in a hall has an end', async () => {
  await using neighbours = await openTea()
  const { desk, hers } = neighbours
  const presence = xml(
    `<presence to='${room}/caro'><status>${'x'.repeat(limits.xmppHallPresenceCharsMax)}</status></presence>`,
  )
  expect(await told(hers, presence)).toEqual(['presence error policy-violation'])
  const subject = 'x'.repeat(limits.xmppHallTextOctetsMax + 1)
  expect(
    await told(desk, xml(`<message type='groupchat' to='${room}'><subject>${subject}</subject></message>`)),
  ).toEqual(['message error policy-violation'])
})

test('nobody makes more of them than is good for the others', async () => {
  await using neighbours = await openNeighbours()
  const { desk } = neighbours
  const enter = (at: number): Element => xml(`<presence to='r${at}@rooms.localhost/a'><x xmlns='${mucNs}'/></presence>`)
  for (let at = 0; at < limits.xmppHallsPerAccountMax; at += 1) await desk.send(enter(at))
  desk.take()
  expect(await told(desk, enter(limits.xmppHallsPerAccountMax))).toEqual(['presence error resource-constraint'])
})
