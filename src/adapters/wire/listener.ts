/** A TCP listener for local clients: caps on connections, TLS from the first byte if wanted, and a close that drains. */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import type { Ambient } from '../../core/ambient.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { Channel, isLoopback, remoteAddressOf } from './channel.ts'
import { tlsAcceptor, type TlsMaterial } from './tls.ts'

export type ListenerTls =
  | { readonly mode: 'none' }
  | {
      readonly mode: 'starttls' | 'implicit'
      readonly material: TlsMaterial
      /** ALPN names that this listener answers to. */
      readonly protocols: readonly string[]
    }

export interface ListenerOptions {
  /** Name for logs: `smtp`, `imaps`. */
  readonly name: string
  /** Loopback unless the owner configured another address; never empty, which would mean every address. */
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  readonly tls: ListenerTls
  readonly connectionsMax: number
  /** For each remote address but loopback, which all programs of this machine share. */
  readonly perAddressMax: number
  /** Last words to a client over the cap, CRLF included; not sent where TLS comes first. */
  readonly busy: string
}

export interface Listener extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number }
  /** Open now. */
  readonly connections: number
}

/**
 * Accepts until disposed. `serve` talks to one client and returns when done; what it throws is logged by code and ends
 * that connection only. Disposal stops accepting, interrupts readers between lines, waits, then cuts.
 * @throws `port-in-use`; `malformed` for an empty host
 */
export async function openListener(
  options: ListenerOptions,
  serve: (channel: Channel) => Promise<void>,
  { log }: Ambient,
): Promise<Listener> {
  const { name, host, port, tls, connectionsMax, perAddressMax, busy } = options
  if (host === '') throw new MyceliumError('malformed', { listener: name })
  const acceptor = tls.mode === 'none' ? undefined : tlsAcceptor(tls.material, tls.protocols)
  const open = new Map<Channel, Promise<void>>()
  const perAddress = new Map<string, number>()
  let isBusy = false

  async function run(channel: Channel): Promise<void> {
    try {
      if (tls.mode === 'implicit') await channel.startTls()
      await serve(channel)
    } catch (error) {
      const code = error instanceof MyceliumError ? error.code : 'bug'
      if (code === 'bug') log.error('listener.failed', { listener: name, error: describe(error) })
      else log.debug('listener.dropped', { listener: name, code })
    } finally {
      channel.destroy()
    }
  }

  function onSocket(socket: Socket): void {
    const remote = remoteAddressOf(socket)
    const fromThere = perAddress.get(remote) ?? 0
    if (open.size >= connectionsMax || (fromThere >= perAddressMax && !isLoopback(remote))) {
      // once for all that are refused in a row: a flood of connections is no flood of lines
      if (!isBusy) log.warn('listener.busy', { listener: name, connections: open.size })
      isBusy = true
      refuse(socket, tls.mode === 'implicit' ? '' : busy)
      return
    }
    isBusy = false
    perAddress.set(remote, fromThere + 1)
    const channel = new Channel(socket, acceptor)
    const done = run(channel).finally(() => {
      open.delete(channel)
      const left = perAddress.get(remote)! - 1
      if (left === 0) perAddress.delete(remote)
      else perAddress.set(remote, left)
    })
    open.set(channel, done)
  }

  // Half-open: a client that sends all its commands and closes its direction still gets every answer.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, onSocket)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(error.code === 'EADDRINUSE' ? new MyceliumError('port-in-use', { listener: name, port }) : error),
    )
    server.listen({ host, port, backlog: 1024 }, resolve)
  })
  const bound = server.address() as AddressInfo
  server.on('error', (error) => log.error('listener.error', { listener: name, error: describe(error) }))

  return {
    address: { host: bound.address, port: bound.port },
    get connections() {
      return open.size
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const channel of open.keys()) channel.reader.interrupt()
      await within(limits.listenerDrainMs, Promise.all(open.values()))
      for (const channel of open.keys()) channel.destroy()
      await Promise.all(open.values())
      await closed
    },
  }
}

/** Error names and codes only: messages may quote what a client sent. */
const describe = (error: unknown): string =>
  error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.name) : typeof error

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, late])
  clearTimeout(timer)
}

function refuse(socket: Socket, lastWords: string): void {
  socket.on('error', () => socket.destroy())
  socket.setTimeout(limits.lingerMs, () => socket.destroy())
  socket.end(lastWords, () => socket.destroySoon())
  socket.resume()
}
