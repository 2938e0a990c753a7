/** A bound client: its stream may be lost for a while, and another one take its place (XEP-0198). */
import type { Login } from '../../core/account/logins.ts'
import type { Identity } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { WriteTx } from '../../core/store/store.ts'
import { type Client, newClientState } from './client.ts'
import { type Element, serialise } from './element.ts'
import { HeldBack } from './held-back.ts'
import type { Jid } from './jid.ts'
import type { Management } from './resumption/management.ts'
import { type StreamCondition, StreamError, type Transport } from './transport.ts'

/** How long it is there, whoever carries it. */
export interface Life {
  /** Unix milliseconds, as the one below. */
  readonly openedAtMs: number
  /** 0 while it is connected. */
  lostAtMs: number
  /** By which it may be resumed. */
  id: Uint8Array | undefined
  /** How long after it was lost. */
  resumeMs: number
  /** The latest of the connections by which the client has come back: those before it are lost too. */
  returning: Promise<void> | undefined
  stopWatching: () => void
}

export class Session implements Client {
  readonly jid: Jid
  readonly life: Life
  readonly state = newClientState()
  #login: Login
  #transport: Transport | undefined
  #management: Management | undefined
  readonly #held = new HeldBack()
  /** It is over for good, as soon as its connection is. */
  #isClosing = false
  #isOver = false
  readonly #ended: (session: Session) => void
  /** Stanzas of the client that are being handled. */
  readonly #handling = new Set<Promise<void>>()

  /** @param ended it was closed while no connection was there to end with it */
  constructor(login: Login, jid: Jid, openedAtMs: number, ended: (session: Session) => void) {
    this.#login = login
    this.jid = jid
    this.life = {
      openedAtMs,
      lostAtMs: 0,
      id: undefined,
      resumeMs: 0,
      returning: undefined,
      stopWatching: () => {},
    }
    this.#ended = ended
  }

  get login(): Login {
    return this.#login
  }
  get account(): Identity {
    return this.#login.account
  }
  get management(): Management | undefined {
    return this.#management
  }
  get isClosing(): boolean {
    return this.#isClosing
  }
  get isConnected(): boolean {
    return this.#transport !== undefined
  }

  isOn(transport: Transport): boolean {
    return this.#transport === transport
  }

  manage(management: Management): void {
    this.#management = management
    if (this.#transport !== undefined) management.attach(this.#transport)
  }

  attach(login: Login, transport: Transport): void {
    this.#login = login
    this.#transport = transport
    this.#management?.attach(transport)
  }

  detach(): void {
    this.#transport = undefined
    this.#management?.detach()
  }

  /** Another connection takes the place of the present one. */
  cutOff(): void {
    this.#transport?.destroy()
    this.detach()
  }

  /** It is gone for good: what is still sent to it goes nowhere. */
  finish(): void {
    this.#isClosing = true
    this.#isOver = true
    this.detach()
  }

  send(stanza: Element): void {
    if (this.#isOver) return
    if (this.state.isInactive && this.#held.takes(stanza)) return
    this.#write(stanza)
  }

  #write(stanza: Element): void {
    if (this.#management !== undefined) {
      this.#management.send(serialise(stanza), stanza.name === 'message')
      return
    }
    const transport = this.#transport
    if (transport === undefined) return
    transport.send(stanza)
    if (transport.waitingBytes > limits.xmppOutgoingBytesMax) transport.destroy()
  }

  unacknowledged(): readonly string[] {
    return this.#management?.unacknowledged() ?? []
  }

  /** XEP-0352. */
  setInactive(isInactive: boolean): void {
    this.state.isInactive = isInactive
    if (!isInactive) for (const stanza of this.#held.release()) this.#write(stanza)
  }

  /** Runs what handles one stanza of the client, which is counted when that is done. */
  async handle(work: (handled: (tx: WriteTx) => void) => Promise<void>): Promise<void> {
    const management = this.#management
    const ticket = management?.begin() ?? 0
    const handling = work((tx) => management?.noteHandled(tx, ticket)).then(() => management?.handledOne(ticket))
    const settled = handling.catch(() => {}).finally(() => this.#handling.delete(settled))
    this.#handling.add(settled)
    await handling
  }

  /** What was begun is done, as by a connection that is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#handling)
  }

  /** At most so many stanzas are being handled. */
  async room(atOnce: number): Promise<void> {
    while (this.#handling.size >= atOnce) await this.#handling.values().next().value
  }

  close(condition: string): void {
    if (this.#isClosing) return
    this.#isClosing = true
    const transport = this.#transport
    if (transport === undefined) this.#ended(this)
    else void transport.end(new StreamError(condition as StreamCondition))
  }
}
