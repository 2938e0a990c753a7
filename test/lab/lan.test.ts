/** Gateways on one local network that has no internet: found by real multicast, with mail that waits for nobody. */
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, test } from 'vitest'
import { becomeContacts, startLabGateway, until } from '../support/net-lab/lab-gateway.ts'
import { openLan } from '../support/net-lab/lan.ts'
import { requireNamespaces } from './requirements.ts'

beforeEach((context) => requireNamespaces(context))

/** ISSUE: a queue drains within this time after the other can be reached. */
const drainMsMax = 5_000
const networks = [
  ['IPv4', '192.168.7.1/24', '192.168.7.2/24', '192.168.7.9/24', '/ip4/192.168.7.9/'],
  ['IPv6', 'fd11:7::1/64', 'fd11:7::2/64', 'fd11:7::9/64', '/ip6/fd11:7::9/'],
] as const

test.each(networks)(
  'over %s alone, two fresh gateways find each other, and again after one has got another address',
  async (_, first, second, moved, movedLocator) => {
    await using lan = await openLan()
    const alicesMachine = await lan.add()
    await using alice = await startLabGateway('alice', alicesMachine)
    const { link } = await alice.ask('inviteCreate', { expiresMs: 3600_000 }) // while she has no network at all
    await alicesMachine.ip(`addr add ${first} dev eth0`)
    await using bob = await startLabGateway('bob', await lan.add(second))
    await until(
      'seen by multicast',
      async () => (await bob.ask('inviteAccept', { link })).state === 'active',
      drainMsMax * 2,
    )
    await bob.send(alice.address, 'hello')
    await alice.waitFor('hello')

    await alicesMachine.ip(`addr del ${first} dev eth0`)
    await bob.send(alice.address, 'queued')
    const arrival = alice.waitFor('queued') // the mail program starts before the clock does
    await sleep(2_000)
    await alicesMachine.ip(`addr add ${moved} dev eth0`)
    const movedAtMs = Date.now()
    expect((await arrival) - movedAtMs).toBeLessThan(drainMsMax)
    const remotes = (await bob.ask('peers', {})).map(({ remote }) => remote ?? '')
    expect(remotes.some((remote) => remote.startsWith(movedLocator))).toBe(true)
  },
  90_000,
)

test('what was written while a machine slept for half a minute is there soon after it woke', async () => {
  await using lan = await openLan()
  await using alice = await startLabGateway('alice', await lan.add('192.168.7.1/24'))
  await using bob = await startLabGateway('bob', await lan.add('192.168.7.2/24'))
  await becomeContacts(alice, bob)
  await alice.send(bob.address, 'awake')
  await bob.waitFor('awake')

  process.kill(bob.pid, 'SIGSTOP')
  await sleep(1_000)
  await alice.send(bob.address, 'meanwhile')
  await sleep(27_000)
  const arrival = bob.waitFor('meanwhile') // the mail program starts before the clock does
  await sleep(2_000)
  process.kill(bob.pid, 'SIGCONT')
  const wokeAtMs = Date.now()
  expect((await arrival) - wokeAtMs).toBeLessThan(drainMsMax)
}, 90_000)
