/** What programs keep, and how many of it there are. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Kept } from '../../../src/adapters/matrix/kept.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { openMemoryStore } from '../../support/memory-store.ts'

const account = 'aa'.repeat(32) as Identity
const other = 'bb'.repeat(32) as Identity

test('how many there are of a kind is known after any order of puts and removals', async () => {
  const step = fc.record({
    does: fc.constantFrom('put', 'remove', 'removeAll', 'removeSome'),
    names: fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('1', '2', '3')),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      await using store = openMemoryStore()
      const kept = new Kept()
      await store.write((tx) => kept.put(tx, other, 'backedUp', ['a'], {}))
      for (const { does, names } of steps)
        await store.write((tx) => {
          if (does === 'put') kept.put(tx, account, 'backedUp', names, {})
          else if (does === 'remove') kept.remove(tx, account, 'backedUp', ...names)
          else if (does === 'removeAll') kept.removeAll(tx, account, 'backedUp', names[0])
          else expect(kept.removeSome(tx, account, 'backedUp', 1, names[0])).toBeLessThanOrEqual(1)
        })
      store.read((tx) => {
        expect(kept.count(tx, account, 'backedUp')).toBe(kept.list(tx, account, 'backedUp').length)
        expect(kept.count(tx, other, 'backedUp')).toBe(1)
      })
    }),
  )
})

test('more than there may be of a kind are refused, and one that is there is replaced', async () => {
  await using store = openMemoryStore()
  const kept = new Kept()
  const put = async (name: string) =>
    await store.write((tx) => kept.put(tx, account, 'filter', [name], { name }, { max: 2 }))
  await put('a')
  await put('b')
  await put('b')
  await expect(put('c')).rejects.toMatchObject({ errcode: 'M_RESOURCE_LIMIT_EXCEEDED' })
  await store.write((tx) => kept.remove(tx, account, 'filter', 'a'))
  await put('c')
})
