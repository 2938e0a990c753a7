/** UNAUTHENTICATE (RFC 8437): the connection belongs to nobody again; TLS and compression stay. */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const unauthenticate: Command = {
  when: 'user',
  run(session, args) {
    args.end()
    session.logOut()
    return ok('Log in again')
  },
}
