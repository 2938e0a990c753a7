import { expect, test } from 'vitest'
import { tables } from '../../../src/core/store/tables.ts'

test('no two tables share a number or a name: values are bound to them', () => {
  const all = Object.values(tables)
  expect(new Set(all.map(({ id }) => id)).size).toBe(all.length)
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length)
})
