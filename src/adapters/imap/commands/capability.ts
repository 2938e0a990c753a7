/** CAPABILITY (RFC 9051 §6.1.1). */
import { capabilities } from '../capabilities.ts'
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const capability: Command = {
  when: 'any',
  run(session, args) {
    args.end()
    session.out.line(`* CAPABILITY ${capabilities(session)}`)
    return ok('Listed')
  },
}
