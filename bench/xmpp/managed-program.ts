/**
 * A program that manages its stream to the letter of XEP-0198: it keeps what is not acknowledged, gives a silent
 * connection up by itself, resumes and sends again exactly what the server does not have. Where it cannot resume it
 * begins anew with its resource, and reads in the archive (XEP-0313) what it has missed. It breaks over a server that
 * counts wrongly rather than make up for it.
 */
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { child, childText, clientNs, type Element, el, elements, serialise } from '../../src/adapters/xmpp/element.ts'
import { XmlReader } from '../../src/adapters/xmpp/xml-reader.ts'

const sm = 'urn:xmpp:sm:3'
const sid = 'urn:xmpp:sid:0'
const mam = 'urn:xmpp:mam:2'
const bind2 = 'urn:xmpp:bind:0'
const rsm = 'http://jabber.org/protocol/rsm'
const carbons = 'urn:xmpp:carbons:2'
const forward = 'urn:xmpp:forward:0'
const domain = 'localhost'
const header = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='${domain}' version='1.0'>`

const stanzaBytesMax = 1024 * 1024
/** How long one answer may take before a connection counts as lost, and how often it is asked for. */
const answerMsMax = 2_000
const askEveryMs = 250
/** Stanzas between two questions, as slixmpp does it. */
const askedEvery = 5
const againMs = 50
const archivePage = 200

export interface ProgramSettings {
  /** Connects; what is said before there is a connection waits. */
  readonly dial: () => Socket
  readonly user: string
  readonly password: string
  readonly resource: string
  /** It logs in, resumes and takes its resource in one go. */
  readonly isInline: boolean
}

/** A message as the program shows it to its person. */
export interface Shown {
  readonly isOwn: boolean
  readonly text: string
  /** In the archive of the account. */
  readonly archiveId: string
}

/** One connection up to its end. */
class Connection {
  readonly #socket: Socket
  #reader = new XmlReader()
  readonly #came: Element[] = []
  #wake: (() => void) | undefined
  /** Everything after the login. */
  onElement: ((element: Element) => void) | undefined
  readonly over: Promise<void>
  isOver = false

  constructor(socket: Socket) {
    this.#socket = socket
    this.#socket.on('data', (piece: Buffer) => this.#read(piece))
    this.#socket.on('error', () => this.#socket.destroy())
    this.over = new Promise((resolve) => {
      this.#socket.once('close', () => {
        this.isOver = true
        this.#wake?.()
        resolve()
      })
    })
  }

  say(text: string): void {
    this.#socket.write(text)
  }

  /** What was sent before is another stream from here on (RFC 6120 §4.3.3). */
  restart(): void {
    this.#reader = new XmlReader()
    this.say(header)
  }

  #read(piece: Buffer): void {
    this.#reader.give(piece)
    for (;;) {
      const event = this.isOver ? undefined : this.#reader.take(stanzaBytesMax)
      if (event === undefined) return
      if (event.kind === 'end') this.abandon()
      if (event.kind !== 'stanza') continue
      if (this.onElement === undefined) this.#came.push(event.element)
      else this.onElement(event.element)
      this.#wake?.()
    }
  }

  /** The next element. @throws when it is not one of these, or does not come */
  async next(...names: readonly string[]): Promise<Element> {
    const deadline = performance.now() + answerMsMax
    for (;;) {
      const element = this.#came.shift()
      if (element !== undefined) {
        if (names.includes(element.name)) return element
        throw new Error(`${names.join(' or ')} expected, not ${serialise(element)}`)
      }
      const leftMs = deadline - performance.now()
      if (this.isOver || leftMs <= 0) throw new Error(`no ${names.join(' or ')}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }

  /** From now on everything goes there, what has come already first. */
  listen(onElement: (element: Element) => void): void {
    this.onElement = onElement
    for (const element of this.#came.splice(0)) onElement(element)
  }

  /** Without a word: the server may go on believing in it. */
  abandon(): void {
    this.isOver = true
    this.#socket.destroy()
  }
}

export class ManagedProgram implements AsyncDisposable {
  readonly #settings: ProgramSettings
  readonly #bare: string
  #connection: Connection | undefined
  readonly #stop = Promise.withResolvers<void>()
  #isStopping = false
  #running: Promise<void> = Promise.resolve()
  #back = Promise.withResolvers<void>()

