/** ID (RFC 2971). What the client says of itself is not kept. */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const id: Command = {
  when: 'any',
  run(session, args) {
    args.sp()
    if (args.isListNext()) {
      args.list(() => {
        args.nstring()
      })
    } else args.nstring()
    args.end()
    session.out.line('* ID ("name" "mycelium-gateway")')
    return ok('Pleased to meet you')
  },
}
