/** XMPP servers on loopback over a gateway of the test world, and a client that speaks XML by hand. */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { openXmpp, type Xmpp } from '../../../src/adapters/xmpp/adapter.ts'
import type { XmppServices } from '../../../src/adapters/xmpp/services.ts'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { TestGateway } from '../../support/world.ts'
import { fileUrlsOf } from './file-urls.ts'
import { selfSigned } from '../wire/certificate.ts'

export const testAmbient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }

export interface StreamServer extends AsyncDisposable {
  readonly xmpp: Xmpp
  readonly port: number
  readonly tlsPort: number
  readonly cert: string
  /** App password of the account. */
  readonly password: string
  readonly user: string
}

export function servicesOf(whose: TestGateway, tls: XmppServices['tls']): XmppServices {
  const { knowledge, node } = whose
  const { store, logins, accounts, contacts, people, conversations, groupBook } = knowledge
  const { chats, groups, files, signals, callSignals, profiles } = node.delivery
  const known = { store, logins, accounts, contacts, people, conversations, groupBook }
  const uploads = fileUrlsOf(whose, testAmbient)
  const served = { chats, groups, files, signals, callSignals, profiles, uploads }
  return {
    ...known,
    ...served,
    externalServices: [],
    hostCandidates: false,
    openRoomsFirst: false,
    operations: () => {
      throw new TypeError('no commands here')
    },
    tls,
    domain: 'localhost',
  }
}

export async function openStreamServer(whose: TestGateway, ambient: Ambient = testAmbient): Promise<StreamServer> {
  const material = await selfSigned()
  const at = { host: '127.0.0.1', port: 0 }
  const xmpp = await openXmpp(
    { xmpp: at, xmpps: at },
    servicesOf(whose, () => material),
    ambient,
  )
  const name = `test ${systemRandom.bytes(4).join('')}`
  const { password } = await whose.knowledge.logins.create(whose.account, name)
  return {
    xmpp,
    port: xmpp.listeners.xmpp!.port,
    tlsPort: xmpp.listeners.xmpps!.port,
    cert: material.cert,
    password,
    user: whose.knowledge.accounts.get(whose.account).localName,
    [Symbol.asyncDispose]: async () => await xmpp[Symbol.asyncDispose](),
  }
}

export const header = (to = 'localhost'): string =>
  `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${to}' version='1.0'>`

/** A client that knows no XML: it sends text and waits for text. */
export class RawClient implements Disposable {
  #socket: Socket | TLSSocket
  readonly #cert: string | undefined
  #heard = ''
  #isClosed = false
  #wake: (() => void) | undefined

  private constructor(socket: Socket | TLSSocket, cert: string | undefined) {
    this.#cert = cert
    this.#socket = socket
    this.#follow(socket)
  }

  static async plain({ port, cert }: { readonly port: number; readonly cert: string }): Promise<RawClient> {
    const socket = connectTcp(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new RawClient(socket, cert)
  }

  /** Logged in and bound, over a plain connection on this machine. */
  static async bound(server: StreamServer, resource: string): Promise<RawClient> {
    const client = await RawClient.plain(server)
    await client.begin()
    await client.login(server)
    await client.bind(resource)
    return client
  }

  static async direct(server: StreamServer, protocols: readonly string[] = ['xmpp-client']): Promise<RawClient> {
    const options = { port: server.tlsPort, host: '127.0.0.1', ca: server.cert, ALPNProtocols: [...protocols] }
    const socket = connectTls({ ...options, servername: 'localhost' })
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
    return new RawClient(socket, server.cert)
  }

  get socket(): Socket | TLSSocket {
    return this.#socket
  }
  get heard(): string {
    return this.#heard
  }

  #follow(socket: Socket | TLSSocket): void {
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      this.#heard += text
      this.#wake?.()
    })
    socket.on('error', () => socket.destroy())
    for (const event of ['end', 'close'] as const)
      socket.on(event, () => {
        this.#isClosed = true
        this.#wake?.()
      })
  }

  say(text: string | Uint8Array): void {
    this.#socket.write(text)
  }

  /** All that came up to and with the text; what came after it stays. */
  async until(expected: string | RegExp): Promise<string> {
    return await this.#wait(() => {
      const found =
        typeof expected === 'string'
          ? { index: this.#heard.indexOf(expected), length: expected.length }
          : (({ index = -1, 0: text = '' }) => ({ index, length: text.length }))(
              (expected.exec(this.#heard) as { index?: number; 0?: string } | null) ?? {},
            )
      if (found.index < 0) return undefined
      const text = this.#heard.slice(0, found.index + found.length)
      this.#heard = this.#heard.slice(found.index + found.length)
      return text
    }, String(expected))
  }

  /** All that came until the server closed. */
  async end(): Promise<string> {
    return await this.#wait(() => (this.#isClosed ? this.#heard : undefined), 'the end', true)
  }

  async #wait(look: () => string | undefined, what: string, isEndFine = false): Promise<string> {
    const deadline = Date.now() + 20_000
    for (;;) {
      const found = look()
      if (found !== undefined) return found
      if (this.#isClosed && !isEndFine) throw new Error(`closed while waiting for ${what}; heard ${this.#heard}`)
      if (Date.now() > deadline) throw new Error(`waited for ${what}; heard ${this.#heard}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 1000)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  async startTls(): Promise<void> {
    this.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await this.until("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    this.#socket.removeAllListeners()
    this.#socket = connectTls({ socket: this.#socket, ca: this.#cert!, servername: 'localhost' })
    const secure = this.#socket as TLSSocket
    await new Promise<void>((resolve, reject) => secure.once('secureConnect', resolve).once('error', reject))
    this.#heard = ''
    this.#follow(secure)
  }

  /** Begins a stream and waits for what the server offers. */
  async begin(to?: string): Promise<string> {
    this.say(header(to))
    return await this.until('</stream:features>')
  }

  /** PLAIN, and the stream after it. */
  async login({ user, password }: { readonly user: string; readonly password: string }): Promise<string> {
    this.say(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${Buffer.from(`\0${user}\0${password}`).toString('base64')}</auth>`,
    )
    await this.until('<success xmlns=')
    await this.until('>')
    return await this.begin()
  }

  /** @returns the full JID */
  async bind(resource?: string): Promise<string> {
    const wanted = resource === undefined ? '' : `<resource>${resource}</resource>`
    this.say(`<iq id='b' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>${wanted}</bind></iq>`)
    const answer = await this.until('</iq>')
    return /<jid>([^<]*)<\/jid>/.exec(answer)![1]!
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}
