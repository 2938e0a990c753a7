import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { osRandom } from '../../../src/core/crypto/random.ts'
import { payloadBytesMax } from '../../../src/core/session/frame.ts'
import { readFlight } from '../../../src/core/session/handshake.ts'
import { Session } from '../../../src/core/session/session.ts'
import { begin, device, findPrekey, pair, seededRandom, startMs } from './support.ts'

const moment = { random: osRandom, nowMs: startMs }
const flip = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = Buffer.from(bytes)
  copy[bit >> 3]! ^= 1 << (bit & 7)
  return copy
}

describe('a changed frame is refused and changes nothing', () => {
  const { alice, bob } = pair(osRandom)
  const frame = alice.seal(Buffer.from('attack at dawn'), moment)
  const before = bob.encode()
  const refuses = (changed: Uint8Array): void => {
    expect(bob.open(changed, moment).kind).toBe('refused')
    expect(bob.encode()).toEqual(before)
  }

  test('every single bit: nonce, header, body and tag', () => {
    for (let bit = 0; bit < frame.length * 8; bit += 1) refuses(flip(frame, bit))
  })

  test('truncated, extended, of another class, empty', () => {
    for (const length of [0, 1, 12, 76, 127]) refuses(frame.subarray(0, length))
    for (const length of [129, 512, 2048, 4096, 4097]) {
      const longer = Buffer.alloc(length)
      longer.set(frame)
      refuses(longer)
    }
  })

  test('random bytes of every class', () => {
    fc.assert(
      fc.property(fc.constantFrom(128, 512, 2048, 4096), (length) => refuses(osRandom.bytes(length))),
      { numRuns: 200 },
    )
  })

  test('header of one frame, body of another', () => {
    const second = alice.seal(Buffer.from('attack at dusk'), moment)
    refuses(Buffer.concat([frame.subarray(0, 76), second.subarray(76)]))
  })

  test('the same frame, unchanged, still opens', () => {
    expect(bob.open(frame, moment)).toEqual({ kind: 'payload', payload: Buffer.from('attack at dawn') })
  })

  test('a frame that would turn the DH ratchet, with each bit of its body changed', () => {
    const answer = bob.seal(Buffer.from('no'), moment)
    const state = alice.encode()
    for (let bit = 76 * 8; bit < answer.length * 8; bit += 7) {
      expect(alice.open(flip(answer, bit), moment).kind).toBe('refused')
    }
    expect(alice.encode()).toEqual(state)
    expect(alice.open(answer, moment).kind).toBe('payload')
    expect(alice.encode()).not.toEqual(state)
  })
})

test('a frame of one session does not open in another', () => {
  const one = pair(osRandom)
  const other = pair(osRandom)
  const frame = one.alice.seal(Buffer.from('x'), moment)
  expect(other.bob.open(frame, moment)).toEqual({ kind: 'refused', code: 'decryption-failed' })
  expect(one.alice.open(frame, moment)).toEqual({ kind: 'refused', code: 'decryption-failed' })
})

test('a restored copy seals the same position twice under unrelated keys', () => {
  const { alice, bob } = pair(osRandom)
  const copy = Session.decode(alice.encode())
  const text = Buffer.alloc(payloadBytesMax(512), 0x41)
  const [first, second] = [alice.seal(text, moment), copy.seal(text, moment)]
  let equal = 0
  for (let at = 0; at < first.length; at += 1) equal += first[at] === second[at] ? 1 : 0
  expect(equal).toBeLessThan(16) // of 512: two in expectation
  expect(bob.open(first, moment).kind).toBe('payload')
  expect(bob.open(second, moment)).toEqual({ kind: 'refused', code: 'replayed' })
})

describe('a changed flight is refused', () => {
  const random = seededRandom('flight')
  const [alice, bob] = [device(random), device(random)]
  const { flight } = begin(alice, bob, random)
  const read = (bytes: Uint8Array): Session => {
    const claim = readFlight(bytes, { self: bob.party, prekey: findPrekey(bob) })
    return claim.finish({ deviceDhPublic: alice.peer.deviceDhPublic, logHead: alice.party.logHead }, moment)
  }

  test('in every byte of its clear part and its last stage, and in the first stage here and there', () => {
    const step = (at: number): number => (at < 70 || at > flight.length - 40 ? 1 : 37)
    for (let at = 0; at < flight.length; at += step(at)) {
      expect(() => read(flip(flight, at * 8 + (at % 8))), `byte ${at}`).toThrow('handshake-refused')
    }
  })

  test('truncated, extended, repeated to its longest, of another suite', () => {
    for (const length of [0, 1, 4095, flight.length - 4096, flight.length + 1, flight.length + 4096, 5 * 4096]) {
      const other = Buffer.alloc(length)
      other.set(flight.subarray(0, length))
      expect(() => read(other)).toThrow('handshake-refused')
    }
  })

  test('the flight itself is read', () => expect(read(flight).peerDevice).toBe(alice.party.device))
})

test('stored sessions that are cut, longer or of another version are refused', () => {
  const encoded = pair(osRandom).bob.encode()
  expect(Session.decode(encoded).encode()).toEqual(encoded)
  for (let length = 0; length < encoded.length; length += 1) {
    expect(() => Session.decode(encoded.subarray(0, length))).toThrow('malformed')
  }
  expect(() => Session.decode(Buffer.concat([encoded, Buffer.alloc(1)]))).toThrow('malformed')
  expect(() => Session.decode(Buffer.concat([Uint8Array.of(9), encoded.subarray(1)]))).toThrow('malformed')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => {
      expect(() => Session.decode(bytes)).toThrow()
    }),
  )
})
