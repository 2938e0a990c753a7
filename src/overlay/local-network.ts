/**
 * Finds gateways on the local network with mDNS, under a service name of our own: other libp2p programs there neither
 * see nor disturb us. Anybody there can announce anything, so that what is heard is only a hint to dial, and bounded.
 */
import { start, stop } from '@libp2p/interface'
import type { PeerId } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { limits } from '../core/limits.ts'
import { withoutPeer } from './multiaddr-text.ts'

export type OnSeen = (peer: PeerId, multiaddrs: readonly string[]) => void
type Components = Parameters<ReturnType<typeof mdns>>[0]

/** A service for `createLibp2p`. It is no peer discovery to libp2p, whose peer store would keep all it hears. */
export function localNetwork(onSeen: OnSeen) {
  const create = mdns({ serviceTag: '_mycelium._udp.local', interval: limits.mdnsQueryMs })
  return (components: Components) => {
    const service = create(components)
    const isNews = newsFilter()
    service.addEventListener('peer', ({ detail: { id, multiaddrs } }) => {
      if (isNews(id.toString(), performance.now()))
        onSeen(
          id,
          multiaddrs.map((address) => withoutPeer(address.toString())),
        )
    })
    return { start: async () => await start(service), stop: async () => await stop(service) }
  }
}

/** One peer counts once in a query interval, and no more than so many peers. */
export function newsFilter(): (peer: string, nowMs: number) => boolean {
  const heardMs = new Map<string, number>()
  return (peer, nowMs) => {
    for (const [known, atMs] of heardMs) {
      if (nowMs - atMs < limits.mdnsQueryMs / 2) break
      heardMs.delete(known)
    }
    if (heardMs.has(peer) || heardMs.size >= limits.mdnsPeersMax) return false
    heardMs.set(peer, nowMs)
    return true
  }
}
