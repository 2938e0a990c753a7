import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import {
  addClaim,
  bindingOf,
  type Claim,
  dropClaim,
  isConflicting,
  isStronger,
  type NewClaim,
  tiers,
} from '../../../src/core/identity/trust.ts'

const [alice, bob, mallory] = ['a', 'b', 'c'].map((digit) => digit.repeat(64) as Identity) as [
  Identity,
  Identity,
  Identity,
]
const newClaim: fc.Arbitrary<NewClaim> = fc.record({
  identity: fc.constantFrom(alice, bob, mallory),
  tier: fc.constantFrom(...tiers),
  pin: fc.boolean(),
})
const after = (claims: readonly NewClaim[]): readonly Claim[] => claims.reduce(addClaim, [] as readonly Claim[])

describe('claims on one address', () => {
  test('a later claim of lower or equal tier never affects a pinned binding', () => {
    fc.assert(
      fc.property(fc.array(newClaim, { maxLength: 8 }), newClaim, (history, next) => {
        const before = after(history)
        const pinned = before.find((claim) => claim.pinned)
        if (pinned === undefined || pinned.identity === next.identity) return
        const own = before.find(({ identity }) => identity === next.identity)
        const strongest = own !== undefined && isStronger(own.tier, next.tier) ? own.tier : next.tier
        if (isStronger(strongest, pinned.tier)) return
        const now = addClaim(before, next)
        expect(now.find(({ identity }) => identity === pinned.identity)).toEqual(pinned)
        expect(bindingOf(now)).toEqual({ kind: 'bound', identity: pinned.identity, tier: pinned.tier })
        expect(isConflicting(now, next.identity)).toBe(true)
      }),
    )
  })

  test('never pin more than one, never lower a tier, and say who is conflicting', () => {
    fc.assert(
      fc.property(fc.array(newClaim, { minLength: 1, maxLength: 10 }), (history) => {
        const claims = after(history)
        expect(claims.filter(({ pinned }) => pinned).length).toBeLessThanOrEqual(1)
        expect(new Set(claims.map(({ identity }) => identity)).size).toBe(claims.length)
        for (const { identity, tier } of claims) {
          const given = history.filter((claim) => claim.identity === identity).map((claim) => claim.tier)
          expect(given.some((other) => isStronger(other, tier))).toBe(false)
        }
        const binding = bindingOf(claims)
        const unopposed = claims.filter(({ identity }) => !isConflicting(claims, identity))
        expect(unopposed.map(({ identity }) => identity)).toEqual(binding.kind === 'bound' ? [binding.identity] : [])
      }),
    )
  })

  test('of strangers alone conflict; one alone is believed', () => {
    const one = after([{ identity: alice, tier: 'claimed', pin: false }])
    expect(bindingOf(one)).toMatchObject({ kind: 'bound', identity: alice })
    const two = addClaim(one, { identity: mallory, tier: 'claimed', pin: false })
    expect(bindingOf(two)).toEqual({ kind: 'conflict' })
    expect(bindingOf(dropClaim(two, mallory))).toMatchObject({ identity: alice })
    expect(bindingOf([])).toEqual({ kind: 'unknown' })
  })

  test('a stronger one takes the pin when a person chose it, else nobody holds it', () => {
    const pinned = after([{ identity: alice, tier: 'claimed', pin: true }])
    expect(bindingOf(addClaim(pinned, { identity: bob, tier: 'zone', pin: true }))).toMatchObject({ identity: bob })
    expect(bindingOf(addClaim(pinned, { identity: bob, tier: 'zone', pin: false }))).toEqual({ kind: 'conflict' })
  })

  test('are bounded: strangers cannot fill an address', () => {
    const many = Array.from({ length: 50 }, (_, i) => ({
      identity: i.toString(16).padStart(64, '0') as Identity,
      tier: 'claimed' as const,
      pin: false,
    }))
    const claims = after([{ identity: alice, tier: 'claimed', pin: true }, ...many])
    expect(claims).toHaveLength(limits.claimsPerAddressMax)
    expect(bindingOf(claims)).toMatchObject({ identity: alice })
  })

  test('of strangers who came first and in numbers keep nobody out whom a person chose or a zone vouches for', () => {
    const strangers = Array.from({ length: limits.claimsPerAddressMax }, (_, i) => ({
      identity: i.toString(16).padStart(64, '0') as Identity,
      tier: 'claimed' as const,
      pin: false,
    }))
    const full = after(strangers)
    expect(addClaim(full, { identity: bob, tier: 'claimed', pin: false })).toBe(full)
    for (const chosen of [
      { identity: bob, tier: 'claimed', pin: true },
      { identity: bob, tier: 'zone', pin: true },
    ] as const) {
      const claims = addClaim(full, chosen)
      expect(claims).toHaveLength(limits.claimsPerAddressMax)
      expect(bindingOf(claims)).toMatchObject({ identity: bob })
    }
    expect(addClaim(full, { identity: bob, tier: 'zone', pin: false }).some(({ tier }) => tier === 'zone')).toBe(true)
  })
})
