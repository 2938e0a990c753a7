/**
 * Summaries of large mails, made in a worker thread (DESIGN §8): it asks for the mail in windows, so neither thread
 * holds it. The thread starts with the first such mail and ends when none has come for a while.
 */
import { Worker } from 'node:worker_threads'
import { MyceliumError } from '../../core/errors.ts'
import type { MessageSource } from '../../core/message/mime-source.ts'

/** To the worker: a mail to summarise, or the window it asked for. */
export type ToWorker = { readonly size: number } | { readonly window: Uint8Array }
/** From the worker: a window it wants of the mail, or the summary. */
export type FromWorker = { readonly from: number; readonly to: number } | { readonly summary: Uint8Array }

const idleMs = 10_000
/** What JavaScript objects of the worker may take; windows are outside of it. */
const heapMegabytesMax = 256

class LargeMail {
  #worker: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  /** One mail at a time: each is bounded in memory, and so are all. */
  #last: Promise<unknown> = Promise.resolve()

  async summarise(source: MessageSource): Promise<Uint8Array> {
    const made = this.#last.then(async () => await this.#summarise(source))
    this.#last = made.catch(() => {})
    return await made
  }

  async #summarise(source: MessageSource): Promise<Uint8Array> {
    clearTimeout(this.#idle)
    const worker = (this.#worker ??= this.#start())
    worker.ref()
    try {
      return await converse(worker, source)
    } catch (error) {
      await this.#stop()
      throw error
    } finally {
      this.#worker?.unref()
      this.#idle = setTimeout(() => void this.#stop(), idleMs).unref()
    }
  }

  #start(): Worker {
    return new Worker(new URL('./large-mail-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytesMax },
    })
  }

  async #stop(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    await worker?.terminate()
  }
}

export const largeMail = new LargeMail()

/** Answers what the worker asks for until it has the summary. */
async function converse(worker: Worker, source: MessageSource): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const answer = async (message: FromWorker): Promise<void> => {
    if ('summary' in message) return resolve(message.summary)
    const window = Uint8Array.from(await source.read(message.from, message.to))
    worker.postMessage({ window } satisfies ToWorker, [window.buffer])
  }
  const heard = (message: FromWorker): void => void answer(message).catch(reject)
  const failed = (cause: unknown): void => reject(new MyceliumError('malformed', { what: 'large-mail' }, { cause }))
  const ended = (): void => failed(undefined)
  worker.on('message', heard)
  worker.on('error', failed)
  worker.on('exit', ended)
  try {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker, not a window
    worker.postMessage({ size: source.size } satisfies ToWorker)
    return await promise
  } finally {
    worker.off('message', heard)
    worker.off('error', failed)
    worker.off('exit', ended)
  }
}
