/** Rooms on two and three gateways, as their clients see them. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  child,
  childrenNamed,
  el,
  type Element,
  elements,
  serialise,
  textOf,
} from '../../../../src/adapters/xmpp/element.ts'
import { parseJid } from '../../../../src/adapters/xmpp/jid.ts'
import { routeStanza } from '../../../../src/adapters/xmpp/router.ts'
import { adminsOf } from '../../../../src/core/group/roster.ts'
import type { GroupId, Identity } from '../../../../src/core/ids.ts'
import { groupConversation } from '../../../../src/core/message/conversation.ts'
import { createAccount } from '../../../../src/operations/accounts.ts'
import { openWorld, type TestGateway } from '../../../support/world.ts'
import { type BoundClient, openStages, openTestXmpp, type Stage, type Stages } from '../harness.ts'
import { testAmbient } from '../stream-server.ts'
import { xml } from '../xml.ts'

const patience = { timeout: 30_000, interval: 30 }
const muc = 'http://jabber.org/protocol/muc'

const enter = (room: string, nick = 'me'): Element =>
  xml(`<presence to='${room}/${nick}'><x xmlns='${muc}'/></presence>`)
const admin = (room: string, ...items: readonly string[]): Element =>
  xml(`<iq type='set' id='a' to='${room}'><query xmlns='${muc}#admin'>${items.join('')}</query></iq>`)
const own = (room: string, inside: string, type = 'set'): Element =>
  xml(`<iq type='${type}' id='o' to='${room}'><query xmlns='${muc}#owner'>${inside}</query></iq>`)
const submit = (fields: Readonly<Record<string, string>>): string =>
  `<x xmlns='jabber:x:data' type='submit'>${Object.entries(fields)
    .map(([name, value]) => `<field var='${name}'><value>${value}</value></field>`)
    .join('')}</x>`

/** The condition of an error, or the type of the stanza. */
function outcome(stanzas: readonly Element[]): string | undefined {
  const last = stanzas.at(-1)
  const error = last && child(last, 'error')
  return error === undefined ? last?.attrs.type : elements(error)[0]?.name
}

/** Who a client was shown to be in a room, by nick. */
function watchOccupants({ client }: BoundClient): () => readonly string[] {
  const seen = new Map<string, string>()
  const send = client.send.bind(client)
  Object.assign(client, {
    send(stanza: Element) {
      const x = child(stanza, `x ${muc}#user`)
      if (stanza.name === 'presence' && x !== undefined) {
        const nick = parseJid(stanza.attrs.from!)!.resource
        if (stanza.attrs.type === 'unavailable') seen.delete(nick)
        else seen.set(nick, child(x, `item ${muc}#user`)!.attrs.affiliation!)
      }
      send(stanza)
    },
  })
  return () => [...seen].map(([nick, affiliation]) => `${nick} ${affiliation}`).toSorted()
}

/** The group's members by name, with what they are. */
function membersAt({ knowledge, account }: TestGateway, group: GroupId): readonly string[] {
  const roster = knowledge.groupBook.groupNow(account, group)!.state
  const admins = new Set(adminsOf(roster))
  return [...roster.members.keys()]
    .map((one) => `${knowledge.people.nameOf(account, one) ?? ''} ${admins.has(one) ? 'owner' : 'member'}`)
    .toSorted()
}

interface House extends AsyncDisposable {
  readonly alice: Stage
  readonly bob: Stage
  readonly carol: Stage
  /** One that alice has made and is in with a client, with bob and carol. */
  readonly room: () => Promise<{ readonly jid: string; readonly group: GroupId; readonly desk: BoundClient }>
}

