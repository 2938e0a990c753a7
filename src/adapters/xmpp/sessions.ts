/**
 * Every bound client of the server: how they come, how they are lost and come back, and how they end. Those whose
 * connection is lost count as bound until they are resumed or their time is up, through a start of the gateway too.
 */
import type { Ambient } from '../../core/ambient.ts'
import { fromBase64Url, toBase64Url, toHex } from '../../core/bytes.ts'
import type { Login } from '../../core/account/logins.ts'
import type { Identity } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { type Element, el } from './element.ts'
import { fullOf, type Jid, parseJid, withResource } from './jid.ts'
import { stateOf, stateRow } from './resumption/client-state.ts'
import { type Durable, Management, managementNs } from './resumption/management.ts'
import { PastStreams } from './resumption/past-streams.ts'
import { streamIdBytes, type StreamRow, StreamRows } from './resumption/stream-rows.ts'
import type { XmppServer } from './server.ts'
import { Session } from './session.ts'
import { StanzaError } from './stanza-error.ts'
import { StreamError, type Transport } from './transport.ts'

export type Resumption =
  | {
      readonly kind: 'resumed'
      readonly session: Session
      readonly element: Element
      /** The client knows that it is back: what it lacks is sent. @throws StreamError where it has come back otherwise since */
      readonly goOn: (transport: Transport) => void
    }
  /** `h`: what was handled of the stream that is over, where that is known. */
  | { readonly kind: 'failed'; readonly h: number | undefined }

/** What a client is told, and what begins as soon as it was. */
export interface Enabling {
  readonly element: Element
  begin(): void
}

export class Sessions implements AsyncDisposable {
  readonly #server: XmppServer
  readonly #ambient: Ambient
  readonly #rows: StreamRows
  readonly #past: PastStreams
  readonly #all = new Set<Session>()
  readonly #byId = new Map<string, Session>()
  readonly #sweep: NodeJS.Timeout
  readonly #writing = new Set<Promise<unknown>>()
  #isStopping = false

  constructor(server: XmppServer, ambient: Ambient) {
    this.#server = server
    this.#ambient = ambient
    this.#rows = new StreamRows(server.services.store)
    this.#past = new PastStreams(this.#rows)
    this.#restore()
    this.#sweep = setInterval(() => this.#endOverdue(), limits.xmppSweepMs).unref()
  }

  /** Before a resource is bound (RFC 6120 §7): nobody sees the client yet. @throws StanzaError */
  prepare(login: Login, resource: string): Session {
    const { hub, names, services } = this.#server
    const jid = parseJid(fullOf(withResource(names.own(login.account), resource)))
    if (jid === undefined) throw new StanzaError('bad-request', 'no such resource can be')
    const isAnother = hub.find(login.account, jid) === undefined
    if (isAnother && hub.of(login.account).length >= limits.xmppClientsPerAccountMax) {
      const [lost] = this.#lostOf(login.account)
      if (lost === undefined) throw new StanzaError('resource-constraint', 'too many clients of this account')
      this.end(lost)
    }
    const session = this.#newSession(login, jid)
    // it is given what happens from now on: kept before anything has, so that a start of the gateway loses nothing of it
    session.state.upTo = services.conversations.lastNumber(login.account)
    return session
  }

  /** The client is bound, and knows it. */
  admit(session: Session, transport: Transport, enabling?: Enabling): void {
    session.attach(session.login, transport)
    enabling?.begin()
    this.#add(session)
  }

  #newSession(login: Login, jid: Jid): Session {
    return new Session(login, jid, this.#nowMs(), (session) => this.end(session))
  }

