/** One thread serves all connections: whoever has sent many commands ahead gives way to the others after a slice of time. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { limits } from '../../core/limits.ts'

export class Turns {
  #startedAt: number | undefined
  #waiting = 0

  /** Between two commands. Waits once all connections together have used up the slice; while several wait, each has one command a turn. */
  giveWay(): Promise<void> | undefined {
    const now = performance.now()
    if (this.#startedAt === undefined) {
      this.#startedAt = now
      setImmediate(() => {
        this.#startedAt = undefined
      })
    }
    return this.#waiting > 0 || now - this.#startedAt >= limits.turnMs ? this.#wait() : undefined
  }

  async #wait(): Promise<void> {
    this.#waiting += 1
    await nextTurn()
    this.#waiting -= 1
  }
}