/** Three gateways whose people know each other. */
async function openHouse(): Promise<House> {
  const stages: Stages = await openStages(['alice', 'bob', 'carol'])
  const [alice, bob, carol] = [stages.of('alice'), stages.of('bob'), stages.of('carol')]
  return {
    alice,
    bob,
    carol,
    async room() {
      const jid = 'choir@groups.localhost'
      const desk = alice.bind('desk')
      await desk.say(enter(jid))
      const added = await desk.say(
        admin(jid, `<item jid='${bob.jid}' affiliation='member'/>`, `<item jid='${carol.jid}' affiliation='member'/>`),
      )
      expect(outcome(added)).toBe('result')
      const group = alice.server.names.roomNames.groupOf('choir')!
      for (const { gateway } of [bob, carol])
        await expect
          .poll(() => gateway.node.delivery.groups.row(gateway.account, group)?.state, patience)
          .toBe('joined')
      return { jid, group, desk }
    },
    [Symbol.asyncDispose]: async () => await stages[Symbol.asyncDispose](),
  }
}

/** As bob and carol call it. */
const far = (group: GroupId): string => `${group}@groups.localhost`

test(
  'what each client sees of who is in the room stays what the group is, whoever changes it',
  { timeout: 60_000 },
  async () => {
    await using house = await openHouse()
    const { alice, bob, carol, room } = house
    const { jid, group, desk } = await room()
    const [a, b, c] = [desk, bob.bind(), carol.bind()]
    const seen = [a, b, c].map(watchOccupants)
    await a.send(enter(jid))
    await b.send(enter(far(group)))
    await c.send(enter(far(group)))
    const gateways = [alice.gateway, bob.gateway, carol.gateway]
    const allAgree = async (expected: readonly string[], of = [0, 1, 2]) => {
      for (const one of of) {
        await expect.poll(() => seen[one]!(), patience).toEqual(expected)
        expect(membersAt(gateways[one]!, group)).toEqual(expected)
      }
    }
    await allAgree(['alice owner', 'bob member', 'carol member'])
    await a.say(admin(jid, "<item nick='bob' affiliation='owner'/>"))
    await allAgree(['alice owner', 'bob owner', 'carol member'])
    await b.say(admin(far(group), "<item nick='carol' role='none'/>"))
    await allAgree(['alice owner', 'bob owner'], [0, 1])
    await expect.poll(() => seen[2]!(), patience).toEqual(['alice owner', 'bob owner']) // itself is what it saw go
    await a.say(admin(jid, `<item jid='${carol.jid}' affiliation='admin'/>`, "<item nick='bob' affiliation='member'/>"))
    await allAgree(['alice owner', 'bob member', 'carol owner'], [0, 1])
    await expect.poll(() => membersAt(carol.gateway, group), patience).toContain('carol owner')
    await c.send(enter(far(group)))
    await allAgree(['alice owner', 'bob member', 'carol owner'])
    // the founder leaves, as one gives back a registration
    const left = await a.say(
      xml(`<iq type='set' id='r' to='${jid}'><query xmlns='jabber:iq:register'><remove/></query></iq>`),
    )
    expect(outcome(left)).toBe('result')
    await allAgree(['bob member', 'carol owner'], [1, 2])
  },
)

test('a request is done as a whole or not at all', async () => {
  await using house = await openHouse()
  const { alice, bob, room } = house
  const { jid, group, desk } = await room()
  const before = membersAt(alice.gateway, group)
  for (const items of [
    ["<item nick='bob' affiliation='none'/>", "<item jid='nobody@example.org' affiliation='member'/>"],
    ["<item nick='bob' affiliation='owner'/>", "<item nick='carol' affiliation='emperor'/>"],
    ["<item nick='bob' affiliation='owner'/>", `<item jid='${bob.jid}' role='moderator'/>`],
  ])
    expect(['item-not-found', 'bad-request', 'forbidden']).toContain(outcome(await desk.say(admin(jid, ...items))))
  expect(membersAt(alice.gateway, group)).toEqual(before)
})

