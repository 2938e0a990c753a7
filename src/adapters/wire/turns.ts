/** One thread serves all connections: whoever has sent many commands ahead, or asked for much, gives way to the others after a slice of time. */
import { limits } from '../../core/limits.ts'

export class Turns {
  #startedAt: number | undefined
  /** The first goes on first. */
  readonly #waiting: (() => void)[] = []

  /** Between two commands. Waits once all connections together have used up the slice, and while others wait. */
  giveWay(): Promise<void> | undefined {
    return this.#waiting.length > 0 || this.#isUsedUp() ? this.wait() : undefined
  }

  /** Until those who wait already have had their turn: as many in one go as fit into the slice, so that what has come in meanwhile is looked at after each. */
  async wait(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
      setImmediate(this.#next)
    })
  }

  readonly #next = (): void => {
    if (this.#isUsedUp()) setImmediate(this.#next)
    else this.#waiting.shift()!()
  }

  /** The slice begins with the first who asks in a round of the event loop. */
  #isUsedUp(): boolean {
    const now = performance.now()
    if (this.#startedAt === undefined) {
      this.#startedAt = now
      setImmediate(() => {
        this.#startedAt = undefined
      })
    }
    return now - this.#startedAt >= limits.turnMs
  }
}
