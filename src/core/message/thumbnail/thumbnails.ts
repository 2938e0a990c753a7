/**
 * Thumbnails of images that people send: made in a thread of its own for each image, which ends with it, after a time, or
 * with its memory. What an image is, its first octets say and not its name; how large it is, before anything decodes it.
 */
import { Worker } from 'node:worker_threads'
import { limits } from '../../limits.ts'
import type { Thumbnail } from '../part.ts'
import { type ImageHead, imageHead } from './image-kind.ts'

export interface ThumbnailJob {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly head: ImageHead
}

/** One image at a time: each is bounded in memory, and so are all. */
let last: Promise<unknown> = Promise.resolve()

/** `undefined` for what is no image that can be shown: too large, damaged, of another kind, or too slow. */
export async function thumbnailOf(bytes: Uint8Array): Promise<Thumbnail | undefined> {
  const head = imageHead(bytes)
  if (head === undefined || head.width * head.height > limits.imagePixelsMax) return undefined
  const made = last.then(async () => await inWorker({ bytes: Uint8Array.from(bytes), head }))
  last = made
  return await made
}

async function inWorker(job: ThumbnailJob): Promise<Thumbnail | undefined> {
  const worker = new Worker(new URL('./thumbnail-worker.ts', import.meta.url), {
    workerData: job,
    transferList: [job.bytes.buffer],
    resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
    // what a decoder prints about a bad image is of no use
    stdout: true,
    stderr: true,
  })
  const { promise, resolve } = Promise.withResolvers<Thumbnail | undefined>()
  const giveUp = (): void => resolve(undefined)
  const late = setTimeout(giveUp, limits.thumbnailMs)
  worker.once('message', resolve)
  worker.once('error', giveUp)
  worker.once('exit', giveUp)
  try {
    return await promise
  } finally {
    clearTimeout(late)
    await worker.terminate()
  }
}

/** JavaScript objects of the thread; pixels and the decoders' memory are outside of it. */
const heapMegabytesMax = 64