test('only admins configure, and what a group cannot be changes nothing', async () => {
  await using house = await openHouse()
  const { alice, bob, room } = house
  const { jid, group, desk } = await room()
  const policy = () => alice.gateway.knowledge.groupBook.groupNow(alice.gateway.account, group)!.state
  const b = bob.bind('configures')
  expect(outcome(await b.say(own(far(group), '', 'get')))).toBe('forbidden')
  expect(outcome(await b.say(own(far(group), submit({ 'muc#roomconfig_roomname': 'mine' }))))).toBe('forbidden')
  expect(outcome(await b.say(own(far(group), '<destroy/>')))).toBe('forbidden')

  const [shown] = await desk.say(own(jid, '', 'get'))
  const form = child(child(shown!, `query ${muc}#owner`)!, 'x jabber:x:data')!
  const fields = childrenNamed(form, 'field').map(({ attrs }) => attrs.var)
  expect(fields).toEqual(expect.arrayContaining(['muc#roomconfig_roomname', 'muc#roomconfig_membersonly']))

  for (const wrong of [
    { 'muc#roomconfig_membersonly': '0' },
    { 'muc#roomconfig_whois': 'moderators' },
    { 'muc#roomconfig_publicroom': 'true' },
    { 'muc#roomconfig_allowinvites': 'perhaps' },
  ] as Readonly<Record<string, string>>[]) {
    const refused = await desk.say(own(jid, submit({ 'muc#roomconfig_roomname': 'half', ...wrong })))
    expect(outcome(refused)).toBe('not-acceptable')
  }
  expect(policy().name).not.toBe('half')
  const done = await desk.say(
    own(
      jid,
      submit({
        'muc#roomconfig_roomname': 'whole',
        'muc#roomconfig_membersonly': 'true',
        'muc#roomconfig_allowinvites': '1',
        'muc#roomconfig_moderatedroom': '1',
        'mycelium#shares_history': 'true',
      }),
    ),
  )
  expect(outcome(done)).toBe('result')
  expect(policy()).toMatchObject({ name: 'whole', policy: { add: 'members', post: 'admins', sharesHistory: true } })
  // whoever may not write has no voice
  expect(done.map((one) => serialise(one)).join()).toContain("role='visitor'")
  await expect
    .poll(() => bob.gateway.knowledge.groupBook.groupNow(bob.gateway.account, group)?.state.policy.post, patience)
    .toBe('admins')
  await b.say(enter(far(group)))
  const refused = await b.say(xml(`<message type='groupchat' id='m' to='${far(group)}'><body>I</body></message>`))
  expect(outcome(refused)).toBe('forbidden')
})

test('destroying leaves the group to the others, and the name is free again', async () => {
  await using house = await openHouse()
  const { alice, bob, room } = house
  const { jid, group, desk } = await room()
  const destroyed = await desk.say(own(jid, '<destroy/>'))
  expect(outcome(destroyed)).toBe('result')
  expect(serialise(destroyed[0]!)).toContain('<destroy/>')
  await expect.poll(() => membersAt(bob.gateway, group), patience).toEqual(['bob owner', 'carol member'])
  expect(outcome(await desk.say(enter(far(group))))).toBe('registration-required')
  const again = await desk.say(enter(jid))
  expect(serialise(again[0]!)).toContain("code='201'")
  expect(alice.server.names.roomNames.groupOf(jid.split('@')[0]!)).not.toBe(group)
  expect(alice.server.names.room(group).local).toBe(group)
})

test('what is said alone to somebody in the room is said in the chat with them', async () => {
  await using house = await openHouse()
  const { alice, bob, room } = house
  const { jid, desk } = await room()
  const b = bob.bind('alone')
  await b.send(xml('<presence/>'))
  b.client.state.presence = xml('<presence/>')
  b.take()
  await desk.say(xml(`<message type='chat' id='p' to='${jid}/bob'><body>psst</body><x xmlns='${muc}#user'/></message>`))
  await expect.poll(() => b.inbox.map((one) => serialise(one)).join(), patience).toContain('psst')
  const got = b.inbox.find((one) => child(one, 'body') !== undefined)!
  expect(got.attrs.from).toBe(alice.jid)
  expect(
    outcome(await desk.say(xml(`<message type='chat' id='p' to='${jid}/nobody'><body>psst</body></message>`))),
  ).toBe('item-not-found')
  const { desk: out } = { desk: alice.bind('outside') }
  expect(outcome(await out.say(xml(`<message type='chat' id='p' to='${jid}/bob'><body>psst</body></message>`)))).toBe(
    'not-acceptable',
  )
})

