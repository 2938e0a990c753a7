/** Gateways of the test world with their Matrix servers, over real HTTP on loopback, and programs that have logged in. */
import { expect } from 'vitest'
import { type HttpListener, openHttp } from '../../../src/adapters/http/adapter.ts'
import { type Matrix, openMatrix } from '../../../src/adapters/matrix/adapter.ts'
import type { ExternalService } from '../../../src/adapters/wire/external-service.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { DisposedTogether } from '../../../src/core/disposal.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const httpServices = {
  listeners: () => ({ overlay: [] }),
  authorityPem: () => '',
  isHealthy: () => true,
  metrics: () => [],
  metricsToken: 'none',
}

const turn: ExternalService = {
  type: 'turn',
  host: 'turn.example',
  port: 3478,
  transport: 'udp',
  username: '',
  secret: () => Buffer.from('shared'),
}

/** Whatever JSON a server answers: tests say what they expect of it. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Answer = any

export interface Answered {
  readonly status: number
  readonly body: Answer
  readonly headers: Headers
}

export class Server implements AsyncDisposable {
  readonly gateway: TestGateway
  readonly #matrix: Matrix
  readonly #http: HttpListener
  readonly #owned: AsyncDisposable

  private constructor(gateway: TestGateway, matrix: Matrix, http: HttpListener, owned: AsyncDisposable) {
    this.gateway = gateway
    this.#matrix = matrix
    this.#http = http
    this.#owned = owned
  }

  static async open(gateway: TestGateway): Promise<Server> {
    const { knowledge, node } = gateway
    const { store, logins, accounts, contacts, people, conversations, groupBook } = knowledge
    const { chats, groups, files, signals, callSignals, profiles, uploads } = node.delivery
    const fronts = new DisposedTogether()
    const known = { store, logins, accounts, contacts, people, conversations, groupBook }
    const served = { chats, groups, files, signals, callSignals, profiles, uploads, domain: 'localhost' }
    const ofCalls = { externalServices: [turn], hostCandidates: false }
    const matrix = fronts.use(await openMatrix({ ...known, ...served, ...ofCalls }, ambient))
    const http = fronts.use(
      await openHttp({
        name: 'http',
        host: '127.0.0.1',
        port: 0,
        hostnames: [],
        services: httpServices,
        routes: matrix.routes,
        log: silentLog,
      }),
    )
    return new Server(gateway, matrix, http, fronts)
  }

  get port(): number {
    return this.#http.address.port
  }

  get routes(): Matrix['routes'] {
    return this.#matrix.routes
  }

  async ask(
    method: string,
    path: string,
    {
      body,
      token,
      headers = {},
    }: { body?: unknown; token?: string | undefined; headers?: Record<string, string> } = {},
  ): Promise<Answered> {
    const whole = path.startsWith('/_matrix') || path.startsWith('/.') ? path : `/_matrix/client/v3${path}`
    const answer = await fetch(`http://127.0.0.1:${this.port}${whole}`, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true
    return { status: answer.status, body: isJson ? JSON.parse(text) : text, headers: answer.headers }
  }

  /** @param account the first of the gateway by default */
  async logIn(account: Identity = this.gateway.account): Promise<Program> {
    const { password } = await this.gateway.knowledge.logins.create(account, `matrix ${Math.random()}`)
    return await this.logInWith(password, account)
  }

  async logInWith(password: string, account: Identity = this.gateway.account): Promise<Program> {
    const { accounts } = this.gateway.knowledge
    const { status, body } = await this.ask('POST', '/login', {
      body: {
        type: 'm.login.password',
        identifier: { type: 'm.id.user', user: accounts.get(account).localName },
        password,
      },
    })
    expect(status).toBe(200)
    return new Program(this, body, password)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned[Symbol.asyncDispose]()
  }
}

/** A program that is logged in; what is not answered with 200 is an error, unless it is asked for by `refused`. */
export class Program {
  readonly server: Server
  readonly user: string
  readonly device: string
  readonly token: string
  readonly password: string
  since: string | undefined
  #transactions = 0

  constructor(server: Server, login: Answer, password: string) {
    this.server = server
    this.user = login.user_id
    this.device = login.device_id
    this.token = login.access_token
    this.password = password
  }

  async call(method: string, path: string, body?: unknown): Promise<Answer> {
    const answered = await this.server.ask(method, path, { token: this.token, body })
    if (answered.status !== 200)
      throw new Error(`${method} ${path}: ${answered.status} ${JSON.stringify(answered.body)}`)
    return answered.body
  }