  #add(session: Session): void {
    const { hub, features } = this.#server
    const before = hub.find(session.account, session.jid)
    if (before instanceof Session) {
      before.close('conflict')
      this.end(before)
    }
    this.#all.add(session)
    this.#watch(session)
    hub.add(session)
    for (const feature of features) feature.bound?.(session)
  }

  /** A password that is revoked ends what was opened with it. */
  #watch(session: Session): void {
    session.life.stopWatching()
    session.life.stopWatching = this.#server.services.logins.watch(session.login, () => session.close('not-authorized'))
  }

  /**
   * XEP-0198 §3.
   * @param wanted seconds that the client would like to be expected for
   * @throws `disk-full`, …
   */
  async prepareManagement(session: Session, mayResume: boolean, wanted: number | undefined): Promise<Enabling> {
    const resumeMs = mayResume ? Math.min(limits.xmppResumeMs, (wanted ?? Infinity) * 1000) : 0
    if (resumeMs === 0) {
      const begin = (): void => session.manage(this.#newManagement(session, undefined))
      return { element: el(`enabled ${managementNs}`), begin }
    }
    const id = this.#ambient.random.bytes(streamIdBytes)
    const durable = this.#durable(session, id)
    await this.#rows.store.write((tx) => this.#rows.put(tx, id, durable.row()))
    const told = { id: toBase64Url(id), resume: 'true', max: Math.floor(resumeMs / 1000) }
    return {
      element: el(`enabled ${managementNs}`, told),
      begin: () => {
        Object.assign(session.life, { id, resumeMs })
        this.#byId.set(toHex(id), session)
        session.manage(this.#newManagement(session, durable))
      },
    }
  }

  #newManagement(session: Session, durable: Durable | undefined, given = {}): Management {
    const { clock, log } = this.#ambient
    return new Management(
      {
        clock,
        domain: this.#server.names.server,
        durable,
        overflow: () => session.close('resource-constraint'),
        failed: (error) => {
          log.error('xmpp.not-kept', { error: error instanceof Error ? error.message : typeof error })
          session.close('internal-server-error')
        },
      },
      given,
    )
  }

  #durable(session: Session, id: Uint8Array): Durable {
    return { id, rows: this.#rows, row: () => rowOf(session) }
  }

  /**
   * XEP-0198 §5. Whatever the connection that was lost had begun is done before it is said how far the server is. That may
   * take a while; a client that loses this connection too meanwhile comes with another one, which then counts.
   * @param h how far the client is
   * @throws StreamError when it says more than it was sent; `disk-full`, …
   */
  async resume(login: Login, previous: string, h: number): Promise<Resumption> {
    const id = fromBase64Url(previous)
    const session = id?.length === streamIdBytes ? this.#byId.get(toHex(id)) : undefined
    const management = session?.management
    const mayResume = session?.account === login.account && !session.isClosing
    if (session === undefined || management === undefined || !mayResume)
      return { kind: 'failed', h: this.#handledBefore(login, id) }
    const { life } = session
    const earlier = life.returning
    life.lostAtMs = this.#nowMs()
    session.cutOff()
    const isLatest = (): boolean => life.returning === returning && !session.isClosing
    const takeUp = async (): Promise<void> => {
      await earlier?.catch(() => {})
      if (!isLatest()) return
      await session.settled()
      await management.takeUp(h)
      await management.settle()
    }
    const returning = Promise.resolve().then(takeUp)
    life.returning = returning
    await returning
    if (!isLatest()) return { kind: 'failed', h: management.h }
    const element = el(`resumed ${managementNs}`, { previd: previous, h: management.h })
    const goOn = (transport: Transport): void => {
      if (!isLatest()) throw new StreamError('conflict')
      this.#goOn(session, login, transport)
    }
    return { kind: 'resumed', session, element, goOn }
  }

  #goOn(session: Session, login: Login, transport: Transport): void {
    Object.assign(session.life, { lostAtMs: 0, returning: undefined })
    session.attach(login, transport)
    session.setInactive(false)
    this.#watch(session)
    this.#note(session)
  }

  #handledBefore(login: Login, id: Uint8Array | undefined): number | undefined {
    if (id?.length !== streamIdBytes) return undefined
    return this.#rows.store.read((tx) => {
      const row = this.#rows.get(tx, id)
      return row?.account === login.account ? this.#rows.handled(tx, id) % 2 ** 32 : undefined
    })
  }

  /** The connection is gone without a farewell. */
  lost(session: Session): void {
    session.detach()
    if (!this.#all.has(session)) return
    if (session.isClosing || session.life.id === undefined) {
      this.end(session)
      return
    }
    session.life.lostAtMs = this.#nowMs()
    this.#note(session)
    if (this.#isStopping) return
    const lost = this.#lostOf(session.account)
    if (lost.length > limits.xmppLostStreamsPerAccountMax) this.end(lost[0]!)
  }

  /** Of one account, the longest lost first. */
  #lostOf(account: Identity): readonly Session[] {
    return this.#server.hub
      .of(account)
      .filter((client) => client instanceof Session)
      .filter((session) => session.life.lostAtMs > 0)
      .toSorted((a, b) => a.life.lostAtMs - b.life.lostAtMs)
  }

  /** It is gone for good. */
  end(session: Session): void {
    if (!this.#all.delete(session)) return
    session.life.stopWatching()
    session.finish()
    this.#server.hub.remove(session)
    for (const feature of this.#server.features) feature.gone?.(session)
    const { id } = session.life
    if (id === undefined) return
    this.#byId.delete(toHex(id))
    this.#track(this.#endStream(session, id))
  }

  async #endStream(session: Session, id: Uint8Array): Promise<void> {
    await session.settled()
    await session.management?.settle()
    await session.management?.idle()
    await this.#rows.store.write((tx) => this.#past.add(tx, id, this.#nowMs()))
  }

  #note(session: Session): void {
    const { management } = session
    if (management?.id !== undefined) this.#track(this.#rows.store.write((tx) => management.keepRow(tx)))
  }

  #track(writing: Promise<unknown>): void {
    const watched = writing
      .catch((error: unknown) => {
        this.#ambient.log.error('xmpp.not-noted', { error: error instanceof Error ? error.message : typeof error })
      })
      .finally(() => this.#writing.delete(watched))
    this.#writing.add(watched)
  }

  #endOverdue(): void {
    const nowMs = this.#nowMs()
    for (const session of this.#all) {
      const { lostAtMs, resumeMs } = session.life
      if (lostAtMs > 0 && nowMs - lostAtMs > resumeMs) this.end(session)
    }
    if (this.#past.hasOld(nowMs)) this.#track(this.#rows.store.write((tx) => this.#past.forgetOld(tx, nowMs)))
  }

  /** Clients of before the start that may still come back. */
  #restore(): void {
    const nowMs = this.#nowMs()
    const { accounts } = this.#server.services
    // of one resource the latest stays: that another took its place may not have been noted any more
    for (const { id, row } of this.#rows.all().toSorted((a, b) => a.row.openedAtMs - b.row.openedAtMs)) {
      const lostAtMs = row.lostAtMs === 0 ? nowMs : row.lostAtMs
      const isThere = accounts.has(row.account) && row.overAtMs === 0
      if (isThere && nowMs - lostAtMs <= limits.xmppResumeAfterStartMs) this.#restoreOne(id, row, lostAtMs)
      else this.#past.know(id, row.account, row.overAtMs || lostAtMs)
    }
  }

  #restoreOne(id: Uint8Array, row: StreamRow, lostAtMs: number): void {
    const jid = withResource(this.#server.names.own(row.account), row.resource)
    const session = this.#newSession({ account: row.account, passwordId: row.passwordId }, jid)
    Object.assign(session.state, stateOf(row.state))
    Object.assign(session.life, { id, lostAtMs, resumeMs: limits.xmppResumeAfterStartMs })
    const given = this.#rows.store.read((tx) => ({
      handled: this.#rows.handled(tx, id),
      lastKept: this.#rows.lastKept(tx, id),
      isRestored: true,
    }))
    session.manage(this.#newManagement(session, this.#durable(session, id), given))
    this.#byId.set(toHex(id), session)
    this.#add(session)
    this.#note(session)
  }

  #nowMs = (): number => this.#ambient.clock.nowMs()

  /** What can be resumed stays as it is, for the next process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopping = true
    clearInterval(this.#sweep)
    for (const session of this.#all) {
      session.life.stopWatching()
      if (session.life.id === undefined) continue
      await session.settled()
      await session.management?.settle().catch(() => {})
      await session.management?.idle()
    }
    await Promise.all(this.#writing)
  }
}

const rowOf = ({ account, login, jid, state, life }: Session): StreamRow => ({
  account,
  passwordId: login.passwordId,
  resource: jid.resource,
  state: stateRow(state),
  openedAtMs: life.openedAtMs,
  lostAtMs: life.lostAtMs,
  overAtMs: 0,
})
