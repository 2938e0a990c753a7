/** Tells what changed when no command asks: in IDLE (RFC 2177), and between commands where NOTIFY (RFC 5465) wants it. */
import type { Session } from './session.ts'

/** Sends what changed in one commit together, at once; waits while the client does not read. */
export class Pusher {
  readonly #session: Session
  #scheduled: NodeJS.Immediate | undefined
  #running: Promise<void> | undefined
  #isHeld = true
  #isPending = false

  constructor(session: Session) {
    this.#session = session
  }

  changed(): void {
    this.#isPending = true
    if (this.#isHeld || this.#running !== undefined) return
    this.#scheduled ??= setImmediate(() => {
      this.#scheduled = undefined
      this.#running = this.#push().finally(() => {
        this.#running = undefined
        if (this.#isPending) this.changed()
      })
    })
  }

  /** From now on, changes leave by themselves. */
  release(): void {
    this.#isHeld = false
    if (this.#isPending) this.changed()
  }

  /** A command runs and tells by itself; what is being said now is said to its end. */
  async hold(): Promise<void> {
    this.#isHeld = true
    clearImmediate(this.#scheduled)
    this.#scheduled = undefined
    await this.#running
  }

  async #push(): Promise<void> {
    const session = this.#session
    try {
      await session.channel.flush()
      if (this.#isHeld) return
      this.#isPending = false
      const { isIdling, notify } = session
      if (isIdling || notify?.pushesSelected === true) session.writeUpdates(isIdling || notify?.delaysExpunge !== true)
      await session.contexts.refresh()
      await notify?.write()
      await session.out.ready()
    } catch {
      // The client is gone, or its mailbox is: nothing more can be said to it.
      this.#isPending = false
      session.channel.destroy()
    }
  }
}
