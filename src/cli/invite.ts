/** `invite`: how two people become contacts. */
import type { Command } from 'commander'
import { toString as qrText } from 'qrcode'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { parseDuration, printable, table, time } from './format.ts'

type Options = CommonOptions & { readonly account?: string }

export function addInvite(program: Command, environment: Environment): void {
  const invite = program.command('invite').description('Invitations: how two people become contacts.')
  const accountOption = ['--account <account>', 'account, where there are several'] as const

  withCommon(invite.command('create'))
    .description('Makes an invitation for one person: whoever has the link first becomes your contact.')
    .option(...accountOption)
    .option('--expires <duration>', 'how long it is good for', '7d')
    .action(async (options: Options & { expires: string }) => {
      const expiresMs = parseDuration(options.expires)
      const { link, expiresAtMs } = await withOperations(environment, options, (operations, context) =>
        operations.inviteCreate({ account: options.account, expiresMs }, context),
      )
      const qr = await qrText(link, { type: 'utf8', errorCorrectionLevel: 'L' })
      print(environment, options, { link, qr, expiresAtMs }, () =>
        [qr, link, '', `Good for one person until ${time(expiresAtMs)}. The other runs: invite accept LINK`].join('\n'),
      )
    })

  withCommon(invite.command('accept <link>'))
    .description('Accepts an invitation: makes both sides contacts.')
    .option(...accountOption)
    .action(async (link: string, options: Options) => {
      const accepted = await withOperations(environment, options, (operations, context) =>
        operations.inviteAccept({ account: options.account, link }, context),
      )
      print(environment, options, accepted, ({ address, fingerprint, tier, state }) =>
        [
          state === 'pending'
            ? `${printable(address)} is away. Mail to them waits; it leaves when both gateways are on, or by way of relays.`
            : `${printable(address)} is your contact now (${tier}).`,
          `Fingerprint ${fingerprint}; compare it with: contact verify ${printable(address)}`,
        ].join('\n'),
      )
    })

  withCommon(invite.command('list'))
    .description('Lists the invitations made here.')
    .option(...accountOption)
    .action(async (options: Options) => {
      const invitations = await withOperations(environment, options, (operations, context) =>
        operations.inviteList({ account: options.account }, context),
      )
      print(environment, options, invitations, (list) =>
        table(
          ['ID', 'CREATED', 'EXPIRES', 'STATE'],
          list.map(({ id, createdAtMs, expiresAtMs, state }) => [id, time(createdAtMs), time(expiresAtMs), state]),
        ),
      )
    })

  withCommon(invite.command('revoke <id>'))
    .description('Withdraws an invitation that nobody has used.')
    .option(...accountOption)
    .action(async (id: string, options: Options) => {
      const revoked = await withOperations(environment, options, (operations, context) =>
        operations.inviteRevoke({ account: options.account, id }, context),
      )
      print(environment, options, revoked, ({ revoked }) => `Revoked ${revoked}.`)
    })
}
