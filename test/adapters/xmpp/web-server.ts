/** XMPP over the real HTTP and HTTPS listeners of a gateway of the test world, on loopback. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { WebSocket } from 'ws'
import { type HttpListener, openHttp } from '../../../src/adapters/http/adapter.ts'
import { openXmpp, type Xmpp } from '../../../src/adapters/xmpp/adapter.ts'
import type { ExternalService } from '../../../src/adapters/wire/external-service.ts'
import type { FileUrls } from '../../../src/adapters/xmpp/uploads/file-urls.ts'
import { openXmppWeb, type XmppWeb } from '../../../src/adapters/xmpp/web/adapter.ts'
import { type Ambient, silentLog } from '../../../src/core/ambient.ts'
import { DisposedTogether } from '../../../src/core/disposal.ts'
import type { TestGateway } from '../../support/world.ts'
import { selfSigned } from '../wire/certificate.ts'
import { fileUrlsOf } from './file-urls.ts'
import { servicesOf, testAmbient } from './stream-server.ts'

export interface WebServer extends AsyncDisposable {
  readonly xmpp: Xmpp
  readonly web: XmppWeb
  readonly fileUrls: FileUrls
  readonly http: HttpListener
  readonly https: HttpListener
  readonly cert: string
  readonly user: string
  /** App password of the account. */
  readonly password: string
}

export interface WebServerOptions {
  readonly origins?: readonly string[]
  readonly ambient?: Ambient
  readonly externalServices?: readonly ExternalService[]
}

const httpServices = {
  listeners: () => ({ overlay: [] }),
  authorityPem: () => '',
  isHealthy: () => true,
  metrics: () => [],
  metricsToken: 'none',
}

export async function openWebServer(whose: TestGateway, options: WebServerOptions = {}): Promise<WebServer> {
  const { origins = [], ambient = testAmbient, externalServices = [] } = options
  await using parts = new AsyncDisposableStack()
  const pair = await selfSigned()
  const material = () => pair
  const fileUrls = fileUrlsOf(whose, ambient, () => `localhost:${https.address.port}`)
  const services = { ...servicesOf(whose, material), uploads: fileUrls, externalServices }
  const xmpp = parts.use(await openXmpp({}, services, ambient))
  const web = openXmppWeb({ serve: xmpp.serve.bind(xmpp), fileUrls, origins }, ambient)
  const common = {
    host: '127.0.0.1',
    port: 0,
    hostnames: [],
    services: httpServices,
    routes: web.routes,
    log: silentLog,
  }
  const fronts = new DisposedTogether()
  fronts.use(web)
  const http = fronts.use(await openHttp({ ...common, name: 'http' }))
  const https: HttpListener = fronts.use(await openHttp({ ...common, name: 'https', material }))
  const { password } = await whose.knowledge.logins.create(whose.account, `web ${Math.random()}`)
  parts.use(fronts)
  const owned = parts.move()
  return {
    xmpp,
    web,
    fileUrls,
    http,
    https,
    cert: pair.cert,
    user: whose.knowledge.accounts.get(whose.account).localName,
    password,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: Buffer
}

export interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | number>>
  readonly tls?: boolean
  readonly body?: string | Uint8Array
  readonly signal?: AbortSignal
}

/** One HTTP request on a connection of its own. */
export async function ask(server: WebServer, path: string, options: Asking = {}): Promise<Answered> {
  const { method = 'GET', headers = {}, tls = false, body, signal } = options
  const { port } = (tls ? server.https : server.http).address
  return await new Promise((resolve, reject) => {
    const shared = {
      host: '127.0.0.1',
      port,
      path,
      method,
      headers: { host: `localhost:${port}`, ...headers },
      agent: false as const,
      ...(signal === undefined ? {} : { signal }),
    }
    const made = tls ? httpsRequest({ ...shared, ca: server.cert, servername: 'localhost' }) : httpRequest(shared)
    made.on('error', reject)
    made.on('response', (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(pieces) }),
      )
    })
    made.end(body)
  })
}

export const plainOf = ({ user, password }: Pick<WebServer, 'user' | 'password'>): string =>
  Buffer.from(`\0${user}\0${password}`).toString('base64')

/** A WebSocket that is spoken to by hand. */
export class RawWebSocket implements Disposable {
  readonly socket: WebSocket
  readonly #heard: string[] = []
  #closed: number | undefined
  #wake: (() => void) | undefined

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer) => {
      this.#heard.push(data.toString())
      this.#wake?.()
    })
    socket.on('close', (code) => {
      this.#closed = code
      this.#wake?.()
    })
    socket.on('error', () => {})
  }

  static async open(
    server: WebServer,
    {
      tls = false,
      headers = {},
      protocols = ['xmpp'],
      path = '/xmpp-websocket',
    }: {
      readonly tls?: boolean
      readonly headers?: Readonly<Record<string, string>>
      readonly protocols?: readonly string[]
      readonly path?: string
    } = {},
  ): Promise<RawWebSocket> {
    const { port } = (tls ? server.https : server.http).address
    const url = `${tls ? 'wss' : 'ws'}://localhost:${port}${path}`
    const socket = new WebSocket(url, [...protocols], { headers, ca: server.cert })
    const made = new RawWebSocket(socket)
    await new Promise<void>((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return made
  }

  say(text: string): void {
    this.socket.send(text)
  }

  /** The next message. */
  async next(): Promise<string> {
    await this.#until(() => this.#heard.length > 0 || this.#closed !== undefined)
    const message = this.#heard.shift()
    if (message === undefined) throw new Error(`closed with ${this.#closed}`)
    return message
  }

  /** The code with which it was closed, and what was said before. */
  async end(): Promise<{ readonly code: number; readonly heard: readonly string[] }> {
    await this.#until(() => this.#closed !== undefined)
    return { code: this.#closed!, heard: this.#heard }
  }

  async #until(isDone: () => boolean): Promise<void> {
    const deadline = Date.now() + 20_000
    while (!isDone()) {
      if (Date.now() > deadline) throw new Error(`waited; heard ${this.#heard.join('\n')}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 500)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  static readonly opening = "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='localhost' version='1.0'/>"

  /** Begins a stream. @returns the features */
  async begin(): Promise<string> {
    this.say(RawWebSocket.opening)
    await this.next()
    return await this.next()
  }

  async authenticate(server: WebServer): Promise<void> {
    await this.begin()
    this.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${plainOf(server)}</auth>`)
    await this.next()
    await this.begin()
  }

  /** @returns the full JID */
  async login(server: WebServer, resource = 'web'): Promise<string> {
    await this.authenticate(server)
    this.say(
      `<iq xmlns='jabber:client' id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
    )
    return /<jid>([^<]*)<\/jid>/.exec(await this.next())![1]!
  }

  [Symbol.dispose](): void {
    this.socket.terminate()
  }
}
