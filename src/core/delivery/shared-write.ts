/**
 * Writers of one kind that share a transaction, and with it what the transaction loads and saves once (a mailbox's
 * block, counters, the change row). When one of them throws, all are run again, each in a transaction of its own, so
 * that nobody pays for another's failure.
 */
import { limits } from '../limits.ts'
import type { Store, WriteTx } from '../store/store.ts'

interface Job {
  readonly run: (tx: WriteTx) => void
  readonly alone: () => void
  readonly resolve: () => void
}

export class SharedWrite {
  readonly #store: Store
  #waiting: Job[] = []
  #isScheduled = false

  constructor(store: Store) {
    this.#store = store
  }

  /** As `store.write`. */
  async run<T>(use: (tx: WriteTx) => T): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      let result: T
      this.#waiting.push({
        run: (tx) => {
          result = use(tx)
        },
        alone: () => void this.#store.write(use).then(resolve, reject),
        resolve: () => resolve(result),
      })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isScheduled) {
      this.#store.joined()
      return
    }
    this.#isScheduled = true
    void this.#runTogether()
  }

  async #runTogether(): Promise<void> {
    let jobs: readonly Job[] = []
    try {
      await this.#store.write(
        (tx) => {
          // everything that has come by the time the transaction begins
          if (jobs.length === 0) jobs = this.#take()
          for (const job of jobs) job.run(tx)
        },
        { callers: () => (jobs.length > 0 ? jobs.length : this.#waiting.length) },
      )
    } catch {
      if (jobs.length === 0) jobs = this.#take()
      for (const job of jobs) job.alone()
      return
    }
    for (const job of jobs) job.resolve()
  }

  #take(): readonly Job[] {
    this.#isScheduled = false
    const jobs = this.#waiting.splice(0, limits.sharedWritersMax)
    if (this.#waiting.length > 0) this.#schedule()
    return jobs
  }
}
