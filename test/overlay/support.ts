/** Two or more overlays, on libp2p over loopback or in memory, with what a test wants to see recorded. */
import type { Ambient } from '../../src/core/ambient.ts'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import type { AskHandler, AskTopic, GatewayAddress, Link, Overlay } from '../../src/core/delivery/ports.ts'
import type { Transport } from '../../src/overlay/dial-policy.ts'
import { newGatewayKey } from '../../src/overlay/gateway-key.ts'
import { Libp2pNetwork } from '../../src/overlay/libp2p-network.ts'
import { memoryNetwork } from '../../src/overlay/memory-overlay.ts'
import { openOverlay } from '../../src/overlay/overlay.ts'
import type { OverlayConfig } from '../../src/overlay/overlay.ts'
import type { GatewayId } from '../../src/core/ids.ts'

export const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }

export interface Peer extends AsyncDisposable {
  readonly overlay: Overlay
  readonly address: GatewayAddress
  readonly links: Link[]
  readonly reachable: GatewayAddress[]
  /** Octets read from every link, when `reads` is on. */
  readonly received: { octets: number; chunks: Uint8Array[] }
}

export interface PeerOptions {
  /** Reads every link and keeps what arrives (`keep`), only counts it (`count`), or leaves it (`leave`). */
  readonly reads?: 'keep' | 'count' | 'leave'
  readonly answer?: Partial<Record<AskTopic, AskHandler>>
  /** Everybody where it is left out. */
  readonly isFamiliar?: (gateway: GatewayId) => boolean
  readonly key?: Uint8Array
  readonly transports?: readonly Transport[]
  readonly port?: number
  readonly config?: Partial<OverlayConfig>
  readonly isKnown?: (gateway: GatewayId) => boolean
}

const refuse: AskHandler = async () => undefined

export function observe(overlay: Overlay, { reads = 'keep', answer = {}, isFamiliar }: PeerOptions): Peer {
  const peer: Peer = {
    overlay,
    get address() {
      return { gateway: overlay.self, locators: overlay.locators() }
    },
    links: [],
    reachable: [],
    received: { octets: 0, chunks: [] },
    [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
  }
  overlay.serve({
    onLink: (link) => {
      peer.links.push(link)
      if (reads !== 'leave') void read(peer, link, reads)
    },
    onReachable: (gateway) => void peer.reachable.push(gateway),
    onLocatorsChanged: () => {},
    ...(isFamiliar === undefined ? {} : { isFamiliar }),
    answer: { bundle: refuse, handshake: refuse, blob: refuse, device: refuse, ...answer },
  })
  return peer
}

async function read(peer: Peer, link: Link, reads: 'keep' | 'count'): Promise<void> {
  for await (const piece of link.incoming) {
    peer.received.octets += piece.length
    if (reads === 'keep') peer.received.chunks.push(piece.slice())
  }
}

export const text = (peer: Peer): string => Buffer.concat(peer.received.chunks).toString()

export async function openPeer(options: PeerOptions = {}): Promise<Peer> {
  const overlay = await openOverlay({
    config: {
      host: '127.0.0.1',
      port: options.port ?? 0,
      webSocketPort: 0,
      mdns: false,
      bootstrap: [],
      relays: [],
      announce: [],
      loopback: true,
      routing: true,
      relay: false,
      ...options.config,
    },
    key: options.key ?? newGatewayKey(systemRandom),
    ambient,
    transports: options.transports ?? ['tcp'],
    ...(options.isKnown === undefined ? {} : { isKnown: options.isKnown }),
  })
  return observe(overlay, options)
}

/** A network of one gateway on loopback over TCP, nothing above it yet. */
export function openNetwork(key: Uint8Array): Libp2pNetwork {
  return new Libp2pNetwork({
    key,
    host: '127.0.0.1',
    port: 0,
    webSocketPort: 0,
    transports: ['tcp'],
    mdns: false,
    announce: [],
    allowLoopback: true,
    bootstrap: [],
    ambient,
  })
}

/** Opens peers one after another: `join` makes the next. */
export interface World {
  readonly name: string
  readonly create: () => (options?: PeerOptions) => Promise<Peer>
}

export const worlds: readonly World[] = [
  { name: 'libp2p over TCP', create: () => openPeer },
  { name: 'libp2p over QUIC', create: () => async (options) => await openPeer({ transports: ['quic'], ...options }) },
  {
    name: 'libp2p over WebSocket',
    create: () => async (options) => await openPeer({ transports: ['ws'], ...options }),
  },
  {
    name: 'memory',
    create: () => {
      const network = memoryNetwork(ambient)
      let count = 0
      return async (options = {}) => {
        count += 1
        return observe(
          await network.join(`peer-${count}`, options.key === undefined ? {} : { key: options.key }),
          options,
        )
      }
    },
  },
]

export const within = (ms: number): { readonly signal: AbortSignal } => ({ signal: AbortSignal.timeout(ms) })
