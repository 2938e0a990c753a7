/** One thread serves all connections: whoever has sent many commands ahead gives way to the others after a slice of time. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { limits } from '../../core/limits.ts'

export class Turns {
  #startedAt: number | undefined

  /** Between two commands. Waits only when all connections together have used up the slice; then each has one command a turn. */
  giveWay(): Promise<void> | undefined {
    const now = performance.now()
    if (this.#startedAt === undefined) {
      this.#startedAt = now
      setImmediate(() => {
        this.#startedAt = undefined
      })
      return undefined
    }
    return now - this.#startedAt < limits.turnMs ? undefined : nextTurn()
  }
}
