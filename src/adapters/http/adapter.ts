/** HTTP and HTTPS listeners for programs on this machine: bounded, without cookies, and closed to other sites' pages. */
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, isIPv6 } from 'node:net'
import type { Log } from '../../core/ambient.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { TlsMaterial } from '../wire/tls.ts'
import { type Answer, type HttpServices, route } from './routes.ts'

export interface HttpOptions {
  readonly name: 'http' | 'https'
  readonly host: string
  readonly port: number
  /** For `https`. */
  readonly material?: TlsMaterial
  /** Host names, beside the local ones and `host`, under which this listener may be asked. */
  readonly hostnames: readonly string[]
  readonly services: HttpServices
  readonly log: Log
}

export interface HttpListener extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number }
}

/** @throws `port-in-use` */
export async function openHttp(options: HttpOptions): Promise<HttpListener> {
  const { name, host, port, log } = options
  const server = createBounded(options, answerWith(options))
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new MyceliumError('port-in-use', { listener: name, port }) : error),
    )
    server.listen({ host, port }, resolve)
  })
  server.on('error', (error: NodeJS.ErrnoException) =>
    log.error('listener.error', { listener: name, error: error.code }),
  )
  const bound = server.address() as AddressInfo
  return {
    address: { host: bound.address, port: bound.port },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      const forced = setTimeout(() => server.closeAllConnections(), limits.httpDrainMs)
      await closed
      clearTimeout(forced)
    },
  }
}

function createBounded({ name, material }: HttpOptions, listener: RequestListener): Server {
  const bounds = {
    maxHeaderSize: limits.httpHeaderBytesMax,
    headersTimeout: limits.httpRequestMs,
    requestTimeout: limits.httpRequestMs,
    keepAliveTimeout: limits.httpKeepAliveMs,
    connectionsCheckingInterval: 1000,
  }
  if (name === 'http' || material === undefined) return withCaps(createServer(bounds, listener))
  let presented = material()
  const server = createTlsServer(
    { ...bounds, ...presented, minVersion: 'TLSv1.2', handshakeTimeout: limits.tlsHandshakeMs },
    listener,
  )
  server.prependListener('connection', () => {
    const now = material()
    if (now.key === presented.key && now.cert === presented.cert) return
    presented = now
    server.setSecureContext({ ...now, minVersion: 'TLSv1.2' })
  })
  return withCaps(server)
}

function withCaps(server: Server): Server {
  server.maxConnections = limits.httpConnectionsMax
  server.maxRequestsPerSocket = limits.httpRequestsPerConnectionMax
  return server
}

function answerWith({ name, host, hostnames, services, log }: HttpOptions): RequestListener {
  const hosts = new Set(['localhost', '127.0.0.1', '::1', host, ...hostnames].map(hostHeader))
  // Not names of this machine but of all its addresses; a page of another site can ask for them ("0.0.0.0 day").
  for (const every of ['0.0.0.0', '[::]']) hosts.delete(every)
  return (request, response) => {
    const answer = refusal(request, hosts) ?? attempt(request, services, log)
    log.debug('http.answered', { listener: name, method: request.method, status: answer.status })
    send(request, response, answer)
  }
}

const hostHeader = (host: string): string => (isIPv6(host) ? `[${host}]` : host.toLowerCase())

/** Requests that no program of ours makes: rebound names, other sites' pages, bodies. */
function refusal({ headers }: IncomingMessage, hosts: ReadonlySet<string>): Answer | undefined {
  const authority = (headers.host ?? '').toLowerCase()
  if (!hosts.has(authority.replace(/:\d{1,5}$/, ''))) return plain(421, 'this host name is not served here')
  if (headers.origin !== undefined && URL.parse(headers.origin)?.host !== authority) {
    return plain(403, 'not for pages of other sites')
  }
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  return hasBody ? plain(413, 'no request here has a body') : undefined
}

function attempt(request: IncomingMessage, services: HttpServices, log: Log): Answer {
  try {
    return route(request.method, request.url ?? '', request.headers.authorization, services)
  } catch (error) {
    log.error('http.failed', { error: error instanceof Error ? error.name : typeof error })
    return plain(500, 'failed inside; the log has a line')
  }
}

const plain = (status: number, text: string): Answer => ({
  status,
  body: `${text}\n`,
  headers: { 'content-type': 'text/plain; charset=utf-8', connection: 'close' },
})

function send(request: IncomingMessage, response: ServerResponse, { status, body, headers }: Answer): void {
  response.writeHead(status, {
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
