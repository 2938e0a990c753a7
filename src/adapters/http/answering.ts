/** One request: which route, whether it may, its answer, and the answer written as fast as its reader takes it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { TLSSocket } from 'node:tls'
import type { Log } from '../../core/ambient.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { remoteAddressOf } from '../wire/channel.ts'
import { type HttpAnswer, type HttpRequest, type HttpRoute, textAnswer } from '../wire/http.ts'
import { authorityOf, isForeignAllowed, refusal } from './refusals.ts'
import { hasBody, requestBody } from './request-body.ts'

export interface Answering {
  readonly name: string
  readonly hosts: ReadonlySet<string>
  readonly routes: readonly HttpRoute[]
  readonly log: Log
}

export async function answerRequest(
  { name, hosts, routes, log }: Answering,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = targetOf(request)
  const route = routeOf(routes, url)
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const answer =
    refusal(request, route, hosts) ??
    preflight(request, route) ??
    (url === undefined || route === undefined
      ? textAnswer(404, 'nothing here')
      : await attempt(request, response, { route, url, signal: gone.signal, log }))
  log.debug('http.answered', { listener: name, method: request.method, status: answer.status })
  await send(request, response, withOrigin(request, route, answer))
}

/** In origin form; `undefined` for another. */
export const targetOf = ({ url = '' }: IncomingMessage): URL | undefined =>
  (/^\/(?!\/)/.test(url) ? URL.parse(url, 'http://localhost') : undefined) ?? undefined

export const routeOf = (routes: readonly HttpRoute[], url: URL | undefined): HttpRoute | undefined =>
  routes.find(({ path }) =>
    path.length > 1 && path.endsWith('/') ? url?.pathname.startsWith(path) : url?.pathname === path,
  )

interface Attempt {
  readonly route: HttpRoute
  readonly url: URL
  readonly signal: AbortSignal
  readonly log: Log
}

async function attempt(
  request: IncomingMessage,
  response: ServerResponse,
  { route, url, signal, log }: Attempt,
): Promise<HttpAnswer> {
  const { method = '' } = request
  const isSecure = (request.socket as Partial<TLSSocket>).encrypted === true
  if (!route.methods.includes(method)) {
    const allow = route.methods.join(', ')
    return textAnswer(405, `only ${allow.replace(/, (\w+)$/, ' and $1')}`, { allow })
  }
  if (route.isHttpsOnly === true && !isSecure) return textAnswer(403, 'only over HTTPS', { connection: 'close' })
  const asked: HttpRequest = {
    method,
    path: url.pathname,
    query: url.searchParams,
    headers: request.headers,
    authority: authorityOf(request),
    remote: remoteAddressOf(request.socket),
    isSecure,
    body: requestBody(request, response, route.bodyBytesMax),
    signal,
  }
  try {
    return await route.answer(asked)
  } catch (error) {
    const status = error instanceof MyceliumError ? statuses[error.code] : undefined
    if (status !== undefined) return textAnswer(status, 'not taken', { connection: 'close' })
    log.error('http.failed', { error: error instanceof Error ? error.name : typeof error })
    return textAnswer(500, 'failed inside; the log has a line')
  }
}

const statuses: Readonly<Partial<Record<MyceliumError['code'], number>>> = {
  'message-too-large': 413,
  timeout: 408,
  'connection-closed': 400, // to nobody
  'mailbox-full': 507,
  'disk-full': 507,
  'shutting-down': 503,
}

/** A page of an allowed origin asks whether it may ask (Fetch standard §3.2.2). */
function preflight(request: IncomingMessage, route: HttpRoute | undefined): HttpAnswer | undefined {
  const { origin } = request.headers
  if (request.method !== 'OPTIONS' || origin === undefined || !isForeignAllowed(origin, route)) return undefined
  return {
    status: 204,
    headers: {
      'access-control-allow-methods': route!.methods.join(', '),
      'access-control-allow-headers': ['content-type', 'range', ...(route!.requestHeaders ?? [])].join(', '),
      'access-control-max-age': '600',
    },
  }
}

function withOrigin(
  { headers: { origin } }: IncomingMessage,
  route: HttpRoute | undefined,
  answer: HttpAnswer,
): HttpAnswer {
  // said to programs too, which send no origin: what anybody may read is no secret
  if (route?.origins === 'any') return { ...answer, headers: { ...answer.headers, 'access-control-allow-origin': '*' } }
  if (origin === undefined || !isForeignAllowed(origin, route)) return answer
  return { ...answer, headers: { ...answer.headers, 'access-control-allow-origin': origin, vary: 'origin' } }
}

async function send(request: IncomingMessage, response: ServerResponse, answer: HttpAnswer): Promise<void> {
  const { status, body = '', headers } = answer
  response.writeHead(status, {
    ...(status === 204 ? {} : { 'content-length': typeof body === 'string' ? Buffer.byteLength(body) : body.size }),
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    // what was not read of a body would be taken for the next request
    ...(hasBody(request) && !request.complete ? { connection: 'close' } : {}),
    ...headers,
  })
  if (request.method === 'HEAD') response.end()
  else if (typeof body === 'string') response.end(body)
  else {
    response.setTimeout(limits.wireWriteMs, () => response.destroy())
    // a reader that leaves, or content that fails in the middle, ends the connection: its length was promised
    await pipeline(Readable.from(body.bytes, { objectMode: false }), response).catch(() => response.destroy())
  }
}
