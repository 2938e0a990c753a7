/** Things that end at the same time, because each may take a while to end. */
export class DisposedTogether implements AsyncDisposable {
  #parts: AsyncDisposable[] = []

  use<T extends AsyncDisposable>(part: T): T {
    this.#parts.push(part)
    return part
  }

  /** Hands everything over to the result, as `AsyncDisposableStack.move` does. */
  move(): DisposedTogether {
    const moved = new DisposedTogether()
    moved.#parts = this.#parts
    this.#parts = []
    return moved
  }

  /** Rejects with the first failure, after everything has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ending = this.#parts.map(async (part) => await part[Symbol.asyncDispose]())
    this.#parts = []
    const failed = (await Promise.allSettled(ending)).find(({ status }) => status === 'rejected')
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason
  }
}
