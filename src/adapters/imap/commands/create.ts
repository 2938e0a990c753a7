/** CREATE, with RFC 6154's USE and RFC 8474's MAILBOXID in the answer. */
import { type SpecialUse, specialUses } from '../../../core/mailbox/mailbox.ts'
import { BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { no, ok } from '../responses.ts'

export const create: Command = {
  when: 'user',
  async run(session, args) {
    args.sp()
    const name = session.readMailbox(args)
    let specialUse: SpecialUse | undefined
    let isUnknownUse = false
    if (args.skip(' ')) {
      args.openList()
      if (args.name() !== 'USE') throw new BadSyntax('Unknown parameter')
      args.sp()
      const asked = args.list(() => args.flag())
      args.closeList()
      specialUse = specialUses.find((use) => asked.length === 1 && use.toLowerCase() === asked[0]!.toLowerCase())
      isUnknownUse = asked.length > 0 && specialUse === undefined
    }
    args.end()
    if (isUnknownUse) return no('No such special use here', 'USEATTR')
    if (specialUse !== undefined && session.mailboxes.bySpecialUse(session.account, specialUse) !== undefined) {
      return no('Another mailbox has this use', 'USEATTR')
    }
    const options = specialUse === undefined ? {} : { specialUse }
    const { id } = await session.mailboxes.create(session.account, name, options)
    return ok('Created', `MAILBOXID (${id})`)
  },
}
