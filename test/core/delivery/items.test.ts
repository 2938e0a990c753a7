import fc from 'fast-check'
import { expect, test } from 'vitest'
import { itemsOf, packItem, unpackPayload } from '../../../src/core/delivery/items.ts'
import { limits } from '../../../src/core/limits.ts'

const payloadBytes = 4002
const noTransfer = (): never => {
  throw new Error('cut into fragments')
}

test('small messages share payloads, in their order, and no payload is too long', () => {
  const message = fc.uint8Array({ maxLength: 2500 }).map((encoded) => ({ encoded }))
  fc.assert(
    fc.property(fc.array(message, { maxLength: 60 }), (messages) => {
      const items = [...itemsOf(messages, payloadBytes)]
      expect(items.flatMap(({ members }) => members)).toEqual(messages)
      for (const { item, members } of items) {
        const payloads = packItem(item, payloadBytes, noTransfer)
        expect(payloads).toHaveLength(1)
        expect(payloads[0]!.length).toBeLessThanOrEqual(payloadBytes)
        const unpacked = unpackPayload(payloads[0]!)
        if (unpacked.kind !== 'item') throw new Error('not an item')
        const found =
          unpacked.item.kind === 'message'
            ? [unpacked.item.encoded]
            : unpacked.item.kind === 'messages'
              ? unpacked.item.encoded
              : []
        expect(found.map((encoded) => Uint8Array.from(encoded))).toEqual(members.map(({ encoded }) => encoded))
      }
    }),
  )
})

test('a payload is filled as far as its messages allow', () => {
  const shares = (length: number, count: number): readonly number[] =>
    [
      ...itemsOf(
        Array.from({ length: count }, () => ({ encoded: new Uint8Array(length) })),
        payloadBytes,
      ),
    ].map(({ members }) => members.length)
  expect(shares(995, 8)).toEqual([4, 4])
  expect(shares(996, 4)).toEqual([3, 1])
  expect(shares(10, 20)).toEqual([limits.itemMessagesMax, 20 - limits.itemMessagesMax])
  expect(shares(5000, 3)).toEqual([1, 1, 1])
})
