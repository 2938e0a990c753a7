/** Things that are expected for a while: each is taken once, or its time runs out. */
export class Waiting<T> implements Disposable {
  readonly #ms: number
  readonly #max: number
  readonly #onOver: (value: T) => void
  readonly #there = new Map<string, { readonly value: T; readonly timer: NodeJS.Timeout }>()

  /** @param onOver its time ran out */
  constructor(bounds: { readonly ms: number; readonly max: number }, onOver: (value: T) => void) {
    this.#ms = bounds.ms
    this.#max = bounds.max
    this.#onOver = onOver
  }

  /** @returns whether there was room; of two with the same name the later counts */
  add(name: string, value: T): boolean {
    this.take(name)
    if (this.#there.size >= this.#max) return false
    const timer = setTimeout(() => {
      this.#there.delete(name)
      this.#onOver(value)
    }, this.#ms)
    this.#there.set(name, { value, timer: timer.unref() })
    return true
  }

  take(name: string): T | undefined {
    const found = this.#there.get(name)
    if (found === undefined) return undefined
    clearTimeout(found.timer)
    this.#there.delete(name)
    return found.value
  }

  takeWhere(isMeant: (value: T) => boolean): readonly T[] {
    const names = [...this.#there].filter(([, { value }]) => isMeant(value)).map(([name]) => name)
    return names.flatMap((name) => this.take(name) ?? [])
  }

  [Symbol.dispose](): void {
    for (const { timer } of this.#there.values()) clearTimeout(timer)
    this.#there.clear()
  }
}
