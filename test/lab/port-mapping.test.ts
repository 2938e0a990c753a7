/** A router that lets others in when it is asked: miniupnpd, as home routers run it. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { resolve } from 'node:path'
import { type Internet, openInternet, type Site } from '../support/net-lab/internet.ts'
import { startLabGateway, until } from '../support/net-lab/lab-gateway.ts'
import { startRelay } from '../support/net-lab/nat-cell.ts'
import { startPortMapper } from '../support/net-lab/port-mapper.ts'
import { requireNamespaces } from './requirements.ts'

const asker = resolve('test/support/net-lab/port-mapping-process.ts')
let internet: Internet
let site: Site

const testMs = 90_000

beforeEach(async (context) => {
  requireNamespaces(context, 'miniupnpd')
  internet = await openInternet()
  site = await internet.add('restricted')
})
afterEach(async () => await internet?.[Symbol.asyncDispose]())

const ask = async (name: string, lifetimeSeconds: number): Promise<unknown> =>
  JSON.parse(await site.host.run(process.execPath, [asker, name, '4001', String(lifetimeSeconds)]))
const rules = async (): Promise<string> => await site.routers[0]!.run('nft', ['list', 'table', 'inet', 'upnp'])

test.each(['pcp', 'nat-pmp', 'upnp'])(
  '%s opens a port and closes it again',
  async (name) => {
    await using _ = await startPortMapper(site.routers[0]!)
    expect(await ask(name, 3600)).toMatchObject({
      router: { own: site.address },
      mapping: { externalPort: 4001, externalHost: site.outside },
    })
    expect(await rules()).toContain(`${site.address}:4001`)
    await ask(name, 0)
    expect(await rules()).not.toContain(site.address)
  },
  testMs,
)

test(
  'a gateway behind such a router is public: others say so, and its contacts are given the outside address',
  async () => {
    await using _ = await startPortMapper(site.routers[0]!, 'upnp')
    await using relay = await startRelay(internet)
    const settings = [`overlay.bootstrap=["${relay.multiaddr}"]`, 'overlay.mdns=false']
    const gateway = await startLabGateway('alice', site.host, settings)
    try {
      await until(
        'reached from outside',
        async () => {
          const { reachability } = await gateway.ask('status', {})
          return reachability?.state === 'public' && reachability.mapped.length > 0
        },
        45_000,
      )
      const { reachability } = await gateway.ask('status', {})
      expect(reachability).toMatchObject({
        mappedBy: 'upnp',
        mapped: [`/ip4/${site.outside}/tcp/4001`, `/ip4/${site.outside}/udp/4001/quic-v1`],
        confirmed: [`/ip4/${site.outside}/tcp/4001`],
      })
      const check = (await gateway.ask('doctor', {})).find(({ name }) => name === 'reachability')
      expect(check).toMatchObject({ state: 'ok' })
    } finally {
      await gateway[Symbol.asyncDispose]()
    }
  },
  testMs,
)

test(
  'behind a router that opens nothing, the owner is told what to do',
  async () => {
    await using relay = await startRelay(internet)
    await using gateway = await startLabGateway('alice', site.host, [
      `overlay.bootstrap=["${relay.multiaddr}"]`,
      'overlay.mdns=false',
    ])
    await until(
      'tried from outside',
      async () => (await gateway.ask('status', {})).reachability?.state === 'private',
      45_000,
    )
    const check = (await gateway.ask('doctor', {})).find(({ name }) => name === 'reachability')
    expect(check).toMatchObject({ state: 'warning' })
    expect(check?.remedy).toContain('4001')
  },
  testMs,
)
