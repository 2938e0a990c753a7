/** libp2p as it comes, for comparison: TCP, TLS 1.3, Yamux, one stream, no link of ours on top. */
import { once } from 'node:events'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'

const protocol = '/bench/plain/1'

const node = async (listen: readonly string[]): Promise<Libp2p> =>
  await createLibp2p({
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  })

/** Counts what arrives. @returns where it listens, as a multiaddr with /p2p */
export async function servePlain(onBytes: (octets: number) => void): Promise<string> {
  const libp2p = await node(['/ip4/127.0.0.1/tcp/0'])
  await libp2p.handle(protocol, (stream) => {
    stream.addEventListener('message', ({ data }) => onBytes(data.byteLength))
  })
  return libp2p.getMultiaddrs()[0]!.toString()
}

export interface PlainStream extends AsyncDisposable {
  /** Resolves when there is room for more. */
  send(piece: Uint8Array): Promise<unknown> | undefined
}

export async function dialPlain(at: string): Promise<PlainStream> {
  const libp2p = await node([])
  const stream: Stream = await libp2p.dialProtocol(multiaddr(at), protocol)
  return {
    send: (piece) => (stream.send(piece) ? undefined : once(stream as unknown as EventTarget, 'drain')),
    [Symbol.asyncDispose]: async () => await libp2p.stop(),
  }
}
