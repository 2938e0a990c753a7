/** Server side of TLS on accepted sockets, at once or after STARTTLS, with key and certificate that may change at run time. */
import type { Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

/** What to present now, PEM; asked for each connection, so it must be cheap. New strings mean a renewed certificate. */
export type TlsMaterial = () => { readonly key: string | Buffer; readonly cert: string | Buffer }

export interface TlsAcceptor {
  /** Takes the socket over; nothing may have been read ahead. @throws `connection-closed` when the handshake fails or takes too long */
  accept(socket: Socket): Promise<TLSSocket>
}

/**
 * @param protocols ALPN names of this listener. A client that names protocols, but none of these, is refused: a browser
 *   lured here by a cross-protocol attack (ALPACA) always names HTTP.
 */
export function tlsAcceptor(material: TlsMaterial, protocols: readonly string[]): TlsAcceptor {
  let current = material()
  const server = createServer({
    key: current.key,
    cert: current.cert,
    minVersion: 'TLSv1.2',
    ALPNCallback: ({ protocols: offered }) => offered.find((name) => protocols.includes(name)),
  })
  const waiting = new Map<string, (socket: TLSSocket) => void>()
  // Handshakes run on sockets that were accepted elsewhere; the four-tuple says which one has become secure.
  const nameOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort} ${socket.localPort}`
  server.on('secureConnection', (secure) => {
    secure.allowHalfOpen = true
    waiting.get(nameOf(secure))?.(secure)
  })
  server.on('tlsClientError', (_error, secure) => secure.destroy())

  return {
    async accept(socket) {
      const next = material()
      if (next.key !== current.key || next.cert !== current.cert) {
        current = next
        server.setSecureContext({ key: next.key, cert: next.cert, minVersion: 'TLSv1.2' })
      }
      const name = nameOf(socket)
      // For the whole handshake; the server's own handshakeTimeout starts again with every byte.
      const timer = setTimeout(() => socket.destroy(), limits.tlsHandshakeMs)
      try {
        return await new Promise<TLSSocket>((resolve, reject) => {
          waiting.set(name, resolve)
          const lost = (): void => reject(new MyceliumError('connection-closed'))
          if (socket.destroyed) lost()
          socket.once('close', lost)
          // A peer that leaves in the middle of the handshake would otherwise be waited for.
          socket.allowHalfOpen = false
          server.emit('connection', socket)
        })
      } finally {
        clearTimeout(timer)
        waiting.delete(name)
      }
    },
  }
}