  /** Of the stream, while there is one to resume. */
  #streamId: string | undefined
  /** Stanzas from the server, and of ours those that it has. */
  #received = 0
  #acknowledged = 0
  /** In order: those after them. */
  #unacknowledged: string[] = []
  #repeated: string[] = []
  #askedAtMs: number | undefined
  #sinceAsked = 0
  #isForgetful = false

  /** What came while the archive was being read, and what was found there. */
  #meanwhile: Shown[] | undefined
  #found = new Set<string>()
  #foundLast: string | undefined
  #queries = 0
  #lastArchiveId: string | undefined

  readonly shown: Shown[] = []
  /** Own messages that came to the program that had said them. */
  readonly echoes: string[] = []
  /** What no server may say or do. */
  readonly faults: string[] = []
  resumed = 0
  /** Streams that were to be resumed and were not. */
  refused = 0
  begun = 0

  private constructor(settings: ProgramSettings) {
    this.#settings = settings
    this.#bare = `${settings.user}@${domain}`
  }

  /** Logged in, there, and with what the archive holds. It stays there until it is disposed of. */
  static async start(settings: ProgramSettings): Promise<ManagedProgram> {
    const program = new ManagedProgram(settings)
    program.#running = program.#run()
    await program.#back.promise
    return program
  }

  get resource(): string {
    return this.#settings.resource
  }
  /** Stanzas that the server may not have. */
  get waiting(): number {
    return this.#unacknowledged.length
  }
  /** It has a stream, and has read what it had missed. */
  get isUpToDate(): boolean {
    return this.#connection !== undefined && this.#meanwhile === undefined
  }

