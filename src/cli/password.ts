/** `password`: one app password for each mail program, so that one can be revoked alone. */
import type { Command } from 'commander'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { table, time } from './format.ts'

type Options = CommonOptions & { readonly account?: string; readonly name?: string }

export function addPassword(program: Command, environment: Environment): void {
  const password = program.command('password').description('App passwords for mail programs.')

  withCommon(password.command('add'))
    .description('Makes an app password and shows it this once.')
    .option('--account <account>', 'account, where there are several')
    .option('--name <name>', 'what it is for, e.g. "Thunderbird at home"')
    .action(async (options: Options) => {
      const made = await withOperations(environment, options, (operations, context) =>
        operations.passwordAdd({ account: options.account, name: options.name }, context),
      )
      print(environment, options, made, ({ name, password }) => `${password}   (${name}; shown only now)`)
    })

  withCommon(password.command('list'))
    .description('Lists app passwords by name, never themselves.')
    .option('--account <account>', 'account, where there are several')
    .action(async (options: Options) => {
      const passwords = await withOperations(environment, options, (operations, context) =>
        operations.passwordList({ account: options.account }, context),
      )
      print(environment, options, passwords, (list) =>
        table(
          ['NAME', 'CREATED', 'LAST USED'],
          list.map(({ name, createdAtMs, lastUsedMs }) => [name, time(createdAtMs), time(lastUsedMs)]),
        ),
      )
    })

  withCommon(password.command('revoke <name>'))
    .description('Revokes an app password; its program cannot log in any more.')
    .option('--account <account>', 'account, where there are several')
    .action(async (name: string, options: Options) => {
      const revoked = await withOperations(environment, options, (operations, context) =>
        operations.passwordRevoke({ account: options.account, name }, context),
      )
      print(environment, options, revoked, ({ revoked }) => `Revoked ${revoked}.`)
    })
}
