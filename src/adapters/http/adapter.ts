/** HTTP and HTTPS listeners for programs on this machine: bounded, without cookies, and closed to other sites' pages. */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Log } from '../../core/ambient.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { remoteAddressOf } from '../wire/channel.ts'
import type { HttpRoute } from '../wire/http.ts'
import type { TlsMaterial } from '../wire/tls.ts'
import { type Answering, answerRequest, routeOf, targetOf } from './answering.ts'
import { hostNames, refusal } from './refusals.ts'
import { type HttpServices, ownRoutes } from './routes.ts'

export interface HttpOptions {
  readonly name: 'http' | 'https'
  readonly host: string
  readonly port: number
  /** For `https`. */
  readonly material?: TlsMaterial
  /** Host names, beside the local ones and `host`, under which this listener may be asked. */
  readonly hostnames: readonly string[]
  readonly services: HttpServices
  /** Paths that other parts serve. */
  readonly routes?: readonly HttpRoute[]
  readonly log: Log
}

export interface HttpListener extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number }
}

/** @throws `port-in-use` */
export async function openHttp(options: HttpOptions): Promise<HttpListener> {
  const { name, host, port, hostnames, services, log } = options
  const routes = [...ownRoutes(services), ...(options.routes ?? [])]
  const answering: Answering = { name, hosts: hostNames(host, hostnames), routes, log }
  const listener: RequestListener = (request, response) => {
    answerRequest(answering, request, response).catch((error: unknown) => {
      log.error('http.failed', { error: error instanceof Error ? error.name : typeof error })
      response.destroy()
    })
  }
  const server = createBounded(options, listener, (request) => upgradeRoute(answering, request) !== undefined)
  // nothing of a body is asked for before somebody wants it
  server.on('checkContinue', listener)
  const upgraded = new Set<Duplex>()
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgraded.add(socket)
    socket.once('close', () => upgraded.delete(socket))
    const remote = remoteAddressOf(request.socket)
    upgradeRoute(answering, request)!.upgrade!({ request, socket, head, remote, isSecure: name === 'https' })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new MyceliumError('port-in-use', { listener: name, port }) : error),
    )
    server.listen({ host, port, backlog: 1024 }, resolve)
  })
  server.on('error', (error: NodeJS.ErrnoException) =>
    log.error('listener.error', { listener: name, error: error.code }),
  )
  const bound = server.address() as AddressInfo
  return {
    address: { host: bound.address, port: bound.port },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      const forced = setTimeout(() => {
        server.closeAllConnections()
        for (const socket of upgraded) socket.destroy()
      }, limits.httpDrainMs)
      await closed
      clearTimeout(forced)
    },
  }
}

/** `undefined` where it is refused, or answered as a request like others. */
function upgradeRoute({ hosts, routes }: Answering, request: IncomingMessage): HttpRoute | undefined {
  const route = routeOf(routes, targetOf(request))
  return route?.upgrade === undefined || refusal(request, route, hosts) !== undefined ? undefined : route
}

function createBounded(
  { name, material }: HttpOptions,
  listener: RequestListener,
  shouldUpgradeCallback: (request: IncomingMessage) => boolean,
): Server {
  const bounds = {
    maxHeaderSize: limits.httpHeaderBytesMax,
    headersTimeout: limits.httpRequestMs,
    requestTimeout: 0, // bodies have bounds of their own
    keepAliveTimeout: limits.httpKeepAliveMs,
    connectionsCheckingInterval: 1000,
    shouldUpgradeCallback,
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
