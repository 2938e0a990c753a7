/** `account`: more users on one gateway. */
import type { Command } from 'commander'
import type { AccountDetails, AccountHandedOver, AccountView } from '../core/control-views.ts'
import { formatSize, parseSize } from '../core/size.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { printable, table, time } from './format.ts'
import { newAccountText } from './init.ts'

export function addAccount(program: Command, environment: Environment): void {
  const account = program.command('account').description('The users of this gateway.')

  withCommon(account.command('add <address>'))
    .description('Adds an account. Shows its recovery words and first app password this once.')
    .option('--display-name <name>', 'name shown beside the address')
    .action(async (address: string, options: CommonOptions & { displayName?: string }) => {
      const created = await withOperations(environment, options, (operations, context) =>
        operations.accountAdd({ address, displayName: options.displayName }, context),
      )
      print(environment, options, created, newAccountText)
    })

  withCommon(account.command('list'))
    .description('Lists the accounts.')
    .action(async (options: CommonOptions) => {
      const accounts = await withOperations(environment, options, (operations, context) =>
        operations.accountList({}, context),
      )
      print(environment, options, accounts, accountsText)
    })

  withCommon(account.command('show [account]'))
    .description('Shows one account: room used, last login, app passwords, contacts, what waits.')
    .action(async (name: string | undefined, options: CommonOptions) => {
      const details = await withOperations(environment, options, (operations, context) =>
        operations.accountShow({ account: name }, context),
      )
      print(environment, options, details, detailsText)
    })

  withCommon(account.command('quota <account> <size>'))
    .description(
      'Sets how much mail an account may keep: a size such as 5GB, none, or default (what the configuration says).',
    )
    .action(async (name: string, size: string, options: CommonOptions) => {
      const quota = quotaOf(size)
      const view = await withOperations(environment, options, (operations, context) =>
        operations.accountQuota({ account: name, quota }, context),
      )
      print(environment, options, view, (view) => accountsText([view]))
    })

  withCommon(account.command('hand-over <account>'))
    .description(
      'Gives an account to another person: ends every app password, session and open invitation, makes one new password.',
    )
    .option('--display-name <name>', 'name shown beside the address from now on')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: CommonOptions & { displayName?: string; yes?: boolean }) => {
      await confirm(environment, options.yes === true, name, 'Ends every app password of')
      const handedOver = await withOperations(environment, options, (operations, context) =>
        operations.accountHandOver({ account: name, displayName: options.displayName }, context),
      )
      print(environment, options, handedOver, handedOverText)
    })

  withCommon(account.command('remove <account>'))
    .description('Removes an account with its mail, contacts and keys. Cannot be undone.')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: CommonOptions & { yes?: boolean }) => {
      await confirm(environment, options.yes === true, name, 'Removes all mail and keys of')
      const removed = await withOperations(environment, options, (operations, context) =>
        operations.accountRemove({ account: name }, context),
      )
      print(environment, options, removed, ({ removed }) => `Removed ${removed}.`)
    })

  for (const [verb, disabled] of [
    ['disable', true],
    ['enable', false],
  ] as const) {
    withCommon(account.command(`${verb} <account>`))
      .description(disabled ? 'Stops logins and delivery for an account; keeps everything.' : 'Ends what disable did.')
      .action(async (name: string, options: CommonOptions) => {
        const view = await withOperations(environment, options, (operations, context) =>
          operations.accountDisable({ account: name, disabled }, context),
        )
        print(environment, options, view, (view) => accountsText([view]))
      })
  }
}

async function confirm({ terminal }: Environment, yes: boolean, name: string, what: string): Promise<void> {
  if (yes) return
  if (!terminal.interactive) throw new UsageError('this needs --yes, because it cannot be undone')
  const typed = await terminal.ask(`${what} ${name}. Type its name again: `)
  if (typed !== name) throw new UsageError('not the same name; nothing was changed')
}

function quotaOf(size: string): number | 'none' | 'default' {
  if (size === 'default') return size
  const bytes = parseSize(size)
  if (bytes === undefined) throw new UsageError('not a size: use e.g. 500MB or 5GB, none, or default')
  return bytes === Infinity ? 'none' : bytes
}

const room = ({ usedBytes, quotaBytes }: AccountView): string =>
  quotaBytes === undefined ? formatSize(usedBytes) : `${formatSize(usedBytes)} of ${formatSize(quotaBytes)}`

function detailsText(account: AccountDetails): string {
  const { messages, mailboxes, contacts, passwords, queued } = account
  return [
    accountsText([account]),
    '',
    `Name        ${printable(account.displayName)}`,
    `Identity    ${account.identity}`,
    `Since       ${time(account.createdAtMs)}, last login ${time(account.lastLoginMs)}`,
    `Quota       ${account.quotaBytes === undefined ? 'none' : formatSize(account.quotaBytes)}${account.quotaIsOwn ? '' : ' (default)'}`,
    `Mail        ${messages} messages in ${mailboxes} mailboxes${queued === undefined ? '' : `, ${queued} waiting to be delivered`}`,
    `Clients     ${passwords} app passwords`,
    ...(account.fileBytes === 0 ? [] : [`Files       ${formatSize(account.fileBytes)}`]),
    `Contacts    ${contacts}`,
    `Words       ${account.wordsKept ? 'kept here until somebody confirms them: recovery show' : 'with whoever wrote them down'}`,
  ].join('\n')
}

function handedOverText({ address, localName, password, revoked, wordsKept }: AccountHandedOver): string {
  return [
    `${address} is handed over: ${revoked} app passwords and every open invitation ended.`,
    `New app password  ${password}   (user ${localName}; shown only now)`,
    wordsKept
      ? 'The recovery words are still kept here: the new holder runs recovery show, then recovery confirm.'
      : 'The former holder may have the recovery words, and with them a claim on this identity that nothing can end.',
  ].join('\n')
}

function accountsText(accounts: readonly AccountView[]): string {
  return table(
    ['ACCOUNT', 'ADDRESSES', 'ROOM', 'FINGERPRINT', 'STATE'],
    accounts.map((account) => [
      account.localName,
      account.addresses.join(' '),
      room(account),
      account.fingerprint,
      account.disabled ? 'disabled' : account.recoveryConfirmed ? 'active' : 'active, recovery words not confirmed',
    ]),
  )
}
