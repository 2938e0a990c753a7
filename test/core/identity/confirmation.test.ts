import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { decode, encode } from '../../../src/core/codec.ts'
import type { Identity } from '../../../src/core/ids.ts'
import {
  answerConfirmation,
  type Confirmation,
  confirmationCodec,
  type ConfirmationMessage,
  startConfirmation,
  stepConfirmation,
} from '../../../src/core/identity/confirmation.ts'
import { type Fingerprinted, fingerprintOf, sameDigits } from '../../../src/core/identity/fingerprint.ts'
import { byRoot, makePerson, rotating } from './people.ts'

const who = (digit: string): Fingerprinted => ({
  identity: digit.repeat(64) as Identity,
  generation: 0,
  rootKey: undefined,
})
const [alice, bob, mallory] = [who('a'), who('b'), who('c')] as const
const nonce = () => systemRandom.bytes(32)
const wire = (message: ConfirmationMessage | undefined): ConfirmationMessage =>
  decode(confirmationCodec, encode(confirmationCodec, message!))
const digitsOf = (state: Confirmation): string | undefined => (state.at === 'compare' ? state.digits : undefined)

/** Both sides' ends when each believes the other to be whom it says. */
function confirm(aliceSees: Fingerprinted, bobSees: Fingerprinted): readonly [Confirmation, Confirmation] {
  const a1 = startConfirmation({ self: alice, other: aliceSees }, nonce())
  const b1 = answerConfirmation({ self: bob, other: bobSees }, wire(a1.send), nonce())
  const a2 = stepConfirmation(a1.state, wire(b1.send))
  const b2 = stepConfirmation(b1.state, wire(a2.send))
  return [a2.state, b2.state]
}

describe('online confirmation', () => {
  test('shows both people the same 15 digits, other ones each time', () => {
    const seen = Array.from({ length: 20 }, () => {
      const [a, b] = confirm(bob, alice)
      expect(digitsOf(a)).toMatch(/^\d{5} \d{5} \d{5}$/)
      expect(digitsOf(b)).toBe(digitsOf(a))
      return digitsOf(a)
    })
    expect(new Set(seen).size).toBe(20)
  })

  test('somebody in between cannot make both sides show the same', () => {
    const m1 = startConfirmation({ self: alice, other: mallory }, nonce())
    const b1 = answerConfirmation({ self: bob, other: mallory }, wire(m1.send), nonce())
    const a2 = stepConfirmation(m1.state, wire(b1.send))
    const b2 = stepConfirmation(b1.state, wire(a2.send))
    expect(b2.state).toEqual({ at: 'failed', reason: 'commitment-mismatch' })
  })

  test('a nonce chosen after seeing the other one is found out', () => {
    const a1 = startConfirmation({ self: alice, other: bob }, nonce())
    const b1 = answerConfirmation({ self: bob, other: alice }, wire(a1.send), nonce())
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (chosen) => {
        const { state } = stepConfirmation(b1.state, { kind: 'reveal', nonce: chosen })
        expect(state).toEqual({ at: 'failed', reason: 'commitment-mismatch' })
      }),
      { numRuns: 50 },
    )
  })

  test('when both start at once, the lower identity stays the initiator and both show the same', () => {
    const a1 = startConfirmation({ self: alice, other: bob }, nonce())
    const b1 = startConfirmation({ self: bob, other: alice }, nonce())
    const a2 = stepConfirmation(a1.state, wire(b1.send))
    expect(a2).toEqual({ state: a1.state, send: undefined })
    const b2 = stepConfirmation(b1.state, wire(a1.send))
    const a3 = stepConfirmation(a2.state, wire(b2.send))
    const b3 = stepConfirmation(b2.state, wire(a3.send))
    expect(digitsOf(a3.state)).toBeDefined()
    expect(digitsOf(b3.state)).toBe(digitsOf(a3.state))
  })

  test('a rotated root key changes the digits: an old belief is noticed', () => {
    const person = makePerson()
    const rotated = byRoot(person, rotating(person)).state
    const [a] = confirm(rotated, alice)
    const [old] = confirm(person.state, alice)
    expect(digitsOf(a)).not.toBe(digitsOf(old))
  })

  test('no order of messages leads anywhere but to the digits or a named failure', () => {
    const message: fc.Arbitrary<ConfirmationMessage> = fc.oneof(
      fc.uint8Array({ minLength: 32, maxLength: 32 }).map((commitment) => ({ kind: 'commit' as const, commitment })),
      fc.uint8Array({ minLength: 32, maxLength: 32 }).map((value) => ({ kind: 'reveal' as const, nonce: value })),
    )
    fc.assert(
      fc.property(fc.boolean(), fc.array(message, { minLength: 1, maxLength: 6 }), (starts, messages) => {
        const parties = { self: alice, other: bob }
        let { state } = starts
          ? startConfirmation(parties, nonce())
          : answerConfirmation(parties, messages[0]!, nonce())
        for (const next of messages) {
          const before = state
          state = stepConfirmation(state, next).state
          if (before.at === 'compare' || before.at === 'failed') expect(state).toBe(before)
        }
        expect(['committed', 'answered', 'compare', 'failed']).toContain(state.at)
      }),
    )
  })
})

describe('fingerprints', () => {
  test('are 60 digits in groups of five, one per identity', () => {
    const digits = [alice, bob, mallory].map(fingerprintOf)
    for (const text of digits) expect(text).toMatch(/^(\d{5} ){11}\d{5}$/)
    expect(new Set(digits).size).toBe(3)
    // frozen: what an invitation and the other side's screen must agree on for ever
    expect(digits[0]).toBe('03396 08242 01483 05802 29698 33830 63659 24941 96695 88592 03388 00716')
  })

  test('follow the root key once it was rotated', () => {
    const person = makePerson()
    const rotated = byRoot(person, rotating(person))
    expect(fingerprintOf(rotated.state)).not.toBe(fingerprintOf(person.state))
  })

  test('are compared as people type them', () => {
    const digits = fingerprintOf(alice)
    expect(sameDigits(digits.replaceAll(' ', ''), digits)).toBe(true)
    expect(sameDigits(digits.replaceAll(' ', '-\n'), digits)).toBe(true)
    expect(sameDigits(digits.slice(0, -1), digits)).toBe(false)
    expect(sameDigits(fingerprintOf(bob), digits)).toBe(false)
  })
})
