import { execFile } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { encode, u32 } from '../../../src/core/codec.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { temporaryPlace } from './support.ts'

const run = promisify(execFile)

test('damage anywhere in the file is an error with a name, not the end of the process', async () => {
  using place = temporaryPlace()
  {
    await using store = await place.open()
    for (let group = 0; group < 12; group += 1)
      await store.write((tx) => {
        for (let row = 0; row < 60; row += 1)
          tx.put(
            tables.messages,
            encode(u32, (row * 7919 + group) % 700),
            Buffer.alloc(20 + ((row * group * 37) % 3000), row),
          )
      })
  }
  const pageBytes = 4096
  const pages = readFileSync(join(place.path, 'data.mdb')).length / pageBytes
  // In each copy: one page zeroed, filled with ones, or its header or first pointers changed.
  const kinds = [
    (page: Buffer) => page.fill(0),
    (page: Buffer) => page.fill(0xff),
    (page: Buffer) => page.fill(0x41, 0, 64),
    (page: Buffer) => page.writeUInt16LE(page.readUInt16LE(24) ^ 0x0408, 24),
    (page: Buffer) => page.writeUInt16LE(page.readUInt16LE(20) ^ 0x0010, 20),
    (page: Buffer) => page.writeUInt8(page.readUInt8(18) ^ 0x03, 18),
    (page: Buffer) => page.writeUInt8(page.readUInt8(0) ^ 0x08, 0),
  ]
  const copies = Array.from({ length: 70 }, (_, index) => {
    const path = join(place.path, '..', `copy-${index}`)
    cpSync(place.path, path, { recursive: true })
    const file = join(path, 'data.mdb')
    const bytes = readFileSync(file)
    const page = (index * 131) % Math.floor(pages)
    kinds[index % kinds.length]!(bytes.subarray(page * pageBytes, (page + 1) * pageBytes))
    writeFileSync(file, bytes)
    return path
  })
  const { stdout } = await run(process.execPath, [
    join(import.meta.dirname, 'damage-process.ts'),
    place.path,
    ...copies,
  ])
  const verdicts = stdout.trim().split('\n')
  expect(verdicts).toHaveLength(copies.length + 1)
  expect(verdicts[0]).toBe('whole')
  expect(new Set(verdicts)).toEqual(new Set(['whole', 'damaged', 'store-corrupt']))
})
