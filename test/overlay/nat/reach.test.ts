/** Whose word about own addresses counts, and what is done for others who ask. */
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Endpoint } from '../../../src/overlay/nat/endpoint.ts'
import { Reach, type ReachParts } from '../../../src/overlay/nat/reach.ts'
import {
  decodeReachAnswer,
  decodeReachRequest,
  encodeReachAnswer,
  encodeReachRequest,
} from '../../../src/overlay/nat/reach-messages.ts'
import { ambient } from '../support.ts'

const remote: Endpoint = { family: 'ipv4', host: '11.0.0.1', port: 4001 }
const seen: Endpoint = { family: 'ipv4', host: '11.0.0.9', port: 50_000 }
const id = (name: string): GatewayId => name as GatewayId

function reachWith(parts: Partial<ReachParts> = {}): Reach {
  return new Reach({
    ambient,
    ports: () => [4001],
    isTrusted: () => false,
    remoteOf: () => remote,
    neighbours: () => [],
    isGlobal: () => true,
    mayDial: () => true,
    punchPort: () => 4002,
    ask: async (_, request) => {
      const { ports } = decodeReachRequest(request)
      return encodeReachAnswer({ seen, punchPort: 4002, results: ports.map(() => 'yes' as const) })
    },
    onChanged: () => {},
    ...parts,
  })
}

test('two strangers who say the same make a locator, one alone does not', async () => {
  using reach = reachWith()
  reach.met(id('a'))
  await expect.poll(() => reach.state().state).toBe('public')
  expect(reach.locators()).toEqual([])
  reach.met(id('b'))
  await expect.poll(() => reach.locators()).toEqual(['/ip4/11.0.0.9/tcp/4001'])
  expect(reach.servers()).toEqual([
    { ...remote, port: 4002 },
    { ...remote, port: 4002 },
  ])
  reach.forgetAll()
  expect(reach.locators()).toEqual([])
  expect(reach.state().state).toBe('unknown')
})

test('a configured gateway is believed alone, and only so many others are asked', async () => {
  const asked: GatewayId[] = []
  using reach = reachWith({
    isTrusted: (gateway) => gateway === 'named',
    ask: async (gateway, request) => {
      asked.push(gateway)
      const { ports } = decodeReachRequest(request)
      return encodeReachAnswer({ seen, punchPort: 0, results: ports.map(() => 'yes' as const) })
    },
  })
  reach.met(id('named'))
  await expect.poll(() => reach.locators()).toEqual(['/ip4/11.0.0.9/tcp/4001'])
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    reach.met(id(name))
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(new Set(asked).size).toBe(limits.reachAskedMax)
})

test('nothing is tried but the address that the asker is seen at, where the policy allows it, and not again at once', async () => {
  await using server = createServer((socket) => void socket.resume().write('\u0013/multistream/1.0.0\n')).listen(
    0,
    '127.0.0.1',
  )
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const at: Endpoint = { family: 'ipv4', host: '127.0.0.1', port: 1 }
  using forbidding = reachWith({ remoteOf: () => at, mayDial: () => false })
  const request = encodeReachRequest({ ports: [port] })
  const results = async (reach: Reach): Promise<readonly string[]> =>
    decodeReachAnswer((await reach.answer(request, id('a')))!).results
  expect(await results(forbidding)).toEqual(['untried'])
  using allowing = reachWith({ remoteOf: () => at })
  expect(await results(allowing)).toEqual(['yes'])
  expect(await results(allowing)).toEqual(['untried'])
  using unknown = reachWith({ remoteOf: () => undefined })
  expect(await unknown.answer(request, id('a'))).toBeUndefined()
})
