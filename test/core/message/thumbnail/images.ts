/** Small images of each kind, made here: a gradient, so that what comes out can be compared. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { crc32, deflateSync } from 'node:zlib'
import { GifWriter } from 'omggif'

const require = createRequire(import.meta.url)
const wasm = (path: string): object =>
  new (globalThis as unknown as { WebAssembly: { Module: new (bytes: Uint8Array) => object } }).WebAssembly.Module(
    readFileSync(require.resolve(path)),
  )

const red = ([x, width]: readonly [number, number]): number => Math.round((x / Math.max(1, width - 1)) * 255)

export function gradient(width: number, height: number): { width: number; height: number; data: Uint8ClampedArray } {
  const data = new Uint8ClampedArray(width * height * 4)
  for (let y = 0; y < height; y += 1)
    for (let x = 0; x < width; x += 1) data.set([red([x, width]), 40, 200, 255], (y * width + x) * 4)
  return { width, height, data }
}

function chunk(type: string, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}

/** @param rows what its pixels are packed from; a lie when it is not `height` rows */
export function png(width: number, height: number, rows = rowsOf(width, height)): Buffer {
  const head = Buffer.alloc(13)
  head.writeUInt32BE(width, 0)
  head.writeUInt32BE(height, 4)
  head.set([8, 6, 0, 0, 0], 8)
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1A\n', 'latin1'),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', new Uint8Array()),
  ])
}

function rowsOf(width: number, height: number): Buffer {
  const { data } = gradient(width, height)
  return Buffer.concat(
    Array.from({ length: height }, (_, y) =>
      Buffer.concat([Buffer.of(0), Uint8Array.from(data.subarray(y * width * 4, (y + 1) * width * 4))]),
    ),
  )
}

export async function jpeg(width: number, height: number): Promise<Uint8Array> {
  const codec = await import('@jsquash/jpeg/encode.js')
  await codec.init(wasm('@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm'))
  return new Uint8Array(await codec.default(gradient(width, height), { quality: 90 }))
}

export async function webp(width: number, height: number): Promise<Uint8Array> {
  const codec = await import('@jsquash/webp/encode.js')
  await codec.init(wasm('@jsquash/webp/codec/enc/webp_enc.wasm'))
  return new Uint8Array(await codec.default(gradient(width, height), { quality: 90 }))
}

export function gif(width: number, height: number): Uint8Array {
  const bytes = Buffer.alloc(width * height + 2000)
  const palette = Array.from({ length: 256 }, (_, at) => at * 65_536 + 40 * 256 + 200)
  const writer = new GifWriter(bytes, width, height, { palette })
  writer.addFrame(
    0,
    0,
    width,
    height,
    Array.from({ length: width * height }, (_, at) => red([at % width, width])),
  )
  return bytes.subarray(0, writer.end())
}
