import { describe, expect, test } from 'vitest'
import { dhKeyPair } from '../../../src/core/crypto/dh.ts'
import { osRandom } from '../../../src/core/crypto/random.ts'
import { limits } from '../../../src/core/limits.ts'
import { flightCacheKey, initiate, readFlight } from '../../../src/core/session/handshake.ts'
import { Session } from '../../../src/core/session/session.ts'
import { accept, begin, device, findPrekey, startMs } from './support.ts'

const moment = { random: osRandom, nowMs: startMs }
const [alice, bob, carol] = [device(osRandom), device(osRandom), device(osRandom)]
/** u = 0, 1, p−1, p, p+1 and the two points of order 8 (RFC 7748 §6.1, Wycheproof's list). */
const lowOrderPoints = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
].map((hex) => Buffer.from(hex, 'hex'))

describe('a first flight', () => {
  test('gives both sides one session, and frames may follow it at once in both directions', () => {
    const { session: a, flight } = begin(alice, bob, osRandom)
    const early = a.seal(Buffer.from('early'), moment)
    const b = accept(flight, alice, bob, osRandom)
    expect(b.id).toBe(a.id)
    expect([a.role, b.role]).toEqual(['initiator', 'responder'])
    expect([a.peerDevice, b.peerDevice]).toEqual([bob.party.device, alice.party.device])
    expect(a.isConfirmed).toBe(false)
    const [confirmation] = b.maintenance(moment)
    expect(a.open(confirmation!, moment)).toEqual({ kind: 'control' })
    expect(a.isConfirmed).toBe(true)
    expect(b.maintenance(moment)).toEqual([])
    expect(b.open(early, moment)).toEqual({ kind: 'payload', payload: Buffer.from('early') })
    expect(a.open(b.seal(Buffer.from('back'), moment), moment).kind).toBe('payload')
  })

  test('is padded to whole 4,096 bytes and carries introductions of up to 14 KB', () => {
    for (const [length, expected] of [
      [0, 4096],
      [2_700, 4096],
      [2_900, 8192],
      [12 * 1024, 16_384],
      [14 * 1024, 16_384],
    ] as const) {
      const introduction = osRandom.bytes(length)
      const { flight } = begin(alice, bob, osRandom, introduction)
      expect(flight.length).toBe(expected)
      const claim = readFlight(flight, { self: bob.party, prekey: findPrekey(bob) })
      expect(Buffer.compare(claim.introduction, introduction)).toBe(0)
      expect(claim).toMatchObject({ identity: alice.party.identity, device: alice.party.device })
      expect([claim.logHead, claim.seenLogHead].map((head) => Buffer.from(head).toString('hex'))).toEqual(
        [alice.party.logHead, bob.party.logHead].map((head) => Buffer.from(head).toString('hex')),
      )
    }
    expect(() => begin(alice, bob, osRandom, osRandom.bytes(14 * 1024 + 1))).toThrow('too-large')
  })

  test('tells an observer nothing of who sent it', () => {
    const introduction = Buffer.alloc(200, 0x77)
    const { flight } = begin(alice, bob, osRandom, introduction)
    for (const secret of [alice.party.identity, alice.party.device, bob.party.identity, bob.party.device]) {
      expect(Buffer.from(flight).indexOf(Buffer.from(secret, 'hex'))).toBe(-1)
    }
    expect(Buffer.from(flight).indexOf(introduction)).toBe(-1)
  })

  test('is refused by another device, with another prekey, or without the prekey', () => {
    const { flight } = begin(alice, bob, osRandom)
    const reads =
      (self: typeof bob, prekey = findPrekey(self)) =>
      () =>
        readFlight(flight, { self: self.party, prekey })
    expect(reads(carol)).toThrow('handshake-refused')
    expect(reads(bob, () => carol.prekey)).toThrow('handshake-refused')
    expect(reads(bob, () => undefined)).toThrow('handshake-refused')
  })

  test('of somebody who names another device but does not hold its key is refused in the second stage', () => {
    const mallory = { ...carol, party: { ...alice.party, deviceDh: carol.party.deviceDh } }
    const { flight } = begin(mallory, bob, osRandom)
    const claim = readFlight(flight, { self: bob.party, prekey: findPrekey(bob) })
    expect(claim.identity).toBe(alice.party.identity)
    const finish = (deviceDhPublic: Uint8Array, logHead: Uint8Array) => () =>
      claim.finish({ deviceDhPublic, logHead }, moment)
    expect(finish(alice.peer.deviceDhPublic, alice.party.logHead)).toThrow('handshake-refused')
  })

  test('binds the log head that the introduction proves', () => {
    const { flight } = begin(alice, bob, osRandom)
    const claim = readFlight(flight, { self: bob.party, prekey: findPrekey(bob) })
    const old = { deviceDhPublic: alice.peer.deviceDhPublic, logHead: osRandom.bytes(32) }
    expect(() => claim.finish(old, moment)).toThrow('handshake-refused')
  })

  test('fails closed on low-order points, wherever they stand', () => {
    const { flight } = begin(alice, bob, osRandom)
    for (const point of lowOrderPoints) {
      const to = (peer: Partial<typeof bob.peer>) => () =>
        initiate({ self: alice.party, peer: { ...bob.peer, ...peer }, introduction: Buffer.alloc(0), ...moment })
      expect(to({ deviceDhPublic: point })).toThrow('handshake-refused')
      expect(to({ prekey: { ...bob.peer.prekey, dh: point } })).toThrow('handshake-refused')
      for (const at of [5, 37]) {
        const changed = Buffer.from(flight)
        changed.set(point, at)
        expect(() => readFlight(changed, { self: bob.party, prekey: findPrekey(bob) })).toThrow('handshake-refused')
      }
      const claim = readFlight(flight, { self: bob.party, prekey: findPrekey(bob) })
      const finish = (): Session => claim.finish({ deviceDhPublic: point, logHead: alice.party.logHead }, moment)
      expect(finish).toThrow('handshake-refused')
    }
  })

  test('fails closed on an encapsulation key that is no ML-KEM key', () => {
    for (const kem of [Buffer.alloc(1184, 0xff), Buffer.alloc(1183), Buffer.alloc(0)]) {
      const peer = { ...bob.peer, prekey: { ...bob.peer.prekey, kem } }
      expect(() => initiate({ self: alice.party, peer, introduction: Buffer.alloc(0), ...moment })).toThrow(
        'handshake-refused',
      )
    }
  })

  test('is recognised when it comes twice, whatever its sealed part', () => {
    const { flight } = begin(alice, bob, osRandom)
    const changed = Buffer.from(flight)
    changed[2000]! ^= 1
    expect(flightCacheKey(changed)).toEqual(flightCacheKey(flight))
    expect(flightCacheKey(begin(alice, bob, osRandom).flight)).not.toEqual(flightCacheKey(flight))
    expect(flightCacheKey(flight.subarray(1))).toBeUndefined()
  })

  test('leaves the caller its keys', () => {
    const own = dhKeyPair(Uint8Array.from(alice.party.deviceDh.secretKey))
    const { flight } = begin(alice, bob, osRandom)
    accept(flight, alice, bob, osRandom)
    expect(alice.party.deviceDh.secretKey).toEqual(Buffer.from(own.secretKey))
    expect(Buffer.compare(dhKeyPair(bob.prekey.dh).publicKey, bob.peer.prekey.dh)).toBe(0)
  })
})

test('a session that a newer one replaced receives for seven days and seals nothing', () => {
  const { flight, session: old } = begin(alice, bob, osRandom)
  const peer = accept(flight, alice, bob, osRandom)
  const late = peer.seal(Buffer.from('late'), moment)
  const later = peer.seal(Buffer.from('later'), moment)
  old.retire(startMs)
  expect(old.open(late, moment).kind).toBe('payload')
  expect(old.canSend).toBe(false)
  expect(() => old.seal(Buffer.from('x'), moment)).toThrow('session-unknown')
  expect(old.maintenance(moment)).toEqual([])
  const stored = Session.decode(old.encode())
  expect(stored.hasEnded(startMs + limits.receiveOnlyMs - 1)).toBe(false)
  expect(stored.hasEnded(startMs + limits.receiveOnlyMs)).toBe(true)
  const over = { ...moment, nowMs: startMs + limits.receiveOnlyMs }
  expect(stored.open(later, over)).toEqual({ kind: 'refused', code: 'session-unknown' })
})
