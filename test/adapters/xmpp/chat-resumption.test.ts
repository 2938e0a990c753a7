/** Chats through streams whose gateway goes away and comes back: nothing is lost, nothing comes twice. */
import { expect, test } from 'vitest'
import { idOfPartner } from '../../../src/core/conversation/conversations.ts'
import { openWorld, type TestGateway } from '../../support/world.ts'
import { openStreamServer, RawClient, type StreamServer } from './stream-server.ts'

const ns = 'urn:xmpp:sm:3'
const patience = { timeout: 30_000 }

/** A program that manages its stream as XEP-0198 says. */
class Program {
  readonly got: string[] = []
  readonly #unacknowledged: string[] = []
  #client: RawClient | undefined
  #id = ''
  #handled = 0

  /** With its login: a new app password each time is the same account, but not the same login. */
  async begin(server: StreamServer): Promise<void> {
    this.#client = await RawClient.bound(server, 'desk')
    this.#client.say(`<enable xmlns='${ns}' resume='true'/>`)
    this.#id = /id='([^']*)'/.exec(await this.#client.until(/<enabled [^>]*>/))![1]!
    this.say('<presence/>')
  }

  async goOn(server: StreamServer, login: { readonly user: string; readonly password: string }): Promise<void> {
    this.#client = await RawClient.plain(server)
    await this.#client.begin()
    await this.#client.login(login)
    this.#client.say(`<resume xmlns='${ns}' previd='${this.#id}' h='${this.#handled}'/>`)
    const resumed = await this.#client.until(/<resumed [^>]*>|<\/failed>/)
    expect(resumed).toContain('<resumed ')
    this.#taken(Number(/h='(\d+)'/.exec(resumed)![1]))
    for (const text of this.#unacknowledged) this.#client.say(text)
  }

  #said = 0
  #taken(h: number): void {
    this.#unacknowledged.splice(0, h - this.#said)
    this.#said = h
  }

  say(text: string): void {
    this.#unacknowledged.push(text)
    this.#client!.say(text)
  }

  /** Reads whole stanzas of what came, and acknowledges them. */
  read(): void {
    const heard = this.#client!.heard
    for (const [stanza] of heard.slice(this.#read).matchAll(/<(message|presence|iq)\b(?:[^>]*\/>|.*?<\/\1>)/gs)) {
      this.#handled += 1
      const body = /<body>([^<]*)<\/body>/.exec(stanza)?.[1]
      if (body !== undefined) this.got.push(body)
      this.#read = heard.indexOf(stanza, this.#read) + stanza.length
    }
  }
  #read = 0

  acknowledge(): void {
    this.#client!.say(`<a xmlns='${ns}' h='${this.#handled}'/>`)
  }

  lose(): void {
    this.read()
    this.#client!.socket.destroy()
    this.#read = 0
  }
}

test(
  'through losses of the connection and starts of the gateway every message is said once and comes once',
  { timeout: 120_000 },
  async () => {
    await using world = await openWorld()
    let alice = await world.gateway('alice')
    const bob = await world.gateway('bob')
    await world.introduce(alice, bob)
    await expect
      .poll(() => alice.knowledge.contacts.byIdentity(alice.account, bob.account)?.state, patience)
      .toBe('active')
    const say = async (text: string) =>
      await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text }] })
    const conversationOf = (whose: TestGateway, other: TestGateway) =>
      whose.knowledge.conversations.page(
        whose.account,
        idOfPartner(whose.account, { kind: 'direct', peer: other.account }),
        { limit: 1000 },
      )
    const saidByAlice = () =>
      conversationOf(bob, alice)
        .filter(({ author }) => author === alice.account)
        .map(({ text }) => text)

    let server = await openStreamServer(alice)
    const login = { user: server.user, password: server.password }
    const program = new Program()
    await program.begin(server)
    const [toAlice, toBob]: [string[], string[]] = [[], []]
    for (let round = 0; round < 8; round += 1) {
      for (let index = 0; index < 10; index += 1) {
        const name = `${round}-${index}`
        toAlice.push(name)
        await say(name)
        toBob.push(name)
        program.say(
          `<message to='${bob.address}' type='chat' id='m-${name}'><body>${name}</body><origin-id xmlns='urn:xmpp:sid:0' id='m-${name}'/></message>`,
        )
        program.read()
        if (index === 4) program.acknowledge()
      }
      program.lose()
      if (round % 2 === 1) {
        await server.xmpp[Symbol.asyncDispose]()
        await alice.stop()
        const name = `${round}-away`
        toAlice.push(name)
        await say(name)
        alice = await world.gateway('alice')
        server = await openStreamServer(alice)
      }
      await program.goOn(server, login)
    }
    // whatever is still under way comes once the two gateways talk
    program.say(`<message to='${bob.address}' type='chat' id='m-end'><body>end</body></message>`)
    toBob.push('end')
    const here = () => conversationOf(alice, bob).filter(({ author }) => author === bob.account)
    await expect.poll(() => here().length, patience).toBe(toAlice.length)
    const got = () => {
      program.read()
      return program.got.toSorted()
    }
    await expect.poll(got, patience).toEqual(toAlice.toSorted())
    await expect
      .poll(() => saidByAlice().toSorted((a = '', b = '') => (a < b ? -1 : 1)), patience)
      .toEqual(toBob.toSorted((a, b) => (a < b ? -1 : 1)))
    // nothing comes after
    program.acknowledge()
    await say('last')
    await expect.poll(got, patience).toContain('last')
    expect(got()).toHaveLength(toAlice.length + 1)
    program.lose()
    await server.xmpp[Symbol.asyncDispose]()
  },
)

