/** What travels between gateways that look for a way to each other: there and back, and garbage in. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { gatewayInRoutes } from '../../../src/overlay/nat/default-gateway.ts'
import { ipBytes, ipText } from '../../../src/overlay/nat/endpoint.ts'
import { encodeProbe, isProbe, openProbe, probeKey, sessionOf } from '../../../src/overlay/nat/probe.ts'
import { decodeOffer, encodeOffer, offerBytesMax } from '../../../src/overlay/nat/punch-messages.ts'
import {
  decodeReachAnswer,
  decodeReachRequest,
  encodeReachAnswer,
  encodeReachRequest,
  reachAnswerBytesMax,
  reachRequestBytesMax,
} from '../../../src/overlay/nat/reach-messages.ts'
import { decodeStun, encodeRequest, encodeSuccess, isStun } from '../../../src/overlay/nat/stun.ts'
import { limits } from '../../../src/core/limits.ts'

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const endpoint = fc.oneof(
  fc.record({
    family: fc.constant('ipv4' as const),
    host: bytes(4).map(ipText),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
  fc.record({
    family: fc.constant('ipv6' as const),
    host: bytes(16).map(ipText),
    port: fc.integer({ min: 1, max: 65_535 }),
  }),
)

test.each([
  ['192.0.2.1', 'c0000201'],
  ['2001:db8::1', '20010db8000000000000000000000001'],
  ['::', '00000000000000000000000000000000'],
  ['fe80::1:0:0:2', 'fe800000000000000001000000000002'],
])('%s is %s', (text, hex) => {
  expect(Buffer.from(ipBytes(text)).toString('hex')).toBe(hex)
  expect(ipText(Buffer.from(hex, 'hex'))).toBe(text)
})

test('an IPv4 address inside IPv6 is read, a name is not', () => {
  expect(Buffer.from(ipBytes('::ffff:192.0.2.1')).toString('hex')).toBe('00000000000000000000ffffc0000201')
  expect(() => ipBytes('example.org')).toThrow()
})

test('STUN: the published answers for IPv4 and IPv6 (RFC 5769 §2.2, §2.3) are read', () => {
  const transaction = 'b7e7a701bc34d686fa87dfae'
  const ipv4 = Buffer.from(`0101000c2112a442${transaction}002000080001a147e112a643`, 'hex')
  expect(decodeStun(ipv4)).toMatchObject({ mapped: { family: 'ipv4', host: '192.0.2.1', port: 32_853 } })
  const ipv6 = Buffer.from(`010100182112a442${transaction}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9`, 'hex')
  expect(decodeStun(ipv6)).toMatchObject({ mapped: { host: '2001:db8:1234:5678:11:2233:4455:6677', port: 32_853 } })
})

test('STUN: every endpoint comes back, a request is one, and nothing else is either', () => {
  fc.assert(
    fc.property(bytes(12), endpoint, (transaction, mapped) => {
      expect(decodeStun(encodeSuccess(transaction, mapped))).toEqual({ kind: 'success', transaction, mapped })
      expect(decodeStun(encodeRequest(transaction))).toEqual({ kind: 'request', transaction })
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (garbage) => decodeStun(garbage) === undefined || isStun(garbage)),
  )
  const cut = encodeSuccess(new Uint8Array(12), { family: 'ipv4', host: '192.0.2.1', port: 1 })
  for (let length = 0; length < cut.length; length += 1) expect(decodeStun(cut.subarray(0, length))).toBeUndefined()
})

test('a probe is opened by its key alone, and says who sent it', () => {
  const key = probeKey(Buffer.alloc(32, 1), Buffer.alloc(32, 2))
  const session = Buffer.alloc(8, 3)
  const probe = encodeProbe({ kind: 'probe', side: 'opener', session }, key)
  expect(isProbe(probe)).toBe(true)
  expect(Buffer.from(sessionOf(probe))).toEqual(session)
  expect(openProbe(probe, key)).toMatchObject({ kind: 'probe', side: 'opener' })
  expect(openProbe(probe, probeKey(Buffer.alloc(32, 2), Buffer.alloc(32, 1)))).toBeUndefined()
  for (let at = 0; at < probe.length; at += 1) {
    const changed = Uint8Array.from(probe)
    changed[at]! ^= 1
    expect(openProbe(changed, key)).toBeUndefined()
  }
})

test('offers come back, within their bounds and no others', () => {
  const offer = fc.record({
    session: bytes(8),
    secret: bytes(32),
    endpoints: fc.array(endpoint, { maxLength: limits.punchEndpointsMax }),
    locators: fc.array(fc.stringMatching(/^[a-z0-9/.:]{0,256}$/), { maxLength: limits.locatorsMax }),
  })
  fc.assert(
    fc.property(offer, (made) => {
      const encoded = encodeOffer(made)
      expect(encoded.length).toBeLessThanOrEqual(offerBytesMax)
      expect(decodeOffer(encoded)).toEqual(made)
    }),
  )
  const many = Array.from({ length: limits.punchEndpointsMax + 1 }, () => ({
    family: 'ipv4' as const,
    host: '192.0.2.1',
    port: 1,
  }))
  const tooMany = encodeOffer({ session: new Uint8Array(8), secret: new Uint8Array(32), endpoints: many, locators: [] })
  expect(() => decodeOffer(tooMany)).toThrow()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (garbage) => {
      expect(() => decodeOffer(garbage)).toThrow()
    }),
  )
})

test('questions about reachability and their answers come back, within their bounds', () => {
  const ports = [1, 4001, 65_535, 443]
  expect(encodeReachRequest({ ports }).length).toBeLessThanOrEqual(reachRequestBytesMax)
  expect(decodeReachRequest(encodeReachRequest({ ports }))).toEqual({ ports })
  fc.assert(
    fc.property(endpoint, (seen) => {
      const answer = { seen, punchPort: 4002, results: ['no', 'yes', 'untried', 'yes'] as const }
      expect(encodeReachAnswer(answer).length).toBeLessThanOrEqual(reachAnswerBytesMax)
      expect(decodeReachAnswer(encodeReachAnswer(answer))).toEqual(answer)
    }),
  )
  expect(() => decodeReachRequest(encodeReachRequest({ ports: [...ports, 1] }))).toThrow()
  expect(() => decodeReachAnswer(Uint8Array.of(4, 1, 2, 3, 4, 0, 1, 0, 0, 1, 9))).toThrow()
})

test('the default route is the one with the least metric that has a gateway', () => {
  const line = (...fields: readonly string[]): string => fields.join('\t')
  const table = [
    line('Iface', 'Destination', 'Gateway', 'Flags', 'RefCnt', 'Use', 'Metric', 'Mask'),
    line('wlan0', '00000000', '0101A8C0', '0003', '0', '0', '600', '00000000'),
    line('eth0', '00000000', '0100000A', '0003', '0', '0', '100', '00000000'),
    line('tun0', '00000000', '00000000', '0001', '0', '0', '0', '00000000'),
    line('eth0', '0000000A', '00000000', '0001', '0', '0', '100', '00FFFFFF'),
  ]
  expect(gatewayInRoutes(table.join('\n'))).toBe('10.0.0.1')
  expect(gatewayInRoutes(table[0]!)).toBeUndefined()
  expect(gatewayInRoutes('')).toBeUndefined()
})
