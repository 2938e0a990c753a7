/** DELETE (RFC 9051 §6.3.5). */
import type { Command } from '../command.ts'
import { onName, refuseRequests } from '../on-name.ts'

export const remove: Command = onName(async (session, name) => {
  refuseRequests(name)
  await session.mailboxes.remove(session.account, name)
}, 'Deleted')
