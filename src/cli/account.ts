/** `account`: more users on one gateway. */
import type { Command } from 'commander'
import type { AccountView } from '../core/control.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { table } from './format.ts'
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

  withCommon(account.command('remove <account>'))
    .description('Removes an account with its mail, contacts and keys. Cannot be undone.')
    .option('--yes', 'do not ask')
    .action(async (name: string, options: CommonOptions & { yes?: boolean }) => {
      await confirmRemoval(environment, name, options.yes === true)
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

async function confirmRemoval({ terminal }: Environment, name: string, yes: boolean): Promise<void> {
  if (yes) return
  if (!terminal.interactive) throw new UsageError('removing an account needs --yes')
  const typed = await terminal.ask(`Removes all mail and keys of ${name}. Type its name again: `)
  if (typed !== name) throw new UsageError('not the same name; nothing was removed')
}

function accountsText(accounts: readonly AccountView[]): string {
  return table(
    ['ACCOUNT', 'ADDRESSES', 'FINGERPRINT', 'STATE'],
    accounts.map(({ localName, addresses, fingerprint, disabled, recoveryConfirmed }) => [
      localName,
      addresses.join(' '),
      fingerprint,
      disabled ? 'disabled' : recoveryConfirmed ? 'active' : 'active, recovery words not confirmed',
    ]),
  )
}
