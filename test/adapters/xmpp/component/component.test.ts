/** The component against a server that a test plays: what a bad one can do, what is taken apart, and what a crash leaves. */
import { createHash } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { type Component, openComponent } from '../../../../src/adapters/xmpp/component/component.ts'
import { escapeLocal } from '../../../../src/adapters/xmpp/jid.ts'
import { silentLog, systemClock, systemRandom } from '../../../../src/core/ambient.ts'
import { idOfPartner } from '../../../../src/core/conversation/conversations.ts'
import { openStages, type Stage } from '../harness.ts'

const patience = { timeout: 25_000 }
const domain = 'myc.example.test'
const secret = 'shared'
const user = 'romeo@example.test'

interface PlayedServer extends AsyncDisposable {
  readonly port: number
  /** Connections so far. */
  readonly connections: number
  /** All that the component said on the latest connection. */
  readonly heard: string
  /** Answers questions whether it is there; true at first. */
  isAnswering: boolean
  say(xml: string | Uint8Array): void
  drop(): void
}

/** @param greeting what it says once the component is let in */
async function playServer(greeting = ''): Promise<PlayedServer> {
  let current: Socket | undefined
  let heard = ''
  let connections = 0
  const played = {
    isAnswering: true,
    get port() {
      return (server.address() as AddressInfo).port
    },
    get connections() {
      return connections
    },
    get heard() {
      return heard
    },
    say: (xml: string | Uint8Array) => void current?.write(xml),
    drop: () => void current?.destroy(),
    async [Symbol.asyncDispose]() {
      current?.destroy()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  const server = createServer((socket) => {
    current = socket
    connections += 1
    heard = ''
    let isIn = false
    let answered = 0
    socket.on('error', () => {}).setEncoding('utf8')
    socket.on('data', (text: string) => {
      heard += text
      if (heard.includes('<stream:stream') && !isIn && !heard.includes('<handshake'))
        socket.write(
          `<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='${domain}'>`,
        )
      const digest = /<handshake>([\da-f]+)<\/handshake>/.exec(heard)?.[1]
      if (digest !== undefined && !isIn) {
        if (digest !== createHash('sha1').update(`s1${secret}`).digest('hex')) {
          socket.end(
            `<stream:error><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
          )
          return
        }
        isIn = true
        socket.write(`<handshake/>${greeting}`)
      }
      const asked = [...heard.matchAll(/<iq type='get' from='[^']*' to='([^']*)' id='([^']*)'><ping /g)]
      for (const [, to, id] of asked.slice(answered))
        if (played.isAnswering) {
          answered += 1
          socket.write(`<iq type='result' from='${to}' to='${domain}' id='${id}'/>`)
        }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return played
}

const attach = async (alice: Stage, port: number, given = secret): Promise<Component> =>
  await openComponent(
    {
      host: '127.0.0.1',
      port,
      domain,
      users: new Map([
        [user, 'alice'],
        ['nobody@example.test', 'not-an-account'],
        ['no jid', 'alice'],
      ]),
      secret: async () => await Promise.resolve(given),
    },
    alice.server,
    { clock: systemClock, random: systemRandom, log: silentLog },
  )

const texts = (whose: Stage, other: Stage): readonly (string | undefined)[] =>
  whose.gateway.knowledge.conversations
    .page(whose.gateway.account, idOfPartner(whose.gateway.account, { kind: 'direct', peer: other.gateway.account }), {
      limit: 100,
    })
    .map(({ text }) => text)

const says = async (from: Stage, to: Stage, text: string) =>
  await from.gateway.node.delivery.chats.say(from.gateway.account, to.gateway.account, {
    parts: [{ kind: 'text', text }],
  })

const message = (to: string, id: string, body: string, from = `${user}/orchard`): string =>
  `<message from='${from}' to='${to}' type='chat' id='${id}'><body>${body}</body></message>`

test('a wrong secret gives no connection and harms nothing', async () => {
  await using stages = await openStages()
  await using server = await playServer()
  await using component = await attach(stages.of('alice'), server.port, 'wrong')
  await expect.poll(() => server.connections, patience).toBeGreaterThan(1)
  expect(component.isConnected).toBe(false)
})

test('letters that come in two pieces stay whole; an empty domain, a stranger and a false grant change nothing', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  await using server = await playServer()
  await using component = await attach(alice, server.port)
  await expect.poll(() => component.isConnected, patience).toBe(true)
  const there = `${escapeLocal(bob.jid)}@${domain}`
  for (const stanza of [
    message(domain, 'm1', 'to nobody'),
    message(`%@${domain}`, 'm2', 'to nobody'),
    message(there, 'm3', 'of a stranger', 'mercutio@example.test/street'),
    message('other.example', 'm4', 'of another domain'),
    '<message><body>from nobody</body></message>',
    `<iq from='${user}/orchard' to='${there}' type='get'/>`,
    `<iq from='${user}/orchard' to='${domain}' type='get' id='q1'/>`,
    `<iq from='${user}/orchard' to='${domain}' type='result' id='q2'/>`,
    `<presence from='mercutio@example.test/street' to='${there}' type='subscribe'/>`,
    // of a user, not of their server
    `<message from='${user}' to='${domain}'><privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both'/><perm access='message' type='outgoing'/></privilege></message>`,
    `<whatever xmlns='urn:x'/>`,
  ])
    server.say(stanza)
  const whole = Buffer.from(message(there, 'm5', 'grüße 💐'))
  for (const byte of whole) server.say(Uint8Array.of(byte))
  await expect.poll(() => texts(bob, alice), patience).toEqual(['grüße 💐'])
  await says(alice, bob, 'said elsewhere')
  await expect.poll(() => texts(bob, alice).length, patience).toBe(2)
  await says(bob, alice, 'last')
  await expect.poll(() => server.heard, patience).toContain('<body>last</body>')
  expect(server.heard).not.toContain('said elsewhere')
  expect(server.heard).not.toContain('jabber:iq:roster')
  expect(server.heard).toContain("type='error' id='m3'")
  expect(server.heard.match(/registration-required/g)).toHaveLength(1)
  expect(server.heard).toContain("type='unsubscribed'")
  expect(server.connections).toBe(1)
})

test('what is no XML, or has no end, ends that connection only', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  await using server = await playServer()
  await using component = await attach(alice, server.port)
  for (const [index, bad] of ['<a></b>', '<!DOCTYPE x>', `<message>${'x'.repeat(600_000)}`, '<?php ?>'].entries()) {
    await expect.poll(() => component.isConnected && server.connections === index + 1, patience).toBe(true)
    server.say(bad)
  }
  await expect.poll(() => component.isConnected && server.connections === 5, patience).toBe(true)
  server.say(message(`${escapeLocal(bob.jid)}@${domain}`, 'm1', 'still here'))
  await expect.poll(() => texts(bob, alice), patience).toEqual(['still here'])
})

test('what the server has not confirmed comes again with the same id, and nothing else does', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  await using server = await playServer()
  const component = await attach(alice, server.port)
  await expect.poll(() => server.heard, patience).toContain('<ping ')
  await says(bob, alice, 'confirmed')
  await expect.poll(() => server.heard, patience).toMatch(/<body>confirmed<\/body>.*<ping /)
  server.isAnswering = false
  await says(bob, alice, 'not confirmed')
  await expect.poll(() => server.heard, patience).toContain('<body>not confirmed</body>')
  const idOf = () => /<message type='chat' id='([^']+)'[^>]*><body>not confirmed/.exec(server.heard)?.[1]
  const before = idOf()
  expect(before).toMatch(/^[\da-f]{64}$/)
  server.isAnswering = true
  server.drop()
  await expect.poll(() => server.connections, patience).toBe(2)
  await expect.poll(() => server.heard, patience).toMatch(/<body>not confirmed<\/body>.*<ping /)
  expect(idOf()).toBe(before)
  expect(server.heard).not.toContain('<body>confirmed</body>')
  await component[Symbol.asyncDispose]()
  await using again = await attach(alice, server.port)
  await expect.poll(() => again.isConnected && server.connections === 3, patience).toBe(true)
  await says(bob, alice, 'new')
  await expect.poll(() => server.heard, patience).toContain('<body>new</body>')
  expect(server.heard).not.toContain('confirmed</body>')
})

test('a call passes between a user of the server and a program at another gateway', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  await using server = await playServer()
  await using component = await attach(alice, server.port)
  await expect.poll(() => component.isConnected, patience).toBe(true)
  const tablet = bob.bind('tablet')
  const there = `${escapeLocal(bob.jid)}@${domain}`
  server.say(
    `<message from='${user}/orchard' to='${there}' type='chat' id='c1'><propose xmlns='urn:xmpp:jingle-message:0' id='call1'/></message>`,
  )
  const calls = () => tablet.inbox.filter(({ name }) => name === 'message')
  await expect.poll(() => calls().length, patience).toBe(1)
  const caller = calls()[0]!.attrs.from!
  await tablet.send({
    name: 'message',
    ns: 'jabber:client',
    attrs: { to: caller, type: 'chat' },
    children: [{ name: 'proceed', ns: 'urn:xmpp:jingle-message:0', attrs: { id: 'call1' }, children: [] }],
  })
  await expect.poll(() => server.heard, patience).toContain('<proceed ')
  const callee = /<message[^>]* from='([^']+)'[^>]*><proceed /.exec(server.heard)![1]!
  expect(callee.startsWith(`${there}/`)).toBe(true)
  server.say(
    `<iq from='${user}/orchard' to='${callee}' type='set' id='j1'><jingle xmlns='urn:xmpp:jingle:1' action='session-initiate' sid='call1'/></iq>`,
  )
  await expect.poll(() => tablet.inbox.some(({ name }) => name === 'iq'), patience).toBe(true)
  const offer = tablet.inbox.find(({ name }) => name === 'iq')!
  await tablet.send({
    name: 'iq',
    ns: 'jabber:client',
    attrs: { to: caller, type: 'result', id: offer.attrs.id! },
    children: [],
  })
  await expect.poll(() => server.heard, patience).toContain("<iq id='j1' type='result'")
  // and the other way round
  await tablet.send({
    name: 'iq',
    ns: 'jabber:client',
    attrs: { to: caller, type: 'set', id: 'j2' },
    children: [
      { name: 'jingle', ns: 'urn:xmpp:jingle:1', attrs: { action: 'session-accept', sid: 'call1' }, children: [] },
    ],
  })
  await expect.poll(() => server.heard, patience).toContain("action='session-accept'")
  server.say(`<iq from='${user}/orchard' to='${callee}' type='result' id='j2'/>`)
  await expect
    .poll(() => tablet.inbox.some(({ attrs }) => attrs.id === 'j2' && attrs.type === 'result'), patience)
    .toBe(true)
})
