import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromUtf8, toHex } from '../../../src/core/bytes.ts'
import { encode, u32 } from '../../../src/core/codec.ts'
import type { MyceliumError } from '../../../src/core/errors.ts'
import type { ReadTx, Table, WriteTx } from '../../../src/core/store/store.ts'
import { verifyRows } from '../../../src/core/store/integrity.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { homeKey, temporaryPlace, temporaryStore } from './support.ts'

const table = tables.messages
const key = (text: string): Uint8Array => fromUtf8(text)
const value = (text: string): Uint8Array => fromUtf8(text)
const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString()

async function failure(promise: Promise<unknown>): Promise<{ code: string; what: unknown }> {
  try {
    await promise
  } catch (error) {
    const { code, details } = error as MyceliumError
    return { code, what: details['what'] }
  }
  throw new Error('expected a failure')
}

test('what was written is read back, also after reopening', async () => {
  using place = temporaryPlace()
  {
    await using store = await place.open()
    await store.write((tx) => tx.put(table, key('a'), value('1')))
    expect(textOf(store.read((tx) => tx.get(table, key('a'))))).toBe('1')
  }
  await using store = await place.open()
  expect(textOf(store.read((tx) => tx.get(table, key('a'))))).toBe('1')
  expect(store.read((tx) => tx.get(tables.outbox, key('a')))).toBeUndefined()
})

test('a value is read into a place of the reader, whether it was written just now or before', async () => {
  await using store = await temporaryStore()
  const readInto = (tx: ReadTx, size: number): string | undefined => {
    const place = new Uint8Array(size).fill(0x2e)
    const length = tx.getInto(table, key('a'), place)
    return length === undefined ? undefined : `${length}:${textOf(place)}`
  }
  expect(store.read((tx) => readInto(tx, 8))).toBeUndefined()
  const inside = await store.write((tx) => {
    tx.put(table, key('a'), value('hello'))
    return readInto(tx, 8)
  })
  expect(inside).toBe('5:hello...')
  expect(store.read((tx) => readInto(tx, 5))).toBe('5:hello')
  expect(() => store.read((tx) => readInto(tx, 4))).toThrow(RangeError)
})

test('files are for the owner only', async () => {
  await using store = await temporaryStore()
  expect(statSync(store.path).mode & 0o777).toBe(0o700)
  for (const name of ['data.mdb', 'lock.mdb']) expect(statSync(join(store.path, name)).mode & 0o777).toBe(0o600)
})

test('a writer that throws leaves nothing, its neighbours in the same flush stay', async () => {
  await using store = await temporaryStore()
  const effects: string[] = []
  const results = await Promise.allSettled([
    store.write((tx) => {
      tx.put(table, key('a'), value('first'))
      tx.afterCommit(() => effects.push('first'))
    }),
    store.write((tx) => {
      tx.put(table, key('a'), value('bad'))
      tx.put(table, key('b'), value('bad'))
      tx.remove(table, key('a'))
      tx.afterCommit(() => effects.push('bad'))
      throw new RangeError('no')
    }),
    store.write((tx) => {
      tx.put(table, key('c'), value(textOf(tx.get(table, key('a'))) ?? 'gone'))
      tx.afterCommit(() => effects.push('third'))
    }),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  const seen = store.read((tx) => [...tx.range(table, {})].map(({ key, value }) => [textOf(key), textOf(value)]))
  expect(seen).toEqual([
    ['a', 'first'],
    ['c', 'first'],
  ])
  expect(effects).toEqual(['first', 'third'])
})

test('what waits for the end of a transaction is part of it', async () => {
  await using store = await temporaryStore()
  await store.write((tx) => tx.beforeCommit(() => tx.put(table, key('late'), value('x'))))
  expect(store.read((tx) => tx.has(table, key('late')))).toBe(true)
  const refused = store.write((tx) => {
    tx.put(table, key('other'), value('x'))
    tx.beforeCommit(() => {
      throw new RangeError('no')
    })
  })
  await expect(refused).rejects.toThrow(RangeError)
  expect(store.read((tx) => tx.has(table, key('other')))).toBe(false)
})

test('a transaction kept after its end refuses to work', async () => {
  await using store = await temporaryStore()
  let kept: WriteTx | undefined
  await store.write((tx) => {
    kept = tx
  })
  expect(() => kept!.put(table, key('a'), value('x'))).toThrow(TypeError)
  await expect(store.write(async () => await Promise.resolve())).rejects.toThrow(TypeError)
})

test('opaque keys depend on the home key and on where parts begin', async () => {
  await using store = await temporaryStore()
  using place = temporaryPlace()
  await using other = await place.open({ key: homeKey(8) })
  const hex = (from: { read<T>(use: (tx: ReadTx) => T): T }, ...parts: string[]): string =>
    from.read((tx) => toHex(tx.opaque(...parts.map(key))))
  expect(hex(store, 'ab', 'c')).toHaveLength(32)
  expect(hex(store, 'ab', 'c')).not.toBe(hex(store, 'a', 'bc'))
  expect(hex(store, 'ab', 'c')).not.toBe(hex(other, 'ab', 'c'))
})

const keys = fc
  .uint8Array({ minLength: 0, maxLength: 3 })
  .map((bytes) => bytes.map((byte) => (byte % 3 === 0 ? 255 : byte % 4)))
const action = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: keys, value: fc.uint8Array({ maxLength: 4 }) }),
  fc.record({ kind: fc.constant('remove' as const), key: keys }),
)
const range = fc.record(
  { prefix: keys, from: keys, to: keys, reverse: fc.boolean(), limit: fc.nat({ max: 5 }) },
  { requiredKeys: [] },
)

