import { BlockList, isIPv4 } from 'node:net'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  dialable,
  isGlobal,
  mayDial,
  parseLocator,
  parseViaLocator,
  viaLocator,
} from '../../src/overlay/dial-policy.ts'
import { gatewayIdOf } from '../../src/overlay/gateway-key.ts'
import type { DialPolicy } from '../../src/overlay/dial-policy.ts'
import { limits } from '../../src/core/limits.ts'

const policy: DialPolicy = {
  allowLoopback: false,
  ownAddresses: [
    { address: '192.168.7.20', family: 'ipv4', prefix: 24 },
    { address: '127.0.0.1', family: 'ipv4', prefix: 8 },
    { address: 'fd12:3456::20', family: 'ipv6', prefix: 64 },
    { address: '2a01:4f8::20', family: 'ipv6', prefix: 64 },
  ],
}
const isAllowed = (text: string, with_: DialPolicy = policy): boolean => {
  const locator = parseLocator(text)
  return locator !== undefined && mayDial(locator, with_)
}

test.each([
  '/ip4/93.184.215.14/tcp/4001',
  '/ip4/93.184.215.14/tcp/4002/ws',
  '/ip4/93.184.215.14/udp/4001/quic-v1',
  '/ip6/2a01:4f8:1::7/tcp/4001',
  '/ip6/2a01:4f8:1::7/udp/65535/quic-v1',
  '/ip4/192.168.7.99/tcp/4001',
  '/ip6/fd12:3456::99/tcp/4001',
])('%s may be dialled', (text) => {
  expect(isAllowed(text)).toBe(true)
})

test.each([
  ['loopback', '/ip4/127.0.0.1/tcp/4001'],
  ['loopback', '/ip4/127.255.255.254/tcp/25'],
  ['loopback', '/ip6/::1/tcp/4001'],
  ['loopback, mapped', '/ip6/::ffff:127.0.0.1/tcp/4001'],
  ['loopback, mapped in hex', '/ip6/::ffff:7f00:1/tcp/4001'],
  ['loopback, mapped in full', '/ip6/0:0:0:0:0:ffff:7f00:0001/tcp/4001'],
  ['loopback, compatible', '/ip6/::127.0.0.1/tcp/4001'],
  ['loopback, translated', '/ip6/64:ff9b::127.0.0.1/tcp/4001'],
  ['loopback, 6to4', '/ip6/2002:7f00:1::/tcp/4001'],
  ['Teredo', '/ip6/2001:0:1::/tcp/4001'],
  ['unspecified', '/ip4/0.0.0.0/tcp/4001'],
  ['this network', '/ip4/0.1.2.3/tcp/4001'],
  ['unspecified', '/ip6/::/tcp/4001'],
  ['link-local', '/ip4/169.254.169.254/tcp/80'],
  ['link-local', '/ip6/fe80::1/tcp/4001'],
  ['multicast', '/ip4/224.0.0.251/udp/5353/quic-v1'],
  ['multicast', '/ip6/ff02::fb/tcp/4001'],
  ['broadcast', '/ip4/255.255.255.255/tcp/4001'],
  ['private, not ours', '/ip4/10.0.0.1/tcp/4001'],
  ['private, next subnet', '/ip4/192.168.8.1/tcp/4001'],
  ['carrier-grade NAT', '/ip4/100.64.0.1/tcp/4001'],
  ['unique local, not ours', '/ip6/fd12:3457::1/tcp/4001'],
  ['site-local', '/ip6/fec0::1/tcp/4001'],
  ['documentation', '/ip6/2001:db8::1/tcp/4001'],
  ['routing hint', '/ip6/400::1/tcp/4001'],
  ['octal', '/ip4/0177.0.0.1/tcp/4001'],
  ['one number', '/ip4/2130706433/tcp/4001'],
  ['short form', '/ip4/127.1/tcp/4001'],
  ['zone', '/ip6/fe80::1%eth0/tcp/4001'],
  ['zone component', '/ip6zone/eth0/ip6/fe80::1/tcp/4001'],
  ['name', '/dns4/example.org/tcp/4001'],
  ['name', '/dnsaddr/example.org'],
  ['relay', '/ip4/93.184.215.14/tcp/4001/p2p/12D3KooWA/p2p-circuit'],
  ['unix socket', '/unix/%2Ftmp%2Fs'],
  ['memory', '/memory/a'],
  ['port 0', '/ip4/93.184.215.14/tcp/0'],
  ['port too large', '/ip4/93.184.215.14/tcp/65536'],
  ['port with a zero', '/ip4/93.184.215.14/tcp/04001'],
  ['raw UDP', '/ip4/93.184.215.14/udp/4001'],
  ['two addresses', '/ip4/93.184.215.14/tcp/4001/ip4/127.0.0.1/tcp/25'],
  ['line feed', '/ip4/93.184.215.14/tcp/4001\n'],
  ['empty', ''],
])('%s: %s is not dialled', (_, text) => {
  expect(isAllowed(text)).toBe(false)
})

