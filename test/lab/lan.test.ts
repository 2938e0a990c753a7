/** Gateways on one local network that has no internet: found by real multicast, with mail that waits for nobody. */
import { beforeEach, expect, test } from 'vitest'
import { runMove, runSleep } from '../support/net-lab/lan-cell.ts'
import { requireNamespaces } from './requirements.ts'

beforeEach((context) => requireNamespaces(context))

const networks = [
  ['IPv4', ['192.168.7.1/24', '192.168.7.2/24', '192.168.7.9/24'], '/ip4/192.168.7.9/'],
  ['IPv6', ['fd11:7::1/64', 'fd11:7::2/64', 'fd11:7::9/64'], '/ip6/fd11:7::9/'],
] as const

test.each(networks)(
  'over %s alone, two fresh gateways find each other, and again after one has got another address',
  async (_, addresses, movedLocator) => {
    const { remotes } = await runMove(addresses)
    expect(remotes.some((remote) => remote.startsWith(movedLocator))).toBe(true)
  },
  180_000,
)

test('what was written while a machine slept for half a minute is there after it woke', async () => {
  expect(await runSleep(27_000)).toBeGreaterThan(0)
}, 180_000)
