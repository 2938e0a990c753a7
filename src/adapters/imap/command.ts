/** The shape of a command: one file each in `commands/`, joined in `commands.ts`. */
import type { Arguments } from './arguments.ts'
import type { Tagged } from './responses.ts'
import type { Session } from './session.ts'

export interface Command {
  /** `guest`: only before login; `user`: after it; `selected`: with a mailbox selected. */
  readonly when: 'any' | 'guest' | 'user' | 'selected'
  /** Numbers of messages are in use while it runs: no EXPUNGE may be sent (RFC 9051 §7.5.1). */
  readonly holdsExpunge?: boolean
  /** Untagged responses go to the session's output; the ending is sent by the caller. */
  run(session: Session, args: Arguments): Promise<Tagged> | Tagged
}
