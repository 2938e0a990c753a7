/** CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. */
import { requestsMailbox } from '../../../core/delivery/deliver.ts'
import { MyceliumError } from '../../../core/errors.ts'
import { type SpecialUse, specialUses } from '../../../core/mailbox/mailbox.ts'
import { BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { no, ok } from '../responses.ts'

/** With RFC 6154's USE and RFC 8474's MAILBOXID in the answer. */
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

const onName = (
  act: (session: Parameters<Command['run']>[0], name: string) => Promise<void>,
  done: string,
): Command => ({
  when: 'user',
  async run(session, args) {
    args.sp()
    const name = session.readMailbox(args)
    args.end()
    await act(session, name)
    return ok(done)
  },
})

/** Without its own folder, mail from strangers and with a false From would have to go to the inbox. @throws `mailbox-reserved` */
function refuseRequests(name: string): void {
  if (name === requestsMailbox) throw new MyceliumError('mailbox-reserved')
}

export const remove: Command = onName(async (session, name) => {
  refuseRequests(name)
  await session.mailboxes.remove(session.account, name)
}, 'Deleted')
export const subscribe: Command = onName(
  (session, name) => session.mailboxes.subscribe(session.account, name, true),
  'Subscribed',
)
export const unsubscribe: Command = onName(
  (session, name) => session.mailboxes.subscribe(session.account, name, false),
  'Unsubscribed',
)

export const rename: Command = {
  when: 'user',
  async run(session, args) {
    args.sp()
    const from = session.readMailbox(args)
    args.sp()
    const to = session.readMailbox(args)
    args.end()
    refuseRequests(from)
    await session.mailboxes.rename(session.account, from, to)
    return ok('Renamed')
  },
}