test('to invite a contact directly adds them, and their programs are told once', async () => {
  await using house = await openHouse()
  const { alice, bob } = house
  const jid = 'direct@groups.localhost'
  const desk = alice.bind('direct')
  await desk.say(enter(jid))
  const b = bob.bind('direct')
  await b.send(xml('<presence/>'))
  b.take()
  const invitation = xml(`<message to='${bob.jid}'><x xmlns='jabber:x:conference' jid='${jid}'/></message>`)
  await desk.say(invitation)
  await desk.say(invitation)
  await expect.poll(() => b.inbox.length, patience).toBe(1)
  const told = serialise(b.inbox[0]!)
  expect(told).toContain(`<invite from='${alice.jid}'>`)
  expect(told).toContain("xmlns='jabber:x:conference'")
  const group = alice.server.names.roomNames.groupOf('direct')!
  expect(told).toContain(far(group))
  const later = bob.bind('later')
  // another invitation than this one may wait
  expect(serialise(el('all', {}, await later.say(xml('<presence/>'))))).not.toContain(group)
})

test('who types is seen by those in the room, where that may be known', async () => {
  await using house = await openHouse()
  const { alice, bob, room } = house
  const { jid, group, desk } = await room()
  const { conversations, store } = alice.gateway.knowledge
  await store.write((tx) => conversations.setSettings(tx, alice.gateway.account, { tellsPresence: true }))
  const b = bob.bind('looks')
  await b.say(enter(far(group)))
  const composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
  expect(await desk.say(xml(`<message type='groupchat' to='${jid}'>${composing}</message>`))).toEqual([])
  await expect.poll(() => b.inbox.map((one) => serialise(one)).join(), patience).toContain('<composing')
  expect(b.inbox.at(-1)!.attrs.from).toBe(`${far(group)}/alice`)
})

test('a contact who is called differently goes on under another nick', async () => {
  await using house = await openHouse()
  const { alice, carol, room } = house
  const { jid, desk } = await room()
  const seen = watchOccupants(desk)
  await desk.say(enter(jid))
  const { contacts, store } = alice.gateway.knowledge
  const rename = async (name: string) =>
    await store.write((tx) => void contacts.using(tx).rename(alice.gateway.account, carol.gateway.account, name))
  await rename('Cleo')
  await expect.poll(() => seen(), patience).toEqual(['Cleo member', 'alice owner', 'bob member'])
  const [gone] = desk.inbox.filter(({ attrs }) => attrs.type === 'unavailable')
  expect(serialise(gone!)).toMatch(/nick='Cleo'.*code='303'/)
  await rename('carol')
})

