/**
 * The gateway attached to a real Prosody as a component: one of Prosody's users talks to contacts on the overlay, through
 * restarts of either side, and everything is there once.
 */
import { expect, test } from 'vitest'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { type Component, openComponent } from '../../src/adapters/xmpp/component/component.ts'
import { child, el, elements, serialise, textOf } from '../../src/adapters/xmpp/element.ts'
import { escapeLocal } from '../../src/adapters/xmpp/jid.ts'
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import { openStages, type Stage } from '../adapters/xmpp/harness.ts'
import { openEjabberd } from './support/ejabberd.ts'
import { requirePeer } from './support/peers.ts'
import { openProsody, type ServerWithComponent } from './support/prosody.ts'
import { tempFolder } from './support/temp-folder.ts'
import { bodiesFrom, findInside, logIn, type XmppUser } from './support/xmpp-user.ts'

const patience = { timeout: 30_000 }
const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const passwords = { romeo: 'rose', juliet: 'balcony' }

const attach = async (
  alice: Stage,
  at: ServerWithComponent,
  users: Readonly<Record<string, string>>,
): Promise<Component> =>
  await openComponent(
    {
      host: '127.0.0.1',
      port: at.componentPort,
      domain: at.componentDomain,
      users: new Map(Object.entries(users)),
      secret: async () => await Promise.resolve(at.secret),
    },
    alice.server,
    ambient,
  )

const says = async (from: Stage, to: Stage, text: string) =>
  await from.gateway.node.delivery.chats.say(from.gateway.account, to.gateway.account, {
    parts: [{ kind: 'text', text }],
  })
const heard = (whose: Stage, other: Stage): readonly (string | undefined)[] =>
  whose.gateway.knowledge.conversations
    .page(whose.gateway.account, idOfPartner(whose.gateway.account, { kind: 'direct', peer: other.gateway.account }), {
      limit: 1000,
    })
    .map(({ text }) => text)

const escaped = (stage: Stage, at: ServerWithComponent): string => `${escapeLocal(stage.jid)}@${at.componentDomain}`

/** One pixel. */
const photo = {
  base64: 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  sha1: '2732f12a8f18d27cf0fa78ef41091bfa1ccec9ce',
}

async function publishPhoto(whose: Stage): Promise<void> {
  const ns = 'vcard-temp'
  const picture = el(`PHOTO ${ns}`, {}, el(`TYPE ${ns}`, {}, 'image/png'), el(`BINVAL ${ns}`, {}, photo.base64))
  const client = whose.bind('photographer')
  await client.send(el('iq', { type: 'set', id: 'photo' }, el(`vCard ${ns}`, {}, picture)))
  client.leave()
}

async function rosterOf(user: XmppUser): Promise<readonly (readonly (string | undefined)[])[]> {
  const rosterNs = 'jabber:iq:roster'
  const answer = await user.ask(el('iq', { type: 'get' }, el(`query ${rosterNs}`)))
  return elements(child(answer, `query ${rosterNs}`)!).map(({ attrs }) => [attrs.jid, attrs.subscription])
}

/** Bodies in the archive of the user's own server, of the chat with somebody. */
async function archived(user: XmppUser, jid: string): Promise<readonly string[]> {
  const formNs = 'jabber:x:data'
  const field = (name: string, value: string) => el(`field ${formNs}`, { var: name }, el(`value ${formNs}`, {}, value))
  const form = el(`x ${formNs}`, { type: 'submit' }, field('FORM_TYPE', 'urn:xmpp:mam:2'), field('with', jid))
  const before = user.inbox.length
  await user.ask(el('iq', { type: 'set' }, el('query urn:xmpp:mam:2', {}, form)))
  const results = user.inbox.splice(before).filter((one) => child(one, 'result urn:xmpp:mam:2') !== undefined)
  return results.flatMap((one) => findInside(one, 'body')).map(textOf)
}

