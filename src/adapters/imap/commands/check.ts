/** CHECK (RFC 3501 §6.4.1). */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const check: Command = {
  when: 'selected',
  run(_session, args) {
    args.end()
    return ok('Everything is on disk')
  },
}
