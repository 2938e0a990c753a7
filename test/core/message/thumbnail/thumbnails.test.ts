import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits } from '../../../../src/core/limits.ts'
import { boundedWasm } from '../../../../src/core/message/thumbnail/bounded-wasm.ts'
import { imageHead } from '../../../../src/core/message/thumbnail/image-kind.ts'
import { scaledTo } from '../../../../src/core/message/thumbnail/scaled.ts'
import { thumbnailOf } from '../../../../src/core/message/thumbnail/thumbnails.ts'
import { gif, gradient, jpeg, png, webp } from './images.ts'

const patient = { timeout: 60_000 }
const images = async () =>
  ({ png: png(400, 300), jpeg: await jpeg(400, 300), webp: await webp(400, 300), gif: gif(400, 300) }) as const

test('every kind gets a small picture in the same shape, within what a message holds', patient, async () => {
  for (const [kind, bytes] of Object.entries(await images())) {
    expect(imageHead(bytes)).toEqual({ kind, width: 400, height: 300 })
    const made = await thumbnailOf(bytes)
    expect(made).toMatchObject({ mediaType: 'image/jpeg', width: 192, height: 144 })
    expect(made!.bytes.length).toBeLessThanOrEqual(limits.thumbnailBytesMax)
    expect(imageHead(made!.bytes)).toEqual({ kind: 'jpeg', width: 192, height: 144 })
  }
})

test('a picture that is noise is made smaller and coarser until it fits', patient, async () => {
  const rows = Buffer.alloc(300 * (1 + 300 * 4))
  for (let at = 0, state = 1; at < rows.length; at += 1) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
    rows[at] = at % 1201 === 0 ? 0 : (at % 1201) % 4 === 0 ? 255 : state >> 16
  }
  const made = await thumbnailOf(png(300, 300, rows))
  expect(made!.bytes.length).toBeLessThanOrEqual(limits.thumbnailBytesMax)
})

test('what is no image, damaged, cut off, bomb or liar gets none, and the next one does', patient, async () => {
  const all = await images()
  const huge = png(400, 300)
  huge.writeUInt32BE(100_000, 16)
  huge.writeUInt32BE(100_000, 20)
  const lying = png(4000, 4000, Buffer.alloc(10))
  const bomb = png(8000, 8000, Buffer.alloc(10)) // as many pixels as no thumbnail is made of
  for (const hostile of [
    Buffer.from('nothing of the kind, but longer than thirty octets'),
    new Uint8Array(),
    huge,
    lying,
    bomb,
    ...Object.values(all).map((bytes) => bytes.subarray(0, 40)),
  ])
    expect(await thumbnailOf(hostile)).toBe(undefined)
  expect(await thumbnailOf(all.png)).toMatchObject({ width: 192 })
})

test('octets changed at random do no harm: a picture comes out or none', patient, async () => {
  const all = Object.values(await images())
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...all),
      fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), to: fc.nat(255) }), {
        minLength: 1,
        maxLength: 30,
      }),
      async (image, changes) => {
        const bytes = Uint8Array.from(image)
        for (const { at, to } of changes) bytes[Math.floor(at * (bytes.length - 1))] = to
        const made = await thumbnailOf(bytes)
        if (made !== undefined) expect(imageHead(made.bytes)).toMatchObject({ width: made.width, height: made.height })
      },
    ),
    { numRuns: 30 },
  )
})

test('heads of any octets are read without a fault, and what they say is more than nothing', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('\x89PNG\r\n\x1A\n', 'GIF89a', 'RIFF....WEBPVP8X', '\xFF\xD8\xFF', ''),
      fc.uint8Array({ maxLength: 200 }),
      (start, rest) => {
        const head = imageHead(Buffer.concat([Buffer.from(start, 'latin1'), rest]))
        if (head !== undefined) expect(Math.min(head.width, head.height)).toBeGreaterThan(0)
      },
    ),
  )
})

test('scaling keeps colours and never makes larger; what is transparent becomes white', () => {
  const small = scaledTo(gradient(100, 50), 10)
  expect([small.width, small.height]).toEqual([10, 5])
  expect([...small.data.subarray(0, 4)]).toEqual([12, 40, 200, 255])
  expect(scaledTo(gradient(3, 2), 10)).toMatchObject({ width: 3, height: 2 })
  const clear = scaledTo({ width: 2, height: 2, data: new Uint8ClampedArray(16) }, 1)
  expect([...clear.data]).toEqual([255, 255, 255, 255])
})

test('a decoder has no more memory than it is given', async () => {
  const path = createRequire(import.meta.url).resolve('@jsquash/webp/codec/dec/webp_dec.wasm')
  const codec = await import('@jsquash/webp/decode.js')
  Object.assign(globalThis, { ImageData: Object })
  const image = Uint8Array.from(await webp(4000, 3000))
  const decode = async (megabytes: number): Promise<unknown> => {
    await codec.init(boundedWasm(new Uint8Array(readFileSync(path)), megabytes * 1024 * 1024))
    return await codec.default(image.buffer)
  }
  await expect(decode(256)).resolves.toBeDefined()
  await expect(decode(32)).rejects.toThrow()
})
