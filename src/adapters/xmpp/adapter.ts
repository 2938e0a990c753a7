/** The XMPP server: streams over TCP with STARTTLS and direct TLS (RFC 6120, XEP-0368), and over what others hand in. */
import type { Ambient } from '../../core/ambient.ts'
import { DisposedTogether } from '../../core/disposal.ts'
import { limits } from '../../core/limits.ts'
import { type Listener, openListener } from '../wire/listener.ts'
import { Turns } from '../wire/turns.ts'
import { serveStream } from './connection.ts'
import { Tokens } from './login/tokens.ts'
import { openServer, type XmppServer } from './server.ts'
import type { XmppServices } from './services.ts'
import { Sessions } from './sessions.ts'
import type { StreamContext } from './stream-context.ts'
import { TcpTransport, tcpProtocols } from './tcp-transport.ts'
import type { Transport } from './transport.ts'

export interface ListenAt {
  readonly enabled?: boolean
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
}

export interface XmppConfig {
  readonly xmpp?: ListenAt
  readonly xmpps?: ListenAt
}

export interface Xmpp extends AsyncDisposable {
  readonly server: XmppServer
  /** Where each opened listener listens. */
  readonly listeners: {
    readonly xmpp?: { readonly host: string; readonly port: number }
    readonly xmpps?: { readonly host: string; readonly port: number }
  }
  /** TCP connections open now. */
  readonly connections: number
  /** Serves a stream that comes by another way; resolves when it is done. @throws what ended it early */
  serve(transport: Transport): Promise<void>
}

/** @throws `port-in-use` */
export async function openXmpp(config: XmppConfig, services: XmppServices, ambient: Ambient): Promise<Xmpp> {
  await using parts = new AsyncDisposableStack()
  const server = parts.use(openServer(services, ambient))
  const { store, logins } = services
  const context: StreamContext = {
    server,
    ambient,
    sessions: parts.use(new Sessions(server, ambient)),
    tokens: new Tokens(store, ambient, logins),
    turns: new Turns(),
  }
  const serve = async (transport: Transport): Promise<void> => await serveStream(transport, context)
  const fronts = parts.use(new DisposedTogether())
  const open = async (name: 'xmpp' | 'xmpps'): Promise<Listener | undefined> => {
    const at = config[name]
    if (at === undefined || at.enabled === false) return undefined
    const listener = await openListener(
      {
        name,
        host: at.host,
        port: at.port,
        tls: { mode: name === 'xmpp' ? 'starttls' : 'implicit', material: services.tls, protocols: tcpProtocols },
        connectionsMax: limits.xmppConnectionsMax,
        perAddressMax: limits.xmppConnectionsPerAddressMax,
        busy: '',
      },
      async (channel) => await serve(new TcpTransport(channel)),
      ambient,
    )
    return fronts.use(listener)
  }
  const xmpp = await open('xmpp')
  const xmpps = await open('xmpps')
  const owned = parts.move()
  return {
    server,
    listeners: {
      ...(xmpp === undefined ? {} : { xmpp: xmpp.address }),
      ...(xmpps === undefined ? {} : { xmpps: xmpps.address }),
    },
    get connections() {
      return (xmpp?.connections ?? 0) + (xmpps?.connections ?? 0)
    },
    serve,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}
