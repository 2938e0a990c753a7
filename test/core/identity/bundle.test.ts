import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { decodeBundle, encodeBundle, isHeadStale, verifyBundle } from '../../../src/core/identity/bundle.ts'
import { makeDevice } from '../../../src/core/identity/device.ts'
import { supersedes } from '../../../src/core/identity/locators.ts'
import { signName } from '../../../src/core/identity/names.ts'
import { choosePrekey, makePrekey, prekeyIdAt, signPrekey } from '../../../src/core/identity/prekeys.ts'
import { limits } from '../../../src/core/limits.ts'
import {
  addressIn,
  adding,
  bundleBytes,
  bundleOf,
  byDevice,
  byRoot,
  makePerson,
  makeZone,
  naming,
  nowMs,
} from './people.ts'

const failure = (run: () => unknown): MyceliumError | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    if (error instanceof MyceliumError) return error
    throw error
  }
}
const weekMs = limits.prekeyPeriodMs

describe('a bundle', () => {
  const zone = makeZone()
  const bare = makePerson()
  const alice = byDevice(bare, bare.device, naming(addressIn(zone, 'alice')))
  const { identity } = alice.state

  test('proves log, devices, prekeys, locators and names to whoever knows the identity', () => {
    const locators = ['/ip4/192.0.2.7/tcp/4001']
    const verified = verifyBundle(bundleBytes(alice, { zone, locators, weeks: 9 }), identity, nowMs)
    expect(verified.identity).toBe(identity)
    expect(verified.state.addresses).toEqual([addressIn(zone, 'alice')])
    expect(verified.devices).toHaveLength(1)
    expect(verified.devices[0]!.prekeys.map(({ id }) => id - prekeyIdAt(nowMs))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    expect(verified.devices[0]!.locators).toMatchObject({ locators, sequence: nowMs })
    expect(verified.names.map(({ address }) => address)).toEqual([addressIn(zone, 'alice')])
    expect(isHeadStale(verified, nowMs + limits.logHeadWarnMs)).toBe(false)
    expect(isHeadStale(verified, nowMs + limits.logHeadWarnMs + 1)).toBe(true)
  })

  test('of somebody else is refused', () => {
    expect(failure(() => verifyBundle(bundleBytes(makePerson()), identity, nowMs))).toMatchObject({
      code: 'malformed',
      details: { reason: 'identity' },
    })
    expect(verifyBundle(bundleBytes(alice), undefined, nowMs).identity).toBe(identity)
  })

  test('with any byte changed never gives anything of the same identity that was not signed', () => {
    const bytes = bundleBytes(alice, { zone, locators: ['/ip4/192.0.2.7/tcp/4001'] })
    const truth = JSON.stringify(verifyBundle(bytes, identity, nowMs))
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const bad = Uint8Array.from(bytes)
        bad[at]! ^= flip
        const refused = failure(() => {
          const verified = verifyBundle(bad, identity, nowMs)
          // a record can be made to vanish (another device's, a name that no longer verifies), never to say other things
          for (const { prekeys } of verified.devices)
            for (const { id } of prekeys) expect(truth).toContain(`"id":${id}`)
          for (const { address } of verified.names) expect(address).toBe(addressIn(zone, 'alice'))
          expect(verified.state.addresses).toEqual(alice.state.addresses)
        })
        if (refused) expect(['malformed', 'signature-invalid', 'too-large']).toContain(refused.code)
      }),
      { numRuns: 300 },
    )
  })

  test('with records of a device that the log does not know, or revoked, has none of them', () => {
    const [stranger, phone] = [makeDevice(systemRandom), makeDevice(systemRandom)]
    expect(verifyBundle(bundleBytes(alice, { device: stranger }), identity, nowMs).devices).toEqual([])
    const more = byDevice(alice, alice.device, adding(alice, phone))
    expect(verifyBundle(bundleBytes(more, { device: phone }), identity, nowMs).devices).toHaveLength(1)
    const revoked = byRoot(more, { kind: 'revoke-device', device: phone.id })
    expect(verifyBundle(bundleBytes(revoked, { device: phone }), identity, nowMs).devices).toEqual([])
  })

  test('with a forged prekey, or one of another identity, is refused as a whole', () => {
    const bundle = bundleOf(alice)
    const week = prekeyIdAt(nowMs)
    const foreign = signPrekey(makePerson().state.identity, alice.device, makePrekey(week, systemRandom))
    const forged = signPrekey(identity, makeDevice(systemRandom), makePrekey(week, systemRandom))
    for (const bad of [foreign, forged]) {
      const devices = [{ ...bundle.devices[0]!, prekeys: [bad] }]
      const refused = failure(() => verifyBundle(encodeBundle({ ...bundle, devices }), identity, nowMs))
      expect(refused?.code).toBe('signature-invalid')
    }
  })

  test('with one device twice is refused', () => {
    const bundle = bundleOf(alice)
    const devices = [bundle.devices[0]!, bundle.devices[0]!]
    expect(failure(() => verifyBundle(encodeBundle({ ...bundle, devices }), identity, nowMs))?.code).toBe('malformed')
  })

  test('keeps only names that are valid now, about this identity, by the zone that the address names', () => {
    const [other, mallory] = [makeZone(), makePerson()]
    const address = addressIn(zone, 'alice')
    const names = [
      signName(other, address, identity, nowMs),
      signName(zone, address, mallory.state.identity, nowMs),
      signName(zone, address, identity, nowMs - limits.nameRecordMs),
      signName(zone, address, identity, nowMs + limits.clockSkewMs + 1),
      signName(zone, 'alice@example.org' as typeof address, identity, nowMs),
    ]
    expect(verifyBundle(encodeBundle({ ...bundleOf(alice), names }), identity, nowMs).names).toEqual([])
  })

  test('dated by a clock far ahead loses its locators, so that later ones are believed', () => {
    const atMs = nowMs + limits.clockSkewMs + 1
    const verified = verifyBundle(bundleBytes(alice, { atMs }), identity, nowMs)
    expect(verified.devices[0]).toMatchObject({ locators: undefined, signed: { locators: undefined } })
  })

  test('that is huge is refused before it is parsed', () => {
    const huge = new Uint8Array(limits.bundleBytesMax + 1)
    expect(failure(() => verifyBundle(huge, identity, nowMs))?.code).toBe('too-large')
    expect(failure(() => decodeBundle(huge))?.code).toBe('too-large')
    const claimed = Uint8Array.of(1, 0xff, 0xff, 0xff, 0xff)
    expect(failure(() => verifyBundle(claimed, identity, nowMs))?.code).toBe('too-large')
  })

  test('of garbage is refused by name', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (garbage) => {
        const refused = failure(() => verifyBundle(Uint8Array.of(1, ...garbage), '0'.repeat(64) as Identity, nowMs))
        expect(['malformed', 'too-large', 'signature-invalid']).toContain(refused?.code)
      }),
      { numRuns: 300 },
    )
  })

  test('that leaves out the beginning of the log needs whoever reads it to know that', () => {
    const bundle = bundleOf(alice)
    const segment = encodeBundle({ ...bundle, entries: bundle.entries.slice(1) })
    expect(failure(() => verifyBundle(segment, identity, nowMs))?.code).toBe('malformed')
    expect(verifyBundle(segment, identity, nowMs, alice.log.slice(0, 1)).state.length).toBe(2)
    expect(failure(() => verifyBundle(segment, undefined, nowMs, makePerson().log))?.code).toBe('malformed')
  })

  test('decodes to what was encoded', () => {
    const bytes = bundleBytes(alice, { zone, locators: ['/ip4/192.0.2.7/udp/4001/quic-v1'], weeks: 3 })
    expect(encodeBundle(decodeBundle(bytes))).toEqual(bytes)
  })
})

