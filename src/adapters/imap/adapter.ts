/** The IMAP server: IMAP4rev1 and rev2 over STARTTLS and implicit TLS (RFC 3501, RFC 9051). */
import type { Ambient } from '../../core/ambient.ts'
import { limits } from '../../core/limits.ts'
import { DisposedTogether } from '../../core/disposal.ts'
import { type Listener, openListener } from '../wire/listener.ts'
import { busyGreeting, serveImap } from './connection.ts'
import { Turns } from '../wire/turns.ts'
import { Recents } from './recents.ts'
import type { ImapServices, ServerContext } from './services.ts'
import { FactsLibrary } from './sort/facts.ts'

export interface ListenAt {
  readonly enabled?: boolean
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
}

export interface ImapConfig {
  readonly imap?: ListenAt
  readonly imaps?: ListenAt
}

export interface Imap extends AsyncDisposable {
  /** Where each opened listener listens. */
  readonly listeners: {
    readonly imap?: { readonly host: string; readonly port: number }
    readonly imaps?: { readonly host: string; readonly port: number }
  }
  /** Connections open now. */
  readonly connections: number
}

/** @throws `port-in-use` */
export async function openImap(config: ImapConfig, services: ImapServices, ambient: Ambient): Promise<Imap> {
  await using parts = new DisposedTogether()
  const context = serverContext(services, ambient)
  const open = async (name: 'imap' | 'imaps'): Promise<Listener | undefined> => {
    const at = config[name]
    if (at === undefined || at.enabled === false) return undefined
    const listener = await openListener(
      {
        name,
        host: at.host,
        port: at.port,
        tls: { mode: name === 'imap' ? 'starttls' : 'implicit', material: services.tls, protocols: ['imap'] },
        connectionsMax: limits.imapConnectionsMax,
        perAddressMax: limits.imapConnectionsPerAccountMax,
        busy: busyGreeting,
      },
      (channel) => serveImap(channel, context),
      ambient,
    )
    return parts.use(listener)
  }
  const imap = await open('imap')
  const imaps = await open('imaps')
  const owned = parts.move()
  return {
    listeners: {
      ...(imap === undefined ? {} : { imap: imap.address }),
      ...(imaps === undefined ? {} : { imaps: imaps.address }),
    },
    get connections() {
      return (imap?.connections ?? 0) + (imaps?.connections ?? 0)
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

function serverContext(services: ImapServices, ambient: Ambient): ServerContext {
  const perAccount = new Map<string, number>()
  return {
    services,
    ambient,
    recents: new Recents(),
    turns: new Turns(),
    facts: new FactsLibrary(),
    admit({ account }) {
      const open = perAccount.get(account) ?? 0
      if (open >= limits.imapConnectionsPerAccountMax) return undefined
      perAccount.set(account, open + 1)
      return {
        [Symbol.dispose]() {
          const left = perAccount.get(account)! - 1
          if (left === 0) perAccount.delete(account)
          else perAccount.set(account, left)
        },
      }
    },
  }
}
