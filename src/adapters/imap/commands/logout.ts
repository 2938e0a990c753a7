/** LOGOUT (RFC 9051 §6.1.3). */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const logout: Command = {
  when: 'any',
  run(session, args) {
    args.end()
    session.isLoggingOut = true
    session.out.line('* BYE Goodbye')
    return ok('Logged out')
  },
}
