/** Builds the libp2p node: transports, TLS 1.3 before Noise, Yamux, identify without account data, bounds. */
import { noise } from '@chainsafe/libp2p-noise'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { FaultTolerance } from '@libp2p/interface'
import type { ComponentLogger, Logger, MultiaddrConnection, PeerId, Upgrader } from '@libp2p/interface'
import type { TransportManager } from '@libp2p/interface-internal'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import type { Libp2p, Libp2pOptions } from 'libp2p'
import { limits } from '../core/limits.ts'
import type { Transport } from './dial-policy.ts'
import { withoutPeer } from './multiaddr-text.ts'

export interface NodeOptions {
  readonly key: Uint8Array
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[]
  readonly transports: readonly Transport[]
  /** What identify may tell of our own addresses. */
  readonly announced: () => readonly string[]
  /** True refuses an incoming connection before its handshake. */
  readonly refuses: (connection: MultiaddrConnection) => boolean
  readonly refusesPeer: (peer: PeerId) => boolean
}

export interface Node {
  readonly libp2p: Libp2p
  readonly transports: TransportManager
  readonly upgrader: Upgrader
}

/** libp2p's own log holds addresses and costs time: it is off, also for `DEBUG`. */
export const quiet: Logger = Object.assign(() => {}, {
  error: () => {},
  trace: () => {},
  newScope: () => quiet,
  enabled: false,
})
const quietLogger: ComponentLogger = { forComponent: () => quiet }

/** Not started yet. */
export async function buildNode(options: NodeOptions): Promise<Node> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', options.key)
  let parts: { readonly transportManager: TransportManager; readonly upgrader: Upgrader } | undefined
  const services: NonNullable<Libp2pOptions['services']> = {
    identify: identify({ maxMessageSize: 4096, maxInboundStreams: 1, maxOutboundStreams: 1, maxObservedAddresses: 4 }),
    parts: (components: NonNullable<typeof parts>) => {
      parts = components
      return {}
    },
  }
  const libp2p = await createLibp2p({
    privateKey,
    start: false,
    logger: quietLogger,
    nodeInfo: { name: 'mycelium', version: '1', userAgent: 'mycelium' },
    addresses: {
      listen: [...options.listen],
      announceFilter: (addresses) => {
        const announced = new Set(options.announced())
        return addresses.filter((address) => announced.has(withoutPeer(address.toString())))
      },
    },
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    transports: await transportsOf(options.transports),
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [
      yamux({
        maxInboundStreams: limits.streamsPerConnectionMax,
        maxOutboundStreams: limits.streamsPerConnectionMax,
        streamOptions: {
          maxStreamWindowSize: limits.linkWindowBytes,
          maxReadBufferLength: limits.linkWindowBytes + 256 * 1024,
        },
      }),
    ],
    connectionGater: {
      denyInboundConnection: options.refuses,
      denyInboundEncryptedConnection: options.refusesPeer,
    },
    connectionManager: {
      maxConnections: limits.connectionsMax,
      maxIncomingPendingConnections: limits.connectionsPendingMax,
      inboundConnectionThreshold: limits.connectionsPerSecondMax,
      inboundUpgradeTimeout: limits.connectionUpgradeMsMax,
      inboundStreamProtocolNegotiationTimeout: limits.streamNegotiationMsMax,
      outboundStreamProtocolNegotiationTimeout: limits.streamNegotiationMsMax,
      reconnectRetries: 0,
    },
    // its pings abort loaded connections; links have their own sign of life
    connectionMonitor: { enabled: false, abortConnectionOnPingFailure: false },
    services,
  })
  return { libp2p, transports: parts!.transportManager, upgrader: parts!.upgrader }
}

async function transportsOf(names: readonly Transport[]): Promise<NonNullable<Libp2pOptions['transports']>> {
  const idle = limits.connectionIdleMsMax * 2
  const load: Readonly<Record<Transport, () => Promise<NonNullable<Libp2pOptions['transports']>[number]>>> = {
    tcp: async () => tcp({ inboundSocketInactivityTimeout: idle, outboundSocketInactivityTimeout: idle }),
    quic: async () =>
      (await import('@chainsafe/libp2p-quic')).quic({ maxConcurrentStreamLimit: limits.streamsPerConnectionMax }),
    ws: async () => (await import('@libp2p/websockets')).webSockets({ maxBufferedAmount: 1024 * 1024 }),
  }
  return await Promise.all(names.map((name) => load[name]()))
}
