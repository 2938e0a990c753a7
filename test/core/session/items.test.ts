import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { osRandom } from '../../../src/core/crypto/random.ts'
import { frameClasses } from '../../../src/core/session/frame.ts'
import {
  encodeItem,
  frameCode,
  helloBytes,
  helloCode,
  ItemCursor,
  ItemWriter,
  itemBytes,
  TagTable,
} from '../../../src/core/session/items.ts'

const tags = ['alice', 'bob', 'carol'].map((name) => ({ name, tag: osRandom.bytes(8) }))
const table = new TagTable<string>()
for (const { name, tag } of tags) table.set(tag, name)
const stranger = osRandom.bytes(8)

const item = fc.record({
  length: fc.constantFrom(...frameClasses, helloBytes),
  from: fc.nat({ max: 3 }),
  fill: fc.nat({ max: 255 }),
})

test('items come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(
      fc.array(item, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 20 }),
      (items, cuts) => {
        const stream = Buffer.concat(
          items.map(({ length, from, fill }) => encodeItem(tags[from]?.tag ?? stranger, Buffer.alloc(length, fill))),
        )
        const cursor = new ItemCursor(table)
        const seen: unknown[] = []
        for (let at = 0, cut = 0; at < stream.length; cut += 1) {
          const end = at + cuts[cut % cuts.length]!
          cursor.push(stream.subarray(at, end))
          while (cursor.next()) {
            const body = cursor.body()
            seen.push([cursor.channel, body.length, body[0], body.at(-1), cursor.isHello])
          }
          at = end
        }
        expect(cursor.carried).toBe(0)
        expect(seen).toEqual(
          items.map(({ length, from, fill }) => [tags[from]?.name, length, fill, fill, length === helloBytes]),
        )
      },
    ),
    { numRuns: 500 },
  )
})

test('bodies taken before the loop went on are still what they were', () => {
  const items = [1, 2, 3, 4].map((fill) => encodeItem(tags[0]!.tag, Buffer.alloc(128, fill)))
  const stream = Buffer.concat(items)
  const cursor = new ItemCursor(table)
  const bodies: Uint8Array[] = []
  for (const [from, to] of [
    [0, 50],
    [50, 3 * 137 + 60],
    [3 * 137 + 60, stream.length],
  ] as const) {
    cursor.push(stream.subarray(from, to))
    while (cursor.next()) bodies.push(cursor.body())
  }
  expect(bodies.map((body) => [...new Set(body)])).toEqual([[1], [2], [3], [4]])
})

test('an unknown class code is the peer misbehaving, wherever it stands', () => {
  const good = encodeItem(tags[0]!.tag, Buffer.alloc(128))
  for (const code of [0, 6, 7, 127, 255]) {
    const cursor = new ItemCursor(table)
    cursor.push(Buffer.concat([good, Uint8Array.of(code)]))
    expect(cursor.next()).toBe(true)
    expect(() => cursor.next()).toThrow('peer-misbehaved')
  }
})

test('random garbage either parses as items or is refused, and never holds more than one item', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 30 }), (pieces) => {
      const cursor = new ItemCursor(table)
      try {
        for (const piece of pieces) {
          cursor.push(piece)
          while (cursor.next()) expect(cursor.body().length).toBe(itemBytes(cursor.code) - 9)
          expect(cursor.carried).toBeLessThan(itemBytes(4))
        }
      } catch (error) {
        expect(error).toMatchObject({ code: 'peer-misbehaved' })
      }
    }),
    { numRuns: 500 },
  )
})

describe('the tag table', () => {
  test('finds each of 5,000 tags and nothing else', () => {
    const many = new TagTable<number>()
    const all = Array.from({ length: 5000 }, () => Buffer.from(osRandom.bytes(8)))
    all.forEach((tag, index) => many.set(tag, index))
    all.forEach((tag, index) => expect(many.find(tag.readUInt32BE(0), tag.readUInt32BE(4))).toBe(index))
    for (let count = 0; count < 1000; count += 1) {
      const other = Buffer.from(osRandom.bytes(8))
      expect(many.find(other.readUInt32BE(0), other.readUInt32BE(4))).toBeUndefined()
    }
    expect(many.size).toBe(5000)
    many.set(all[0]!, -1)
    expect(many.size).toBe(5000)
    expect(many.find(all[0]!.readUInt32BE(0), all[0]!.readUInt32BE(4))).toBe(-1)
  })

  test('keeps tags apart whose lower halves collide', () => {
    const many = new TagTable<number>()
    for (let high = 0; high < 40; high += 1) many.set(Uint8Array.of(0, 0, 0, high, 1, 2, 3, 4), high)
    for (let high = 0; high < 40; high += 1) expect(many.find(high, 0x01020304)).toBe(high)
    expect(many.find(99, 0x01020304)).toBeUndefined()
  })
})

test('a writer lays items into its slab that a cursor reads', () => {
  const writer = new ItemWriter(Buffer.alloc(3 * itemBytes(1) + 10))
  const tag = Buffer.from(tags[1]!.tag)
  for (let index = 0; index < 3; index += 1) {
    expect(writer.hasRoom(frameCode(128))).toBe(true)
    const at = writer.header(frameCode(128), tag.readUInt32BE(0), tag.readUInt32BE(4))
    writer.slab.fill(index, at, at + 128)
  }
  expect(writer.hasRoom(frameCode(128))).toBe(false)
  expect(writer.hasRoom(helloCode)).toBe(false)
  const cursor = new ItemCursor(table)
  cursor.push(writer.written())
  const seen: unknown[] = []
  while (cursor.next()) seen.push([cursor.channel, cursor.code, ...new Set(cursor.body())])
  expect(seen).toEqual([0, 1, 2].map((index) => ['bob', 1, index]))
  writer.reset()
  expect(writer.length).toBe(0)
})
