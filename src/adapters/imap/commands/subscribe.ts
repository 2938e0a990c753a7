/** SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7, §6.3.8). */
import type { Command } from '../command.ts'
import { onName } from '../on-name.ts'

export const subscribe: Command = onName(
  (session, name) => session.mailboxes.subscribe(session.account, name, true),
  'Subscribed',
)
export const unsubscribe: Command = onName(
  (session, name) => session.mailboxes.subscribe(session.account, name, false),
  'Unsubscribed',
)
