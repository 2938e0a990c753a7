/** One IMAP connection as a careful client keeps it: its own numbering and flags, built from what the server says, each answer held against the rules. */
import { Client } from '../../../test/adapters/imap/client.ts'
import { numberIn } from './soak-mail.ts'

export interface Known {
  readonly uid: number
  flags: ReadonlySet<string> | undefined
  number: number | undefined
}

export interface Cached {
  readonly mailbox: string
  readonly uidValidity: number
  readonly modSeq: number
  readonly known: ReadonlyMap<number, Known>
}

/** The server broke a rule of the protocol, or said something untrue. */
export class Wrong extends Error {}

export class SoakSession {
  readonly #client: Client
  readonly #knowsQresync: boolean
  selected: string | undefined
  uidValidity = 0
  modSeqAtSelect = 0
  /** UID by sequence number; 0 where the server has not said it yet. */
  #view: number[] = []
  #known = new Map<number, Known>()

  private constructor(client: Client, knowsQresync: boolean) {
    this.#client = client
    this.#knowsQresync = knowsQresync
  }

  static async open(port: number, login: { user: string; password: string }, qresync: boolean): Promise<SoakSession> {
    const client = await Client.connect(port)
    await client.line()
    await client.ok(`LOGIN ${login.user} ${login.password}`)
    if (qresync) await client.ok('ENABLE QRESYNC')
    return new SoakSession(client, qresync)
  }