test(
  'with privileges: contacts are in the roster, both write, what is said elsewhere shows once, and no restart loses or doubles anything',
  { timeout: 180_000 },
  async (context) => {
    requirePeer(context, 'prosody', '/usr/lib/prosody/modules/mod_privilege')
    await using stages = await openStages()
    const [alice, bob] = [stages.of('alice'), stages.of('bob')]
    await using folder = await tempFolder('prosody')
    await using prosody = await openProsody(folder.path, passwords, { hasPrivileges: true })
    await prosody.start()
    const users = { 'romeo@example.test': 'alice' }
    let component = await attach(alice, prosody, users)
    await expect.poll(() => component.isConnected, patience).toBe(true)
    const bobThere = escaped(bob, prosody)
    const login = { port: prosody.port, domain: prosody.domain, user: 'romeo', password: passwords.romeo }
    {
      await using romeo = await logIn(login)
      await expect.poll(async () => await rosterOf(romeo), patience).toContainEqual([bobThere, 'both'])
      await romeo.ask(el('iq', { type: 'set' }, el('enable urn:xmpp:carbons:2')))
      romeo.send(el('presence'))
      // contacts are there for whoever is there
      const isShown = () =>
        romeo.inbox.some(({ name, attrs }) => name === 'presence' && attrs.from?.startsWith(bobThere))
      await expect.poll(isShown, patience).toBe(true)

      // their picture is in presence, and there for whoever asks for it in either way
      await publishPhoto(bob)
      const hasPhoto = () =>
        romeo.inbox.some(
          (one) =>
            one.attrs.from?.startsWith(bobThere) &&
            findInside(one, 'photo').some((hash) => textOf(hash) === photo.sha1),
        )
      await expect.poll(hasPhoto, patience).toBe(true)
      const vCard = await romeo.ask(el('iq', { type: 'get', to: bobThere }, el('vCard vcard-temp')))
      expect(findInside(vCard, 'BINVAL').map(textOf)).toEqual([photo.base64])
      const items = el('items http://jabber.org/protocol/pubsub', { node: 'urn:xmpp:avatar:data' })
      const data = await romeo.ask(
        el('iq', { type: 'get', to: bobThere }, el('pubsub http://jabber.org/protocol/pubsub', {}, items)),
      )
      expect(findInside(data, 'data').map(textOf)).toEqual([photo.base64])

      await says(bob, alice, 'hello over the overlay')
      await expect.poll(() => bodiesFrom(romeo, bobThere), patience).toEqual(['hello over the overlay'])
      romeo.send(el('message', { to: bobThere, type: 'chat', id: 'r1' }, el('body', {}, 'hello from Prosody')))
      await expect.poll(() => heard(bob, alice), patience).toEqual(['hello over the overlay', 'hello from Prosody'])

      // by mail or with another program
      await says(alice, bob, 'said elsewhere')
      const carbons = () =>
        romeo.inbox
          .filter((one) => child(one, 'sent urn:xmpp:carbons:2') !== undefined)
          .flatMap((one) => findInside(one, 'body').map(textOf))
      await expect.poll(carbons, patience).toEqual(['said elsewhere'])
      await says(bob, alice, 'heard')
      await expect.poll(() => bodiesFrom(romeo, bobThere), patience).toEqual(['hello over the overlay', 'heard'])
      const all = ['hello over the overlay', 'hello from Prosody', 'said elsewhere', 'heard']
      expect(heard(bob, alice)).toEqual(all)
      await expect.poll(async () => await archived(romeo, bobThere), patience).toEqual(all)

      const toNobody = el(
        'message',
        { to: `nobody@${prosody.componentDomain}`, type: 'chat', id: 'r2' },
        el('body', {}, 'x'),
      )
      romeo.send(toNobody)
      const refused = () => romeo.inbox.some(({ attrs }) => attrs.type === 'error' && attrs.id === 'r2')
      await expect.poll(refused, patience).toBe(true)
    }
    // the server is away, then the gateway is
    await prosody.stop()
    await expect.poll(() => component.isConnected, patience).toBe(false)
    for (const count of [1, 2, 3]) await says(bob, alice, `while Prosody was away ${count}`)
    await expect.poll(() => heard(alice, bob).at(-1), patience).toBe('while Prosody was away 3')
    await says(alice, bob, 'said elsewhere meanwhile')
    await prosody.start()
    await expect.poll(() => component.isConnected, patience).toBe(true)
    await component[Symbol.asyncDispose]()
    for (const count of [1, 2]) await says(bob, alice, `while the gateway was away ${count}`)
    component = await attach(alice, prosody, users)
    {
      await using romeo = await logIn(login)
      const expected = [
        'hello over the overlay',
        'hello from Prosody',
        'said elsewhere',
        'heard',
        'while Prosody was away 1',
        'while Prosody was away 2',
        'while Prosody was away 3',
        'said elsewhere meanwhile',
        'while the gateway was away 1',
        'while the gateway was away 2',
      ]
      await expect.poll(async () => await archived(romeo, bobThere), patience).toEqual(expected)
      expect(heard(bob, alice)).toEqual(expected)
    }
    await component[Symbol.asyncDispose]()
  },
)

