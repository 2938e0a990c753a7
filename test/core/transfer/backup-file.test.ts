import fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { backupHeaderBytes, openBackup, sealBackup } from '../../../src/core/transfer/backup-file.ts'
import { decodeHome, encodeHome, type HomeEvent } from '../../../src/core/transfer/home-stream.ts'

const passphrase = 'correct horse battery'
/** Argon2id with next to no memory: what is tested here is the format. */
const cheap = { random: systemRandom, memoryKib: 64 }

async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield await Promise.resolve(bytes.subarray(at, at + length))
}
const seal = async (bytes: Uint8Array, length = 50_000): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(sealBackup(inPieces(bytes, length), passphrase, cheap)))
const open = async (file: Uint8Array, phrase = passphrase): Promise<Buffer> => {
  const source = {
    size: file.length,
    read: async (from: number, to: number) => await Promise.resolve(file.subarray(from, to)),
  }
  return Buffer.concat(await Array.fromAsync(openBackup(source, phrase)))
}
const damaged = expect.objectContaining({ code: 'malformed', details: { what: 'backup-damaged' } }) as Error
const wrong = expect.objectContaining({ code: 'wrong-credentials' }) as Error

test('what was sealed opens again, whatever its length and pieces', async () => {
  for (const length of [0, 65_536, 65_537, 300_000]) {
    const bytes = systemRandom.bytes(length)
    expect(Buffer.compare(await open(await seal(bytes, 7 + length / 3)), bytes)).toBe(0)
  }
})

test('a file that was cut off, changed or put together anew does not open', async () => {
  const file = await seal(systemRandom.bytes(200_000))
  const sealed = 65_536 + 16
  await expect(open(file.subarray(0, -1))).rejects.toThrow(damaged)
  await expect(open(file.subarray(0, backupHeaderBytes + 2 * sealed))).rejects.toThrow(damaged)
  await expect(open(file.subarray(0, backupHeaderBytes + sealed))).rejects.toThrow(damaged)
  await expect(open(file.subarray(0, backupHeaderBytes))).rejects.toThrow(damaged)
  await expect(open(Buffer.concat([file, Buffer.alloc(1)]))).rejects.toThrow(damaged)
  const second = backupHeaderBytes + sealed
  const exchanged = Buffer.concat([
    file.subarray(0, second),
    file.subarray(second + sealed, second + 2 * sealed),
    file.subarray(second, second + sealed),
    file.subarray(second + 2 * sealed),
  ])
  await expect(open(exchanged)).rejects.toThrow(damaged)
  await expect(open(file, 'another passphrase')).rejects.toThrow(wrong)
  await fc.assert(
    fc.asyncProperty(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), async (at, mask) => {
      // The cost of the key derivation is looked at before it is spent.
      fc.pre(at < 16 || at > 21)
      const changed = Uint8Array.from(file)
      changed[at]! ^= mask
      await expect(open(changed)).rejects.toThrow(expect.objectContaining({ name: 'MyceliumError' }) as Error)
    }),
    { numRuns: 10 },
  )
}, 120_000)

test('a header that asks for too much work is refused before any is done', async () => {
  const file = await seal(new Uint8Array(10))
  for (const memoryKib of [0xffff_ffff, 1024 * 1024]) {
    const greedy = Buffer.from(file)
    greedy.writeUInt32BE(memoryKib, 17)
    await expect(open(greedy)).rejects.toThrow(damaged)
  }
  const lengthy = Buffer.from(file)
  lengthy[21] = 16
  await expect(open(lengthy)).rejects.toThrow(damaged)
  await expect(open(Buffer.from('not a backup at all, but long enough to look like one to somebody'))).rejects.toThrow(
    expect.objectContaining({ details: { what: 'backup' } }),
  )
})

test('the stream inside: rows and files come back, foreign paths and a missing end do not', async () => {
  async function* given(events: readonly HomeEvent[]): AsyncGenerator<HomeEvent> {
    for (const event of events) yield await Promise.resolve(event)
  }
  const rows = fc.array(fc.record({ key: fc.uint8Array({ minLength: 1, maxLength: 80 }), value: fc.uint8Array() }))
  await fc.assert(
    fc.asyncProperty(rows, async (made) => {
      const events: HomeEvent[] = [
        { kind: 'begin', createdAtMs: 1, bytes: 2 },
        { kind: 'file', path: `blobs/${'0a'.repeat(16)}` },
        { kind: 'bytes', bytes: Buffer.from('x') },
        { kind: 'rows', rows: made },
        { kind: 'end', rows: made.length, files: 1 },
      ]
      const back = await Array.fromAsync(decodeHome(encodeHome(given(events))))
      expect(JSON.stringify(back.map(plain))).toEqual(JSON.stringify(events.map(plain)))
    }),
  )
  const decoded = async (events: readonly HomeEvent[]): Promise<unknown> =>
    await Array.fromAsync(decodeHome(encodeHome(given(events))))
  const malformed = expect.objectContaining({ code: 'malformed' }) as Error
  await expect(decoded([{ kind: 'begin', createdAtMs: 1, bytes: 2 }])).rejects.toThrow(malformed)
  for (const path of ['../key', 'blobs/../key', '/etc/passwd', 'store/data.mdb'])
    await expect(decoded([{ kind: 'file', path }])).rejects.toThrow(malformed)
})

const plain = (event: HomeEvent): unknown => {
  if (event.kind === 'bytes') return [...event.bytes]
  return event.kind === 'rows' ? event.rows.map(({ key, value }) => [[...key], [...value]]) : event
}
