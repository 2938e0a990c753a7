import { expect, test } from 'vitest'
import { ByteStream } from '../../src/core/byte-stream.ts'
import { limits } from '../../src/core/limits.ts'

const piece = Uint8Array.of(1)

test('who pushes waits for who reads, and everything arrives in order', async () => {
  const stream = new ByteStream()
  const pushing = (async () => {
    for (let index = 0; index < 100; index += 1) await stream.push(Uint8Array.of(index), false)
    await stream.push(undefined, true)
  })()
  const read = await Array.fromAsync(stream)
  await pushing
  expect(read.map(([octet]) => octet)).toEqual(Array.from({ length: 100 }, (_, index) => index))
})

test('when the reader has failed, who pushes hears of it and nothing piles up', async () => {
  const stream = new ByteStream()
  for (let held = 1; held < limits.transferPiecesMax; held += 1) await stream.push(piece, false)
  const waiting = stream.push(piece, false)
  stream.fail(new Error('no room on the disk'))
  await expect(waiting).rejects.toThrow('no room on the disk')
  await expect(stream.push(piece, false)).rejects.toThrow('no room on the disk')
  const left = async (): Promise<number> => {
    let count = 0
    try {
      for await (const _ of stream) count += 1
    } catch {
      // the failure
    }
    return count
  }
  expect(await left()).toBe(limits.transferPiecesMax)
})