test(
  'without privileges: a user registers with an app password, contacts ask once, and commands work',
  { timeout: 120_000 },
  async (context) => {
    requirePeer(context, 'prosody')
    await using stages = await openStages()
    const [alice, bob] = [stages.of('alice'), stages.of('bob')]
    await using folder = await tempFolder('prosody')
    await using prosody = await openProsody(folder.path, passwords, { hasPrivileges: false })
    await prosody.start()
    await using component = await attach(alice, prosody, {})
    await expect.poll(() => component.isConnected, patience).toBe(true)
    const { componentDomain: gateway } = prosody
    const bobThere = escaped(bob, prosody)
    await using juliet = await logIn({
      port: prosody.port,
      domain: prosody.domain,
      user: 'juliet',
      password: passwords.juliet,
    })
    juliet.send(el('presence'))
    const info = await juliet.ask(
      el('iq', { type: 'get', to: gateway }, el('query http://jabber.org/protocol/disco#info')),
    )
    expect(findInside(info, 'identity').map(({ attrs }) => attrs.category)).toEqual(['gateway'])

    // whoever has no account here can say nothing
    juliet.send(el('message', { to: bobThere, type: 'chat', id: 'early' }, el('body', {}, 'x')))
    const early = () => juliet.inbox.find(({ attrs }) => attrs.id === 'early')
    await expect.poll(() => early() && serialise(early()!), patience).toContain('registration-required')

    const { password } = await alice.gateway.knowledge.logins.create(alice.gateway.account, 'prosody')
    const register = async (secret: string) => {
      const ns = 'jabber:iq:register'
      const query = el(`query ${ns}`, {}, el(`username ${ns}`, {}, 'alice'), el(`password ${ns}`, {}, secret))
      return await juliet.ask(el('iq', { type: 'set', to: gateway }, query))
    }
    expect(serialise(await register('wrong'))).toContain('not-acceptable')
    expect((await register(password)).attrs.type).toBe('result')
    const asking = (jid: string) =>
      juliet.inbox.filter(({ name, attrs }) => name === 'presence' && attrs.type === 'subscribe' && attrs.from === jid)
    await expect.poll(() => asking(bobThere).length, patience).toBe(1)
    await expect.poll(() => asking(gateway).length, patience).toBe(1)
    juliet.send(el('presence', { type: 'subscribed', to: bobThere }))
    juliet.send(el('presence', { type: 'subscribe', to: bobThere }))
    await expect.poll(async () => await rosterOf(juliet), patience).toContainEqual([bobThere, 'both'])

    juliet.send(el('message', { to: bobThere, type: 'chat', id: 'j1' }, el('body', {}, 'from Juliet')))
    await expect.poll(() => heard(bob, alice).at(-1), patience).toBe('from Juliet')
    await says(bob, alice, 'to Juliet')
    await expect.poll(() => bodiesFrom(juliet, bobThere), patience).toEqual(['to Juliet'])

    const commandsNs = 'http://jabber.org/protocol/commands'
    const itemsNs = 'http://jabber.org/protocol/disco#items'
    const list = await juliet.ask(el('iq', { type: 'get', to: gateway }, el(`query ${itemsNs}`, { node: commandsNs })))
    const names = elements(child(list, `query ${itemsNs}`)!).map(({ attrs }) => attrs.name)
    expect(names).toEqual([
      'Invite somebody',
      'Accept an invitation',
      'Verify a contact',
      'Contacts',
      'Groups',
      'Settings',
    ])
    const command = el(`command ${commandsNs}`, { node: 'urn:mycelium:command:invite' })
    const invited = await juliet.ask(el('iq', { type: 'set', to: gateway }, command))
    expect(textOf(findInside(invited, 'value')[0]!)).toMatch(/^\S{50,}$/)

    const remove = el('query jabber:iq:register', {}, el('remove jabber:iq:register'))
    expect((await juliet.ask(el('iq', { type: 'set', to: gateway }, remove))).attrs.type).toBe('result')
    juliet.send(el('message', { to: bobThere, type: 'chat', id: 'late' }, el('body', {}, 'x')))
    const late = () => juliet.inbox.find(({ attrs }) => attrs.id === 'late')
    await expect.poll(() => late() && serialise(late()!), patience).toContain('registration-required')
  },
)

