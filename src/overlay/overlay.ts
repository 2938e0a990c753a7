/** Opens the overlay on libp2p: what `gateway.ts` calls. */
import type { Ambient } from '../core/ambient.ts'
import type { Locator, Overlay } from '../core/delivery/ports.ts'
import type { Relays } from '../core/delivery/relay-ports.ts'
import type { GatewayId } from '../core/ids.ts'
import { gatewaysOf } from './bootstrap.ts'
import type { Transport } from './dial-policy.ts'
import { GatewayOverlay } from './gateway-overlay.ts'
import { Libp2pNetwork } from './libp2p-network.ts'
import type { RelayHost } from './relay-mailbox/server.ts'

/** The `overlay` section of the configuration. */
export interface OverlayConfig {
  /** IP address to listen on; 0.0.0.0 and :: both mean every address of both families. */
  readonly host: string
  /** TCP and, with the same number, UDP for QUIC; 0 picks free ones, not the same. */
  readonly port: number
  readonly webSocketPort: number
  readonly mdns: boolean
  /** Multiaddrs with /p2p of gateways to connect to at start. */
  readonly bootstrap: readonly string[]
  /** The same of relays: the connection to each is kept. */
  readonly relays: readonly string[]
  /** Given to contacts before the addresses found. */
  readonly announce: readonly Locator[]
  /** Give out and dial loopback addresses: several gateways on one machine. Implied by a loopback `host`. */
  readonly loopback: boolean
  /** Carry connections between gateways that cannot reach each other: those of contacts, and of the configuration. */
  readonly routing: boolean
  /** A relay: carries everybody's. */
  readonly relay: boolean
}

export interface OverlayOptions {
  readonly config: OverlayConfig
  /** 32-byte Ed25519 seed (`newGatewayKey`). */
  readonly key: Uint8Array
  readonly ambient: Ambient
  readonly transports?: readonly Transport[]
  /** For a gateway that is a relay. */
  readonly relay?: RelayHost | undefined
  /** Whether an accepted contact lives at a gateway. */
  readonly isKnown?: (gateway: GatewayId) => boolean
}

/** @throws `port-in-use` when the TCP port is taken, `malformed` for a bootstrap address that is no locator with /p2p */
export async function openOverlay({
  config,
  key,
  ambient,
  transports = ['tcp', 'quic', 'ws'],
  isKnown = () => false,
  relay,
}: OverlayOptions): Promise<Overlay & { readonly relays: Relays }> {
  const bootstrap = [
    ...gatewaysOf('overlay.bootstrap', config.bootstrap),
    ...gatewaysOf('overlay.relays', config.relays),
  ]
  const network = new Libp2pNetwork({
    ...config,
    bootstrap,
    key,
    transports,
    allowLoopback: config.loopback || /^127\.|^::1$/.test(config.host),
    ambient,
  })
  const named = new Set(bootstrap.map(({ gateway }) => gateway))
  const overlay = new GatewayOverlay(network, {
    ambient,
    relay,
    serves: (gateway) => config.routing && (config.relay || named.has(gateway) || isKnown(gateway)),
  })
  await overlay.start()
  return overlay
}
