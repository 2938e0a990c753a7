/** Tasks that are to run in a while, each once however often it is asked for meanwhile; none after the end. */
export class Soon implements Disposable {
  readonly #timers = new Map<string, NodeJS.Timeout>()

  run(name: string, ms: number, task: () => void): void {
    if (this.#timers.has(name)) return
    const timer = setTimeout(() => {
      this.#timers.delete(name)
      task()
    }, ms)
    timer.unref()
    this.#timers.set(name, timer)
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }
}
