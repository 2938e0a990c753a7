/** `audit list`: what was administered on this gateway, and when. */
import type { Command } from 'commander'
import type { AuditEntryView } from '../core/control-views.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { table, time } from './format.ts'

export function addAudit(program: Command, environment: Environment): void {
  const audit = program.command('audit').description('What was administered on this gateway.')

  withCommon(audit.command('list'))
    .description('Shows the latest entries of the audit log, with the names of accounts that still exist.')
    .option('--account <account>', 'of this account only')
    .option('--limit <number>', 'how many at most', '100')
    .action(async (options: CommonOptions & { account?: string; limit: string }) => {
      if (!/^[1-9]\d{0,4}$/.test(options.limit)) throw new UsageError('--limit takes a number from 1')
      const entries = await withOperations(environment, options, (operations, context) =>
        operations.auditList({ account: options.account, limit: Number(options.limit) }, context),
      )
      print(environment, options, entries, auditText)
    })
}

function auditText(entries: readonly AuditEntryView[]): string {
  return table(
    ['TIME', 'ACTION', 'ACCOUNT', ''],
    entries.map(({ atMs, action, account, accountName, details }) => [
      time(atMs),
      action,
      accountName ?? (account === undefined ? '' : `(gone: ${account.slice(0, 8)})`),
      Object.entries(details)
        .map(([key, value]) => `${key}=${value}`)
        .join(' '),
    ]),
  )
}