  /** Sent now or as soon as there is a stream. */
  say(xml: string): void {
    this.#unacknowledged.push(xml)
    if (this.#connection === undefined) return
    this.#connection.say(xml)
    this.#sinceAsked += 1
    if (this.#sinceAsked >= askedEvery) this.#ask(this.#connection)
  }

  /** When it has lost its connection it knows nothing of its stream, and takes its resource anew. */
  forget(): void {
    this.#isForgetful = true
  }

  /** Once it has noticed that its connection is lost, and has another one. */
  async nextReturn(): Promise<void> {
    await this.#back.promise
  }
  expectLoss(): void {
    this.#back = Promise.withResolvers()
  }

  async #run(): Promise<void> {
    while (!this.#isStopping) {
      const connection = new Connection(this.#settings.dial())
      try {
        await this.#enter(connection)
        this.#back.resolve()
        await this.#watch(connection)
      } catch (error) {
        // a login that a cut has met is tried again
        if (!/^no |expected, not/.test((error as Error).message)) this.#fault(String(error))
      }
      this.#connection = undefined
      connection.abandon()
      await sleep(againMs)
    }
  }

  #fault(what: string): void {
    this.faults.push(`${this.#bare}/${this.resource}: ${what}`)
  }

  /** Until it is over, or gives no sign of life. */
  async #watch(connection: Connection): Promise<void> {
    while (!connection.isOver && !this.#isStopping) {
      await Promise.race([connection.over, sleep(askEveryMs), this.#stop.promise])
      const askedAtMs = this.#askedAtMs
      if (askedAtMs === undefined) this.#ask(connection)
      else if (performance.now() - askedAtMs > answerMsMax) return
    }
  }

  #ask(connection: Connection): void {
    this.#sinceAsked = 0
    this.#askedAtMs ??= performance.now()
    connection.say(`<r xmlns='${sm}'/>`)
  }

  async #enter(connection: Connection): Promise<void> {
    connection.say(header)
    await connection.next('features')
    if (this.#isForgetful) this.#streamId = undefined
    await (this.#settings.isInline ? this.#enterInline(connection) : this.#enterStepwise(connection))
  }

  get #plain(): string {
    const { user, password } = this.#settings
    return Buffer.from(`\0${user}\0${password}`).toString('base64')
  }

  /** RFC 6120 §6 and §7, with stream management by itself. */
  async #enterStepwise(connection: Connection): Promise<void> {
    connection.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${this.#plain}</auth>`)
    await connection.next('success')
    connection.restart()
    await connection.next('features')
    if (this.#streamId !== undefined) {
      connection.say(this.#resumption(this.#streamId))
      if (this.#isResumed(await connection.next('resumed', 'failed'))) return this.#goOn(connection)
    }
    const bind = 'urn:ietf:params:xml:ns:xmpp-bind'
    connection.say(
      `<iq type='set' id='bind'><bind xmlns='${bind}'><resource>${this.resource}</resource></bind></iq><enable xmlns='${sm}' resume='true'/>`,
    )
    const bound = await connection.next('iq')
    const jid = childText(child(bound, `bind ${bind}`) ?? bound, `jid ${bind}`)
    if (jid !== `${this.#bare}/${this.resource}`) this.#fault(`bound as ${jid}`)
    this.#begin(connection, await connection.next('enabled'))
    this.say(`<iq type='set' id='carbons'><enable xmlns='${carbons}'/></iq>`)
    this.#comeIn()
  }

  /** All of it with the login (XEP-0388, XEP-0386). */
  async #enterInline(connection: Connection): Promise<void> {
    const resumption = this.#streamId === undefined ? '' : this.#resumption(this.#streamId)
    const wishes = `<enable xmlns='${carbons}'/><enable xmlns='${sm}' resume='true'/>`
    connection.say(
      `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>${this.#plain}</initial-response><user-agent id='${this.#bare}-${this.resource}'/><bind xmlns='${bind2}'><tag>${this.resource}</tag>${wishes}</bind>${resumption}</authenticate>`,
    )
    const success = await connection.next('success')
    await connection.next('features')
    const answer = child(success, `resumed ${sm}`) ?? child(success, `failed ${sm}`)
    if (answer !== undefined && this.#isResumed(answer)) return this.#goOn(connection)
    const bound = child(success, `bound ${bind2}`)
    this.#begin(connection, (bound && child(bound, `enabled ${sm}`)) ?? success)
    this.#comeIn()
  }

  /** XEP-0198 §5. */
  #resumption(id: string): string {
    return `<resume xmlns='${sm}' previd='${id}' h='${this.#received}'/>`
  }

  #isResumed(answer: Element): boolean {
    const { h, previd } = answer.attrs
    if (h !== undefined) this.#drop(Number(h))
    if (answer.name === 'resumed') {
      if (h === undefined || previd !== this.#streamId) this.#fault(`resumed what? ${serialise(answer)}`)
      return true
    }
    this.refused += 1
    this.#streamId = undefined
    return false
  }

  #goOn(connection: Connection): void {
    this.resumed += 1
    // before anything that came along is answered: the answer comes after these, and once
    for (const xml of this.#unacknowledged) connection.say(xml)
    this.#attach(connection)
    this.#ask(connection)
    // answers are not kept over a start of the gateway
    if (this.#meanwhile !== undefined) this.#query()
  }

  #begin(connection: Connection, enabled: Element): void {
    const { id } = enabled.attrs
    if (enabled.name !== 'enabled' || id === undefined) this.#fault(`a stream that cannot go on: ${serialise(enabled)}`)
    this.#isForgetful = false
    this.#streamId = id
    this.begun += 1
    this.#received = 0
    this.#acknowledged = 0
    // messages are repeated on the new stream; the rest was about the old one
    this.#repeated = this.#unacknowledged.filter((xml) => xml.startsWith('<message'))
    this.#unacknowledged = []
    this.#meanwhile = []
    this.#found = new Set()
    this.#foundLast = this.#lastArchiveId
    this.#attach(connection)
  }

  #comeIn(): void {
    this.say('<presence/>')
    this.#query()
    for (const xml of this.#repeated.splice(0)) this.say(xml)
  }

  #attach(connection: Connection): void {
    this.#askedAtMs = undefined
    this.#connection = connection
    connection.listen((element) => {
      if (this.#connection === connection) this.#take(element)
    })
  }

  #take(element: Element): void {
    if (element.ns === sm) {
      if (element.name === 'r') this.#connection!.say(`<a xmlns='${sm}' h='${this.#received}'/>`)
      else if (element.name === 'a') {
        this.#askedAtMs = undefined
        this.#drop(Number(element.attrs.h))
      } else this.#fault(serialise(element))
      return
    }
    if (element.ns !== clientNs) {
      // of the old one, when another took its resource (RFC 6120 §7.7.2.2)
      if (child(element, 'conflict urn:ietf:params:xml:ns:xmpp-streams') === undefined) this.#fault(serialise(element))
      return
    }
    this.#received += 1
    if (element.attrs.type === 'error') this.#fault(serialise(element))
    else if (element.name === 'message') this.#message(element)
    else if (element.name === 'iq') this.#answer(element)
  }

  /** @param h how many of ours the server has handled */
  #drop(h: number): void {
    const count = h - this.#acknowledged
    if (!(count >= 0 && count <= this.#unacknowledged.length)) {
      const range = `${this.#acknowledged}…${this.#acknowledged + this.#unacknowledged.length}`
      this.#fault(`the server has handled ${h}, which is not in ${range}`)
      return
    }
    this.#unacknowledged.splice(0, count)
    this.#acknowledged = h
  }

  #message(message: Element): void {
    const result = child(message, `result ${mam}`)
    if (result !== undefined) {
      const archiveId = result.attrs.id ?? ''
      if (this.#meanwhile === undefined || result.attrs.queryid !== this.#queryId) return
      this.#foundLast = archiveId
      const inner = forwardedIn(result)
      if (inner !== undefined) this.#fromArchive(inner, archiveId)
      return
    }
    const carbon = elements(message).find(({ ns }) => ns === carbons)
    if (carbon !== undefined && message.attrs.from !== this.#bare) this.#fault(`forged ${serialise(message)}`)
    const inner = carbon === undefined ? message : forwardedIn(carbon)
    if (inner === undefined) return
    const id = elements(inner).find(
      ({ ns, name, attrs }) => ns === sid && name === 'stanza-id' && attrs.by === this.#bare,
    )
    const shown = this.#shownOf(inner, id?.attrs.id ?? '')
    if (shown === undefined) return
    if (carbon?.name === 'sent' && shown.text.startsWith(`${this.resource} `)) this.echoes.push(shown.text)
    if (this.#meanwhile === undefined) this.#show(shown)
    else this.#meanwhile.push(shown)
  }

  #shownOf(message: Element, archiveId: string): Shown | undefined {
    const text = childText(message, 'body')?.trimEnd()
    if (text === undefined) return undefined
    return { isOwn: message.attrs.from?.split('/')[0] === this.#bare, text, archiveId }
  }

  #show(shown: Shown): void {
    this.shown.push(shown)
    if (shown.archiveId !== '') this.#lastArchiveId = shown.archiveId
  }

  #fromArchive(message: Element, archiveId: string): void {
    this.#found.add(archiveId)
    const shown = this.#shownOf(message, archiveId)
    if (shown !== undefined) this.#show(shown)
  }

  get #queryId(): string {
    return `query-${this.#queries}`
  }

