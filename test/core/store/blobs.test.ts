import { closeSync, openSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Ambient } from '../../../src/core/ambient.ts'
import { concat } from '../../../src/core/bytes.ts'
import type { BlobRoot, ContentId, Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { type Blobs, openBlobs } from '../../../src/core/store/blobs.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { ambient, temporaryStore } from './support.ts'

const account = 'a1'.repeat(32) as Identity
const other = 'b2'.repeat(32) as Identity
const root = 'cc'.repeat(32) as BlobRoot
const bytesMax = limits.mailBytesMax

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

const pattern = (length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) & 0xff))

async function read(blobs: Blobs, content: ContentId, range?: { from: number; to: number }): Promise<Buffer> {
  return Buffer.from(concat(...(await Array.fromAsync(blobs.read(account, content, range)))))
}

interface Open extends AsyncDisposable {
  readonly store: Store
  readonly blobs: Blobs
  readonly path: string
  pass(ms: number): void
}

async function temporaryBlobs(): Promise<Open> {
  await using parts = new AsyncDisposableStack()
  const store = parts.use(await temporaryStore())
  let ahead = 0
  const moved: Ambient = { ...ambient, clock: { ...ambient.clock, nowMs: () => Date.now() + ahead } }
  const path = join(store.path, '..', 'blobs')
  const blobs = parts.use(await openBlobs({ path, store }, moved))
  const owned = parts.move()
  return { store, blobs, path, pass: (ms) => void (ahead += ms), [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

test('every range of every size reads as written', async () => {
  await using open = await temporaryBlobs()
  const chunk = limits.blobChunkBytes
  const sizes = [0, 1, 16_384, 16_385, chunk - 1, chunk, chunk + 1, 3 * chunk, 3 * chunk + 17]
  for (const size of sizes) {
    const bytes = pattern(size)
    const stored = await open.blobs.store(account, inPieces(bytes, 10_007), { bytesMax })
    expect(stored.size).toBe(size)
    expect(open.blobs.sizeOf(account, stored.content)).toBe(size)
    expect((await read(open.blobs, stored.content)).equals(bytes)).toBe(true)
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: size + 2 }), fc.nat({ max: size + 2 }), async (from, to) => {
        expect(
          (await read(open.blobs, stored.content, { from, to })).equals(bytes.subarray(from, Math.max(from, to))),
        ).toBe(true)
      }),
      { numRuns: 12 },
    )
  }
})

test('equal blobs of one account are one file, of two accounts two', async () => {
  await using open = await temporaryBlobs()
  const bytes = pattern(100_000)
  const first = await open.blobs.store(account, inPieces(bytes, 999), { bytesMax })
  const [second, third] = await Promise.all([
    open.blobs.store(account, inPieces(bytes, 50_000), { bytesMax }),
    open.blobs.store(account, inPieces(bytes, 100_000), { bytesMax }),
  ])
  expect([second, third]).toEqual([first, first])
  expect(readdirSync(open.path)).toHaveLength(1)
  expect((await open.blobs.store(other, inPieces(bytes, 999), { bytesMax })).content).not.toBe(first.content)
  expect(readdirSync(open.path)).toHaveLength(2)
  expect(() => open.blobs.readInline(other, first.content)).toThrow(
    expect.objectContaining({ code: 'no-such-message' }),
  )
})

test('files are for the owner only and show nothing', async () => {
  await using open = await temporaryBlobs()
  await open.blobs.store(account, inPieces(Buffer.from('secret '.repeat(20_000)), 4096), { bytesMax })
  const [name] = readdirSync(open.path)
  expect(statSync(open.path).mode & 0o777).toBe(0o700)
  expect(statSync(join(open.path, name!)).mode & 0o777).toBe(0o600)
  expect(readFileSync(join(open.path, name!)).includes('secret')).toBe(false)
})

test('too large and broken sources leave nothing', async () => {
  await using open = await temporaryBlobs()
  await expect(open.blobs.store(account, inPieces(pattern(200_001), 4096), { bytesMax: 200_000 })).rejects.toThrow(
    expect.objectContaining({ code: 'message-too-large' }),
  )
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield pattern(150_000)
    throw new RangeError('gone')
  }
  await expect(open.blobs.store(account, broken(), { bytesMax })).rejects.toThrow(RangeError)
  expect(readdirSync(open.path)).toEqual([])
})

