import { expect, test } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { type OwnAddress, parseLocator } from '../../src/overlay/dial-policy.ts'
import { sourceOf } from '../../src/overlay/inbound-guard.ts'
import { hostsOf, isAlone, listenersOf, ownLocators } from '../../src/overlay/own-addresses.ts'
import type { Listening } from '../../src/overlay/own-addresses.ts'

const v4 = (address: string, prefix = 24): OwnAddress => ({ address, family: 'ipv4', prefix })
const v6 = (address: string): OwnAddress => ({ address, family: 'ipv6', prefix: 64 })
const everywhere: readonly Listening[] = [
  { family: 'ipv4', host: undefined, port: 4001, transport: 'tcp' },
  { family: 'ipv4', host: undefined, port: 4002, transport: 'ws' },
  { family: 'ipv4', host: undefined, port: 4001, transport: 'quic' },
]
const none = { announce: [], allowLoopback: false }

test('locators are the outside addresses of every listener, TCP first', () => {
  expect(
    ownLocators(everywhere, [v4('127.0.0.1', 8), v4('192.168.1.7'), v4('169.254.3.4'), v6('fe80::1')], none),
  ).toEqual(['/ip4/192.168.1.7/tcp/4001', '/ip4/192.168.1.7/udp/4001/quic-v1', '/ip4/192.168.1.7/tcp/4002/ws'])
})

test('configured locators come first, loopback only when asked for, and there are at most eight', () => {
  const own = [v4('127.0.0.1', 8), v4('192.168.1.7'), v4('10.0.0.7')]
  const announce = ['/ip4/93.184.215.14/tcp/4001']
  expect(ownLocators(everywhere, own, { announce, allowLoopback: false })[0]).toBe(announce[0])
  const found = ownLocators(everywhere, own, { announce, allowLoopback: true })
  expect(found).toContain('/ip4/127.0.0.1/tcp/4001')
  expect(found.length).toBe(limits.locatorsMax)
})

test('a listener on one address is reached there only', () => {
  const one: Listening = { family: 'ipv4', host: '10.0.0.7', port: 1, transport: 'tcp' }
  expect(ownLocators([one], [v4('192.168.1.7'), v4('10.0.0.7')], none)).toEqual(['/ip4/10.0.0.7/tcp/1'])
})

test('either wildcard listens in both families, and one listener is one whatever addresses it reports', () => {
  expect(hostsOf('0.0.0.0')).toEqual(['0.0.0.0', '::'])
  expect(hostsOf('::')).toEqual(['0.0.0.0', '::'])
  expect(hostsOf('::1')).toEqual(['::1'])
  const reported = ['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.7/tcp/1', '/ip6/::1/tcp/2'].map((text) => parseLocator(text)!)
  expect(listenersOf(reported, '::').map(({ family, host, port }) => ({ family, host, port }))).toEqual([
    { family: 'ipv4', host: undefined, port: 1 },
    { family: 'ipv6', host: undefined, port: 2 },
  ])
  expect(listenersOf(reported.slice(0, 1), '127.0.0.1')[0]!.host).toBe('127.0.0.1')
})

test('a machine is alone when nobody else could reach it', () => {
  expect(isAlone('0.0.0.0', [v4('127.0.0.1', 8), v4('169.254.1.1', 16), v6('fe80::1')])).toBe(true)
  expect(isAlone('0.0.0.0', [v4('127.0.0.1', 8), v6('2a01::1')])).toBe(false)
  expect(isAlone('0.0.0.0', [v4('127.0.0.1', 8), v4('192.168.1.7')])).toBe(false)
  expect(isAlone('::', [v4('192.168.1.7'), v6('fe80::1')])).toBe(false)
  expect(isAlone('10.0.0.7', [v6('2a01::1')])).toBe(true)
})

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2a01:4f8:1:2:3:4:5:6', '2a01:4f8:1:2::/64'],
  ['2a01:4f8:1:2::9', '2a01:4f8:1:2::/64'],
  ['2a01:4f8::1', '2a01:4f8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
])('%s counts as %s', (host, source) => {
  expect(sourceOf(host)).toBe(source)
})