test(
  'attached to ejabberd, both write, and what is said elsewhere reaches the contact once',
  {
    timeout: 180_000,
  },
  async (context) => {
    requirePeer(context, 'ejabberdctl', 'erl')
    await using stages = await openStages()
    const [alice, bob] = [stages.of('alice'), stages.of('bob')]
    await using folder = await tempFolder('ejabberd')
    await using ejabberd = await openEjabberd(folder.path, passwords)
    await ejabberd.start()
    await using romeo = await untilLoggedIn({
      port: ejabberd.port,
      domain: ejabberd.domain,
      user: 'romeo',
      password: passwords.romeo,
    })
    await using component = await attach(alice, ejabberd, { 'romeo@example.test': 'alice' })
    await expect.poll(() => component.isConnected, patience).toBe(true)
    const bobThere = escaped(bob, ejabberd)
    // this version fails to set rosters for others: contacts ask instead
    romeo.send(el('presence'))
    const isAsking = () =>
      romeo.inbox.some(
        ({ name, attrs }) => name === 'presence' && attrs.type === 'subscribe' && attrs.from === bobThere,
      )
    await expect.poll(isAsking, patience).toBe(true)
    romeo.send(el('presence', { type: 'subscribed', to: bobThere }))
    romeo.send(el('presence', { type: 'subscribe', to: bobThere }))
    await expect.poll(async () => await rosterOf(romeo), patience).toContainEqual([bobThere, 'both'])
    const isShown = () => romeo.inbox.some(({ name, attrs }) => name === 'presence' && attrs.from?.startsWith(bobThere))
    await expect.poll(isShown, patience).toBe(true)
    await says(bob, alice, 'hello over the overlay')
    await expect.poll(() => bodiesFrom(romeo, bobThere), patience).toEqual(['hello over the overlay'])
    romeo.send(el('message', { to: bobThere, type: 'chat', id: 'r1' }, el('body', {}, 'hello from ejabberd')))
    await expect.poll(() => heard(bob, alice).at(-1), patience).toBe('hello from ejabberd')
    await says(alice, bob, 'said elsewhere')
    await says(bob, alice, 'heard')
    await expect.poll(() => bodiesFrom(romeo, bobThere), patience).toEqual(['hello over the overlay', 'heard'])
    const all = ['hello over the overlay', 'hello from ejabberd', 'said elsewhere', 'heard']
    expect(heard(bob, alice)).toEqual(all)
    // this version neither archives nor copies what a component says for a user (docs/limits.md)
    const kept = all.filter((text) => text !== 'said elsewhere')
    await expect.poll(async () => await archived(romeo, bobThere), patience).toEqual(kept)
  },
)

/** ejabberd makes the accounts a moment after it listens. */
async function untilLoggedIn(login: Parameters<typeof logIn>[0]): Promise<XmppUser> {
  const deadline = performance.now() + patience.timeout
  for (;;) {
    try {
      return await logIn(login)
    } catch (error) {
      if (performance.now() > deadline) throw error
    }
  }
}
