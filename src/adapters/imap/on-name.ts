/** Commands about one mailbox, whose name is all that they take. */
import { requestsMailbox } from '../../core/delivery/deliver.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { Command } from './command.ts'
import { ok } from './responses.ts'

export const onName = (
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
export function refuseRequests(name: string): void {
  if (name === requestsMailbox) throw new MyceliumError('mailbox-reserved')
}
