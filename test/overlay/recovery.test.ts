import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, test, vi } from 'vitest'
import { fromUtf8 } from '../../src/core/bytes.ts'
import { systemRandom } from '../../src/core/ambient.ts'
import type { GatewayAddress } from '../../src/core/delivery/ports.ts'
import { limits } from '../../src/core/limits.ts'
import { parseBootstrap } from '../../src/overlay/bootstrap.ts'
import { newGatewayKey } from '../../src/overlay/gateway-key.ts'
import { alive, check } from '../../src/overlay/liveness.ts'
import { newsFilter } from '../../src/overlay/local-network.ts'
import { memoryNetwork } from '../../src/overlay/memory-overlay.ts'
import { openOverlay } from '../../src/overlay/overlay.ts'
import { ambient, observe, openPeer, text, within } from './support.ts'
import type { Peer } from './support.ts'

afterEach(() => {
  vi.useRealTimers()
})

async function startOther(key: Uint8Array, port: number): Promise<{ process: ChildProcess; address: GatewayAddress }> {
  const child = fork(new URL('./other-process.ts', import.meta.url), [Buffer.from(key).toString('hex'), String(port)])
  const [address] = (await once(child, 'message')) as [GatewayAddress]
  return { process: child, address }
}

test('the link to a killed process closes at once, and a new one comes up when it is back', async () => {
  await using alice = await openPeer()
  const key = newGatewayKey(systemRandom)
  let bob = await startOther(key, 0)
  const port = Number(/\/tcp\/(\d+)$/.exec(bob.address.locators[0]!)![1])
  for (let round = 0; round < 2; round += 1) {
    const link = await alice.overlay.link(bob.address, within(20_000))
    await link.send(fromUtf8('hello'))
    bob.process.kill('SIGKILL')
    await expect.poll(() => link.closed.aborted).toBe(true)
    await expect(alice.overlay.link(bob.address, within(20_000))).rejects.toMatchObject({ code: 'unreachable' })
    bob = await startOther(key, port)
    await new Promise((resolve) => {
      setTimeout(resolve, limits.dialBackOffMsMin)
    })
  }
  expect((await alice.overlay.link(bob.address, within(20_000))).closed.aborted).toBe(false)
  bob.process.kill()
})

test('a gateway of the configuration is connected without being asked for', async () => {
  await using bob = await openPeer()
  const overlay = await openOverlay({
    config: {
      host: '127.0.0.1',
      port: 0,
      webSocketPort: 0,
      mdns: false,
      bootstrap: [bob.overlay.listeners()[0]!],
      relays: [],
      announce: [],
      loopback: false,
      routing: true,
      relay: false,
    },
    key: newGatewayKey(systemRandom),
    ambient,
    transports: ['tcp'],
  })
  await using alice = observe(overlay, {})
  await expect.poll(() => bob.reachable.map(({ gateway }) => gateway)).toEqual([alice.overlay.self])
  expect(parseBootstrap('/ip4/127.0.0.1/tcp/4001')).toBeUndefined()
  expect(
    parseBootstrap('/dns4/example.org/tcp/1/p2p/12D3KooWJPZNzQFjGrRR33HDdj9iJn7Dmi5Ph9HEzA4n6dKJzJdf'),
  ).toBeUndefined()
})

test('a taken port is named, and nothing stays open', async () => {
  await using alice = await openPeer()
  const port = Number(/\/tcp\/(\d+)$/.exec(alice.overlay.locators()[0]!)![1])
  await expect(openPeer({ port })).rejects.toMatchObject({ code: 'port-in-use' })
})

async function memoryPair(): Promise<{ alice: Peer; bob: Peer; network: ReturnType<typeof memoryNetwork> }> {
  const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }
  const network = memoryNetwork({ ...ambient, clock })
  const alice = observe(await network.join('alice'), {})
  const bob = observe(await network.join('bob'), { reads: 'leave' })
  return { alice, bob, network }
}

