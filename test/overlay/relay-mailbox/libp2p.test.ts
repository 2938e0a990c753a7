/** The same over sockets: deposits, carried ones and watches on libp2p, whose idle connections are closed quickly here. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test, vi } from 'vitest'
import { systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { relayBodySizes } from '../../../src/core/delivery/relay-ports.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import type { Transport } from '../../../src/overlay/dial-policy.ts'
import { newGatewayKey } from '../../../src/overlay/gateway-key.ts'
import { openOverlay } from '../../../src/overlay/overlay.ts'
import type { RelayHost } from '../../../src/overlay/relay-mailbox/server.ts'
import {
  addressOf,
  ambientWith,
  bodyOf,
  entryOf,
  fills,
  newKey,
  newQueue,
  openRelayStore,
  type RelayUser,
  serveNothing,
  soon,
  takeAll,
} from './support.ts'

vi.mock(import('../../../src/core/limits.ts'), async (original) => {
  const { limits: real } = await original()
  return { limits: { ...real, connectionIdleMsMax: 3000, relayWatchAliveMs: 1500 } as unknown as typeof real }
})

const ambient = ambientWith(systemClock)

async function open(
  transport: Transport,
  { relay, loopback = true }: { readonly relay?: RelayHost; readonly loopback?: boolean } = {},
): Promise<RelayUser> {
  const overlay = await openOverlay({
    config: {
      host: '127.0.0.1',
      port: 0,
      webSocketPort: 0,
      mdns: false,
      bootstrap: [],
      relays: [],
      announce: [],
      loopback,
      routing: true,
      relay: false,
    },
    key: newGatewayKey(systemRandom),
    ambient,
    transports: transport === 'tcp' ? ['tcp'] : ['tcp', transport],
    ...(relay === undefined ? {} : { relay }),
  })
  serveNothing(overlay)
  return overlay
}

describe.each<Transport>(['tcp', 'quic'])('over %s', (transport) => {
  const only = (overlay: RelayUser) => ({
    gateway: overlay.self,
    locators: overlay.locators().filter((locator) => locator.includes(transport)),
  })

  test('entries of every size go through a relay, also carried by another one, and a quiet watch stays', async () => {
    const folders = [await mkdtemp(join(tmpdir(), 'mycelium-relay-')), await mkdtemp(join(tmpdir(), 'mycelium-relay-'))]
    const stores = await Promise.all(folders.map(async (folder) => await openRelayStore(folder, ambient)))
    const known = new Set<GatewayId>()
    const host = (index: number): RelayHost => ({
      store: stores[index]!,
      bytesMax: 256 * 1024 * 1024,
      isKnown: (gateway) => known.has(gateway),
    })
    const relay = await open(transport, { relay: host(0) })
    const carrier = await open(transport, { relay: host(1) })
    const alice = await open(transport)
    const bob = await open(transport)
    for (const overlay of [alice, bob]) known.add(overlay.self)

    const owner = newKey()
    await bob.relays.open(only(relay), owner, soon())
    const queue = await newQueue(bob, only(relay), owner)
    for (const [index, size] of relayBodySizes.entries()) {
      const through = index % 2 === 0 ? undefined : only(carrier)
      const outcome = await alice.relays.deposit(queue, entryOf(bodyOf(index + 1, size)), { through, ...soon(30_000) })
      expect(outcome).toBe('stored')
    }
    const taken = await takeAll(bob, only(relay), owner)
    expect(fills(taken)).toEqual([1, 2, 3, 4, 5])
    expect(taken.map(({ body }) => body.length)).toEqual([...relayBodySizes])

    const got: number[] = []
    const leave = new AbortController()
    const watching = bob.relays.watch(
      only(relay),
      owner,
      {
        onEntries: async (entries) => {
          got.push(...entries.map(({ body }) => body[0]!))
          return await Promise.resolve(entries.map(({ number }) => number))
        },
        onDrained: () => {},
      },
      { stay: true, signal: leave.signal },
    )
    watching.catch(() => {})
    const connected = (overlay: RelayUser): readonly string[] =>
      overlay.peers().flatMap(({ gateway, state }) => (state === 'connected' ? [gateway] : []))
    // the idle ones go
    await expect.poll(() => [connected(relay), connected(alice)], { timeout: 60_000 }).toEqual([[bob.self], []])
    await alice.relays.deposit(queue, entryOf(bodyOf(77)), { through: undefined, ...soon() })
    await expect.poll(() => got).toEqual([77])
    expect(await alice.relays.describe(addressOf(bob), soon())).toBeUndefined()
    leave.abort(new Error('enough'))
    await expect(watching).rejects.toThrow('enough')
    for (const overlay of [alice, bob, carrier, relay]) await overlay[Symbol.asyncDispose]()
    for (const store of stores) await store[Symbol.asyncDispose]()
    for (const folder of folders) await rm(folder, { recursive: true, force: true })
  }, 120_000)
})
