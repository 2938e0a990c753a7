/** IDLE (RFC 2177): changes are pushed as they are committed. */
import { hasCode } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import { toLatin1 } from '../../../core/bytes.ts'
import type { Command } from '../command.ts'
import { bad, ok } from '../responses.ts'

export const idle: Command = {
  when: 'user',
  async run(session, args) {
    args.end()
    session.out.line('+ Idling')
    session.writeUpdates(true)
    await session.contexts.refresh()
    session.out.push()
    session.isIdling = true
    session.pusher.release()
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
      await session.pusher.hold()
      session.isIdling = false
    }
  },
}
