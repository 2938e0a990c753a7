/** A running gateway under fuzzed dialogues: it must answer or close, stay quick for others, and keep others' mail to them. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from '../../../test/adapters/imap/client.ts'
import { Gateway } from '../../../test/interop/support/gateway-process.ts'
import { cpuMs, rssAnonMb } from '../soak/memory.ts'

/** Stands in every mail of the account that is not fuzzed. */
const secret = 'marker-7361-of-bob'
const secretMail = `From: <bob@alice.example>\r\nSubject: ${secret}\r\n\r\n${secret} body\r\n`
const closedWithinMs = 20_000
/** After it, a server that says nothing is taken to wait for more. */
const silenceMs = 150
const watchEveryMs = 50
const slowMs = 500

export class ServerTarget implements AsyncDisposable {
  readonly #gateway: Gateway
  readonly #parts = new AsyncDisposableStack()
  readonly #login: { user: string; password: string }
  readonly #bob: Client
  #isOver = false
  /** Processor time of the gateway while somebody else waited for one NOOP. */
  slowestMs = 0
  rssMax = 0
  leaked = 0
  /** Commands that were understood and done. */
  done = 0
  unanswered = 0

  readonly #said = new Set<string>()
  /** Told what was being said when somebody else had to wait too long. */
  onSlow: (said: readonly string[], ms: number) => void = () => {}

  private constructor(gateway: Gateway, login: { user: string; password: string }, bob: Client) {
    this.#gateway = gateway
    this.#login = login
    this.#bob = bob
  }

  static async open(): Promise<ServerTarget> {
    await using parts = new AsyncDisposableStack()
    const gateway = parts.use(await Gateway.create('alice'))
    await gateway.start()
    await gateway.verb('account', 'add', 'bob@alice.example')
    const { user, password } = await gateway.settings('plain')
    const bobs = await gateway.verb<{ password: string }>('password', 'add', '--account', 'bob@alice.example')
    const bob = parts.use(await Client.connect(gateway.listeners.imap.port))
    await bob.line()
    await bob.ok(`LOGIN bob ${bobs.password}`)
    for (let mail = 0; mail < 20; mail += 1) await bob.ok(`APPEND INBOX {${secretMail.length}+}\r\n${secretMail}`)
    await bob.ok('SELECT INBOX')
    const target = new ServerTarget(gateway, { user, password }, bob)
    target.#parts.use(parts.move())
    void target.#watch()
    return target
  }

  get imapLogin(): string {
    return `LOGIN ${this.#login.user} ${this.#login.password}`
  }
  get smtpLogin(): string {
    return `AUTH PLAIN ${Buffer.from(`\0${this.#login.user}\0${this.#login.password}`).toString('base64')}`
  }

  /** Says everything at once on a new connection, hangs up when the server has nothing more to say, and waits for its end. */
  async converse(protocol: 'imap' | 'smtp', said: string): Promise<string> {
    const { port } = this.#gateway.listeners[protocol]
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const closed = Promise.withResolvers<boolean>()
    const pieces: Buffer[] = []
    const hangUp = setTimeout(() => socket.end(), silenceMs)
    const giveUp = setTimeout(() => closed.resolve(false), closedWithinMs)
    socket.on('data', (piece) => {
      pieces.push(piece)
      hangUp.refresh()
    })
    socket.on('close', () => closed.resolve(true))
    socket.on('error', () => closed.resolve(true))
    socket.write(Buffer.from(said, 'latin1'))
    this.#said.add(said)
    if (!(await closed.promise)) this.unanswered += 1
    this.#said.delete(said)
    clearTimeout(hangUp)
    clearTimeout(giveUp)
    socket.destroy()
    const heard = Buffer.concat(pieces).toString('latin1')
    if (heard.includes(secret)) this.leaked += 1
    this.done += [...heard.matchAll(/^(?:f\d+ OK|2\d\d )/gm)].length
    return heard
  }

  /** @throws when the other account's mail is not as it was */
  async checkOther(): Promise<void> {
    const lines = await this.#bob.ok('UID FETCH 1:* (FLAGS BODY.PEEK[])')
    const whole = lines.filter((line) => line.includes(secretMail.slice(0, 40)) && line.includes(`${secret} body`))
    if (whole.length !== 20) throw new Error(`of bob's 20 mails ${whole.length} are there`)
  }

  /** How long somebody else waits meanwhile, and what the process holds. @throws when it has ended */
  async #watch(): Promise<void> {
    while (!this.#isOver) {
      const before = cpuMs(this.#gateway.pid)
      await this.#bob.ok('NOOP')
      const ms = cpuMs(this.#gateway.pid) - before
      if (ms > slowMs) this.onSlow([...this.#said], ms)
      this.slowestMs = Math.max(this.slowestMs, ms)
      this.rssMax = Math.max(this.rssMax, rssAnonMb(this.#gateway.pid))
      await sleep(watchEveryMs)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    await sleep(2 * watchEveryMs)
    await this.#parts.disposeAsync()
  }
}