test('ranges and rows agree with a sorted map, inside and after the transaction', async () => {
  await using store = await temporaryStore()
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(action, { maxLength: 8 }), { minLength: 1, maxLength: 4 }),
      fc.array(range, { minLength: 1, maxLength: 6 }),
      async (writers, ranges) => {
        const model = new Map<string, string>()
        const expected = ({ prefix, from, to, reverse, limit }: (typeof ranges)[number]): string[] => {
          const hex = (bytes: Uint8Array): string => toHex(bytes)
          const found = [...model.keys()]
            .sort()
            .filter((name) => prefix === undefined || name.startsWith(hex(prefix)))
            .filter((name) => from === undefined || name >= hex(from))
            .filter((name) => to === undefined || name < hex(to))
          return (reverse === true ? found.toReversed() : found)
            .slice(0, limit)
            .map((name) => `${name}=${model.get(name)}`)
        }
        const check = (tx: ReadTx, in_: Table): void => {
          for (const wanted of ranges) {
            const rows = [...tx.range(in_, wanted)].map(({ key, value }) => `${toHex(key)}=${toHex(value)}`)
            expect(rows).toEqual(expected(wanted))
            expect([...tx.keys(in_, wanted)].map(toHex)).toEqual(expected(wanted).map((row) => row.split('=')[0]))
          }
        }
        await store.write((tx) => {
          for (const stale of tx.keys(table, {})) tx.remove(table, stale)
          tx.put(tables.outbox, Uint8Array.of(255, 255), value('neighbour'))
          tx.put(tables.seen, new Uint8Array(), value('neighbour'))
        })
        await Promise.all(
          writers.map((actions) =>
            store.write((tx) => {
              for (const step of actions) {
                if (step.kind === 'put') tx.put(table, step.key, step.value)
                else tx.remove(table, step.key)
                if (step.kind === 'put') model.set(toHex(step.key), toHex(step.value))
                else model.delete(toHex(step.key))
              }
              check(tx, table)
            }),
          ),
        )
        store.read((tx) => check(tx, table))
      },
    ),
    { numRuns: 120 },
  )
})

test('a wrong key is told apart from damage', async () => {
  using place = temporaryPlace()
  {
    await using store = await place.open()
    await store.write((tx) => tx.put(table, key('a'), value('1')))
  }
  expect(await failure(place.open({ key: homeKey(9) }))).toEqual({ code: 'store-corrupt', what: 'wrong-key' })
  await using store = await place.open()
  expect(store.read((tx) => tx.has(table, key('a')))).toBe(true)
})

/** Where the sealed value of the only row of 300 octets starts in the file: values carry no mark, so by difference. */
async function placeWithTwoRows(): Promise<{ place: ReturnType<typeof temporaryPlace>; at: number[] }> {
  const place = temporaryPlace()
  {
    await using store = await place.open()
    await store.write((tx) => {
      tx.put(table, key('row-one'), new Uint8Array(300).fill(1))
      tx.put(table, key('row-two'), new Uint8Array(300).fill(2))
    })
  }
  const file = readFileSync(join(place.path, 'data.mdb'))
  const at = ['row-one', 'row-two'].map((name) => file.lastIndexOf(Buffer.from(name)) + name.length)
  return { place, at }
}

