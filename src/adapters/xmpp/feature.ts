/**
 * How a part of the server (roster, archive, rooms …) takes its place in it: each XEP folder or file exports a function
 * that makes a `Feature` of the `Server`. The list of all of them is in features.ts.
 */
import type { Ambient } from '../../core/ambient.ts'
import type { WriteTx } from '../../core/store/store.ts'
import type { Client } from './client.ts'
import type { Element } from './element.ts'
import type { Hub } from './hub.ts'
import type { Jid } from './jid.ts'
import type { Named, Names } from './names.ts'
import type { XmppServices } from './services.ts'

/** What every part has at hand. */
export interface Server {
  readonly services: XmppServices
  readonly ambient: Ambient
  readonly names: Names
  readonly hub: Hub
  /** All parts, once they are made: for disco. */
  readonly features: readonly Feature[]
}

/** A stanza of a client, its addresses read and `from` put right (RFC 6120 §8.1.2.1). */
export interface Stanza {
  readonly client: Client
  readonly element: Element
  /** The own bare JID where the client gave none. */
  readonly to: Jid
  readonly toNamed: Named
  readonly type: string
  /** For the transaction that keeps what the stanza asks for: that it is handled is then as durable (XEP-0198). */
  readonly handled: (tx: WriteTx) => void
}

export interface Iq extends Stanza {
  readonly type: 'get' | 'set'
  /** The one child (RFC 6120 §8.2.3). */
  readonly payload: Element
}

export type IqAnswer = Element | 'later' | undefined

export interface IqHandler {
  /** Name and namespace of the payload: `query jabber:iq:roster`; `*` for every name of a namespace. */
  readonly payload: string
  /** To whom; with a resource where `named` is a person, self or room only if `full` says so. */
  readonly at: readonly Named['kind'][]
  /** Also taken when sent to a full JID. */
  readonly full?: boolean
  readonly type?: 'get' | 'set'
  /** @returns what stands in the result; nothing for an empty one; `later` when it answers by itself. @throws StanzaError */
  answer(iq: Iq): IqAnswer | Promise<IqAnswer>
}

export interface Identity {
  readonly category: string
  readonly type: string
  readonly name?: string
  readonly lang?: string
}

/** What disco#info says of an address (XEP-0030), by this part. */
export interface Disclosed {
  readonly identities?: readonly Identity[]
  readonly features?: readonly string[]
  /** XEP-0128 forms and the like. */
  readonly forms?: readonly Element[]
}

export interface Feature {
  readonly iq?: readonly IqHandler[]
  /**
   * What it adds to disco#info of an address; `node` is undefined without one, and with one it says something only of nodes
   * that it knows, with an identity. `client` is undefined where it is said to no particular one (XEP-0115).
   */
  disclose?(to: Jid, named: Named, client: Client | undefined, node: string | undefined): Disclosed | undefined
  /** Items that it adds to disco#items. */
  items?(to: Jid, named: Named, client: Client, node: string | undefined): readonly Element[]
  /** Each message of a client, in turn, until one says that it is done. @throws StanzaError */
  message?(message: Stanza): Promise<'done' | 'next'>
  /** Each presence of a client, to whomever, in turn until one is done. @throws StanzaError */
  presence?(presence: Stanza): Promise<'done' | 'next'>
  /** A get or a set that a part passes on to another client, whatever it asks. @throws StanzaError */
  relay?(iq: Stanza): 'done' | 'next'
  /** A result or an error of a client, to an iq that some part has sent it. */
  result?(answer: Stanza): 'done' | 'next'
  /** What it adds to the features of a stream after login (RFC 6120 §4.3.2). */
  streamFeatures?(): readonly Element[]
  /**
   * A client has bound its resource, before anything else reaches it. Or the gateway has started, and a client of before
   * is still expected to resume its stream: then its `state` is what it was.
   */
  bound?(client: Client): void
  /** It has sent its first presence, or the first one after `unavailable` (RFC 6121 §4.2), and heard who else is there. */
  available?(client: Client): void
  /** It is gone for good: not waiting to be resumed. */
  gone?(client: Client): void
  [Symbol.dispose]?(): void
}
