/** Requests that no program of ours makes: rebound names, other sites' pages, bodies where none is wanted. */
import type { IncomingMessage } from 'node:http'
import { isIPv6 } from 'node:net'
import { type HttpAnswer, type HttpRoute, textAnswer } from '../wire/http.ts'
import { hasBody, saysTooLong } from './request-body.ts'

/** What may stand in `Host`, without the port. */
export function hostNames(host: string, hostnames: readonly string[]): ReadonlySet<string> {
  const hosts = new Set(['localhost', '127.0.0.1', '::1', host, ...hostnames].map(hostHeader))
  // Not names of this machine but of all its addresses; a page of another site can ask for them ("0.0.0.0 day").
  for (const every of ['0.0.0.0', '[::]']) hosts.delete(every)
  return hosts
}

const hostHeader = (host: string): string => (isIPv6(host) ? `[${host}]` : host.toLowerCase())

export const authorityOf = ({ headers }: IncomingMessage): string => (headers.host ?? '').toLowerCase()

export function refusal(
  request: IncomingMessage,
  route: HttpRoute | undefined,
  hosts: ReadonlySet<string>,
): HttpAnswer | undefined {
  if (!hosts.has(authorityOf(request).replace(/:\d{1,5}$/, '')))
    return refused(421, 'this host name is not served here')
  if (!isOriginAllowed(request, route)) return refused(403, 'not for pages of other sites')
  const bodyBytesMax = route?.bodyBytesMax ?? 0
  if (bodyBytesMax === 0 && hasBody(request)) return refused(413, 'no request here has a body')
  return saysTooLong(request, bodyBytesMax) ? refused(413, 'larger than is taken here') : undefined
}

/** Without one it is no page but a program (Fetch standard §3.2), or a page that only shows what it gets. */
function isOriginAllowed(request: IncomingMessage, route: HttpRoute | undefined): boolean {
  const { origin } = request.headers
  if (origin === undefined) return true
  return URL.parse(origin)?.host === authorityOf(request) || isForeignAllowed(origin, route)
}

export const isForeignAllowed = (origin: string, route: HttpRoute | undefined): boolean =>
  route?.origins === 'any' || route?.origins.includes(origin.toLowerCase()) === true

const refused = (status: number, text: string): HttpAnswer => textAnswer(status, text, { connection: 'close' })
