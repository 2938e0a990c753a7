import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Assembler } from '../../../src/core/delivery/assembler.ts'
import type { Fragment } from '../../../src/core/delivery/items.ts'
import { limits } from '../../../src/core/limits.ts'

const fragment = (transfer: number, index: number, count: number, bytes: number): Fragment => ({
  transfer: Buffer.alloc(16, transfer),
  index,
  count,
  bytes: Buffer.alloc(bytes, index),
})

test('fragments in any order, doubled and mixed with others give each item once', () => {
  fc.assert(
    fc.property(
      fc.shuffledSubarray(
        Array.from({ length: 24 }, (_, at) => at),
        { minLength: 24 },
      ),
      (order) => {
        const draft = new Assembler().draft()
        const whole = order.flatMap((at) => {
          const piece = fragment(Math.floor(at / 6), at % 6, 6, 100)
          return [draft.add(piece), draft.add(piece)].filter((item) => item !== undefined)
        })
        expect(whole.map(({ length }) => length)).toEqual([600, 600, 600, 600])
      },
    ),
  )
})

test('unfinished items take bounded room: the oldest gives way', () => {
  const draft = new Assembler().draft()
  const bytes = 48 * 1024
  const room = Math.floor(limits.itemTransfersBytesMax / bytes)
  for (let transfer = 0; transfer <= room; transfer += 1) draft.add(fragment(transfer, 0, 2, bytes))
  expect(draft.add(fragment(0, 1, 2, 10))).toBeUndefined()
  expect(draft.add(fragment(room, 1, 2, 10))).toHaveLength(bytes + 10)
})
