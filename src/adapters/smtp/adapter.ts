/** SMTP submission (RFC 6409): opens the STARTTLS and the implicit-TLS listener and serves each client. */
import type { Ambient } from '../../core/ambient.ts'
import { limits } from '../../core/limits.ts'
import { DisposedTogether } from '../../core/disposal.ts'
import { type Listener, openListener } from '../wire/listener.ts'
import type { TlsMaterial } from '../wire/tls.ts'
import { SmtpConnection, type SmtpServices } from './connection.ts'
import { newSmtpCounts, type SmtpCounts } from './counts.ts'
import { formatReply, replies } from './reply.ts'

export interface SmtpListenerConfig {
  /** Loopback unless the owner configured another address. */
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
}

export interface SmtpConfig {
  /** STARTTLS; absent when turned off. */
  readonly smtp?: SmtpListenerConfig
  /** Implicit TLS; absent when turned off. */
  readonly smtps?: SmtpListenerConfig
  /** Announced as SIZE. */
  readonly messageBytesMax: number
}

export interface Smtp extends AsyncDisposable {
  readonly listeners: { readonly smtp?: Listener['address']; readonly smtps?: Listener['address'] }
  readonly counts: Readonly<SmtpCounts>
  /** Connections open now. */
  readonly connections: number
}

/** Disposal lets messages that are being received finish for a while. @throws `port-in-use` */
export async function openSmtp(
  { smtp, smtps, messageBytesMax }: SmtpConfig,
  { tls, ...services }: SmtpServices & { readonly tls: TlsMaterial },
  ambient: Ambient,
): Promise<Smtp> {
  const counts = newSmtpCounts()
  const openOne = async (name: 'smtp' | 'smtps', { host, port }: SmtpListenerConfig): Promise<Listener> =>
    await openListener(
      {
        name,
        host,
        port,
        tls: { mode: name === 'smtp' ? 'starttls' : 'implicit', material: tls, protocols: ['smtp'] },
        connectionsMax: limits.smtpConnectionsMax,
        perAddressMax: limits.smtpConnectionsPerAddressMax,
        busy: formatReply(replies.tooManyConnections),
      },
      async (channel) => {
        await new SmtpConnection(channel, services, { messageBytesMax, counts }, ambient).serve()
      },
      ambient,
    )
  await using parts = new DisposedTogether()
  const plain = smtp === undefined ? undefined : parts.use(await openOne('smtp', smtp))
  const implicit = smtps === undefined ? undefined : parts.use(await openOne('smtps', smtps))
  const owned = parts.move()
  return {
    listeners: {
      ...(plain === undefined ? {} : { smtp: plain.address }),
      ...(implicit === undefined ? {} : { smtps: implicit.address }),
    },
    counts,
    get connections() {
      return (plain?.connections ?? 0) + (implicit?.connections ?? 0)
    },
    [Symbol.asyncDispose]: async () => await owned[Symbol.asyncDispose](),
  }
}