test('who writes in a room is asked to enter first, and nonsense gets its error and changes nothing', async () => {
  await using house = await openHouse()
  const { alice, bob, room } = house
  const { jid, group, desk } = await room()
  const before = membersAt(alice.gateway, group)
  const other = alice.bind('wild')
  const cases: readonly (readonly [BoundClient, string, string])[] = [
    [other, `<presence to='${jid}/me'/>`, 'not-acceptable'],
    [other, `<presence to='${jid}'><x xmlns='${muc}'/></presence>`, 'jid-malformed'],
    [other, `<presence to='${jid}/${'n'.repeat(200)}'><x xmlns='${muc}'/></presence>`, 'not-acceptable'],
    [other, `<presence to='${'0'.repeat(64)}@groups.localhost/me'><x xmlns='${muc}'/></presence>`, 'item-not-found'],
    [other, `<presence to='${'n'.repeat(200)}@groups.localhost/me'><x xmlns='${muc}'/></presence>`, 'item-not-found'],
    [other, `<presence type='subscribe' to='${jid}'/>`, 'not-allowed'],
    [other, `<message type='groupchat' to='${jid}'><body>x</body></message>`, 'not-acceptable'],
    [other, `<message type='groupchat' to='${jid}'><subject>x</subject></message>`, 'not-acceptable'],
    [other, `<message type='groupchat' to='nowhere@groups.localhost'><body>x</body></message>`, 'item-not-found'],
    [desk, `<presence to='${jid}/another'/>`, 'not-acceptable'],
    [desk, `<message to='${jid}'><body>x</body></message>`, 'bad-request'],
    [desk, `<message type='groupchat' to='${jid}'><subject> </subject></message>`, 'not-acceptable'],
    [desk, `<message type='groupchat' to='${jid}'><subject>${'x'.repeat(300)}</subject></message>`, 'policy-violation'],
    [
      desk,
      `<message type='groupchat' to='${jid}'><reactions xmlns='urn:xmpp:reactions:0' id='none'/></message>`,
      'item-not-found',
    ],
    [desk, `<message to='${jid}'><x xmlns='${muc}#user'><invite to='x@example.org'/></x></message>`, 'item-not-found'],
    [desk, `<message to='${jid}'><x xmlns='${muc}#user'><invite/></x></message>`, 'jid-malformed'],
    [desk, `<iq type='get' id='q' to='${jid}'><query xmlns='${muc}#admin'/></iq>`, 'bad-request'],
    [desk, `<iq type='set' id='q' to='${jid}'><query xmlns='${muc}#admin'/></iq>`, 'bad-request'],
    [
      desk,
      `<iq type='set' id='q' to='${jid}'><query xmlns='${muc}#admin'><item nick='bob'/></query></iq>`,
      'bad-request',
    ],
    [
      desk,
      `<iq type='set' id='q' to='${jid}'><query xmlns='${muc}#admin'><item jid='@' affiliation='none'/></query></iq>`,
      'jid-malformed',
    ],
    [desk, `<iq type='set' id='q' to='${jid}'><query xmlns='${muc}#owner'/></iq>`, 'bad-request'],
    [
      desk,
      `<iq type='set' id='q' to='${jid}'><moderate xmlns='urn:xmpp:message-moderate:1' id='x'/></iq>`,
      'bad-request',
    ],
    [desk, `<iq type='get' id='q' to='void@groups.localhost'><query xmlns='${muc}#owner'/></iq>`, 'item-not-found'],
    [desk, `<iq type='get' id='q' to='${jid}/bob'><query xmlns='jabber:iq:version'/></iq>`, 'service-unavailable'],
  ]
  for (const [who, stanza, expected] of cases) expect(outcome(await who.say(xml(stanza))), stanza).toBe(expected)
  expect(membersAt(alice.gateway, group)).toEqual(before)
  // a storm of presence goes nowhere
  const b = bob.bind('calm')
  await b.say(enter(far(group)))
  for (let count = 0; count < 50; count += 1)
    await desk.send(xml(`<presence to='${jid}/me'><show>${count % 2 === 0 ? 'away' : 'dnd'}</show></presence>`))
  await desk.say(xml(`<message type='groupchat' to='${jid}'><body>after the storm</body></message>`))
  await expect.poll(() => b.inbox.length, patience).toBeGreaterThan(0)
  expect(textOf(child(b.inbox[0]!, 'body')!)).toBe('after the storm')
})

test('a client that goes gets nothing more, and what was said meanwhile with the next entering, up to what it asks for', async () => {
  await using house = await openHouse()
  const { alice, room } = house
  const { jid, desk } = await room()
  const say = async (text: string) =>
    await desk.say(xml(`<message type='groupchat' id='${text}' to='${jid}'><body>${text}</body></message>`))
  const other = alice.bind('comes')
  await other.say(enter(jid))
  other.leave()
  for (const text of ['one', 'two', 'three']) await say(text)
  expect(other.inbox).toEqual([])
  const bodies = async (history: string) => {
    const entering = xml(`<presence to='${jid}/me'><x xmlns='${muc}'>${history}</x></presence>`)
    const got = await alice.bind('again').say(entering)
    expect(child(got.at(-1)!, 'subject')).toBeDefined()
    return got.flatMap((one) => {
      const body = child(one, 'body')
      return body === undefined ? [] : [textOf(body)]
    })
  }
  expect(await bodies('')).toEqual(['one', 'two', 'three'])
  expect(await bodies("<history maxstanzas='2'/>")).toEqual(['two', 'three'])
  expect(await bodies("<history maxchars='0'/>")).toEqual([])
  expect(await bodies("<history seconds='600'/>")).toEqual(['one', 'two', 'three'])
  expect(await bodies("<history since='2999-01-01T00:00:00Z'/>")).toEqual([])
  expect(await bodies("<history maxstanzas='many' since='never'/>")).toEqual(['one', 'two', 'three'])
})

