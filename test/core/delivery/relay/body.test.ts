import fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemRandom } from '../../../../src/core/ambient.ts'
import { type Body, itemsBytesMax, openBody, sealBody } from '../../../../src/core/delivery/relay/body.ts'
import { relayBodySizes } from '../../../../src/core/delivery/relay-ports.ts'
import type { BlobRoot } from '../../../../src/core/ids.ts'

const key = Buffer.alloc(32, 7)
const content = fc.oneof(
  fc.record({ kind: fc.constant('frames' as const), items: fc.uint8Array({ maxLength: 20_000 }) }),
  fc.record({
    kind: fc.constant('chunk' as const),
    root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((raw) => Buffer.from(raw).toString('hex') as BlobRoot),
    index: fc.nat(),
    answer: fc.uint8Array({ maxLength: 70_000 }),
  }),
  fc.constant({ kind: 'probe' as const }),
)
const body: fc.Arbitrary<Body> = fc.record({
  number: fc.maxSafeNat(),
  leavingId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  leftAtMs: fc.maxSafeNat(),
  content,
})

test('what was sealed opens with the same key to the same body, and has one of the sizes', () => {
  fc.assert(
    fc.property(body, (made) => {
      const sealed = sealBody(key, made, systemRandom)
      expect(relayBodySizes).toContain(sealed.length)
      const opened = openBody(key, sealed)!
      expect(opened.number).toBe(made.number)
      expect(opened.leftAtMs).toBe(made.leftAtMs)
      expect(Buffer.from(opened.leavingId).equals(made.leavingId)).toBe(true)
      expect(plain(opened.content)).toEqual(plain(made.content))
    }),
    { numRuns: 60 },
  )
})

test('two copies of one body have nothing in common', () => {
  const made: Body = {
    number: 1,
    leavingId: new Uint8Array(16),
    leftAtMs: 1,
    content: { kind: 'frames', items: Buffer.alloc(500) },
  }
  const [one, other] = [sealBody(key, made, systemRandom), sealBody(Buffer.alloc(32, 8), made, systemRandom)]
  for (let at = 0; at + 8 <= one.length; at += 1)
    if (Buffer.from(one.subarray(at, at + 8)).equals(other.subarray(at, at + 8))) throw new Error(`same at ${at}`)
})

test('a changed octet, another key, a cut and noise open to nothing', () => {
  const made: Body = { number: 3, leavingId: new Uint8Array(16), leftAtMs: 9, content: { kind: 'probe' } }
  const sealed = sealBody(key, made, systemRandom)
  expect(openBody(Buffer.alloc(32, 8), sealed)).toBeUndefined()
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Uint8Array.from(sealed)
      changed[at]! ^= flip
      expect(openBody(key, changed)).toBeUndefined()
      expect(openBody(key, sealed.subarray(0, at))).toBeUndefined()
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), (noise) => {
      expect(openBody(key, noise)).toBeUndefined()
    }),
  )
})

test('items that fill an entry of 64 KB fit it, and content beyond the largest size is refused', () => {
  const sealedOf = (octets: number): Uint8Array =>
    sealBody(
      key,
      {
        number: 1,
        leavingId: new Uint8Array(16),
        leftAtMs: 1,
        content: { kind: 'frames', items: Buffer.alloc(octets) },
      },
      systemRandom,
    )
  expect(sealedOf(itemsBytesMax)).toHaveLength(relayBodySizes[2])
  expect(sealedOf(itemsBytesMax + 1)).toHaveLength(relayBodySizes[3])
  expect(() => sealedOf(relayBodySizes[4])).toThrow('too-large')
})

/** Views and buffers as plain arrays. */
const plain = (value: object): object =>
  Object.fromEntries(Object.entries(value).map(([name, one]) => [name, one instanceof Uint8Array ? [...one] : one]))
