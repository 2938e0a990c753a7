/** The search worker as it is seen from outside: started when there is work, ended when there has been none for a while. */
import { Worker } from 'node:worker_threads'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { MessageSource } from '../message/mime-source.ts'
import type { SearchJob } from './search-job.ts'
import type { IndexedText } from './search-packs.ts'
import type { SearchKey } from './search.ts'

/** A job, or the window that was asked for; `undefined`: it could not be read. */
export type ToSearchWorker = SearchJob | { readonly window: Uint8Array | undefined }
/** A window that the worker wants of the message it reads, or what it found. */
export type FromSearchWorker = { readonly from: number; readonly to: number } | { readonly answer: unknown }

interface Waiting {
  readonly source: MessageSource | undefined
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
  failure: { readonly error: unknown } | undefined
}

const idleMs = 30_000

export class SearchThread implements AsyncDisposable {
  #worker: Worker | undefined
  /** In the order of the jobs, which is that of the answers; windows are asked for by the first one. */
  #waiting: Waiting[] = []
  #idle: NodeJS.Timeout | undefined
  #isClosed = false

  /** What texts say, for the index. `undefined` when the thread ended over it: a text took more memory than it may. */
  async index(messages: readonly Uint8Array[]): Promise<readonly IndexedText[] | undefined> {
    const copies = messages.map((message) => new Uint8Array(message))
    return await this.#run({ kind: 'index', messages: copies }, { handedOver: copies })
  }

  /** The same of one long message, which nobody holds. @throws what reading it throws */
  async indexLong(source: MessageSource): Promise<IndexedText | undefined> {
    return await this.#run({ kind: 'index-long', size: source.size }, { source })
  }

  /** `undefined` and throws as above. */
  async matches(key: SearchKey, source: MessageSource): Promise<boolean | undefined> {
    return await this.#run({ kind: 'match-long', size: source.size, key }, { source })
  }

  async #run<Answer>(
    job: SearchJob,
    { source, handedOver = [] }: { source?: MessageSource; handedOver?: readonly Uint8Array<ArrayBuffer>[] },
  ): Promise<Answer | undefined> {
    if (this.#isClosed) throw new MyceliumError('shutting-down')
    const worker = (this.#worker ??= this.#start())
    clearTimeout(this.#idle)
    worker.ref()
    return await new Promise<Answer | undefined>((resolve, reject) => {
      this.#waiting.push({ source, resolve: resolve as Waiting['resolve'], reject, failure: undefined })
      worker.postMessage(
        job satisfies ToSearchWorker,
        handedOver.map(({ buffer }) => buffer),
      )
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./search-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: limits.searchThreadMegabytesMax },
    })
    worker.on('message', (message: FromSearchWorker) => {
      if (this.#worker !== worker) return
      if ('answer' in message) this.#answered(worker, message.answer)
      else void giveWindow(worker, this.#waiting[0]!, message)
    })
    worker.on('error', () => this.#ended(worker))
    worker.on('exit', () => this.#ended(worker))
    return worker
  }

  #answered(worker: Worker, answer: unknown): void {
    const { resolve, reject, failure } = this.#waiting.shift()!
    if (failure === undefined) resolve(answer)
    else reject(failure.error)
    if (this.#waiting.length === 0) this.#rest(worker)
  }

  #rest(worker: Worker): void {
    worker.unref()
    this.#idle = setTimeout(() => this.#end(worker), idleMs).unref()
  }

  /** A job that comes now gets a thread of its own. */
  #end(worker: Worker): void {
    this.#ended(worker)
    void worker.terminate()
  }

  #ended(worker: Worker): void {
    if (this.#worker !== worker) return
    this.#worker = undefined
    clearTimeout(this.#idle)
    for (const { resolve, reject } of this.#waiting.splice(0)) {
      if (this.#isClosed) reject(new MyceliumError('shutting-down'))
      else resolve(undefined)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    const worker = this.#worker
    if (worker === undefined) return
    this.#ended(worker)
    await worker.terminate()
  }
}

async function giveWindow(worker: Worker, job: Waiting, range: { from: number; to: number }): Promise<void> {
  let window: Uint8Array<ArrayBuffer> | undefined
  try {
    window = Uint8Array.from(await job.source!.read(range.from, range.to))
  } catch (error) {
    job.failure = { error }
  }
  worker.postMessage({ window } satisfies ToSearchWorker, window === undefined ? [] : [window.buffer])
}
