/** One client of the submission server: reads, steps, replies, and does what a step cannot (TLS, SASL, the message). */
import type { Ambient } from '../../core/ambient.ts'
import type { Login, Logins } from '../../core/account/logins.ts'
import type { Submission, Submitter } from '../../core/delivery/submission.ts'
import { hasCode, MyceliumError } from '../../core/errors.ts'
import { short } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Channel } from '../wire/channel.ts'
import { isHttpRequestLine, isTlsRecord } from '../wire/foreign.ts'
import { authenticate, type Authentication } from './authentication.ts'
import { ChunkIntake, skip } from './chunks.ts'
import { type Chunk, parseCommand } from './command.ts'
import type { SmtpCounts } from './counts.ts'
import { DottedIntake, type Intake } from './intake.ts'
import {
  challenge,
  chunkTaken,
  formatReply,
  queuedAs,
  replies,
  type Reply,
  replyForCode,
  replyForError,
} from './reply.ts'
import { newSession, type Next, type Rules, type Session, step, type Stepped, type Transaction } from './session.ts'

export interface SmtpServices {
  readonly logins: Logins
  readonly submitter: Submitter
  /** Names this server in its greeting. */
  readonly hostname: string
}

export class SmtpConnection {
  readonly #channel: Channel
  readonly #services: SmtpServices
  readonly #messageBytesMax: number
  readonly #counts: SmtpCounts
  readonly #ambient: Ambient
  readonly #loginDeadline = performance.now() + limits.smtpUnauthenticatedMs
  #session: Session = newSession
  #commands = 0
  #errors = 0
  #loginFailures = 0
  #isOpen = true
  /** What a client said where a further chunk was due: it ends the mail, and is done after. */
  #instead: Stepped | undefined
  #unwatchLogin: (() => void) | undefined

  constructor(
    channel: Channel,
    services: SmtpServices,
    { messageBytesMax, counts }: { readonly messageBytesMax: number; readonly counts: SmtpCounts },
    ambient: Ambient,
  ) {
    this.#channel = channel
    this.#services = services
    this.#messageBytesMax = messageBytesMax
    this.#counts = counts
    this.#ambient = ambient
  }

  /** Returns when either side has finished. */
  async serve(): Promise<void> {
    try {
      await this.#converse()
    } finally {
      this.#unwatchLogin?.()
    }
  }

  async #converse(): Promise<void> {
    this.#reply({ code: 220, text: `${this.#services.hostname} ESMTP mycelium-gateway` })
    if (await this.#isForeign()) {
      this.#counts.foreign += 1
      this.#channel.destroy()
      return
    }
    while (this.#isOpen) {
      const line = await this.#readLine()
      if (line === undefined) break
      if (this.#commands === 0 && isHttpRequestLine(line)) {
        this.#counts.foreign += 1
        this.#channel.destroy()
        return
      }
      this.#commands += 1
      await this.#obey(line)
      if (this.#channel.isCongested) await this.#channel.flush()
    }
    await this.#channel.end()
  }

