/** A gateway that attracts paths and swallows them: it agrees to each and lets its bytes vanish. */
import { systemRandom } from '../../../src/core/ambient.ts'
import { signingKey } from '../../../src/core/crypto/sign.ts'
import { newGatewayKey } from '../../../src/overlay/gateway-key.ts'
import { GatewayOverlay } from '../../../src/overlay/gateway-overlay.ts'
import type { DirectNetwork, Pipe } from '../../../src/overlay/network.ts'
import { PipeReader } from '../../../src/overlay/pipe-reader.ts'
import { pathProtocol } from '../../../src/overlay/protocols.ts'
import { encodePathAnswer, pathRequestBytes } from '../../../src/overlay/routing/path-messages.ts'
import { ambient, observe, openNetwork, type Peer, within } from '../support.ts'

function swallowing(network: DirectNetwork, onSwallowed: () => void): DirectNetwork {
  const swallow = async (pipe: Pipe): Promise<void> => {
    const reader = new PipeReader(pipe, 1_000_000)
    await reader.exactly(pathRequestBytes, within(20_000).signal)
    pipe.write(encodePathAnswer({ verdict: 'accepted', hops: 1 }))
    onSwallowed()
  }
  return {
    self: network.self,
    locators: () => network.locators(),
    listeners: () => network.listeners(),
    path: (gateway) => network.path(gateway),
    isNeighbour: (gateway) => network.isNeighbour(gateway),
    dialledAt: (gateway) => network.dialledAt(gateway),
    isPublic: () => network.isPublic(),
    connect: async (to, options) => await network.connect(to, options),
    open: async (...what) => await network.open(...what),
    openDirect: async (...what) => await network.openDirect(...what),
    adopt: async (...what) => await network.adopt(...what),
    drop: (...what) => network.drop(...what),
    start: async (events) =>
      await network.start({
        ...events,
        onPipe: (protocol, pipe, from) => {
          if (protocol === pathProtocol) void swallow(pipe)
          else events.onPipe(protocol, pipe, from)
        },
      }),
    [Symbol.asyncDispose]: async () => await network[Symbol.asyncDispose](),
  }
}

/** @param onSwallowed one more path was agreed to */
export async function openSwallower(onSwallowed: () => void): Promise<Peer> {
  const key = newGatewayKey(systemRandom)
  const network = openNetwork(key)
  const overlay = new GatewayOverlay(swallowing(network, onSwallowed), {
    ambient,
    key: signingKey(key),
    serves: () => true,
  })
  await overlay.start()
  return observe(overlay, {})
}