test('a process that ends right after a message was kept: what was said before that message counts as said, so it is kept too', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await expect
    .poll(() => alice.knowledge.contacts.byIdentity(alice.account, bob.account)?.state, patience)
    .toBe('active')
  await using server = await openStreamServer(alice)
  using client = await RawClient.bound(server, 'desk')
  client.say(`<enable xmlns='${ns}' resume='true'/>`)
  const id = /id='([^']*)'/.exec(await client.until(/<enabled [^>]*>/))![1]!
  client.say(
    `<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence><priority>5</priority></presence><message to='${bob.address}' type='chat' id='said'><body>said</body></message>`,
  )
  const chat = idOfPartner(alice.account, { kind: 'direct', peer: bob.account })
  await expect
    .poll(() => alice.knowledge.conversations.page(alice.account, chat, { limit: 10 }), patience)
    .toHaveLength(1)
  // the old process is left as it stands: it hears and says nothing more
  await using again = await openStreamServer(alice)
  const [restored] = again.xmpp.server.hub.of(alice.account)
  using after = await RawClient.plain(again)
  await after.begin()
  await after.login(server)
  after.say(`<resume xmlns='${ns}' previd='${id}' h='0'/>`)
  expect(await after.until(/<resumed [^>]*>|<\/failed>/)).toContain("h='3'")
  expect(restored!.state).toMatchObject({ carbons: true, priority: 5, presence: { name: 'presence' } })
})

test('a program that was given nothing yet when the gateway ended gets the first message too, once it resumes', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await expect
    .poll(() => alice.knowledge.contacts.byIdentity(alice.account, bob.account)?.state, patience)
    .toBe('active')
  const before = await openStreamServer(alice)
  using client = await RawClient.bound(before, 'desk')
  client.say(`<enable xmlns='${ns}' resume='true'/>`)
  const id = /id='([^']*)'/.exec(await client.until(/<enabled [^>]*>/))![1]!
  client.say(`<presence/><r xmlns='${ns}'/>`)
  await client.until(/<a [^>]*>/)
  await before.xmpp[Symbol.asyncDispose]()
  await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text: 'first' }] })
  const chat = idOfPartner(alice.account, { kind: 'direct', peer: bob.account })
  await expect
    .poll(() => alice.knowledge.conversations.page(alice.account, chat, { limit: 10 }), patience)
    .toHaveLength(1)
  await using again = await openStreamServer(alice)
  using after = await RawClient.plain(again)
  await after.begin()
  await after.login(before)
  after.say(`<resume xmlns='${ns}' previd='${id}' h='0'/>`)
  await after.until('<resumed ')
  expect(await after.until('<body>first</body>')).toContain("type='chat'")
})