test('loopback is dialled where the owner allows it, and nothing else with it', () => {
  const open = { ...policy, allowLoopback: true }
  expect(isAllowed('/ip4/127.0.0.1/tcp/4001', open)).toBe(true)
  expect(isAllowed('/ip6/::1/tcp/4001', open)).toBe(true)
  expect(isAllowed('/ip4/169.254.169.254/tcp/80', open)).toBe(false)
  expect(isAllowed('/ip6/::ffff:127.0.0.1/tcp/4001', open)).toBe(false)
})

/** One list per family: an IPv6 rule of node:net also matches mapped IPv4 addresses. */
const forbidden = { ipv4: new BlockList(), ipv6: new BlockList() }
for (const [network, prefix, family] of [
  ['127.0.0.0', 8, 'ipv4'],
  ['0.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['::', 8, 'ipv6'],
  ['fe80::', 10, 'ipv6'],
  ['ff00::', 8, 'ipv6'],
] as const)
  forbidden[family].addSubnet(network, prefix, family)

const edge = fc.constantFrom(
  '127.0.0.1',
  '::1',
  '::ffff:7f00:1',
  '169.254.1.1',
  'fe80::1',
  '0.0.0.0',
  '::',
  '10.1.1.1',
  'ff02::1',
)
const host = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), edge, fc.domain(), fc.string())
const ending = fc.constantFrom('/tcp/4001', '/tcp/4002/ws', '/udp/4001/quic-v1')
const locator = fc.oneof(
  fc.string(),
  fc.tuple(fc.oneof(fc.ipV4(), edge), ending).map(([address, rest]) => `/ip4/${address}${rest}`),
  fc.tuple(fc.oneof(fc.ipV6(), edge), ending).map(([address, rest]) => `/ip6/${address}${rest}`),
  fc
    .tuple(
      fc.constantFrom('ip4', 'ip6', 'dns', 'ip6zone'),
      host,
      fc.constantFrom('tcp', 'udp', 'p2p-circuit'),
      fc.oneof(fc.nat(70_000).map(String), fc.string()),
      fc.constantFrom('', '/ws', '/quic-v1', '/p2p/x', '/tcp/1'),
    )
    .map(([ip, address, layer, port, rest]) => `/${ip}/${address}/${layer}/${port}${rest}`),
)

test('no text leads to an address of this machine, its link or a private network it is not in', () => {
  let allowed = 0
  fc.assert(
    fc.property(fc.array(locator, { maxLength: 20 }), (texts) => {
      const found = dialable(texts, policy)
      allowed += found.length
      expect(found.length).toBeLessThanOrEqual(limits.locatorsMax)
      for (const { host: address, port } of found) {
        const family = isIPv4(address) ? 'ipv4' : 'ipv6'
        expect(forbidden[family].check(address, family)).toBe(false)
        expect(port).toBeGreaterThan(0)
        expect(port).toBeLessThan(65_536)
      }
    }),
    { numRuns: 2_000 },
  )
  expect(allowed).toBeGreaterThan(500)
})

const relay = '12D3KooWGRUbhEh1PVTqGQZzGmyvZzZFTGYhHJZVZ6YqqVRGpT3d'

test('a locator through another gateway is its direct locator and its id, and nothing else', () => {
  const gateway = gatewayIdOf(new Uint8Array(32))
  for (const direct of [
    '/ip4/93.184.215.14/tcp/4001',
    '/ip6/2a01:4f8:1::7/udp/4001/quic-v1',
    '/ip4/1.2.3.4/tcp/2/ws',
  ]) {
    expect(parseViaLocator(viaLocator(gateway, direct))).toEqual({ gateway, locators: [direct] })
    expect(parseLocator(viaLocator(gateway, direct))).toBeUndefined()
  }
  for (const text of [
    '/ip4/93.184.215.14/tcp/4001',
    `/ip4/93.184.215.14/tcp/4001/p2p/${gateway}`,
    `/dns4/example.org/tcp/4001/p2p/${gateway}/p2p-circuit`,
    `/ip4/93.184.215.14/tcp/4001/p2p/${gateway}/p2p/${gateway}/p2p-circuit`,
    `/ip4/93.184.215.14/tcp/4001/p2p/${gateway}/p2p-circuit/p2p/${gateway}`,
    `/p2p/${gateway}/p2p-circuit`,
    `/ip4/93.184.215.14/tcp/4001/p2p/${relay.slice(0, -1)}/p2p-circuit`,
    '/p2p-circuit',
  ])
    expect(parseViaLocator(text)).toBeUndefined()
})

test('only addresses that lead to the same place from everywhere are global', () => {
  const isGlobalText = (text: string): boolean => isGlobal(parseLocator(text)!)
  expect(['/ip4/93.184.215.14/tcp/1', '/ip6/2a01:4f8:1::7/tcp/1'].every(isGlobalText)).toBe(true)
  expect(
    ['/ip4/10.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/1', '/ip6/fd12::1/tcp/1', '/ip6/::1/tcp/1'].some(isGlobalText),
  ).toBe(false)
})
