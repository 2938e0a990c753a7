import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import type { MyceliumError } from '../../../src/core/errors.ts'
import type { Address, Identity } from '../../../src/core/ids.ts'
import { gatewayOfKey, keyOfGateway } from '../../../src/core/identity/gateway-text.ts'
import { type Invitation, parseInvitation, writeInvitation } from '../../../src/core/identity/invitation.ts'
import { fromBase32, speaksFor, toBase32, zoneDomain, zoneKeyOf } from '../../../src/core/identity/names.ts'
import { limits } from '../../../src/core/limits.ts'
import { addressIn, gateway, makeZone, nowMs } from './people.ts'

const zone = makeZone()
const invitation = (more: Partial<Invitation> = {}): Invitation => ({
  identity: 'ab'.repeat(32) as Identity,
  root: undefined,
  capability: systemRandom.bytes(16),
  expiresAtMs: nowMs,
  gateway,
  address: addressIn(zone, 'alice'),
  locators: ['/ip4/192.168.1.20/tcp/4001', '/ip4/203.0.113.9/udp/4001/quic-v1', '/ip4/10.0.0.2/tcp/4002/ws'],
  ...more,
})
const reasonOf = (link: string): unknown => {
  try {
    parseInvitation(link)
    return undefined
  } catch (error) {
    expect((error as MyceliumError).code).toBe('invitation-invalid')
    return (error as MyceliumError).details['reason']
  }
}

describe('an invitation link', () => {
  test('carries everything, in well under 400 characters', () => {
    const sent = invitation()
    const link = writeInvitation(sent)
    expect(link).toMatch(/^mycelium:[\w-]+$/)
    expect(link.length).toBeLessThan(300)
    expect(parseInvitation(link)).toEqual(sent)
  })

  test('carries a direct way and one through another gateway first, also with long names', () => {
    const relay = gatewayOfKey(systemRandom.bytes(32))
    const direct = Array.from({ length: 5 }, (_, index) => `/ip6/2001:db8:1:2:3:4:5:${index}/tcp/4001`)
    const via = ['tcp/4001', 'udp/4001/quic-v1', 'tcp/4002/ws'].map(
      (end) => `/ip4/203.0.113.9/${end}/p2p/${relay}/p2p-circuit`,
    )
    for (const through of via) {
      const sent = invitation({ address: addressIn(zone, 'a'.repeat(40)), locators: [...direct, through] })
      const read = parseInvitation(writeInvitation(sent)).locators
      expect(read.slice(0, 2)).toEqual([direct[0], through])
    }
  })

  test('survives being wrapped, padded with blanks and shouted at the start', () => {
    const link = writeInvitation(invitation())
    const wrapped = ` MYCELIUM:${link
      .slice(9)
      .match(/.{1,60}/g)!
      .join('\r\n ')}\n`
    expect(parseInvitation(wrapped)).toEqual(parseInvitation(link))
  })

  test('stays within 400 characters whatever the locators and address, dropping locators from the end', () => {
    const text = fc.stringMatching(/^[a-f:/.\d]{1,80}$/)
    const ip4 = fc.tuple(fc.ipV4(), fc.nat(65_535), fc.constantFrom('tcp/#', 'udp/#/quic-v1', 'tcp/#/ws', 'udp/#'))
    const locator = fc.oneof(
      text.map((t) => `/dns4/${t}`),
      ip4.map(([ip, port, form]) => `/ip4/${ip}/${form.replace('#', String(port))}`),
    )
    const local = fc.stringMatching(/^[a-z0-9]{1,64}$/)
    fc.assert(
      fc.property(fc.array(locator, { maxLength: 8 }), local, fc.boolean(), (locators, name, rotated) => {
        const root = rotated ? { generation: 1, rootKey: systemRandom.bytes(32) } : undefined
        const sent = invitation({ locators, address: addressIn(zone, name), root })
        const link = writeInvitation(sent)
        expect(link.length).toBeLessThanOrEqual(limits.inviteLinkCharsMax)
        const got = parseInvitation(link)
        expect(got.locators).toEqual(locators.slice(0, got.locators.length))
        expect(got.address).toBe(sent.address)
        expect(got.root?.generation).toBe(root?.generation)
      }),
      { numRuns: 200 },
    )
  })

  test('with a slip is refused by name', () => {
    const link = writeInvitation(invitation())
    expect(reasonOf(link.replace('mycelium:', 'http://x/'))).toBe('scheme')
    expect(reasonOf('')).toBe('scheme')
    expect(reasonOf('mycelium:')).toBe('length')
    expect(reasonOf(`${link}!`)).toBe('encoding')
    expect(reasonOf(`mycelium:${'a'.repeat(500)}`)).toBe('length')
    expect(reasonOf(`mycelium:${'a'.repeat(5000)}`)).toBe('length')
    for (let at = 9; at < link.length - 1; at += 7) {
      const other = link[at] === 'A' ? 'B' : 'A'
      expect(['checksum', 'encoding']).toContain(reasonOf(link.slice(0, at) + other + link.slice(at + 1)))
    }
    expect(['checksum', 'encoding']).toContain(reasonOf(link.slice(0, -3)))
  })

  test('of garbage is refused by name', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 500 }), (garbage) => {
        expect(reasonOf(garbage)).toBeDefined()
        expect(reasonOf(`mycelium:${garbage}`)).toBeDefined()
      }),
      { numRuns: 300 },
    )
  })

  test('for an address outside any zone carries it as text', () => {
    const sent = invitation({ address: 'bob@example.org' as Address })
    expect(parseInvitation(writeInvitation(sent)).address).toBe('bob@example.org')
  })
})

