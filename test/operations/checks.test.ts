import { expect, test } from 'vitest'
import type { DoctorCheck } from '../../src/core/control-views.ts'
import { liveChecks } from '../../src/operations/checks.ts'
import { hearOf } from '../support/strangers.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const checksOf = async ({ node, knowledge }: TestGateway, aheadMs = 0): Promise<ReadonlyMap<string, DoctorCheck>> => {
  const clock = { nowMs: () => Date.now() + aheadMs, monotonicMs: () => performance.now() }
  const checks = await liveChecks({ node, knowledge, listeners: { overlay: [] }, clock })
  return new Map(checks.map((check) => [check.name, check]))
}
const stateOf = async (gateway: TestGateway, name: string) => (await checksOf(gateway)).get(name)?.state

test('doctor names contacts who are out of reach, and says what to do; strangers who wait are counted', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  expect((await checksOf(alice)).get('contacts')?.detail).toBe('none yet')
  await world.introduce(alice, bob)
  await expect.poll(async () => (await checksOf(alice)).get('contacts')?.detail).toBe('1 of 1 connected')
  const carol = await world.gateway('carol')
  await hearOf(carol, alice)
  await carol.submit(alice.address, 'hello')
  await expect.poll(async () => await stateOf(alice, 'requests of alice')).toBe('ok')

  world.network.partition('alice', 'bob')
  await bob.stop()
  await alice.submit(bob.address, 'are you there?')
  await expect.poll(async () => (await checksOf(alice)).get('contact bob')?.remedy).toContain('doctor')
  expect(await stateOf(alice, 'contact bob')).toBe('warning')
  const checks = await checksOf(alice)
  expect(checks.get('contacts')?.detail).toBe('0 of 1 connected')
  expect(checks.get('queue')).toBeDefined()
}, 40_000)

test('doctor says which accounts have relays, and which relays are away', async () => {
  await using world = await openWorld()
  const relay = await world.gateway('relay', { relay: { isKnown: () => true } })
  const alice = await world.gateway('alice', { relays: [relay] })
  const bob = await world.gateway('bob')
  const of = async () => (await checksOf(alice)).get('relays of alice')
  await expect.poll(of).toMatchObject({ state: 'ok', detail: '1 of 1 watched' })
  expect((await checksOf(bob)).get('relays of bob')).toEqual({
    name: 'relays of bob',
    state: 'warning',
    detail: 'none: mail for you waits only at its senders while this gateway is off',
    remedy: 'mycelium-gateway relay use MULTIADDR, or a contact who runs one',
  })

  await relay.stop()
  await expect.poll(of).toMatchObject({ state: 'warning', remedy: 'mycelium-gateway relay list says why' })
  const name = `relay …${relay.node.overlay.self.slice(-8)} of alice`
  const away = async () => (await checksOf(alice, 2 * 3600_000)).get(name)?.detail
  await expect.poll(away).toContain('away for 2 h')
  expect((await checksOf(alice)).has(name)).toBe(false)
}, 40_000)

test('doctor says whose clock is wrong by what most contacts sign', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  const clock = async () => (await checksOf(alice)).get('clock against contacts')
  await expect.poll(async () => (await clock())?.detail).toBe('agrees with 1')
  const { clocks } = alice.knowledge.people
  clocks.saw(bob.account, Date.now() + 20 * 60_000, Date.now())
  expect(await clock()).toMatchObject({ state: 'warning', detail: 'at least 20 min behind 1 of 1 contacts' })
  for (const other of ['c', 'd'] as const) clocks.saw(other.repeat(64) as typeof bob.account, Date.now(), Date.now())
  expect(await clock()).toMatchObject({ state: 'warning', detail: 'bob is at least 20 min ahead' })
})