  get known(): ReadonlyMap<number, Known> {
    return this.#known
  }
  get uids(): readonly number[] {
    return this.#view
  }
  get cached(): Cached | undefined {
    if (this.selected === undefined || !this.#knowsQresync) return undefined
    return {
      mailbox: this.selected,
      uidValidity: this.uidValidity,
      modSeq: this.modSeqAtSelect,
      known: new Map([...this.#known].map(([uid, known]) => [uid, { ...known }])),
    }
  }

  /** With `cached`, only the differences are asked for (RFC 7162). */
  async select(mailbox: string, cached?: Cached): Promise<void> {
    this.selected = mailbox
    this.#view = []
    this.#known = new Map()
    const resync = cached === undefined ? '' : ` (QRESYNC (${cached.uidValidity} ${cached.modSeq}))`
    const { lines, end } = await this.#client.run(`SELECT ${mailbox}${resync}`)
    if (!end.startsWith('OK')) throw new Wrong(`SELECT: ${end}`)
    const text = lines.join('\n')
    this.uidValidity = Number(/UIDVALIDITY (\d+)/.exec(text)?.[1])
    this.modSeqAtSelect = Number(/HIGHESTMODSEQ (\d+)/.exec(text)?.[1] ?? 0)
    if (cached === undefined) this.#take(lines, 'SELECT')
    else this.#resynchronise(lines, cached)
    await this.#learnNew()
  }

  #resynchronise(lines: readonly string[], cached: Cached): void {
    if (cached.uidValidity !== this.uidValidity) throw new Wrong('UIDVALIDITY changed')
    const known = new Map(cached.known)
    for (const line of lines) {
      const vanished = /^\* VANISHED \(EARLIER\) (\S+)$/.exec(line)
      if (vanished !== null) for (const uid of expand(vanished[1]!)) known.delete(uid)
      const fetched = /^\* \d+ FETCH \(/.test(line) ? readFetch(line) : undefined
      if (fetched !== undefined)
        known.set(fetched.uid!, { uid: fetched.uid!, flags: fetched.flags, number: known.get(fetched.uid!)?.number })
    }
    const exists = Number(lines.map((line) => /^\* (\d+) EXISTS$/.exec(line)?.[1]).find((count) => count !== undefined))
    if (exists !== known.size) throw new Wrong(`QRESYNC: ${exists} EXISTS, but ${known.size} by its differences`)
    this.#known = known
    this.#view = [...known.keys()].toSorted((a, b) => a - b)
  }

  /** Runs a command that must succeed; its lines, after the view took them in. `allowed` names codes of NO that are right too. */
  async run(command: string, allowed?: RegExp): Promise<readonly string[]> {
    const { lines, end } = await this.#client.run(command)
    const verb = command.slice(0, 40)
    this.#take(lines, verb)
    if (!end.startsWith('OK') && allowed?.test(end) !== true) throw new Wrong(`${verb}: ${end}`)
    await this.#learnNew()
    return end.startsWith('OK [') ? [...lines, end] : lines
  }

  /** Idles until something is said, at most `ms`. */
  async idle(ms: number): Promise<void> {
    this.#client.write('i1 IDLE\r\n')
    const lines: string[] = []
    const timer = setTimeout(() => this.#client.write('DONE\r\n'), ms)
    for (;;) {
      const line = await this.#client.line()
      if (line === undefined) throw new Wrong('closed while idle')
      if (line.startsWith('i1 ')) break
      if (line.startsWith('* ')) lines.push(line)
    }
    clearTimeout(timer)
    this.#take(lines, 'IDLE')
    await this.#learnNew()
  }

  async close(): Promise<void> {
    await this.#client.run('LOGOUT').catch(() => undefined)
    await this.#client[Symbol.asyncDispose]()
  }

  #take(lines: readonly string[], during: string): void {
    const holdsExpunge = /^(?:FETCH|STORE|SEARCH) /.test(during)
    for (const line of lines) {
      const event = /^\* (\d+) (EXISTS|EXPUNGE|FETCH)/.exec(line)
      const vanished = /^\* VANISHED (\d\S*)$/.exec(line)
      if ((event?.[2] === 'EXPUNGE' || vanished !== null) && holdsExpunge) throw new Wrong(`expunge during ${during}`)
      if (vanished !== null) for (const uid of expand(vanished[1]!)) this.#expunge(this.#indexOf(uid), line)
      else if (event?.[2] === 'EXISTS') this.#exists(Number(event[1]))
      else if (event?.[2] === 'EXPUNGE') this.#expunge(Number(event[1]) - 1, line)
      else if (event?.[2] === 'FETCH') this.#fetched(Number(event[1]) - 1, line)
    }
  }

  #exists(count: number): void {
    if (count < this.#view.length) throw new Wrong(`EXISTS fell from ${this.#view.length} to ${count}`)
    while (this.#view.length < count) this.#view.push(0)
  }

  #expunge(index: number, line: string): void {
    if (index < 0 || index >= this.#view.length) throw new Wrong(`${line}: of ${this.#view.length} messages`)
    const [uid] = this.#view.splice(index, 1)
    this.#known.delete(uid!)
  }

  /** A message that was counted and went before it could be asked for has its place by the UIDs around it. */
  #indexOf(uid: number): number {
    const index = this.#view.indexOf(uid)
    if (index >= 0) return index
    return this.#view.findIndex(
      (other, at) =>
        other === 0 &&
        this.#view.slice(0, at).every((before) => before < uid) &&
        this.#view.slice(at).every((after) => after === 0 || after > uid),
    )
  }

  #fetched(index: number, line: string): void {
    if (index >= this.#view.length) throw new Wrong(`FETCH of ${index + 1} of ${this.#view.length} messages`)
    const { uid, flags, number } = readFetch(line)
    const before = this.#view[index]!
    if (uid !== undefined && before !== 0 && before !== uid)
      throw new Wrong(`message ${index + 1} was UID ${before}, is ${uid}`)
    if (uid !== undefined) this.#view[index] = uid
    const at = this.#view[index]!
    if (at === 0) return
    const known = this.#known.get(at) ?? { uid: at, flags: undefined, number: undefined }
    if (number !== undefined && known.number !== undefined && known.number !== number) {
      throw new Wrong(`UID ${at} was mail ${known.number}, is ${number}`)
    }
    this.#known.set(at, { uid: at, flags: flags ?? known.flags, number: number ?? known.number })
  }

  /** Asks who the messages are that the server has only counted. */
  async #learnNew(): Promise<void> {
    const from = this.#view.findIndex((uid) => uid === 0 || this.#known.get(uid)?.number === undefined)
    if (from < 0) return
    const command = `FETCH ${from + 1}:${this.#view.length} (UID FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])`
    const { lines, end } = await this.#client.run(command)
    this.#take(lines, command)
    if (!/^OK|^NO \[EXPUNGEISSUED\]/.test(end)) throw new Wrong(`${command}: ${end}`)
    const ascending = this.#view.filter((uid) => uid > 0)
    if (ascending.some((uid, index) => index > 0 && uid <= ascending[index - 1]!)) throw new Wrong('UIDs do not ascend')
  }
}

interface Fetched {
  readonly uid: number | undefined
  readonly flags: ReadonlySet<string> | undefined
  readonly number: number | undefined
}

function readFetch(line: string): Fetched {
  const head = line.slice(0, 400)
  const uid = /[( ]UID (\d+)/.exec(head)?.[1]
  const flags = /[( ]FLAGS \(([^)]*)\)/.exec(head)?.[1]
  return {
    uid: uid === undefined ? undefined : Number(uid),
    flags:
      flags === undefined ? undefined : new Set(flags.split(' ').filter((flag) => flag !== '' && flag !== '\\Recent')),
    number: numberIn(line),
  }
}

/** `1,3:5` → each number. */
export function* expand(set: string): Generator<number> {
  for (const part of set.split(',')) {
    const [from, to] = part.split(':').map(Number)
    for (let number = from!; number <= (to ?? from!); number += 1) yield number
  }
}
