/** `/xmpp-websocket`: connections that become WebSockets with the `xmpp` subprotocol (RFC 7395 §3.1). */
import { type WebSocket, WebSocketServer } from 'ws'
import { limits } from '../../../core/limits.ts'
import { isLoopback } from '../../wire/channel.ts'
import { type HttpRoute, textAnswer, type Upgrade } from '../../wire/http.ts'
import { WebSocketTransport } from './web-socket-transport.ts'

const subprotocol = 'xmpp'
const notOffered = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
const busy = 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

/** @param origins of pages that may connect, beside the listener's own */
export function webSocketRoute(serve: (transport: WebSocketTransport) => void, origins: readonly string[]): HttpRoute {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    // one that is longer than a stanza may be is told so in the stream; beyond this the connection is cut
    maxPayload: 2 * limits.xmppStanzaBytesMax,
    handleProtocols: () => subprotocol,
  })
  const open = new Map<WebSocketTransport, string>()

  function hasRoom(remote: string): boolean {
    if (open.size >= limits.xmppWebSocketsMax) return false
    if (isLoopback(remote)) return true
    return [...open.values()].filter((from) => from === remote).length < limits.xmppWebPerAddressMax
  }

  function upgrade({ request, socket, head, remote, isSecure }: Upgrade): void {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
    if (!offered.includes(subprotocol)) return void socket.end(notOffered)
    if (!hasRoom(remote)) return void socket.end(busy)
    server.handleUpgrade(request, socket, head, (made: WebSocket) => {
      const transport = new WebSocketTransport(made, { remote, isSecure })
      open.set(transport, remote)
      made.once('close', () => open.delete(transport))
      serve(transport)
    })
  }

  return {
    path: '/xmpp-websocket',
    methods: ['GET'],
    bodyBytesMax: 0,
    origins,
    answer: () => textAnswer(426, 'only for WebSockets', { upgrade: 'websocket', connection: 'upgrade, close' }),
    upgrade,
  }
}
