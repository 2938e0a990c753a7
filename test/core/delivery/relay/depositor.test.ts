/** Copies that their relay did not take. */
import { expect, test } from 'vitest'
import { silentLog, systemRandom } from '../../../../src/core/ambient.ts'
import { RelayBook } from '../../../../src/core/delivery/relay/book.ts'
import { Depositor } from '../../../../src/core/delivery/relay/depositor.ts'
import type { Relays } from '../../../../src/core/delivery/relay-ports.ts'
import { MyceliumError } from '../../../../src/core/errors.ts'
import type { GatewayId } from '../../../../src/core/ids.ts'
import { limits } from '../../../../src/core/limits.ts'
import { openMemoryStore } from '../../../support/memory-store.ts'
import { pair } from './support.ts'

test('copies for relays that are away are kept in memory up to a bound over all pairs, and placed when they are back', async () => {
  const time = { ms: Date.UTC(2026, 10, 30) }
  const clock = { nowMs: () => time.ms, monotonicMs: () => time.ms }
  const store = openMemoryStore()
  const book = new RelayBook(store)
  const queues = ['up', 'away'].map((gateway, index) => ({
    relay: { gateway: gateway as GatewayId, locators: [] },
    sealKey: Buffer.alloc(32, 1),
    sendSeed: Buffer.alloc(32, index),
    bodyKey: Buffer.alloc(32, 3),
  }))
  await store.write((tx) => book.given(tx, pair, queues))
  const placed: string[] = []
  const away = new Set(['away'])
  const lateOctets = { now: 0 }
  const depositor = new Depositor(pair, {
    store,
    book,
    relays: {
      deposit: async ({ relay }: Parameters<Relays['deposit']>[0]) => {
        if (away.has(relay.gateway)) return await Promise.resolve('full' as const)
        placed.push(relay.gateway)
        return 'stored' as const
      },
    } as unknown as Relays,
    ambient: { clock, random: systemRandom, log: silentLog },
    carrierFor: () => undefined,
    resting: new Map(),
    lateOctets,
    isHidden: false,
  })
  const { signal } = new AbortController()
  const bytes = 1024 * 1024 - 4096
  const count = Math.floor(limits.relayLateBytesMax / bytes)
  for (let one = 0; one < count + 4; one += 1)
    await depositor.leave(
      { kind: 'frames', items: new Uint8Array(bytes) },
      { expiresAtMs: time.ms + limits.messageExpiryMs, signal },
    )
  expect(lateOctets.now).toBe(count * bytes)
  away.clear()
  await depositor.tick(signal)
  expect(placed.filter((gateway) => gateway === 'away')).toHaveLength(count)
  expect(lateOctets.now).toBe(0)
})

test('a carrier that has enough to carry does not keep a copy from its relay, unless hiding asks for it', async () => {
  const outcomes = async (isHidden: boolean): Promise<readonly (string | undefined)[]> => {
    const clock = { nowMs: () => 1, monotonicMs: () => 1 }
    const store = openMemoryStore()
    const book = new RelayBook(store)
    const relay = { gateway: 'theirs' as GatewayId, locators: [] }
    const keys = { sealKey: Buffer.alloc(32), sendSeed: Buffer.alloc(32, 1), bodyKey: Buffer.alloc(32, 2) }
    await store.write((tx) => book.given(tx, pair, [{ relay, ...keys }]))
    const ways: (string | undefined)[] = []
    const depositor = new Depositor(pair, {
      store,
      book,
      relays: {
        deposit: async (...[, , { through }]: Parameters<Relays['deposit']>) => {
          ways.push(through?.gateway)
          return await Promise.resolve(through === undefined ? ('stored' as const) : ('throttled' as const))
        },
      } as unknown as Relays,
      ambient: { clock, random: systemRandom, log: silentLog },
      carrierFor: () => ({ gateway: 'mine' as GatewayId, locators: [] }),
      resting: new Map(),
      lateOctets: { now: 0 },
      isHidden,
    })
    const { signal } = new AbortController()
    await depositor.leave({ kind: 'probe' }, { expiresAtMs: 1000, signal }).catch(() => {})
    return ways
  }
  expect(await outcomes(false)).toEqual(['mine', undefined])
  expect(await outcomes(true)).toEqual(['mine'])
})

test('a relay that lost its disk is left mail again: its new seal key is asked for, and its queue comes back', async () => {
  const time = { ms: 1_000_000 }
  const clock = { nowMs: () => time.ms, monotonicMs: () => time.ms }
  const store = openMemoryStore()
  const book = new RelayBook(store)
  const relay = { gateway: 'wiped' as GatewayId, locators: [] }
  const keys = { sealKey: Buffer.alloc(32, 9), sendSeed: Buffer.alloc(32, 1), bodyKey: Buffer.alloc(32, 2) }
  await store.write((tx) => book.given(tx, pair, [{ relay, ...keys }]))
  const newKey = Buffer.alloc(32, 10)
  let knowsQueue = false
  const depositor = new Depositor(pair, {
    store,
    book,
    relays: {
      describe: async () => await Promise.resolve({ sealKey: newKey }),
      deposit: async ({ sealKey }: Parameters<Relays['deposit']>[0]) => {
        if (Buffer.compare(sealKey, newKey) !== 0) throw new MyceliumError('peer-misbehaved', { reason: 'signature' })
        return await Promise.resolve(knowsQueue ? ('stored' as const) : ('no-such-queue' as const))
      },
    } as unknown as Relays,
    ambient: { clock, random: systemRandom, log: silentLog },
    carrierFor: () => undefined,
    resting: new Map(),
    lateOctets: { now: 0 },
    isHidden: false,
  })
  const { signal } = new AbortController()
  const leave = async (): Promise<number> =>
    await depositor.leave({ kind: 'probe' }, { expiresAtMs: time.ms + 1e9, signal }).catch(() => 0)
  expect(await leave()).toBe(0) // sealed to the old key
  expect(depositor.hasWay).toBe(true)
  expect(await leave()).toBe(0) // its owner has not been there yet
  expect(depositor.hasWay).toBe(false)
  knowsQueue = true
  time.ms += limits.relayMissingMs + 1
  expect(depositor.hasWay).toBe(true)
  expect(await leave()).toBe(1)
})
