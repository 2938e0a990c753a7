import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { GatewayId } from '../../src/core/ids.ts'
import {
  decide,
  decodeAnswer,
  decodeProposal,
  encodeAnswer,
  encodeProposal,
  verdicts,
} from '../../src/overlay/opening.ts'

const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
const low = 'a' as GatewayId
const high = 'b' as GatewayId

test('proposals and answers survive their codecs, and garbage is refused', () => {
  fc.assert(
    fc.property(number, number, number, fc.constantFrom(...verdicts), (instance, id, after, verdict) => {
      expect(decodeProposal(encodeProposal({ instance, id, after }))).toEqual({ instance, id, after })
      expect(decodeAnswer(encodeAnswer(verdict, instance))).toEqual({ verdict, instance })
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const proposal = decodeProposal(bytes)
      if (proposal !== undefined) expect(encodeProposal(proposal)).toEqual(Buffer.from(bytes))
      const answer = decodeAnswer(bytes)
      if (answer !== undefined) expect(encodeAnswer(answer.verdict, answer.instance)).toEqual(Buffer.from(bytes))
    }),
  )
})

test('of two proposals that cross, exactly one is accepted', () => {
  const proposal = { instance: 1n, id: 2n, after: 0n }
  const atLow = decide({ self: low, peer: high, live: undefined, isProposing: true }, proposal)
  const atHigh = decide({ self: high, peer: low, live: undefined, isProposing: true }, proposal)
  expect([atLow, atHigh]).toEqual(['mine-first', 'accepted'])
})

test('a live link gives way to a restarted peer and to one that knows it is over, not to a late proposal', () => {
  const live = { id: 10n, instance: 1n }
  const holding = { self: low, peer: high, live, isProposing: false }
  expect(decide(holding, { instance: 2n, id: 11n, after: 0n })).toBe('accepted')
  expect(decide(holding, { instance: 1n, id: 11n, after: 10n })).toBe('accepted')
  expect(decide(holding, { instance: 1n, id: 11n, after: 9n })).toBe('linked')
})

test('of two proposals that both move a live link, exactly one is accepted', () => {
  const live = { id: 10n, instance: 1n }
  const proposal = { instance: 1n, id: 11n, after: 10n }
  const atLow = decide({ self: low, peer: high, live, isProposing: true }, proposal)
  const atHigh = decide({ self: high, peer: low, live, isProposing: true }, proposal)
  expect([atLow, atHigh]).toEqual(['mine-first', 'accepted'])
})
