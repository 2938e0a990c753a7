/** How the frames of a channel become bodies at relays. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { itemsBytesMax } from '../../../../src/core/delivery/relay/body.ts'
import { pieces } from '../../../../src/core/delivery/relay/outlet.ts'
import { frameClasses } from '../../../../src/core/session/frame.ts'
import { ItemCursor, TagTable } from '../../../../src/core/session/items.ts'

const tag = Buffer.alloc(8, 7)

/** The second octet of each frame in a piece. */
function namesIn(piece: Uint8Array): readonly number[] {
  const cursor = new ItemCursor(new TagTable<string>())
  cursor.push(piece)
  const names: number[] = []
  while (cursor.next()) names.push(Buffer.from(cursor.body()).readUInt32BE(0))
  return names
}

test('no item lies in two bodies, everything lies in one, and a body of several items is no larger than it may be', () => {
  const unit = fc.array(fc.constantFrom(...frameClasses), { minLength: 1, maxLength: 18 })
  fc.assert(
    fc.property(fc.array(unit, { maxLength: 30 }), (items) => {
      const frames = items.flat().map((size, index) => {
        const frame = Buffer.alloc(size)
        frame.writeUInt32BE(index)
        return frame
      })
      const all = [
        ...pieces(
          tag,
          frames,
          items.map((item) => item.length),
        ),
      ]
      expect(all.flatMap(namesIn)).toEqual(frames.map((_, index) => index))
      let at = 0
      const ends = new Set(items.map((item) => (at += item.length)))
      let end = 0
      for (const piece of all) {
        end += namesIn(piece).length
        expect(ends).toContain(end)
        const isOne = items.some((item) => item.length >= namesIn(piece).length)
        if (piece.length > itemsBytesMax) expect(isOne).toBe(true)
      }
    }),
  )
})
