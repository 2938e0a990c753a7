/** What came and was not taken yet, with one who waits for it. Whoever fills it keeps it bounded. */
import { MyceliumError } from '../../../core/errors.ts'

export class Inbox<T> {
  readonly #items: T[] = []
  #end: { readonly failure?: Error } | undefined
  #wake: (() => void) | undefined

  get size(): number {
    return this.#items.length
  }

  push(item: T): void {
    if (this.#end !== undefined) return
    this.#items.push(item)
    this.#wake?.()
  }

  /** Nothing more comes; with a failure, what waits is not taken either. */
  end(failure?: Error): void {
    this.#end ??= failure === undefined ? {} : { failure }
    this.#wake?.()
  }

  /** `undefined` at the end. @throws `timeout`, the failure that ended it */
  async next(waitMs: number): Promise<T | undefined> {
    if (this.#items.length === 0 && this.#end === undefined) await this.#wait(waitMs)
    if (this.#end?.failure !== undefined) throw this.#end.failure
    return this.#items.shift()
  }

  async #wait(waitMs: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#wake = undefined
        reject(new MyceliumError('timeout'))
      }, waitMs)
      this.#wake = () => {
        this.#wake = undefined
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
