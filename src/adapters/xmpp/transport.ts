/**
 * What carries one XML stream: TCP (RFC 6120), a WebSocket (RFC 7395) or BOSH (XEP-0124). Each reads bounded XML and gives
 * what it means; what the stream says is the same over all of them (connection.ts).
 */
import type { Element } from './element.ts'

export type StreamEvent =
  /** The header of a stream, or of one begun anew: only its attributes matter. */
  | { readonly kind: 'open'; readonly header: Element }
  | { readonly kind: 'stanza'; readonly element: Element }
  /** The peer has ended the stream, in good order or not. */
  | { readonly kind: 'end'; readonly isOrderly: boolean }

export interface ReadBounds {
  readonly stanzaBytesMax: number
  /** How long nothing may come. */
  readonly idleMs: number
}

export interface Transport {
  /** Address that the peer connects from: what failures are counted against. */
  readonly remote: string
  /** Inside TLS. */
  readonly isSecure: boolean
  /** Nobody else can listen in: TLS, or both ends on this machine. */
  readonly isPrivate: boolean
  readonly canStartTls: boolean
  /** Bytes that the peer has not taken yet. */
  readonly waitingBytes: number
  /** @throws StreamError for what is no such stream; `timeout`, `connection-closed`, `shutting-down` */
  next(bounds: ReadBounds): Promise<StreamEvent>
  /** What the peer sends from now on is a new stream, as after login (RFC 6120 §4.3.3): its header comes next. */
  restart(): void
  /** Begins our direction of the stream, each time that the peer does. */
  open(attrs: { readonly from: string; readonly id: string; readonly to?: string | undefined }): void
  send(element: Element): void
  /** Text of stanzas already written with `jabber:client` around them. */
  sendText(xml: string): void
  /** What was sent has left, or waits for a peer that does not read. @throws `timeout`, `connection-closed` */
  flush(): Promise<void>
  startTls(): Promise<void>
  /** RFC 9266 `tls-exporter`, 32 octets; `undefined` outside TLS 1.3 or where the TLS is somebody else's. */
  channelBinding(): Uint8Array | undefined
  /** Ends our direction, after an error if there is one, and waits a moment for the peer's. */
  end(error?: StreamError): Promise<void>
  destroy(): void
}

/** RFC 6120 §4.9.3. */
export type StreamCondition =
  | 'bad-format'
  | 'conflict'
  | 'connection-timeout'
  | 'host-unknown'
  | 'improper-addressing'
  | 'internal-server-error'
  | 'invalid-from'
  | 'invalid-namespace'
  | 'invalid-xml'
  | 'not-authorized'
  | 'not-well-formed'
  | 'policy-violation'
  | 'reset'
  | 'resource-constraint'
  | 'restricted-xml'
  | 'system-shutdown'
  | 'undefined-condition'
  | 'unsupported-encoding'
  | 'unsupported-feature'
  | 'unsupported-stanza-type'
  | 'unsupported-version'

/** Ends the stream. */
export class StreamError extends Error {
  override readonly name = 'StreamError'
  readonly condition: StreamCondition
  /** An application-specific condition (RFC 6120 §4.9.4). */
  readonly detail: Element | undefined

  constructor(condition: StreamCondition, text = '', detail?: Element) {
    super(text)
    this.condition = condition
    this.detail = detail
  }
}
