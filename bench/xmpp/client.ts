/**
 * A program that is logged in, with stream management and carbons: as little of one as can be, so that the server is
 * what is measured. It looks for the few tags that matter and reads nothing else.
 */
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { Scram } from './scram.ts'

/** Where a server listens, and for whom. */
export interface Place {
  readonly port: number
  readonly isTls: boolean
}

export interface User {
  readonly name: string
  readonly password: string
}

export const domain = 'localhost'
/** Messages between two questions whether the server has them, as slixmpp does it. */
const askedEvery = 5
const loginMsMax = 60_000

/** Stanzas at the top of a stream, a body's beginning, and the words of stream management. */
const tags =
  /<(?:(message|presence|iq)[ >]|body>(\d+) |(a) (?:[^>]* )?h=['"](\d+)|(r) [^>]*urn:xmpp:sm:3|(stream:error|failed)[ >])/g

export class Client implements Disposable {
  readonly user: User
  readonly #socket: Socket
  /** What came and was not looked at. */
  #heard = ''
  #wake: (() => void) | undefined
  #isBound = false
  #received = 0
  #sent = 0
  /** Messages that the server has acknowledged. */
  acknowledged = 0
  onNumber: (number: number) => void = () => {}
  onFailure: (what: string) => void = () => {}

  private constructor(socket: Socket, user: User) {
    this.#socket = socket
    this.user = user
    socket.setEncoding('latin1')
    socket.setNoDelay(true)
    socket.on('data', (text: string) => this.#hear(text))
    socket.on('error', () => socket.destroy())
    socket.on('close', () => {
      this.onFailure('closed')
      this.#wake?.()
    })
  }

  /** Logged in by SCRAM-SHA-1, bound, with carbons, stream management and its first presence. */
  static async logIn({ port, isTls }: Place, user: User, resource: string): Promise<Client> {
    const socket = isTls
      ? connectTls({
          port,
          host: '127.0.0.1',
          servername: domain,
          rejectUnauthorized: false,
          ALPNProtocols: ['xmpp-client'],
        })
      : connect(port, '127.0.0.1')
    const client = new Client(socket, user)
    await client.#begin(resource)
    return client
  }

  async #begin(resource: string): Promise<void> {
    const { name, password } = this.user
    const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`
    this.say(header)
    await this.#until(/<\/stream:features>/)
    const scram = new Scram(name, password)
    const sasl = 'urn:ietf:params:xml:ns:xmpp-sasl'
    this.say(`<auth xmlns='${sasl}' mechanism='SCRAM-SHA-1'>${scram.first()}</auth>`)
    const [, challenge] = await this.#until(/<challenge[^>]*>([^<]+)<\/challenge>/)
    this.say(`<response xmlns='${sasl}'>${scram.answer(challenge!)}</response>`)
    await this.#until(/<success/)
    this.say(header)
    await this.#until(/<\/stream:features>/)
    this.say(
      `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
    )
    await this.#until(/<jid>[^<]*<\/jid><\/bind><\/iq>/)
    this.say("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    await this.#until(/<enabled[^>]*>/)
    this.#isBound = true
    const rest = this.#heard
    this.#heard = ''
    this.#hear(rest)
    this.say(
      "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq><iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>",
    )
  }

  say(text: string): void {
    this.#socket.write(text)
  }

  /** @param octets of the body */
  sendMessage(to: User, number: number, octets: number): void {
    const id = `bench-message-${number}`
    this.say(
      `<message to='${to.name}@${domain}' type='chat' id='${id}'><body>${`${number} `.padEnd(octets, 'm')}</body><origin-id xmlns='urn:xmpp:sid:0' id='${id}'/></message>`,
    )
    this.#sent += 1
    if (this.#sent % askedEvery === 0) this.ask()
  }

  /** Has the server what was sent? */
  ask(): void {
    this.say("<r xmlns='urn:xmpp:sm:3'/>")
  }

  #hear(text: string): void {
    this.#heard += text
    if (!this.#isBound) {
      this.#wake?.()
      return
    }
    const end = this.#heard.lastIndexOf('>') + 1
    const whole = this.#heard.slice(0, end)
    this.#heard = this.#heard.slice(end)
    for (const [tag, stanza, number, isAnswer, h, isQuestion] of whole.matchAll(tags)) {
      if (stanza !== undefined) this.#received += 1
      else if (number !== undefined) this.onNumber(Number(number))
      else if (isAnswer !== undefined) this.acknowledged = Number(h)
      else if (isQuestion !== undefined) this.say(`<a xmlns='urn:xmpp:sm:3' h='${this.#received}'/>`)
      else this.onFailure(tag)
    }
  }

  async #until(expected: RegExp): Promise<RegExpExecArray> {
    const deadline = performance.now() + loginMsMax
    for (;;) {
      const found = expected.exec(this.#heard)
      if (found !== null) {
        this.#heard = this.#heard.slice(found.index + found[0].length)
        return found
      }
      if (this.#socket.destroyed || performance.now() > deadline || /<failure|<stream:error/.test(this.#heard))
        throw new Error(`${this.user.name} could not log in: ${this.#heard.slice(0, 300)}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, loginMsMax)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** In good order: nothing of it is kept for a return. */
  [Symbol.dispose](): void {
    this.onFailure = () => {}
    this.#socket.end('</stream:stream>')
  }
}