  get = (path: string): Promise<Answer> => this.call('GET', path)
  post = (path: string, body: unknown = {}): Promise<Answer> => this.call('POST', path, body)
  put = (path: string, body: unknown = {}): Promise<Answer> => this.call('PUT', path, body)

  /** @returns status and errcode */
  async refused(method: string, path: string, body?: unknown): Promise<string> {
    const answered = await this.server.ask(method, path, { token: this.token, body })
    return `${answered.status} ${answered.body.errcode}`
  }

  /** What is new since the last one. */
  async sync(parameters: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const query = new URLSearchParams({ ...(this.since === undefined ? {} : { since: this.since }), ...parameters })
    const answer = await this.get(`/sync?${query.toString()}`)
    this.since = answer.next_batch
    return answer
  }

  /** Syncs until an answer has it. */
  async until<T>(find: (answer: Answer) => T | undefined): Promise<T> {
    const deadline = performance.now() + 20_000
    for (;;) {
      const found = find(await this.sync({ timeout: '1000' }))
      if (found !== undefined) return found
      if (performance.now() > deadline) throw new Error('nothing of that came')
    }
  }

  async send(room: string, content: unknown, type = 'm.room.message'): Promise<string> {
    const { event_id: id } = await this.put(`/rooms/${room}/send/${type}/${this.#transaction()}`, content)
    return id
  }

  say = (room: string, body: string, more: object = {}): Promise<string> =>
    this.send(room, { msgtype: 'm.text', body, ...more })

  async redact(room: string, event: string): Promise<string> {
    const { event_id: id } = await this.put(`/rooms/${room}/redact/${encodeURIComponent(event)}/${this.#transaction()}`)
    return id
  }

  /** Its chat with somebody. */
  async chatWith(user: string): Promise<string> {
    const { room_id: room } = await this.post('/createRoom', {
      is_direct: true,
      preset: 'trusted_private_chat',
      invite: [user],
    })
    return room
  }

  /** The next event of a timeline that is like this. */
  async event(find: (event: Answer, room: string) => boolean): Promise<Answer> {
    return await this.until((answer) => {
      for (const [room, { timeline }] of Object.entries<Answer>(answer.rooms?.join ?? {}))
        for (const event of timeline.events) if (find(event, room)) return event
      return undefined
    })
  }

  /** Words of a room, the latest last, as who opens it sees them. */
  async words(room: string): Promise<readonly string[]> {
    const { chunk } = await this.get(`/rooms/${room}/messages?dir=b&limit=100`)
    return chunk
      .filter((event: Answer) => event.type === 'm.room.message' && event.content.msgtype !== 'm.notice')
      .filter((event: Answer) => event.content['m.relates_to']?.rel_type !== 'm.replace')
      .map(
        (event: Answer) =>
          event.unsigned?.['m.relations']?.['m.replace']?.content['m.new_content'].body ?? event.content.body,
      )
      .toReversed()
  }

  #transaction(): string {
    this.#transactions += 1
    return `t${this.#transactions}`
  }
}

export interface Stages extends AsyncDisposable {
  readonly world: World
  of(name: string): Server
}

/** Gateways of which everybody is everybody's contact. */
export async function openStages(names: readonly string[] = ['alice', 'bob']): Promise<Stages> {
  await using scope = new AsyncDisposableStack()
  const world = scope.use(await openWorld())
  const servers = new Map<string, Server>()
  for (const name of names) servers.set(name, scope.use(await Server.open(await world.gateway(name))))
  const all = [...servers.values()].map(({ gateway }) => gateway)
  for (const [index, one] of all.entries())
    for (const other of all.slice(index + 1)) {
      await world.introduce(one, other)
      await expect.poll(() => isContact(one, other) && isContact(other, one), { timeout: 20_000 }).toBe(true)
    }
  const owned = scope.move()
  return {
    world,
    of(name) {
      const server = servers.get(name)
      if (server === undefined) throw new TypeError(`nobody is called ${name}`)
      return server
    },
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** And connected, so that what is said for the moment comes too. */
const isContact = ({ knowledge, node, account }: TestGateway, other: TestGateway): boolean =>
  knowledge.contacts.byIdentity(account, other.account)?.state === 'active' &&
  node.delivery.courierOf(account, other.account)?.state === 'connected'