test('a peer that falls silent is given up within half a minute, one that answers is not', async () => {
  vi.useFakeTimers()
  const { alice, bob, network } = await memoryPair()
  const linking = alice.overlay.link(bob.address, { signal: new AbortController().signal })
  await vi.advanceTimersByTimeAsync(100)
  const link = await linking
  await vi.advanceTimersByTimeAsync(600_000)
  expect(link.closed.aborted).toBe(false)
  network.silence('alice', 'bob')
  await vi.advanceTimersByTimeAsync(30_000)
  expect([link.closed.aborted, bob.links[0]!.closed.aborted]).toEqual([true, true])
  expect(alice.overlay.peers()).toMatchObject([{ state: 'disconnected', lastError: 'no sign of life' }])
})

test('a peer that lives and reads nothing loses the link after a minute', async () => {
  vi.useFakeTimers()
  const { alice, bob } = await memoryPair()
  const linking = alice.overlay.link(bob.address, { signal: new AbortController().signal })
  await vi.advanceTimersByTimeAsync(100)
  const link = await linking
  const flooding = (async () => {
    for (;;) await link.send(new Uint8Array(100_000))
  })()
  flooding.catch(() => {})
  await vi.advanceTimersByTimeAsync(limits.linkStallMsMax - 5_000)
  expect(link.closed.aborted).toBe(false)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(link.closed.aborted).toBe(true)
  expect(alice.overlay.peers()).toMatchObject([{ lastError: 'peer does not read' }])
})

test('partition, move, restart and announcement behave as on a network', async () => {
  const network = memoryNetwork(ambient)
  await using alice = observe(await network.join('alice'), {})
  const bob = observe(await network.join('bob'), {})
  const link = await alice.overlay.link(bob.address, within(20_000))
  network.partition('alice', 'bob')
  expect([link.closed.aborted, bob.links[0]!.closed.aborted]).toEqual([true, true])
  await expect(alice.overlay.link(bob.address, within(20_000))).rejects.toMatchObject({ code: 'unreachable' })
  network.heal('alice', 'bob')
  await alice.overlay.link(bob.address, within(20_000))
  const old = bob.address
  network.disconnect('alice', 'bob')
  network.move('bob')
  await expect(alice.overlay.link(old, within(20_000))).rejects.toMatchObject({ code: 'unreachable' })
  network.announce('bob')
  expect(alice.reachable.at(-1)).toEqual(bob.address)
  // who knows no more than where it was, and has heard where it is, reaches it
  await alice.overlay.link(old, within(20_000))
  network.kill('bob')
  const again = observe(await network.join('bob'), {})
  expect(again.overlay.self).toBe(bob.overlay.self)
  const second = await again.overlay.link(alice.address, within(20_000))
  await second.send(fromUtf8('back'))
  await expect.poll(() => text(alice)).toBe('back')
})

test('a delayed network delivers in order', async () => {
  const network = memoryNetwork(ambient)
  await using alice = observe(await network.join('alice'), {})
  await using bob = observe(await network.join('bob'), {})
  network.setDelay(20)
  const startedAt = performance.now()
  const link = await alice.overlay.link(bob.address, within(20_000))
  for (let count = 0; count < 100; count += 1) {
    await link.send(fromUtf8(`${count} `))
    if (count % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await expect
    .poll(() => text(bob), { interval: 5 })
    .toBe(Array.from({ length: 100 }, (_, count) => `${count} `).join(''))
  expect(performance.now() - startedAt).toBeGreaterThan(80)
})

test('liveness waits, asks, gives up, and forgives its own sleep', () => {
  const start = alive(0)
  expect(check(start, 2_000).verdict).toBe('wait')
  const asked = check({ ...start, checkedAtMs: 8_000 }, limits.linkQuietMs)
  expect(asked.verdict).toBe('ping')
  const waiting = check({ ...asked.state, checkedAtMs: 18_000 }, 19_000)
  expect(waiting.verdict).toBe('wait')
  expect(check(waiting.state, 20_000).verdict).toBe('dead')
  expect(check(waiting.state, 100_000).verdict).toBe('ping')
  expect(check({ ...waiting.state, heardAtMs: 19_500 }, 20_000).verdict).toBe('wait')
})

test('what the local network says is bounded', () => {
  const isNews = newsFilter()
  const heard = Array.from({ length: 1_000 }, (_, index) => isNews(`peer-${index % 500}`, 0)).filter(Boolean).length
  expect(heard).toBe(limits.mdnsPeersMax)
  expect(isNews('peer-0', limits.mdnsQueryMs)).toBe(true)
  expect(isNews('peer-0', limits.mdnsQueryMs)).toBe(false)
})
