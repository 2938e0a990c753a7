/** GETQUOTA and GETQUOTAROOT (RFC 9208): one root for the whole account. */
import type { Command } from '../command.ts'
import { no, ok, Refusal } from '../responses.ts'
import type { Session } from '../session.ts'

const root = '"account"'

/**
 * `undefined` for an account without a limit, which has no root (RFC 9208 §4.2.2 allows none). 2026-11-21: a root with an
 * empty list, `QUOTA "account" ()`, is good by the grammar too, but Thunderbird 153 takes it for a syntax error, and
 * closes the connection of every folder that it opens.
 */
function quotaLine(session: Session): string | undefined {
  const { services } = session.context
  if (services.quota === undefined) throw new Refusal(no('There are no quotas here', 'CANNOT'))
  const { usedBytes, limitBytes } = services.quota(session.account)
  if (limitBytes === undefined) return undefined
  return `* QUOTA ${root} (STORAGE ${Math.ceil(usedBytes / 1024)} ${Math.floor(limitBytes / 1024)})`
}

export const getQuota: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    const name = args.astring()
    args.end()
    const line = name === 'account' ? quotaLine(session) : undefined
    if (line === undefined) return no('No such quota root', 'NONEXISTENT')
    session.out.line(line)
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
    const line = quotaLine(session)
    session.out.line(`* QUOTAROOT ${session.writeMailbox(name)}${line === undefined ? '' : ` ${root}`}`)
    if (line !== undefined) session.out.line(line)
    return ok('Listed')
  },
}