test('swapped values and flipped bits are named, the other rows still read', async () => {
  const swapped = await placeWithTwoRows()
  using place = swapped.place
  const path = join(place.path, 'data.mdb')
  const original = readFileSync(path)
  const [one, two] = swapped.at as [number, number]
  const sealedBytes = 24 + 300 + 16
  expect(one).toBeGreaterThan(100)
  const copy = Buffer.from(original)
  original.copy(copy, one, two, two + sealedBytes)
  original.copy(copy, two, one, one + sealedBytes)
  writeFileSync(path, copy)
  {
    await using store = await place.open()
    const read = (name: string): unknown => store.read((tx) => tx.get(table, key(name)))
    expect(() => read('row-one')).toThrow(expect.objectContaining({ code: 'store-corrupt' }))
    expect(() => read('row-two')).toThrow(expect.objectContaining({ code: 'store-corrupt' }))
    const report = await verifyRows(store)
    expect(report.damaged).toBe(2)
    expect(report.damagedTables).toEqual([table.name])
  }
  const flipped = Buffer.from(original)
  flipped[one + 100]! ^= 4
  writeFileSync(path, flipped)
  await using store = await place.open()
  expect(() => store.read((tx) => tx.get(table, key('row-one')))).toThrow(
    expect.objectContaining({ code: 'store-corrupt', details: { what: 'value', table: 'messages' } }),
  )
  expect(store.read((tx) => tx.get(table, key('row-two')))).toEqual(Buffer.alloc(300, 2))
})

test('a file without its head or its tail is refused by name', async () => {
  using place = temporaryPlace()
  const path = join(place.path, 'data.mdb')
  {
    await using store = await place.open()
    await store.write((tx) => {
      for (let i = 0; i < 200; i += 1) tx.put(table, encode(u32, i), new Uint8Array(3000).fill(i))
    })
  }
  const whole = readFileSync(path)
  truncateSync(path, 500_000)
  expect(await failure(place.open())).toEqual({ code: 'store-corrupt', what: 'truncated' })
  expect(statSync(path).size).toBe(500_000)
  truncateSync(path, 20_000)
  expect((await failure(place.open())).code).toBe('store-corrupt')
  writeFileSync(path, Buffer.concat([Buffer.alloc(4096), whole.subarray(4096, 4096)]))
  expect(await failure(place.open())).toEqual({ code: 'store-corrupt', what: 'header' })
  writeFileSync(path, 'not a store')
  expect(await failure(place.open())).toEqual({ code: 'store-corrupt', what: 'header' })
  writeFileSync(path, whole)
  await using store = await place.open()
  expect((await verifyRows(store)).damaged).toBe(0)
})

test('no plaintext of keys hashed, values or names is in the file', async () => {
  await using store = await temporaryStore()
  await store.write((tx) => tx.put(table, tx.opaque(fromUtf8('alice@example.org')), fromUtf8('Subject: secret plans')))
  const file = readFileSync(join(store.path, 'data.mdb'))
  expect(file.includes('alice@example.org')).toBe(false)
  expect(file.includes('secret plans')).toBe(false)
})

test('a full disk is an error, reads go on, and removing makes room again', async () => {
  using place = temporaryPlace()
  await using store = await place.open({ mapSizeBytes: 1024 * 1024 })
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 2000; i += 1) await store.write((tx) => tx.put(table, encode(u32, i), new Uint8Array(2000)))
  }
  await expect(fill()).rejects.toThrow(expect.objectContaining({ code: 'disk-full' }))
  expect(store.read((tx) => tx.get(table, encode(u32, 0)))).toHaveLength(2000)
  await store.write((tx) => tx.remove(table, encode(u32, 0)))
  expect(store.read((tx) => tx.has(table, encode(u32, 0)))).toBe(false)
})

test('migrations run once and in order, a later version is refused', async () => {
  using place = temporaryPlace()
  const ran: number[] = []
  const step = (to: number) => ({ to, up: () => void ran.push(to) })
  await (await place.open())[Symbol.asyncDispose]()
  await (await place.open({ steps: [step(2), step(3)] }))[Symbol.asyncDispose]()
  await (await place.open({ steps: [step(2), step(3), step(4)] }))[Symbol.asyncDispose]()
  expect(ran).toEqual([2, 3, 4])
  expect(await failure(place.open())).toEqual({ code: 'store-corrupt', what: 'newer-version' })
})

test('closing lets queued writers finish and refuses new ones', async () => {
  using place = temporaryPlace()
  const store = await place.open()
  const written = store.write((tx) => tx.put(table, key('last'), value('x')))
  const closed = store[Symbol.asyncDispose]()
  await expect(store.write(() => {})).rejects.toThrow(expect.objectContaining({ code: 'shutting-down' }))
  await written
  await closed
  expect(() => store.read(() => {})).toThrow(expect.objectContaining({ code: 'shutting-down' }))
  await using again = await place.open()
  expect(again.read((tx) => tx.has(table, key('last')))).toBe(true)
})
