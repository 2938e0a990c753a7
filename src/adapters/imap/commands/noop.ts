/** NOOP (RFC 9051 §6.1.2): what changed is told after it, as after any command. */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const noop: Command = {
  when: 'any',
  run(_session, args) {
    args.end()
    return ok('Nothing done')
  },
}
