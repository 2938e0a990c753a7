/** STARTTLS (RFC 9051 §6.2.1). */
import type { Command } from '../command.ts'
import { bad, ok } from '../responses.ts'
import type { Session } from '../session.ts'

export const starttls: Command = {
  when: 'guest',
  run(session, args) {
    args.end()
    return session.channel.canStartTls ? ok('Begin TLS now') : bad('TLS is not available here')
  },
}

/** After the OK of STARTTLS has been queued. Nothing said before counts. @throws `malformed`, `connection-closed` */
export async function beginTls(session: Session): Promise<void> {
  session.out.push()
  await session.channel.startTls()
}