  #query(): void {
    this.#queries += 1
    const after = this.#foundLast === undefined ? undefined : el(`after ${rsm}`, {}, this.#foundLast)
    const page = el(`set ${rsm}`, {}, el(`max ${rsm}`, {}, String(archivePage)), after)
    const query = el(`query ${mam}`, { queryid: this.#queryId }, page)
    this.say(serialise(el('iq', { type: 'set', id: this.#queryId }, query)))
  }

  #answer(iq: Element): void {
    const fin = child(iq, `fin ${mam}`)
    if (this.#meanwhile === undefined || iq.attrs.id !== this.#queryId || fin === undefined) return
    if (fin.attrs.complete !== 'true') {
      const last = child(fin, `set ${rsm}`)
      this.#foundLast = (last && childText(last, `last ${rsm}`)) ?? this.#foundLast
      this.#query()
      return
    }
    const meanwhile = this.#meanwhile ?? []
    this.#meanwhile = undefined
    // what is both in the archive and came by itself is one message (XEP-0313 §8)
    for (const shown of meanwhile) if (!this.#found.has(shown.archiveId)) this.#show(shown)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    this.#connection?.say('</stream:stream>')
    this.#stop.resolve()
    await this.#running
  }
}

function forwardedIn(parent: Element): Element | undefined {
  const forwarded = child(parent, `forwarded ${forward}`)
  return forwarded && child(forwarded, 'message jabber:client')
}
