import { describe, expect, test } from 'vitest'
import { osRandom } from '../../../src/core/crypto/random.ts'
import { limits } from '../../../src/core/limits.ts'
import { Session } from '../../../src/core/session/session.ts'
import { pair, startMs } from './support.ts'

const moment = { random: osRandom, nowMs: startMs }
const text = Buffer.from('text')
const burst = (from: Session, count: number): Uint8Array[] =>
  Array.from({ length: count }, () => from.seal(text, moment))

describe('bounds of a session', () => {
  test('a frame 2,000 ahead opens, one further does not and changes nothing', () => {
    const { alice, bob } = pair(osRandom)
    const frames = burst(alice, limits.jumpMax + 2)
    const before = bob.encode()
    expect(bob.open(frames[limits.jumpMax + 1]!, moment)).toEqual({ kind: 'refused', code: 'jump-too-far' })
    expect(bob.encode()).toEqual(before)
    expect(bob.open(frames[limits.jumpMax]!, moment).kind).toBe('payload')
    expect(bob.skippedKeys).toBe(limits.skippedKeysMax)
    expect(bob.open(frames[limits.jumpMax + 1]!, moment).kind).toBe('payload')
    expect(bob.encode().length).toBeLessThan(limits.sessionBytesMax)
  })

  test('beyond 2,000 skipped secrets the oldest are forgotten', () => {
    const { alice, bob } = pair(osRandom)
    const frames = burst(alice, 2 + limits.skippedKeysMax + 12)
    bob.open(frames[limits.skippedKeysMax]!, moment)
    bob.open(frames.at(-1)!, moment)
    expect(bob.skippedKeys).toBe(limits.skippedKeysMax)
    expect(bob.open(frames[0]!, moment)).toEqual({ kind: 'refused', code: 'replayed' })
    expect(bob.open(frames[limits.skippedKeysMax - 1]!, moment).kind).toBe('payload')
    expect(bob.open(frames.at(-2)!, moment).kind).toBe('payload')
  })

  test('a skipped secret is used within 30 days and never after', () => {
    const { alice, bob } = pair(osRandom)
    const [first, second, third] = burst(alice, 3)
    bob.open(third!, moment)
    const lastMoment = { ...moment, nowMs: startMs + limits.skippedKeyAgeMsMax }
    const tooLate = { ...moment, nowMs: lastMoment.nowMs + 1 }
    expect(bob.open(first!, lastMoment).kind).toBe('payload')
    expect(bob.open(second!, tooLate)).toEqual({ kind: 'refused', code: 'expired' })
    expect(bob.skippedKeys).toBe(1)
    bob.open(alice.seal(text, tooLate), tooLate)
    expect(bob.skippedKeys).toBe(0)
  })

  test('late frames open from the chain in use and the four before it', () => {
    const { alice, bob } = pair(osRandom)
    const late: Uint8Array[] = []
    for (let turn = 0; turn < limits.receivingChainsMax + 1; turn += 1) {
      late.push(alice.seal(text, moment))
      bob.open(alice.seal(text, moment), moment)
      alice.open(bob.seal(text, moment), moment)
    }
    expect(late.map((frame) => bob.open(frame, moment).kind)).toEqual([
      'refused',
      ...Array.from({ length: limits.receivingChainsMax }, () => 'payload'),
    ])
  })

  test('a replayed frame is refused, before and after its neighbours', () => {
    const { alice, bob } = pair(osRandom)
    const frames = burst(alice, 3)
    for (const frame of [frames[2]!, frames[0]!]) {
      expect(bob.open(frame, moment).kind).toBe('payload')
      expect(bob.open(frame, moment)).toEqual({ kind: 'refused', code: 'replayed' })
    }
  })

  test('payloads of up to 4,002 bytes go into the smallest class that is large enough', () => {
    const { alice, bob } = pair(osRandom)
    for (const [length, classBytes] of [
      [0, 128],
      [34, 128],
      [35, 512],
      [418, 512],
      [419, 2048],
      [1954, 2048],
      [1955, 4096],
      [4002, 4096],
    ] as const) {
      const payload = osRandom.bytes(length)
      const frame = alice.seal(payload, moment)
      expect(frame.length).toBe(classBytes)
      const opened = bob.open(frame, moment)
      expect(opened.kind === 'payload' && Buffer.compare(opened.payload, payload)).toBe(0)
    }
    expect(alice.seal(text, { ...moment, classMin: 512 }).length).toBe(512)
    const before = alice.encode()
    expect(() => alice.seal(Buffer.alloc(4003), moment)).toThrow('too-large')
    expect(alice.encode()).toEqual(before)
  })

  test('a burst in one direction costs no DH step: the ratchet key stays', () => {
    const { alice, bob } = pair(osRandom)
    const keys = new Set<string>()
    for (let count = 0; count < 50; count += 1) {
      bob.open(alice.seal(text, moment), moment)
      keys.add(Buffer.from(alice.encode().subarray(178, 210)).toString('hex'))
    }
    expect(keys.size).toBe(1)
  })
})