describe('zone domains', () => {
  test('are 52 characters of the key itself, in one spelling only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        const domain = zoneDomain(key)
        expect(domain).toMatch(/^[a-z2-7]{52}\.myc$/)
        expect(zoneKeyOf(domain)).toEqual(key)
        const last = domain[51]!
        const sibling = `${domain.slice(0, 51)}${last === 'a' ? 'b' : 'r'}.myc`
        expect(zoneKeyOf(sibling)).toBeUndefined()
      }),
    )
    expect(zoneKeyOf('example.org')).toBeUndefined()
    expect(zoneKeyOf(zoneDomain(zone.publicKey).toUpperCase())).toBeUndefined()
  })

  test('base32 follows RFC 4648 §10, in lower case without padding', () => {
    const vectors = [
      ['', ''],
      ['f', 'my'],
      ['fo', 'mzxq'],
      ['foo', 'mzxw6'],
      ['foob', 'mzxw6yq'],
      ['fooba', 'mzxw6ytb'],
      ['foobar', 'mzxw6ytboi'],
    ]
    for (const [plain, text] of vectors) {
      expect(toBase32(Buffer.from(plain!))).toBe(text)
      expect(Buffer.from(fromBase32(text!)!).toString()).toBe(plain)
    }
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromBase32(toBase32(bytes))).toEqual(bytes)
      }),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        const bytes = fromBase32(text)
        if (bytes !== undefined) expect(toBase32(bytes)).toBe(text)
      }),
    )
  })

  test('only the key that a domain names speaks for it', () => {
    expect(speaksFor(zone.publicKey, addressIn(zone, 'x'))).toBe(true)
    expect(speaksFor(makeZone().publicKey, addressIn(zone, 'x'))).toBe(false)
    expect(speaksFor(zone.publicKey, 'x@example.org' as Address)).toBe(false)
  })
})

test('the key in the id of a gateway is found, and only in its one text form', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      expect(keyOfGateway(gatewayOfKey(key))).toEqual(key)
    }),
  )
  expect(keyOfGateway(gateway)).toBeDefined()
  for (const text of ['', gateway.slice(1), `1${gateway}`, gateway.replace('12D3', '12D4')])
    expect(keyOfGateway(text)).toBeUndefined()
})
