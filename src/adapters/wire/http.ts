/**
 * What the HTTP listeners and the parts that serve paths on them have in common. Plain node:http and a table of routes:
 * a handful of paths, two of which need what frameworks hide (held answers, upgrades). A part with many paths takes
 * everything under a prefix and looks further by itself.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

export interface HttpRequest {
  readonly method: string
  /** As it was asked for: percent-encoded, with dot segments taken out. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  /** The name and port under which this listener was asked, one of its own. */
  readonly authority: string
  /** Address that the peer connects from. */
  readonly remote: string
  /** Inside TLS. */
  readonly isSecure: boolean
  /**
   * To be read at most once; what is not read ends the connection.
   * @throws `message-too-large` over the route's bound, `timeout`, `connection-closed`
   */
  readonly body: AsyncIterable<Uint8Array>
  /** The peer has gone. */
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Octets of a stream are counted before. */
  readonly body?: string | { readonly bytes: AsyncIterable<Uint8Array>; readonly size: number }
}

/** A connection that is no longer HTTP (RFC 9110 §7.8). */
export interface Upgrade {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  readonly remote: string
  readonly isSecure: boolean
}

export interface HttpRoute {
  /** `/a/b` alone, or with everything below it when it ends in `/`. */
  readonly path: string
  readonly methods: readonly string[]
  /** Octets of a request's body; 0: none. */
  readonly bodyBytesMax: number
  /**
   * Origins whose pages may ask, beside the listener's own: `https://chat.example`. `any` where what is done needs a token
   * that the page must have been given; no cookie stands for one here.
   */
  readonly origins: readonly string[] | 'any'
  /** Headers that those pages may send, beside `content-type` and `range`. */
  readonly requestHeaders?: readonly string[]
  readonly isHttpsOnly?: boolean
  /** May take as long as it likes while `signal` is not aborted. */
  answer(request: HttpRequest): HttpAnswer | Promise<HttpAnswer>
  /** Takes a connection over that asks to be upgraded; the origin was looked at. */
  upgrade?(upgrade: Upgrade): void
}

export const textAnswer = (
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): HttpAnswer => ({
  status,
  body: `${text}\n`,
  headers: { 'content-type': 'text/plain; charset=utf-8', ...headers },
})