test('what is said twice by a program that saw no answer is said once', async () => {
  await using house = await openHouse()
  const { alice, room } = house
  const { jid, group, desk } = await room()
  const message = `<message type='groupchat' id='a-long-enough-id' to='${jid}'><body>once</body></message>`
  for (let count = 0; count < 2; count += 1) {
    const got = await desk.say(xml(message))
    expect(got.map(({ attrs }) => attrs.id)).toEqual(['a-long-enough-id'])
  }
  const { conversations } = alice.gateway.knowledge
  const kept = conversations.page(alice.gateway.account, groupConversation(group), { limit: 10 })
  expect(kept.map(({ text }) => text)).toEqual(['once'])
})
test('who is added by a stranger is asked: entering accepts, declining leaves', { timeout: 60_000 }, async () => {
  await using world = await openWorld()
  const [alice, bob, carol] = (await Promise.all(['alice', 'bob', 'carol'].map((name) => world.gateway(name)))) as [
    TestGateway,
    TestGateway,
    TestGateway,
  ]
  for (const other of [bob, carol]) {
    await world.introduce(alice, other)
    await other.submit(alice.address, 'hello')
  }
  await expect.poll(async () => (await alice.read()).length, patience).toBe(2)
  const first = await alice.node.delivery.groups.create(alice.account, 'all')
  await alice.node.delivery.groups.add(alice.account, first, [bob.account, carol.account])
  for (const one of [bob, carol])
    await expect.poll(() => one.node.delivery.groups.row(one.account, first)?.state, patience).toBe('joined')
  await expect
    .poll(() => carol.knowledge.contacts.byIdentity(carol.account, bob.account)?.state, patience)
    .toBe('fellow')

  using xmpp = openTestXmpp(bob)
  const desk = xmpp.bind('desk')
  await desk.send(xml('<presence/>'))
  desk.take()
  const { groups } = carol.node.delivery
  for (const name of ['one', 'two']) {
    const group = await groups.create(carol.account, name)
    await groups.add(carol.account, group, [bob.account])
    await expect.poll(() => desk.inbox.length, patience).toBe(1)
    const [invitation] = desk.inbox.splice(0)
    expect(serialise(invitation!)).toContain(`<reason>${name}</reason>`)
    // a program that comes later is asked too, until there is an answer
    const phone = xmpp.bind('phone')
    expect(serialise(el('all', {}, await phone.say(xml('<presence/>'))))).toContain(group)
    const standing = () => bob.node.delivery.groups.row(bob.account, group)?.state
    expect(standing()).toBe('invited')
    const room = invitation!.attrs.from!
    if (name === 'one') {
      const entered = await desk.say(enter(room))
      expect(entered.map(({ attrs }) => attrs.type)).not.toContain('error')
      expect(standing()).toBe('joined')
    } else {
      await desk.say(xml(`<message to='${room}'><x xmlns='${muc}#user'><decline to='x@example.org'/></x></message>`))
      expect(standing()).toBe('left')
      expect(outcome(await desk.say(enter(room)))).toBe('registration-required')
    }
    phone.leave()
    desk.take()
  }
})

test('a room keeps the name that a program gave it, also after the gateway was away', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  {
    using xmpp = openTestXmpp(alice)
    await xmpp.bind().say(enter('choir@groups.localhost'))
  }
  await alice.stop()
  const again = await world.gateway('alice')
  using xmpp = openTestXmpp(again)
  const entered = await xmpp.bind().say(enter('choir@groups.localhost'))
  expect(entered.map((one) => serialise(one)).join()).not.toContain("code='201'")
  expect(entered[0]!.attrs.from).toBe('choir@groups.localhost/alice')
})

