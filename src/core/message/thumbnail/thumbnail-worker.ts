/**
 * The thread that makes one thumbnail and ends. Decoders are WebAssembly with a bound on their memory, so that an image
 * which fools one of them has this thread's sandbox, and nothing of the gateway.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parentPort, workerData } from 'node:worker_threads'
import { limits } from '../../limits.ts'
import type { Thumbnail } from '../part.ts'
import { boundedWasm, type WasmModule } from './bounded-wasm.ts'
import type { ImageHead, ImageKind } from './image-kind.ts'
import { type Pixels, scaledTo } from './scaled.ts'
import type { ThumbnailJob } from './thumbnails.ts'

/** The decoders make one each, as in a browser. */
class PlainImageData implements Pixels {
  readonly data: Uint8ClampedArray
  readonly width: number
  readonly height: number
  constructor(data: Uint8ClampedArray, width: number, height: number) {
    this.data = data
    this.width = width
    this.height = height
  }
}
Object.assign(globalThis, { ImageData: PlainImageData })

const require = createRequire(import.meta.url)
const wasmOf = (path: string): WasmModule =>
  boundedWasm(new Uint8Array(readFileSync(require.resolve(path))), limits.imageMemoryBytesMax)

type Decode = (bytes: Uint8Array<ArrayBuffer>, head: ImageHead) => Promise<Pixels>
const decoders: Record<ImageKind, Decode> = {
  async jpeg(bytes) {
    const codec = await import('@jsquash/jpeg/decode.js')
    await codec.init(wasmOf('@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm'))
    return await codec.default(bytes.buffer, { preserveOrientation: true })
  },
  async png(bytes) {
    const codec = await import('@jsquash/png/decode.js')
    await codec.init(wasmOf('@jsquash/png/codec/pkg/squoosh_png_bg.wasm'))
    return await codec.default(bytes.buffer)
  },
  async webp(bytes) {
    const codec = await import('@jsquash/webp/decode.js')
    await codec.init(wasmOf('@jsquash/webp/codec/dec/webp_dec.wasm'))
    return await codec.default(bytes.buffer)
  },
  async gif(bytes, { width, height }) {
    const { GifReader } = await import('omggif')
    const data = new Uint8ClampedArray(width * height * 4)
    new GifReader(Buffer.from(bytes.buffer)).decodeAndBlitFrameRGBA(0, data)
    return { data, width, height }
  },
}

/** Smaller and coarser until it fits a message. */
const attempts = [
  [192, 75],
  [160, 60],
  [128, 45],
  [96, 35],
  [48, 35],
] as const

async function thumbnailOf({ bytes, head }: ThumbnailJob): Promise<Thumbnail | undefined> {
  const image = await decoders[head.kind](bytes, head)
  const encoder = await import('@jsquash/jpeg/encode.js')
  await encoder.init(wasmOf('@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm'))
  for (const [edge, quality] of attempts) {
    const { data, width, height } = scaledTo(image, edge)
    const jpeg = new Uint8Array(await encoder.default(new PlainImageData(data, width, height), { quality }))
    if (jpeg.length <= limits.thumbnailBytesMax) return { mediaType: 'image/jpeg', width, height, bytes: jpeg }
  }
  return undefined
}

const thumbnail = await thumbnailOf(workerData as ThumbnailJob).catch(() => undefined)
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker's port, not a window
parentPort!.postMessage(thumbnail)
