import { copyFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fromUtf8, toUtf8 } from '../../../src/core/bytes.ts'
import type { Migration } from '../../../src/core/store/migrations.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { keepUpgradeCopy } from '../../../src/core/store/upgrade-copy.ts'
import { type Place, temporaryPlace } from './support.ts'

const row = fromUtf8('row')
const step = (to: number): Migration => ({ to, up: (tx) => tx.put(tables.meta, row, fromUtf8(`schema ${to}`)) })
const steps = (newest: number): readonly Migration[] =>
  Array.from({ length: newest - 1 }, (_, index) => step(index + 2))
const text = (store: Store): string | undefined => toUtf8(store.read((tx) => tx.get(tables.meta, row))!)
const copies = ({ path }: Place): string[] => readdirSync(join(path, 'before-upgrade')).toSorted()

async function withStore(place: Place, newest: number, use: (store: Store) => void | Promise<void>): Promise<void> {
  await using store = await place.open({ steps: steps(newest) })
  await use(store)
}

test('a store of an earlier version is copied before it is migrated, and the copy opens with that version', async () => {
  using place = temporaryPlace()
  await withStore(place, 1, async (store) => await store.write((tx) => tx.put(tables.meta, row, fromUtf8('as it was'))))
  await withStore(place, 3, (store) => expect(text(store)).toBe('schema 3'))
  expect(copies(place)).toEqual(['schema-1.mdb'])
  const copy = join(place.path, 'before-upgrade', 'schema-1.mdb')
  expect(statSync(copy).mode & 0o777).toBe(0o600)

  // going back: the later store is refused by the earlier version, the copy is put in its place
  await expect(place.open({ steps: [] })).rejects.toMatchObject({
    code: 'store-corrupt',
    details: { what: 'newer-version', version: 3, newest: 1 },
  })
  copyFileSync(copy, join(place.path, 'data.mdb'))
  await withStore(place, 1, (store) => expect(text(store)).toBe('as it was'))
})

test('the copies of the last two upgrades are kept, and an unchanged version makes none', async () => {
  using place = temporaryPlace()
  for (const newest of [1, 2, 2, 3, 4]) await withStore(place, newest, () => {})
  expect(copies(place)).toEqual(['schema-2.mdb', 'schema-3.mdb'])
})

test('the copy is of the earlier version also when a migration was cut off and tried again', async () => {
  using place = temporaryPlace()
  await withStore(place, 1, async (store) => await store.write((tx) => tx.put(tables.meta, row, fromUtf8('as it was'))))
  const failing: Migration = {
    to: 2,
    up: () => {
      throw new Error('cut off')
    },
  }
  await expect(place.open({ steps: [failing] })).rejects.toThrow('cut off')
  await withStore(place, 2, () => {})
  copyFileSync(join(place.path, 'before-upgrade', 'schema-1.mdb'), join(place.path, 'data.mdb'))
  await withStore(place, 1, (store) => expect(text(store)).toBe('as it was'))
})

test('without room for the copy nothing is changed, and what is needed is said', async () => {
  using place = temporaryPlace()
  await withStore(place, 1, () => {})
  expect(() => keepUpgradeCopy({ directory: place.path, version: 1, freeBytes: 1024 * 1024 })).toThrow(
    expect.objectContaining({ code: 'disk-full', details: { what: 'upgrade-copy', neededBytes: expect.any(Number) } }),
  )
  expect(copies(place)).toEqual([])
})
