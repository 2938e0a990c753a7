/** One bound resource of an account: a client that has logged in, whatever carries its stream. */
import type { Login } from '../../core/account/logins.ts'
import type { Identity } from '../../core/ids.ts'
import type { Element } from './element.ts'
import type { Jid } from './jid.ts'

export interface Client {
  readonly account: Identity
  readonly login: Login
  /** With its resource. */
  readonly jid: Jid
  /**
   * Queues a stanza for it. Never blocks: a client that does not read is cut once too much waits, and takes up again
   * from the archive or by resumption.
   */
  send(stanza: Element): void
  /** Ends its stream with a stream error (RFC 6120 §4.9.3). */
  close(condition: string): void
  /** Messages that it may not have, oldest first, as XML; for one that acknowledges what it is sent (XEP-0198). */
  unacknowledged?(): readonly string[]
  /** What parts remember of it for as long as it is bound. */
  readonly state: ClientState
}

/** Set by the parts named; all start as false or undefined. */
export interface ClientState {
  /** XEP-0280. */
  carbons: boolean
  /** XEP-0352. */
  isInactive: boolean
  /** It asked for the roster (RFC 6121 §2.2): it gets pushes. */
  wantsRoster: boolean
  /** Its last broadcast presence (RFC 6121 §4.7.2); undefined before the first and after `unavailable`. */
  presence: Element | undefined
  /** Of that presence. */
  priority: number
  /**
   * Number in the account's feed up to which it was given what came; set in the same go as that is sent, before it. A
   * client that is resumed after the gateway has started again is bound anew with it: the rest is then to be sent.
   */
  upTo: number | undefined
  /** What else parts must know of it when it is resumed after a start, each under a name of its own. */
  notes: Readonly<Record<string, string>>
}

export const newClientState = (): ClientState => ({
  carbons: false,
  isInactive: false,
  wantsRoster: false,
  presence: undefined,
  priority: 0,
  upTo: undefined,
  notes: {},
})
