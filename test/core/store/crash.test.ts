import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { encode, u32 } from '../../../src/core/codec.ts'
import type { ContentId, Identity } from '../../../src/core/ids.ts'
import { openBlobs } from '../../../src/core/store/blobs.ts'
import { verifyRows } from '../../../src/core/store/integrity.ts'
import { openStore } from '../../../src/core/store/lmdb-store.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { killAtWork } from '../../support/kill-at-work.ts'
import { ambient, homeKey } from './support.ts'

const program = join(import.meta.dirname, 'writer-process.ts')

test('whatever was acknowledged before a kill is there, whole, and nothing is there in part', async () => {
  const root = mkdtempSync(join(tmpdir(), 'mycelium-crash-'))
  try {
    let next = 0
    const acknowledged = new Set<number>()
    for (let round = 0; round < 6; round += 1) {
      for (const line of await killAtWork(program, ['rows', root, String(next)], 1 + round * 37))
        acknowledged.add(Number(line))
      await using store = await openStore({ path: join(root, 'store'), key: homeKey() }, ambient)
      store.read((tx) => {
        const rows = [0, 1, 2].map(
          (row) =>
            new Set(
              [...tx.keys(tables.messages, { prefix: Uint8Array.of(row) })].map((key) =>
                Buffer.from(key).readUInt32BE(1),
              ),
            ),
        )
        expect(rows[1]).toEqual(rows[0])
        expect(rows[2]).toEqual(rows[0])
        expect([...acknowledged].filter((group) => !rows[0]!.has(group))).toEqual([])
        next = Math.max(-1, ...rows[0]!) + 1
        const last = Math.max(...acknowledged)
        expect(tx.get(tables.messages, Buffer.concat([Uint8Array.of(2), encode(u32, last)]))).toEqual(
          Buffer.alloc(2100, last % 251),
        )
      })
      expect((await verifyRows(store)).damaged).toBe(0)
    }
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

test('an incoming blob goes on after kills with what was acknowledged', async () => {
  const root = mkdtempSync(join(tmpdir(), 'mycelium-crash-'))
  try {
    const count = 60
    const put = new Set<number>()
    let content: string | undefined
    for (let round = 0; round < 30 && content === undefined; round += 1) {
      for (const line of await killAtWork(
        program,
        ['incoming', root, String(count)],
        round < 4 ? 1 + round : count + 2,
      )) {
        if (line.startsWith('done ')) content = line.slice(5)
        else {
          // At most the chunk whose acknowledgement the kill cut off comes twice.
          expect(put.has(Number(line))).toBe(false)
          put.add(Number(line))
        }
      }
    }
    expect(content).toBeDefined()
    await using store = await openStore({ path: join(root, 'store'), key: homeKey() }, ambient)
    await using blobs = await openBlobs({ path: join(root, 'blobs'), store }, ambient)
    const hash = createHash('sha256')
    for await (const piece of blobs.read('a1'.repeat(32) as Identity, content as ContentId)) hash.update(piece)
    const expected = createHash('sha256')
    for (let index = 0; index < count; index += 1)
      expected.update(Buffer.alloc(index === count - 1 ? 5 : 64 * 1024, index))
    expect(hash.digest('hex')).toBe(expected.digest('hex'))
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})
