/** GETQUOTA and GETQUOTAROOT (RFC 9208): one root for the whole account. */
import type { Command } from '../command.ts'
import { no, ok, Refusal } from '../responses.ts'
import type { Session } from '../session.ts'

const root = '"account"'

function writeQuota(session: Session): void {
  const { services } = session.context
  if (services.quota === undefined) throw new Refusal(no('There are no quotas here', 'CANNOT'))
  const { usedBytes, limitBytes } = services.quota(session.account)
  const limit =
    limitBytes === undefined ? '' : `STORAGE ${Math.ceil(usedBytes / 1024)} ${Math.floor(limitBytes / 1024)}`
  session.out.line(`* QUOTA ${root} (${limit})`)
}

export const getQuota: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    const name = args.astring()
    args.end()
    if (name !== 'account') return no('No such quota root', 'NONEXISTENT')
    writeQuota(session)
    return ok('Listed')
  },
}

/** Limits are the gateway's to set, not the client's. */
export const setQuota: Command = {
  when: 'user',
  run(_session, args) {
    args.sp()
    args.astring()
    args.sp()
    args.list(() => {
      args.atom()
      args.sp()
      args.number(Number.MAX_SAFE_INTEGER)
    })
    args.end()
    return no('Only the one who runs this gateway sets quotas', 'NOPERM')
  },
}

export const getQuotaRoot: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    const name = session.readMailbox(args)
    args.end()
    if (session.mailboxes.byName(session.account, name) === undefined) return no('No such mailbox', 'NONEXISTENT')
    if (session.context.services.quota === undefined) return no('There are no quotas here', 'CANNOT')
    session.out.line(`* QUOTAROOT ${session.writeMailbox(name)} ${root}`)
    writeQuota(session)
    return ok('Listed')
  },
}