test('a group that others put the account into gets a bookmark once, and loses it with the membership', async () => {
  await using house = await openHouse()
  const { alice, bob, room } = house
  const { jid, group, desk } = await room()
  const bookmarks = async (client: BoundClient) =>
    serialise(
      (
        await client.say(
          xml(
            "<iq type='get' id='b'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub></iq>",
          ),
        )
      )[0]!,
    )
  const first = bob.bind('first')
  await expect.poll(async () => await bookmarks(first), patience).toContain(far(group))
  expect(await bookmarks(first)).toContain("autojoin='true'")
  await first.say(
    xml(
      `<iq type='set' id='b'><pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='urn:xmpp:bookmarks:1'><item id='${far(group)}'/></retract></pubsub></iq>`,
    ),
  )
  // whoever takes it away is not given it again
  const second = bob.bind('second')
  await second.say(xml('<presence/>'))
  expect(await bookmarks(second)).not.toContain(far(group))

  await desk.say(admin(jid, "<item nick='bob' affiliation='none'/>"))
  await expect
    .poll(() => bob.gateway.node.delivery.groups.row(bob.gateway.account, group)?.state, patience)
    .toBe('left')
  await desk.say(admin(jid, `<item jid='${bob.jid}' affiliation='member'/>`))
  await expect.poll(async () => await bookmarks(second), patience).toContain(far(group))
  await desk.say(admin(jid, "<item nick='bob' affiliation='none'/>"))
  await expect.poll(async () => await bookmarks(second), patience).not.toContain(far(group))
  expect(alice.server.names.room(group).local).toBe('choir')
})

test('a client that is resumed after a start of the gateway is still in its rooms, and gets what happened since', async () => {
  await using house = await openHouse()
  const { bob, carol, room } = house
  const { jid, group, desk } = await room()
  const before = bob.bind('desk')
  await before.say(enter(far(group)))
  await desk.say(xml(`<message type='groupchat' id='one' to='${jid}'><body>one</body></message>`))
  await expect.poll(() => before.inbox.length, patience).toBe(1)
  const { state, jid: own, ...rest } = before.client
  const kept = structuredClone({ upTo: state.upTo, notes: state.notes })
  bob[Symbol.dispose]()

  await desk.say(xml(`<message type='groupchat' id='two' to='${jid}'><body>two</body></message>`))
  await desk.say(admin(jid, "<item nick='carol' affiliation='none'/>"))
  const isOut = () =>
    !bob.gateway.knowledge.groupBook.groupNow(bob.gateway.account, group)!.state.members.has(carol.gateway.account)
  await expect.poll(isOut, patience).toBe(true)

  using after = openTestXmpp(bob.gateway)
  const got: Element[] = []
  const client = { ...rest, jid: own, state: { ...state, ...kept }, send: (stanza: Element) => void got.push(stanza) }
  after.server.hub.add(client)
  for (const feature of after.server.features) feature.bound?.(client)
  const told = () =>
    got.map((one) => `${one.attrs.type} ${parseJid(one.attrs.from!)!.resource} ${textOf(child(one, 'body') ?? one)}`)
  await expect.poll(told, patience).toEqual(['unavailable carol ', 'groupchat alice two'])
  await routeStanza(
    after.server,
    client,
    xml(`<iq type='get' id='p' to='${far(group)}/me'><ping xmlns='urn:xmpp:ping'/></iq>`),
  )
  expect(outcome(got)).toBe('result')
})

