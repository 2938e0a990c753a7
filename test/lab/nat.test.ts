/** Gateways behind routers: mail arrives through a relay at once, and a direct way is found where there can be one. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Internet, openInternet } from '../support/net-lab/internet.ts'
import { runCell, startRelay } from '../support/net-lab/nat-cell.ts'
import { canMakeNamespaces, requireNamespaces } from './requirements.ts'

let internet: Internet
let relay: Awaited<ReturnType<typeof startRelay>>

beforeAll(async () => {
  if (!canMakeNamespaces()) return
  internet = await openInternet()
  relay = await startRelay(internet)
})
afterAll(async () => {
  await relay?.[Symbol.asyncDispose]()
  await internet?.[Symbol.asyncDispose]()
})
beforeEach((context) => requireNamespaces(context))

test('two port-restricted routers, one of them behind another one: holes are punched', async () => {
  const cell = await runCell(internet, relay, ['restricted', 'double'], 60_000)
  expect(cell).toMatchObject({ delivered: true, how: 'direct', transport: 'quic' })
  expect(cell.remote).toMatch(/^\/ip4\/11\.77\./) // counted as what it is outside, not as the forwarder on loopback
}, 180_000)

test('an open address and a symmetric router: whoever can connect does', async () => {
  expect(await runCell(internet, relay, ['open', 'symmetric'], 60_000)).toMatchObject({
    delivered: true,
    how: 'direct',
  })
}, 180_000)

test('a symmetric router and a port-restricted one: it stays relayed, and mail arrives', async () => {
  expect(await runCell(internet, relay, ['symmetric', 'restricted'], 3_000)).toMatchObject({
    delivered: true,
    how: 'relayed',
  })
}, 180_000)
