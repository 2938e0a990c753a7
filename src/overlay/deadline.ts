/**
 * A signal that aborts with others or when time is over, and lets go of both at the end of its scope: timeouts that
 * outlive what they bound are what a flood of short asks would fill memory with.
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #sources: readonly AbortSignal[]
  readonly #timer: NodeJS.Timeout
  readonly #onAbort = (event: Event): void => this.#controller.abort((event.target as AbortSignal).reason)
  #isOver = false

  /** @param ms the reason is then a `TimeoutError`, as with `AbortSignal.timeout` */
  constructor(ms: number, ...sources: readonly AbortSignal[]) {
    this.#sources = sources
    this.#timer = setTimeout(() => {
      this.#isOver = true
      this.#controller.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError'))
    }, ms).unref()
    for (const source of sources) {
      if (source.aborted) this.#controller.abort(source.reason)
      else source.addEventListener('abort', this.#onAbort, { once: true })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Whether it was the time that ended it. */
  get isOver(): boolean {
    return this.#isOver
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    for (const source of this.#sources) source.removeEventListener('abort', this.#onAbort)
  }
}
