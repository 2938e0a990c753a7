/** The search worker as it is seen from outside: started when there is work, ended when there has been none for a while. */
import { Worker } from 'node:worker_threads'
import { limits } from '../limits.ts'
import type { SearchJob } from './search-job.ts'
import type { IndexedText } from './search-packs.ts'
import type { SearchKey } from './search.ts'

type Settle = (answer: unknown) => void

const idleMs = 30_000

export class SearchThread implements AsyncDisposable {
  #worker: Worker | undefined
  /** In the order of the jobs, which is that of the answers. */
  #waiting: Settle[] = []
  #idle: NodeJS.Timeout | undefined
  #isClosed = false

  /** What texts say, for the index. `undefined` when the thread ended over it: a text took more memory than it may. */
  async index(messages: readonly Uint8Array[]): Promise<readonly IndexedText[] | undefined> {
    const copies = messages.map((message) => new Uint8Array(message))
    return await this.#run({ kind: 'index', messages: copies }, copies)
  }

  /** `undefined` as above. */
  async matches(key: SearchKey, message: Uint8Array): Promise<boolean | undefined> {
    const copy = new Uint8Array(message)
    return await this.#run({ kind: 'match', message: copy, key }, [copy])
  }

  async #run<Answer>(job: SearchJob, handedOver: readonly Uint8Array<ArrayBuffer>[]): Promise<Answer | undefined> {
    if (this.#isClosed) return undefined
    const worker = (this.#worker ??= this.#start())
    clearTimeout(this.#idle)
    worker.ref()
    return await new Promise<Answer | undefined>((resolve) => {
      this.#waiting.push(resolve as Settle)
      worker.postMessage(
        job,
        handedOver.map(({ buffer }) => buffer),
      )
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./search-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: limits.searchThreadMegabytesMax },
    })
    worker.on('message', (answer: unknown) => {
      this.#waiting.shift()?.(answer)
      if (this.#waiting.length === 0) this.#rest(worker)
    })
    worker.on('error', () => this.#ended(worker))
    worker.on('exit', () => this.#ended(worker))
    return worker
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
    for (const settle of this.#waiting.splice(0)) settle(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    const worker = this.#worker
    if (worker === undefined) return
    this.#ended(worker)
    await worker.terminate()
  }
}