describe('the ML-KEM ratchet', () => {
  test('turns every 20 payloads, the owner alternating', () => {
    const { alice, bob } = pair(osRandom)
    const epochs: number[] = []
    for (let count = 1; count <= 4 * limits.kemEpochMessages; count += 1) {
      bob.open(alice.seal(text, moment), moment)
      for (let round = 0; round < 4; round += 1) {
        for (const frame of alice.maintenance(moment)) bob.open(frame, moment)
        for (const frame of bob.maintenance(moment)) alice.open(frame, moment)
      }
      epochs.push(alice.kemEpoch)
    }
    expect(epochs[limits.kemEpochMessages - 2]).toBe(0)
    expect(epochs[limits.kemEpochMessages - 1]).toBe(1)
    expect(epochs.at(-1)).toBe(4)
    expect(bob.kemEpoch).toBe(4)
  })

  test('turns after 24 hours with any payload, never in silence', () => {
    const { alice, bob } = pair(osRandom)
    for (const frame of bob.maintenance(moment)) alice.open(frame, moment)
    const later = { ...moment, nowMs: startMs + limits.kemEpochMs }
    expect(alice.maintenance(later)).toEqual([])
    alice.seal(text, later)
    const offers = alice.maintenance(later)
    expect(offers.map((frame) => frame.length)).toEqual([2048])
    expect(alice.maintenance(later)).toEqual([])
    const muchLater = { ...moment, nowMs: later.nowMs + limits.kemEpochMs }
    expect(alice.maintenance(muchLater)).toEqual([])
    alice.seal(text, muchLater)
    expect(alice.maintenance(muchLater)).toHaveLength(1)
  })

  test('repeats offer and answer until each is confirmed, and survives the loss of any of them', () => {
    for (let lost = 0; lost < 8; lost += 1) {
      const { alice, bob } = pair(osRandom)
      let nowMs = startMs
      let number = 0
      for (let count = 0; count < 60 && alice.kemEpoch + bob.kemEpoch < 2; count += 1) {
        nowMs += limits.kemResendMs
        const at = { random: osRandom, nowMs }
        bob.open(alice.seal(text, at), at)
        for (const [from, to] of [
          [alice, bob],
          [bob, alice],
        ] as const) {
          for (const frame of from.maintenance(at)) {
            if (number !== lost) expect(to.open(frame, at).kind).toBe('control')
            number += 1
          }
        }
      }
      expect([alice.kemEpoch, bob.kemEpoch]).toEqual([1, 1])
    }
  })

  test('frames sealed before an epoch change open after it', () => {
    const { alice, bob } = pair(osRandom)
    const late = burst(alice, limits.kemEpochMessages)
    for (let round = 0; round < 3; round += 1) {
      for (const frame of alice.maintenance(moment)) bob.open(frame, moment)
      for (const frame of bob.maintenance(moment)) alice.open(frame, moment)
    }
    expect([alice.kemEpoch, bob.kemEpoch]).toEqual([1, 1])
    const reloaded = Session.decode(bob.encode())
    for (const frame of late.toReversed()) expect(reloaded.open(frame, moment).kind).toBe('payload')
    expect(reloaded.skippedKeys).toBe(0)
  })
})