test('how far a member has read is seen by the others where both the group and the member let it', async () => {
  await using house = await openHouse()
  const { bob, room } = house
  const { jid, group, desk } = await room()
  const { conversations, store } = bob.gateway.knowledge
  await store.write((tx) => conversations.setSettings(tx, bob.gateway.account, { tellsRead: true }))
  const b = bob.bind('reads')
  await b.say(enter(far(group)))
  const [said] = await desk.say(xml(`<message type='groupchat' id='m' to='${jid}'><body>read me</body></message>`))
  const id = child(said!, 'stanza-id urn:xmpp:sid:0')!.attrs.id!
  await expect.poll(() => b.inbox.length, patience).toBe(1)
  await b.say(
    xml(
      `<message type='groupchat' id='d' to='${far(group)}'><displayed xmlns='urn:xmpp:chat-markers:0' id='${id}'/></message>`,
    ),
  )
  await expect.poll(() => desk.inbox.map((one) => serialise(one)).join(), patience).toContain('<displayed')
  const marker = desk.inbox.find((one) => child(one, 'displayed urn:xmpp:chat-markers:0') !== undefined)!
  expect(marker.attrs.from).toBe(`${jid}/bob`)
  expect(child(marker, 'displayed urn:xmpp:chat-markers:0')!.attrs.id).toBe(id)
})

test('after any sequence of changes a client sees as occupants exactly the members, with their rights and names', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const { knowledge, account } = alice
  const others: Identity[] = []
  for (const localName of ['ann', 'ben', 'cem']) {
    await createAccount(knowledge, testAmbient, { localName, address: undefined, displayName: undefined })
    others.push(knowledge.accounts.byUser(localName)!.identity)
  }
  using xmpp = openTestXmpp(alice)
  const { groups } = alice.node.delivery
  const kinds = ['add', 'remove', 'grant', 'revoke'] as const
  const change = fc.record({ kind: fc.constantFrom(...kinds), who: fc.nat({ max: others.length - 1 }) })
  let runs = 0
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
      const client = xmpp.bind(`run${(runs += 1)}`)
      const seen = watchOccupants(client)
      const room = `run${runs}@groups.localhost`
      await client.say(enter(room))
      const group = xmpp.server.names.roomNames.groupOf(`run${runs}`)!
      for (const { kind, who } of changes) {
        const done =
          kind === 'add' ? groups.add(account, group, [others[who]!]) : groups[kind](account, group, others[who]!)
        // what makes no sense at that point is refused, and shows nothing
        await done.catch(() => {})
        expect(seen()).toEqual(membersAt(alice, group))
      }
      client.leave()
    }),
    { numRuns: 15 },
  )
})

test('accounts of one gateway have a room under the name that one of them gave it, once they are in the group', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  for (const localName of ['ann', 'ben'])
    await createAccount(alice.knowledge, testAmbient, { localName, address: undefined, displayName: undefined })
  const as = (localName: string): TestGateway => ({
    ...alice,
    account: alice.knowledge.accounts.byUser(localName)!.identity,
  })
  using xmpp = openTestXmpp(alice)
  const bindAs = (localName: string): BoundClient => {
    const client = xmpp.bind(localName)
    const account = as(localName).account
    Object.assign(client.client, { account, jid: { ...xmpp.server.names.own(account), resource: 'desk' } })
    return client
  }
  const desk = xmpp.bind('desk')
  await desk.say(enter('home@groups.localhost'))
  await desk.say(admin('home@groups.localhost', "<item jid='ann@localhost' affiliation='member'/>"))
  const [ann, ben] = [bindAs('ann'), bindAs('ben')]
  await expect
    .poll(async () => outcome(await ann.say(enter('home@groups.localhost'))), patience)
    .not.toBe('registration-required')
  const group = xmpp.server.names.roomNames.groupOf('home')!
  expect(membersAt(as('ann'), group)).toEqual(['alice owner', 'ann member'])
  expect(outcome(await ben.say(enter('home@groups.localhost')))).toBe('registration-required')
  expect(outcome(await ben.say(own('home@groups.localhost', '', 'get')))).toBe('item-not-found')
  desk.take()
  await ann.say(xml("<message type='groupchat' id='m' to='home@groups.localhost'><body>dinner</body></message>"))
  await expect.poll(() => desk.inbox.map((one) => serialise(one)).join(), patience).toContain('dinner')
})