  async #isForeign(): Promise<boolean> {
    try {
      const first = await this.#channel.reader.peek({ waitMsMax: this.#waitMsMax() })
      return first !== undefined && isTlsRecord(first)
    } catch {
      return false // the wait for the first line says the same, and answers
    }
  }

  async #obey(line: Uint8Array): Promise<void> {
    const { session, reply, next } = this.#step(line)
    if (next.do === 'start-tls' && this.#channel.reader.buffered > 0) {
      this.#lastWords(replies.pipelinedTls)
      return
    }
    await this.#follow({ session, reply, next })
    if (session.login === undefined && this.#commands > limits.smtpUnauthenticatedCommandsMax) {
      this.#lastWords(replies.tooManyErrors)
    }
  }

  async #follow({ session, reply, next }: Stepped): Promise<void> {
    this.#session = session
    if (reply !== undefined) this.#reply(reply)
    await this.#do(next)
  }

  #step(line: Uint8Array): Stepped {
    const rules: Rules = {
      hostname: this.#services.hostname,
      messageBytesMax: this.#messageBytesMax,
      nowMs: this.#ambient.clock.nowMs(),
      isSecure: this.#channel.isSecure,
      isPrivate: this.#channel.isPrivate,
      canStartTls: this.#channel.canStartTls,
      mayUse: (account, address) => this.#services.submitter.mayUse(account, address),
      recipient: (account, address) => this.#services.submitter.recipient(account, address),
    }
    try {
      return step(this.#session, parseCommand(line), rules)
    } catch (error) {
      if (!(error instanceof MyceliumError)) throw error
      return { session: this.#session, reply: replyForError(error), next: { do: 'read' } }
    }
  }

  async #do(next: Next): Promise<void> {
    switch (next.do) {
      case 'read':
        return
      case 'quit':
        this.#isOpen = false
        return
      case 'start-tls':
        await this.#channel.startTls()
        return
      case 'auth':
        await this.#logIn(next)
        return
      case 'data': {
        const intake = new DottedIntake(this.#channel.reader, this.#messageBytesMax)
        await this.#receive(next.login, next.transaction, intake)
        return
      }
      case 'chunk':
        await this.#receiveChunks(next)
        return
      case 'discard':
        await this.#discard(next.octets, next.reply)
    }
  }

  /** The next line; `undefined` when there will be none, after saying why. Lines that are too long are answered here. */
  async #readLine(): Promise<Uint8Array | undefined> {
    for (;;) {
      try {
        return await this.#channel.reader.line({
          octetsMax: limits.smtpLineOctetsMax,
          waitMsMax: this.#waitMsMax(),
        })
      } catch (error) {
        const answer = await this.#afterBadLine(error)
        if (answer === 'stop') return undefined
      }
    }
  }

  async #afterBadLine(error: unknown): Promise<'stop' | 'again'> {
    if (!hasCode(error, 'line-too-long')) {
      // A line that another parser would end elsewhere: nothing after it can be trusted.
      this.#lastWords(hasCode(error, 'malformed') ? replies.bareNewline : replyForError(error))
      return 'stop'
    }
    if (this.#commands === 0) {
      this.#isOpen = false // an HTTP request line may be that long, an EHLO never is
      return 'stop'
    }
    const bounds = { octetsMax: limits.smtpSkippedOctetsMax, waitMsMax: this.#waitMsMax() }
    this.#reply(replyForCode('line-too-long'))
    try {
      if (!(await this.#channel.reader.skipLine(bounds))) this.#isOpen = false
    } catch {
      this.#isOpen = false // without end, or too slow
    }
    return this.#isOpen ? 'again' : 'stop'
  }

  #waitMsMax(): number {
    if (this.#session.login !== undefined) return limits.smtpCommandMs
    return Math.max(0, Math.min(limits.smtpCommandMs, this.#loginDeadline - performance.now()))
  }

  /** Nothing follows the last words. */
  #reply(reply: Reply): void {
    if (!this.#isOpen) return
    this.#channel.send(formatReply(reply))
    // Refused recipients are no misbehaviour of a client that has logged in.
    const isMisuse =
      reply.code >= 400 && (this.#session.login === undefined || reply.enhanced?.startsWith('5.5') === true)
    if (!isMisuse) return
    this.#errors += 1
    if (this.#errors >= limits.smtpErrorsMax) this.#lastWords(replies.tooManyErrors)
  }

  #lastWords(reply: Reply): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#channel.send(formatReply(reply))
  }

  async #logIn(authentication: Authentication): Promise<void> {
    const { mechanism } = authentication
    const services = { logins: this.#services.logins, random: this.#ambient.random, source: this.#channel.remote }
    const outcome = await authenticate(authentication, services, async (given) => {
      this.#reply(challenge(given))
      return await this.#readLine()
    })
    if (outcome.kind === 'success') {
      this.#counts.logins += 1
      this.#ambient.log.debug('smtp.login', { mechanism, password: short(outcome.login.passwordId) })
      this.#session = { ...this.#session, login: outcome.login }
      this.#unwatchLogin?.() // from before STARTTLS
      this.#unwatchLogin = this.#services.logins.watch(outcome.login, () => this.#channel.destroy())
      this.#reply(replies.authenticated)
      return
    }
    this.#counts.loginFailures += 1
    this.#loginFailures += 1
    this.#ambient.log.info('smtp.login-failed', { mechanism, code: outcome.reply.code })
    this.#reply(outcome.reply)
    if (this.#loginFailures >= limits.smtpLoginFailuresMax) this.#lastWords(replies.tooManyErrors)
  }

  /** Nothing but a `submit` that resolved, with the message read to its end, is answered with 250. */
  async #receive(login: Login, transaction: Transaction, intake: Intake): Promise<void> {
    const started = this.#ambient.clock.monotonicMs()
    const { smtpUtf8: _, isBinary: __, hasChunks: ___, ...envelope } = transaction
    let reply = await this.#submit(login, { ...envelope, body: intake.body() }, intake)
    let isAtEnd = true
    try {
      await intake.drain()
    } catch (error) {
      reply = replyForError(error)
      isAtEnd = false
    }
    const isAccepted = reply.code === 250
    this.#counts[isAccepted ? 'accepted' : 'refused'] += 1
    if (isAccepted) {
      this.#counts.acceptedBytes += intake.bytes
      this.#errors = 0
    }
    this.#ambient.log.info(isAccepted ? 'smtp.accepted' : 'smtp.refused', {
      code: reply.code,
      recipients: transaction.recipients.length,
      bytes: intake.bytes,
      tookMs: Math.round(this.#ambient.clock.monotonicMs() - started),
    })
    if (this.#instead !== undefined) return
    if (isAtEnd) this.#reply(reply)
    else this.#lastWords(reply)
  }

  async #receiveChunks({ login, transaction, chunk }: Extract<Next, { do: 'chunk' }>): Promise<void> {
    const bounds = { bytesMax: this.#messageBytesMax, isBinary: transaction.isBinary }
    const intake = new ChunkIntake(this.#channel.reader, chunk, bounds, async (taken) => await this.#nextChunk(taken))
    await this.#receive(login, transaction, intake)
    this.#session = { ...this.#session, transaction: undefined }
    const instead = this.#instead
    this.#instead = undefined
    if (instead !== undefined) await this.#follow(instead)
  }

  /** @throws `connection-closed` also for a command that ends the mail, which is then in `#instead` */
  async #nextChunk({ octets }: Chunk): Promise<Chunk> {
    this.#reply(chunkTaken(octets))
    if (this.#channel.isCongested) await this.#channel.flush()
    while (this.#isOpen) {
      const line = await this.#readLine()
      if (line === undefined) break
      this.#commands += 1
      const stepped = this.#step(line)
      if (stepped.next.do === 'chunk') {
        this.#session = stepped.session
        return stepped.next.chunk
      }
      if (stepped.next.do !== 'read' || stepped.session.transaction === undefined) {
        this.#instead = stepped
        break
      }
      await this.#follow(stepped)
      if (this.#channel.isCongested) await this.#channel.flush()
    }
    throw new MyceliumError('connection-closed')
  }

  /** Octets that nobody wants; too many of them end the connection. */
  async #discard(octets: number, reply: Reply): Promise<void> {
    const isLoggedIn = this.#session.login !== undefined
    const octetsMax = isLoggedIn ? this.#messageBytesMax * limits.smtpOversizeFactor : limits.smtpSkippedOctetsMax
    if (octets > octetsMax) {
      this.#lastWords(isLoggedIn ? replyForCode('message-too-large') : reply)
      return
    }
    try {
      await skip(this.#channel.reader, octets, isLoggedIn ? limits.smtpDataMs : this.#waitMsMax())
      this.#reply(reply)
    } catch (error) {
      this.#lastWords(replyForError(error))
    }
  }

  async #submit(login: Login, submission: Submission, intake: Intake): Promise<Reply> {
    try {
      const { id } = await this.#services.submitter.submit(login.account, submission)
      if (!intake.isComplete) throw new TypeError('submitted before the message had ended')
      return queuedAs(id)
    } catch (error) {
      if (!(error instanceof MyceliumError)) {
        this.#ambient.log.error('smtp.failed', { error: error instanceof Error ? error.name : typeof error })
      }
      return replyForError(error)
    }
  }
}
