/** LOGIN (RFC 9051 §6.2.3). */
import type { Command } from '../command.ts'
import { notPrivate, welcome } from '../welcome.ts'

export const login: Command = {
  when: 'guest',
  async run(session, args) {
    args.sp()
    const user = args.astring()
    args.sp()
    const password = args.astring()
    args.end()
    if (!session.channel.isPrivate) return notPrivate
    const { logins } = session.context.services
    return welcome(session, await logins.byPassword(user, password, session.channel.remote))
  },
}