describe('prekeys and locators', () => {
  const alice = makePerson()
  const { identity } = alice.state

  test('a sender takes this week, else the latest before, else the earliest after', () => {
    const week = prekeyIdAt(nowMs)
    const prekeys = (ids: readonly number[]) =>
      verifyBundle(
        encodeBundle({
          ...bundleOf(alice),
          devices: [
            {
              device: alice.device.id,
              prekeys: ids.map((id) => signPrekey(identity, alice.device, makePrekey(id, systemRandom))),
              locators: undefined,
            },
          ],
        }),
        identity,
        nowMs,
      ).devices[0]!.prekeys
    expect(choosePrekey(prekeys([week - 1, week, week + 1]), nowMs)?.id).toBe(week)
    expect(choosePrekey(prekeys([week - 3, week - 1, week + 1]), nowMs)?.id).toBe(week - 1)
    expect(choosePrekey(prekeys([week + 3, week + 1]), nowMs)?.id).toBe(week + 1)
    expect(choosePrekey([], nowMs)).toBeUndefined()
    expect(choosePrekey(prekeys([week]), nowMs + 20 * weekMs)?.id).toBe(week)
  })

  test('locators give way to a higher sequence, and to any once they have run out', () => {
    const at = (atMs: number) => verifyBundle(bundleBytes(alice, { atMs }), identity, atMs).devices[0]!.locators!
    expect(supersedes(at(nowMs), undefined, nowMs)).toBe(true)
    expect(supersedes(at(nowMs), at(nowMs), nowMs)).toBe(false)
    expect(supersedes(at(nowMs + 1), at(nowMs), nowMs)).toBe(true)
    expect(supersedes(at(nowMs - 1), at(nowMs), nowMs)).toBe(false)
    const long = limits.locatorRecordMs
    expect(supersedes(at(nowMs + long), at(nowMs + 1), nowMs + 2 + long)).toBe(true)
    const ahead = { ...at(nowMs), sequence: nowMs + 10 * long }
    expect(supersedes(at(nowMs + long), ahead, nowMs + 2 + long)).toBe(true)
  })
})
