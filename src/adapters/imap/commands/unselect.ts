/** UNSELECT (RFC 9051 §6.4.2). */
import type { Command } from '../command.ts'
import { ok } from '../responses.ts'

export const unselect: Command = {
  when: 'selected',
  run(session, args) {
    args.end()
    session.selected.close()
    session.view = undefined
    session.savedSearch = []
    return ok('Unselected')
  },
}
