/** What members of a group say to each other comes back as it was written, in payloads that fit, and garbage is refused by name. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeStatements, inPayloads, type Statement } from '../../../src/core/delivery/groups/statements.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { DeviceId, GroupOpId, MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'

const octets = (length: number) =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((one) => Buffer.from(one))
const some = fc.uint8Array({ maxLength: 3000 }).map((one) => Buffer.from(one))
const id = <Id extends string>() => octets(32).map((one) => one.toString('hex') as Id)
const kind = <const K extends Statement['kind']>(value: K) => fc.constant(value)
const signed = fc.record({ body: some, signature: octets(64) })
const heads = fc.uniqueArray(id<GroupOpId>(), { maxLength: 5 }).map((one) => one.toSorted())
const ids = fc.array(id<MessageId>(), { maxLength: 5 })

const statement: fc.Arbitrary<Statement> = fc.oneof(
  fc.record({ kind: kind('ops'), ops: fc.array(signed, { minLength: 1, maxLength: 20 }) }),
  fc.record({ kind: kind('envelope'), envelope: signed, asked: fc.option(id<MessageId>(), { nil: undefined }) }),
  fc.record({ kind: kind('seed'), epoch: id<GroupOpId>(), seed: octets(32) }),
  fc.record({
    kind: kind('chains'),
    epoch: id<GroupOpId>(),
    chains: fc.array(fc.record({ device: id<DeviceId>(), index: fc.nat({ max: 0xffff_ffff }), key: octets(32) }), {
      maxLength: 4,
    }),
  }),
  fc.record({ kind: kind('bundles'), bundles: fc.array(some, { minLength: 1, maxLength: 30 }) }),
  fc.record({
    kind: kind('base'),
    heads: fc.array(fc.record({ id: id<MessageId>(), rank: fc.nat() }), { maxLength: 5 }),
  }),
  fc.record({ kind: kind('history'), messages: fc.array(some, { minLength: 1, maxLength: 30 }) }),
  fc.record({ kind: kind('wanted'), ops: fc.array(id<GroupOpId>(), { maxLength: 5 }), messages: ids }),
  fc.record({ kind: kind('read'), heads: ids }),
  fc.record({ kind: kind('vouchFor'), heads }),
  fc.record({ kind: kind('vouched'), heads, signature: octets(64), device: id<DeviceId>() }),
  fc.record({ kind: kind('absent'), messages: ids }),
  fc.record({ kind: kind('chainsWanted'), epoch: id<GroupOpId>() }),
)

/** Lists that may be cut, joined again. */
function joined(statements: readonly Statement[]): readonly unknown[] {
  const all: unknown[] = []
  for (const one of statements) {
    if (one.kind === 'ops')
      all.push(...one.ops.map(({ body, signature }) => ['op', Buffer.from(body), Buffer.from(signature)]))
    else if (one.kind === 'bundles') all.push(...one.bundles.map((bundle) => ['bundle', Buffer.from(bundle)]))
    else if (one.kind === 'history') all.push(...one.messages.map((message) => ['history', Buffer.from(message)]))
    else all.push(JSON.parse(JSON.stringify(one)))
  }
  return all
}

test('statements come back in their order, over as many payloads as they take, each of which fits', () => {
  fc.assert(
    fc.property(fc.array(statement, { maxLength: 12 }), (statements) => {
      const payloads = [...inPayloads(statements)]
      for (const payload of payloads) expect(payload.length).toBeLessThanOrEqual(limits.groupPartBytesMax)
      expect(joined(payloads.flatMap(decodeStatements))).toEqual(joined(statements))
    }),
    { numRuns: 200 },
  )
})

test('other bytes are refused with a named error, or read as something', () => {
  fc.assert(
    fc.property(statement, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, where, flip) => {
      const [payload] = inPayloads([one])
      const changed = Uint8Array.from(payload!)
      changed[where % changed.length]! ^= flip
      for (const bytes of [changed, changed.subarray(0, where % changed.length)])
        try {
          decodeStatements(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(MyceliumError)
        }
    }),
  )
})
