import fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { hasCode } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { gatewayIdOf, newGatewayKey } from '../../../src/overlay/gateway-key.ts'
import {
  decodePathAnswer,
  decodePathRequest,
  encodePathAnswer,
  encodePathRequest,
  pathVerdicts,
} from '../../../src/overlay/routing/path-messages.ts'
import { encodeFrame, FrameReader } from '../../../src/overlay/routing/routing-frames.ts'
import type { RoutingFrame } from '../../../src/overlay/routing/routing-frames.ts'

const gateways = Array.from({ length: 4 }, () => gatewayIdOf(newGatewayKey(systemRandom)))
const destination = fc.constantFrom(...gateways)
const hops = fc.integer({ min: 0, max: limits.pathHopsMax })
const seqno = fc.maxSafeNat()
const token = fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => Buffer.from(bytes).toString('hex'))
const frames: fc.Arbitrary<RoutingFrame> = fc.oneof(
  fc.record({ kind: fc.constant('hello' as const), serves: fc.boolean() }),
  fc.record({ kind: fc.constant('ping' as const), token }),
  fc.record({ kind: fc.constant('pong' as const), token }),
  fc.record({ kind: fc.constant('retraction' as const), destination }),
  fc.record({
    kind: fc.constant('request' as const),
    destination,
    id: token,
    hopsLeft: hops,
    seqno,
    forMs: fc.integer({ min: 1, max: 60 }).map((seconds) => seconds * 1000),
  }),
  fc.record({
    kind: fc.constant('update' as const),
    destination,
    seqno,
    metric: fc.integer({ min: 0, max: limits.routeMetricMax }),
    hops,
    proof: fc.uint8Array({ minLength: 64, maxLength: 64 }),
  }),
)

test('frames survive their codec, however the stream is cut', () => {
  fc.assert(
    fc.property(fc.array(frames, { maxLength: 20 }), fc.integer({ min: 1, max: 200 }), (sent, cut) => {
      const stream = Buffer.concat(sent.map(encodeFrame))
      const reader = new FrameReader()
      const read: RoutingFrame[] = []
      for (let at = 0; at < stream.length; at += cut) read.push(...reader.feed(stream.subarray(at, at + cut)))
      expect(read).toEqual(sent)
    }),
  )
})

test('garbage is refused, or is what it says', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      try {
        const read = new FrameReader().feed(bytes)
        const again = Buffer.concat(read.map(encodeFrame))
        // seconds are bounded when written, not when read
        if (read.every(({ kind }) => kind !== 'request'))
          expect(again).toEqual(Buffer.from(bytes.subarray(0, again.length)))
      } catch (error) {
        if (!hasCode(error, 'malformed')) throw error
      }
    }),
    { numRuns: 2_000 },
  )
})

test('path requests and answers survive their codecs, and garbage is refused', () => {
  const id = fc.uint8Array({ minLength: 16, maxLength: 16 })
  fc.assert(
    fc.property(destination, id, fc.integer({ min: 0, max: limits.pathHopsMax - 1 }), (to, pathId, hopsLeft) => {
      const request = { hopsLeft, id: pathId, destination: to }
      expect(decodePathRequest(encodePathRequest(request))).toEqual(request)
    }),
  )
  fc.assert(
    fc.property(fc.constantFrom(...pathVerdicts), hops, (verdict, count) => {
      expect(decodePathAnswer(encodePathAnswer({ verdict, hops: count }))).toEqual({ verdict, hops: count })
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const request = decodePathRequest(bytes)
      if (request !== undefined) expect(encodePathRequest(request)).toEqual(Buffer.from(bytes))
      const answer = decodePathAnswer(bytes)
      if (answer !== undefined) expect(encodePathAnswer(answer)).toEqual(bytes)
    }),
  )
})