test('cut off, reordered, changed and missing files are named', async () => {
  await using open = await temporaryBlobs()
  const bytes = pattern(3 * limits.blobChunkBytes)
  const { content } = await open.blobs.store(account, inPieces(bytes, 65_536), { bytesMax })
  const path = join(open.path, readdirSync(open.path)[0]!)
  const whole = readFileSync(path)
  const sealed = limits.blobChunkBytes + 16
  const chunks = [0, 1, 2].map((index) => whole.subarray(index * sealed, (index + 1) * sealed))
  const flipped = Buffer.from(whole)
  flipped[70_000]! ^= 1
  const bad = [
    whole.subarray(0, 2 * sealed),
    whole.subarray(0, -1),
    Buffer.concat([chunks[1]!, chunks[0]!, chunks[2]!]),
    Buffer.concat([chunks[0]!, chunks[1]!, chunks[1]!]),
    flipped,
    Buffer.alloc(0),
  ]
  for (const damaged of bad) {
    writeFileSync(path, damaged)
    await expect(read(open.blobs, content)).rejects.toThrow(expect.objectContaining({ code: 'store-corrupt' }))
  }
  writeFileSync(path, whole)
  expect((await read(open.blobs, content)).equals(bytes)).toBe(true)
})

test('unreferenced content and files that no row names go after an hour, what is retained stays', async () => {
  await using open = await temporaryBlobs()
  const kept = await open.blobs.store(account, inPieces(pattern(100_000), 4096), { bytesMax })
  const dropped = await open.blobs.store(account, inPieces(pattern(100_001), 4096), { bytesMax })
  const small = await open.blobs.store(account, inPieces(pattern(100), 4096), { bytesMax })
  await open.store.write((tx) => open.blobs.retain(tx, account, kept.content))
  writeFileSync(join(open.path, 'dd'.repeat(16)), 'left by a crash')
  expect(await open.blobs.sweep()).toEqual({ contents: 0, files: 0 })
  open.pass(limits.blobGraceMs + 1000)
  expect(await open.blobs.sweep()).toEqual({ contents: 2, files: 2 })
  expect(await read(open.blobs, kept.content)).toHaveLength(100_000)
  expect(open.blobs.sizeOf(account, dropped.content)).toBeUndefined()
  expect(open.blobs.sizeOf(account, small.content)).toBeUndefined()
  utimesSync(join(open.path, readdirSync(open.path)[0]!), 0, 0)
  expect(await open.blobs.sweep()).toEqual({ contents: 0, files: 0 })
})

test('releasing more than was retained is refused', async () => {
  await using open = await temporaryBlobs()
  const { content } = await open.blobs.store(account, inPieces(pattern(10), 10), { bytesMax })
  await expect(open.store.write((tx) => open.blobs.release(tx, account, content))).rejects.toThrow(TypeError)
})

test('a blob that arrives in any order ends as the same content', async () => {
  await using open = await temporaryBlobs()
  for (const [size, chunkBytes] of [
    [700_000, 65_536],
    [262_144 * 3, 262_144],
    [3_000_000, 1_048_576],
    [900, 65_536],
  ] as const) {
    const bytes = pattern(size)
    const incoming = await open.blobs.openIncoming(account, root, { size, chunkBytes })
    const order = [...incoming.missing()].toSorted(() => Math.random() - 0.5)
    await expect(incoming.finish()).rejects.toThrow(expect.objectContaining({ code: 'malformed' }))
    await Promise.all(
      order.map((index) => incoming.put(index, bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes))),
    )
    expect(incoming.missing()).toEqual([])
    const stored = await incoming.finish()
    expect((await read(open.blobs, stored.content)).equals(bytes)).toBe(true)
    if (size > limits.messageInlineBytesMax)
      expect(await open.blobs.store(account, inPieces(bytes, 65_536), { bytesMax })).toEqual(stored)
  }
})

