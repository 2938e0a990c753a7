/** NAMESPACE (RFC 2342): one personal namespace. */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const namespace: Command = {
  when: 'user',
  run(session, args) {
    args.end()
    session.out.line('* NAMESPACE (("" "/")) NIL NIL')
    return ok('Listed')
  },
}
