/** A bound client and the stream that reaches it now. */
import type { Login } from '../../core/account/logins.ts'
import type { Identity } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { type Client, newClientState } from './client.ts'
import type { Element } from './element.ts'
import type { Jid } from './jid.ts'
import { type StreamCondition, StreamError, type Transport } from './transport.ts'

export class Session implements Client {
  readonly login: Login
  readonly jid: Jid
  readonly state = newClientState()
  readonly #transport: Transport

  constructor(login: Login, jid: Jid, transport: Transport) {
    this.login = login
    this.jid = jid
    this.#transport = transport
  }

  get account(): Identity {
    return this.login.account
  }

  send(stanza: Element): void {
    this.#transport.send(stanza)
    if (this.#transport.waitingBytes > limits.xmppOutgoingBytesMax) this.#transport.destroy()
  }

  close(condition: string): void {
    void this.#transport.end(new StreamError(condition as StreamCondition))
  }
}
