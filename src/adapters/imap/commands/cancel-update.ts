/** CANCELUPDATE (RFC 5267 §4.3.5). */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const cancelUpdate: Command = {
  when: 'selected',
  run(session, args) {
    const tags: string[] = []
    do {
      args.sp()
      tags.push(args.string())
    } while (args.isNext(' '))
    args.end()
    for (const tag of tags) session.contexts.cancel(tag)
    return ok('No further updates')
  },
}