test('wrong sizes, numbers and lengths of incoming chunks are refused; discarding leaves nothing', async () => {
  await using open = await temporaryBlobs()
  const spec = { size: 100_000, chunkBytes: 65_536 }
  for (const bad of [
    { size: 0, chunkBytes: 65_536 },
    { size: 10, chunkBytes: 1000 },
    { size: 1.5, chunkBytes: 65_536 },
  ])
    await expect(open.blobs.openIncoming(account, root, bad)).rejects.toThrow(
      expect.objectContaining({ code: 'malformed' }),
    )
  const incoming = await open.blobs.openIncoming(account, root, spec)
  expect(await open.blobs.openIncoming(account, root, spec)).toBe(incoming)
  for (const [index, length] of [
    [0, 65_535],
    [1, 65_536],
    [2, 1],
    [-1, 65_536],
    [0.5, 65_536],
  ] as const)
    await expect(incoming.put(index, pattern(length))).rejects.toThrow(expect.objectContaining({ code: 'malformed' }))
  await incoming.put(1, pattern(100_000 - 65_536))
  expect(incoming.missing()).toEqual([0])
  await incoming.discard()
  expect(readdirSync(open.path)).toEqual([])
  expect((await open.blobs.openIncoming(account, root, spec)).missing()).toEqual([0, 1])
})

test('chunks that were written and not saved are found again by what is in the file, damaged ones are not', async () => {
  await using open = await temporaryBlobs()
  const spec = { size: 1_048_576 * 3 + 70_000, chunkBytes: 1_048_576 }
  const bytes = pattern(spec.size)
  const chunk = (index: number) => bytes.subarray(index * spec.chunkBytes, (index + 1) * spec.chunkBytes)
  const before = await open.blobs.openIncoming(account, root, spec)
  for (const index of [0, 2, 3]) await before.put(index, chunk(index))
  const [name] = readdirSync(open.path)
  const file = openSync(join(open.path, name!), 'r+')
  writeSync(file, Buffer.from([1, 2, 3]), 0, 3, 2 * (spec.chunkBytes + 16 * 16) + 100) // torn: inside chunk 2
  closeSync(file)
  await using another = await openBlobs({ path: open.path, store: open.store }, ambient)
  const again = await another.openIncoming(account, root, spec)
  expect(again.missing()).toEqual([1, 2])
  expect(again.bytes).toBe(spec.chunkBytes + 70_000)
  for (const index of again.missing()) await again.put(index, chunk(index))
  expect((await read(another, (await again.finish()).content)).equals(bytes)).toBe(true)
})

test('an arriving blob that two wait for is taken once', async () => {
  await using open = await temporaryBlobs()
  const spec = { size: 100_000, chunkBytes: 64 * 1024 }
  const bytes = pattern(spec.size)
  const [one, two] = await Promise.all([
    open.blobs.openIncoming(account, root, spec),
    open.blobs.openIncoming(account, root, spec),
  ])
  await one.put(0, bytes.subarray(0, spec.chunkBytes))
  await two.put(1, bytes.subarray(spec.chunkBytes))
  const [first, second] = await Promise.all([one.finish(), two.finish()])
  expect(second).toEqual(first)
  expect((await read(open.blobs, first.content)).equals(bytes)).toBe(true)
})

test('an arriving blob that was swept as stale begins anew', async () => {
  await using open = await temporaryBlobs()
  const spec = { size: 100_000, chunkBytes: 64 * 1024 }
  const bytes = pattern(spec.size)
  const stale = await open.blobs.openIncoming(account, root, spec)
  open.pass(limits.incomingBlobAgeMs + 3600_000)
  await open.blobs.sweep()
  await expect(stale.put(0, bytes.subarray(0, spec.chunkBytes))).rejects.toThrow(
    expect.objectContaining({ code: 'expired' }),
  )
  const again = await open.blobs.openIncoming(account, root, spec)
  await again.put(0, bytes.subarray(0, spec.chunkBytes))
  await again.put(1, bytes.subarray(spec.chunkBytes))
  expect((await read(open.blobs, (await again.finish()).content)).equals(bytes)).toBe(true)
})
