/** IDLE (RFC 2177): changes are pushed as they are committed. */
import { hasCode } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { toLatin1 } from '../../../core/bytes.ts'
import type { Command } from '../command.ts'
import { bad, ok } from '../responses.ts'
import type { Session } from '../session.ts'

export const idle: Command = {
  when: 'user',
  async run(session, args) {
    args.end()
    session.out.line('+ Idling')
    session.writeUpdates(true)
    await session.contexts.refresh()
    session.out.push()
    const pusher = new Pusher(session)
    session.setIdle(() => pusher.changed())
    try {
      const line = await session.channel.reader.line({
        octetsMax: limits.imapLineBeforeLoginOctetsMax,
        waitMsMax: limits.imapIdleMs,
      })
      if (line === undefined) {
        session.isLoggingOut = true
        return ok('Gone')
      }
      return /^done$/i.test(toLatin1(line)) ? ok('Idled') : bad('Expected DONE')
    } catch (error) {
      if (hasCode(error, 'malformed')) return bad('Expected DONE')
      throw error
    } finally {
      session.setIdle(undefined)
      pusher.stop()
    }
  },
}

/** Sends what changed in one commit together, at once; waits while the client does not read. */
class Pusher {
  readonly #session: Session
  #scheduled: NodeJS.Immediate | undefined
  #isStopped = false

  constructor(session: Session) {
    this.#session = session
  }

  changed(): void {
    if (this.#isStopped) return
    this.#scheduled ??= setImmediate(() => void this.#push())
  }

  stop(): void {
    this.#isStopped = true
    clearImmediate(this.#scheduled)
  }

  async #push(): Promise<void> {
    try {
      await this.#session.channel.flush()
      this.#scheduled = undefined
      if (this.#isStopped) return
      this.#session.writeUpdates(true)
      await this.#session.contexts.refresh()
      await this.#session.out.ready()
    } catch {
      // The client is gone, or its mailbox is: nothing more can be said to it.
      this.#session.channel.destroy()
    }
  }
}
