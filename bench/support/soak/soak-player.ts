/** One mail program of the soak: does what people do, in random order, and compares every answer with the model. */
import { below, type Random } from '../seeded.ts'
import { mailOf, numberIn, tokenOf } from './soak-mail.ts'
import type { AccountModel, Entry, MailboxModel } from './soak-model.ts'
import { type Cached, expand, type SoakSession, Wrong } from './soak-session.ts'
import type { SoakSubmitter } from './soak-submitter.ts'

export interface PlayerOptions {
  readonly index: number
  readonly account: AccountModel
  readonly accounts: readonly AccountModel[]
  readonly random: Random
  readonly messagesMax: number
  readonly nextNumber: () => number
  readonly openSession: () => Promise<SoakSession>
  readonly submitter: SoakSubmitter
}

const systemFlags = ['\\Seen', '\\Flagged', '\\Answered', '\\Draft']

export class SoakPlayer {
  readonly #options: PlayerOptions
  #session: SoakSession
  actions = 0

  constructor(options: PlayerOptions, session: SoakSession) {
    this.#options = options
    this.#session = session
  }

  get account(): AccountModel {
    return this.#options.account
  }
  get #random(): Random {
    return this.#options.random
  }
  get #here(): MailboxModel {
    return this.account.mailbox(this.#session.selected!)
  }

  async start(): Promise<void> {
    await this.#session.select('INBOX')
  }
  async stop(): Promise<void> {
    await this.#session.close()
  }

  /** One thing that a person would do. @throws Wrong when an answer is not what it must be */
  async act(): Promise<void> {
    this.actions += 1
    const full = this.account.size > this.#options.messagesMax
    const chosen = below(this.#random, 100)
    if (chosen < 12) await (full ? this.#expunge() : this.#append())
    else if (chosen < 18) await (full ? this.#expunge() : this.#deliver())
    else if (chosen < 34) await this.#store()
    else if (chosen < 42) await this.#move()
    else if (chosen < 45) await (full ? this.#expunge() : this.#copy())
    else if (chosen < 52) await this.#expunge()
    else if (chosen < 62) await this.#read()
    else if (chosen < 68) await this.#flags()
    else if (chosen < 76) await this.#search()
    else if (chosen < 82) await this.#status()
    else if (chosen < 88) await this.#session.idle(20 + below(this.#random, 200))
    else if (chosen < 96) await this.#session.select(this.account.other('', this.#random).name)
    else await this.#reconnect()
    await this.#compare()
  }

  /** Everything that did not change meanwhile must be seen as it is; nobody else acts while this is `exact`. */
  async #compare(): Promise<void> {
    const askedAt = this.account.now
    await this.#session.run('NOOP')
    this.#recognise()
    const { known } = this.#session
    const here = this.#here
    for (const entry of here.entries.values()) {
      if (!this.account.isStable(entry, askedAt)) continue
      const seen = known.get(entry.uid)
      if (seen === undefined) throw new Wrong(`${here.name}: UID ${entry.uid} (mail ${entry.number}) is not shown`)
      if (seen.number !== entry.number) throw new Wrong(`UID ${entry.uid} is mail ${seen.number}, not ${entry.number}`)
      if (seen.flags !== undefined) this.#sameFlags(entry, seen.flags, 'view')
    }
    for (const uid of known.keys()) {
      const goneAt = here.gone.get(uid)
      if (goneAt !== undefined && goneAt <= askedAt) throw new Wrong(`UID ${uid} is shown after its removal`)
    }
  }

  /** The same with nobody acting: nothing may be there that the model has not. */
  async settle(): Promise<void> {
    for (const mailbox of this.account.mailboxes) {
      await this.#session.select(mailbox.name)
      await this.#compare()
      await this.#status()
      if (this.#session.uids.length !== mailbox.entries.size) {
        throw new Wrong(`${mailbox.name} shows ${this.#session.uids.length} messages, not ${mailbox.entries.size}`)
      }
    }
  }

  #sameFlags(entry: Entry, flags: ReadonlySet<string>, where: string): void {
    const [is, must] = [[...flags].toSorted().join(' '), [...entry.flags].toSorted().join(' ')]
    if (is !== must) throw new Wrong(`${where}: UID ${entry.uid} has (${is}), not (${must})`)
  }

  /** Mail that has arrived belongs to whoever sees it first. */
  #recognise(): void {
    const account = this.account
    if (this.#session.selected !== 'INBOX') return
    for (const { uid, number, flags } of this.#session.known.values()) {
      if (number === undefined || this.#here.entries.has(uid) || this.#here.gone.has(uid)) continue
      if (!account.travelling.has(number)) continue
      if (account.arrived.has(number)) {
        if (this.#here.pending === 0) throw new Wrong(`mail ${number} is shown twice`)
        continue
      }
      account.arrived.add(number)
      account.add(this.#here, { uid, number, owner: this.#options.index, flags: flags ?? new Set() })
    }
  }

  /** Up to `count` messages of ours that this session sees. */
  #own(count: number): readonly Entry[] {
    const own = [...this.#here.entries.values()].filter(
      ({ owner, pending, uid }) => owner === this.#options.index && pending === 0 && this.#session.known.has(uid),
    )
    const from = below(this.#random, Math.max(1, own.length - count))
    return own.slice(from, from + 1 + below(this.#random, count))
  }

  async #append(): Promise<void> {
    const account = this.account
    const target = account.other('', this.#random)
    const number = this.#options.nextNumber()
    const text = mailOf(number, { from: account.address, to: account.address })
    const flags = this.#someFlags()
    account.begin([target])
    const lines = await this.#session.run(`APPEND ${target.name} (${flags.join(' ')}) {${text.length}+}\r\n${text}`)
    const uid = Number(/\[APPENDUID \d+ (\d+)\]/.exec(lines.join('\n'))?.[1])
    if (Number.isNaN(uid)) throw new Wrong('APPEND without APPENDUID')
    if (target.entries.has(uid) || target.gone.has(uid)) throw new Wrong(`UID ${uid} was given out twice`)
    account.add(target, { uid, number, owner: this.#options.index, flags: new Set(flags) })
    account.end([target])
  }

  /** From this account to any other of the gateway, by SMTP. */
  async #deliver(): Promise<void> {
    const { accounts, nextNumber, submitter } = this.#options
    const to = accounts[below(this.#random, accounts.length)]!
    if (to.size > this.#options.messagesMax) return
    const number = nextNumber()
    const travelling = { isAcknowledged: false }
    to.travelling.set(number, travelling)
    const inbox = to.mailbox('INBOX')
    to.begin([inbox])
    await submitter.send({ from: this.account.address, to: to.address, number })
    travelling.isAcknowledged = true
    to.end([inbox])
  }

  async #store(): Promise<void> {
    const entries = this.#own(5)
    if (entries.length === 0) return
    const flags = this.#someFlags()
    const mode = ['+', '-', ''][below(this.#random, 3)]!
    const silent = this.#random() < 0.3 ? '.SILENT' : ''
    this.account.begin([this.#here], entries)
    await this.#session.run(`UID STORE ${setOf(entries)} ${mode}FLAGS${silent} (${flags.join(' ')})`)
    for (const entry of entries) {
      entry.flags = changed(entry.flags, mode, flags)
      const known = this.#session.known.get(entry.uid)
      if (known !== undefined && silent !== '') known.flags = entry.flags
    }
    this.account.end([this.#here], entries)
  }

  async #move(): Promise<void> {
    await this.#transfer('MOVE')
  }
  async #copy(): Promise<void> {
    await this.#transfer('COPY')
  }
  async #transfer(verb: 'MOVE' | 'COPY'): Promise<void> {
    const entries = this.#own(4)
    if (entries.length === 0) return
    const here = this.#here
    const target = this.account.other(here.name, this.#random)
    this.account.begin([here, target], entries)
    const lines = await this.#session.run(`UID ${verb} ${setOf(entries)} ${target.name}`)
    const pairs = /\[COPYUID \d+ (\S+) (\S+)\]/.exec(lines.join('\n'))
    if (pairs === null) throw new Wrong(`${verb} without COPYUID`)
    const [from, to] = [[...expand(pairs[1]!)], [...expand(pairs[2]!)]]
    if (from.length !== entries.length) throw new Wrong(`${verb} of ${entries.length} messages took ${from.length}`)
    for (const [at, uid] of from.entries()) {
      const { number, owner, flags } = here.entries.get(uid)!
      this.account.add(target, { uid: to[at]!, number, owner, flags })
      if (verb === 'MOVE') this.account.remove(here, uid)
    }
    this.account.end([here, target], entries)
  }

  async #expunge(): Promise<void> {
    const entries = this.#own(8)
    if (entries.length === 0) return
    const here = this.#here
    this.account.begin([here], entries)
    await this.#session.run(`UID STORE ${setOf(entries)} +FLAGS.SILENT (\\Deleted)`)
    await this.#session.run(`UID EXPUNGE ${setOf(entries)}`)
    for (const { uid } of entries) this.account.remove(here, uid)
    this.account.end([here], entries)
  }

  /** Any message, its own or not: every byte. */
  async #read(): Promise<void> {
    const entries = [...this.#here.entries.values()].filter(({ uid }) => this.#session.known.has(uid))
    const entry = entries[below(this.#random, Math.max(1, entries.length))]
    if (entry === undefined) return
    const askedAt = this.account.now
    const lines = await this.#session.run(`UID FETCH ${entry.uid} (BODY.PEEK[])`, /^NO \[EXPUNGEISSUED\]/)
    const answer = lines.find((line) => line.includes(`UID ${entry.uid} `) && line.includes('BODY[]'))
    if (answer === undefined) {
      if (this.account.isStable(entry, askedAt)) throw new Wrong(`UID ${entry.uid} cannot be read`)
      return
    }
    if (numberIn(answer) !== entry.number) throw new Wrong(`UID ${entry.uid} reads as mail ${numberIn(answer)}`)
    const body = bodyOf(mailOf(entry.number, { from: '', to: '' }))
    if (!answer.includes(`\r\n\r\n${body}`)) throw new Wrong(`mail ${entry.number} has other bytes`)
  }

  async #flags(): Promise<void> {
    const askedAt = this.account.now
    const here = this.#here
    if (this.#session.uids.length === 0) return
    await this.#session.run('UID FETCH 1:* (FLAGS)', /^NO \[EXPUNGEISSUED\]/)
    for (const { uid, flags } of this.#session.known.values()) {
      const entry = here.entries.get(uid)
      if (entry !== undefined && flags !== undefined && this.account.isStable(entry, askedAt)) {
        this.#sameFlags(entry, flags, 'FETCH')
      }
    }
  }

  async #search(): Promise<void> {
    const here = this.#here
    const any = [...here.entries.values()][below(this.#random, Math.max(1, here.entries.size))]
    const number = any?.number ?? 1
    const questions: readonly (readonly [string, (entry: Entry) => boolean])[] = [
      [`TEXT ${tokenOf(number)}`, (entry) => entry.number === number],
      [
        `BODY ${tokenOf(number).slice(0, -2)}`,
        (entry) => tokenOf(entry.number).startsWith(tokenOf(number).slice(0, -2)),
      ],
      [`SUBJECT "of ${number % 10}"`, (entry) => entry.number % 10 === number % 10],
      ['SEEN UNFLAGGED', ({ flags }) => flags.has('\\Seen') && !flags.has('\\Flagged')],
      [
        `OR ANSWERED KEYWORD work${number % 3}`,
        ({ flags }) => flags.has('\\Answered') || flags.has(`work${number % 3}`),
      ],
    ]
    const [query, holds] = questions[below(this.#random, questions.length)]!
    const askedAt = this.account.now
    // A search looks at what its client had been told of when it asked: what the answer brings is not among it.
    const told = new Set(this.#session.known.keys())
    const byUid = this.#random() < 0.5
    const lines = await this.#session.run(`${byUid ? 'UID ' : ''}SEARCH ${query}`)
    const numbers =
      lines
        .find((line) => line.startsWith('* SEARCH'))
        ?.split(' ')
        .slice(2)
        .map(Number) ?? []
    const found = new Set(byUid ? numbers : numbers.map((seq) => this.#session.uids[seq - 1]!))
    for (const entry of here.entries.values()) {
      if (!this.account.isStable(entry, askedAt) || !told.has(entry.uid)) continue
      if (found.has(entry.uid) !== holds(entry)) {
        const again = await this.#session.run(`UID FETCH ${entry.uid} (FLAGS MODSEQ)`)
        const asked = `${byUid ? 'UID ' : ''}SEARCH ${query}: ${lines.join('; ').slice(0, 2000)}`
        const wanted = `UID ${entry.uid}, mail ${entry.number} (${[...entry.flags].join(' ')}) of ${entry.owner}`
        throw new Wrong(`${asked}; ${wanted}, found: ${found.has(entry.uid)}; now ${again.join('; ')}`)
      }
    }
  }

  async #status(): Promise<void> {
    const mailbox = this.account.other('', this.#random)
    const askedAt = this.account.now
    const asked = { messages: mailbox.entries.size, unseen: 0, deleted: 0 }
    for (const { flags } of mailbox.entries.values()) {
      if (!flags.has('\\Seen')) asked.unseen += 1
      if (flags.has('\\Deleted')) asked.deleted += 1
    }
    const isWaiting = this.#isWaiting()
    const lines = await this.#session.run(`STATUS ${mailbox.name} (MESSAGES UNSEEN DELETED)`)
    if (!this.account.isStable(mailbox, askedAt) || (mailbox.name === 'INBOX' && isWaiting)) return
    const answer = lines.find((line) => line.startsWith('* STATUS')) ?? ''
    for (const [name, count] of Object.entries(asked)) {
      const told = Number(new RegExp(`${name} (\\d+)`, 'i').exec(answer)?.[1])
      if (told !== count) throw new Wrong(`STATUS ${mailbox.name}: ${name} ${told}, not ${count}`)
    }
  }

  /** Mail was sent to INBOX that nobody has seen there yet. */
  #isWaiting(): boolean {
    return this.account.arrived.size < this.account.travelling.size
  }

  async #reconnect(): Promise<void> {
    const cached: Cached | undefined = this.#session.cached
    await this.#session.close()
    this.#session = await this.#options.openSession()
    await this.#session.select(cached?.mailbox ?? 'INBOX', cached)
  }

  #someFlags(): readonly string[] {
    const flags = systemFlags.filter(() => this.#random() < 0.3)
    return this.#random() < 0.3 ? [...flags, `work${below(this.#random, 3)}`] : flags
  }
}

const setOf = (entries: readonly Entry[]): string => entries.map(({ uid }) => uid).join(',')
const bodyOf = (mail: string): string => mail.slice(mail.indexOf('\r\n\r\n') + 4)

function changed(before: ReadonlySet<string>, mode: string, flags: readonly string[]): ReadonlySet<string> {
  if (mode === '+') return new Set([...before, ...flags])
  if (mode === '-') return new Set([...before].filter((flag) => !flags.includes(flag)))
  return new Set(flags)
}
