/** `queue`: what waits to be sent, with reason and next attempt. */
import type { Command } from 'commander'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { printable, table, time } from './format.ts'

type Options = CommonOptions & { readonly account?: string }

export function addQueue(program: Command, environment: Environment): void {
  const queue = program.command('queue').description('What waits to be sent.')
  const verb = (usage: string, description: string): Command =>
    withCommon(queue.command(usage)).description(description).option('--account <account>', 'only this account')

  verb('list', 'Lists what waits, with reason and next attempt.').action(async (options: Options) => {
    const items = await withOperations(environment, options, (operations, context) =>
      operations.queueList({ account: options.account }, context),
    )
    print(environment, options, items, (list) =>
      table(
        ['ID', 'RECIPIENT', 'QUEUED', 'ATTEMPTS', 'NEXT', 'REASON'],
        list.map(({ id, recipient, queuedAtMs, attempts, nextAttemptMs, reason }) => [
          id,
          recipient,
          time(queuedAtMs),
          String(attempts),
          time(nextAttemptMs),
          reason,
        ]),
      ),
    )
  })

  verb('show <id>', 'Shows one message of the queue.').action(async (id: string, options: Options) => {
    const item = await withOperations(environment, options, (operations, context) =>
      operations.queueShow({ account: options.account, id }, context),
    )
    print(environment, options, item, (shown) =>
      [
        `Recipient  ${printable(shown.recipient)}`,
        `Queued     ${time(shown.queuedAtMs)}, given up ${time(shown.expiresAtMs)}`,
        ...(shown.heldUntilMs === undefined ? [] : [`Held until ${time(shown.heldUntilMs)}`]),
        `Size       ${shown.bytes} bytes`,
        `Attempts   ${shown.attempts}, next ${time(shown.nextAttemptMs)}`,
        `Reason     ${printable(shown.reason)}`,
        ...shown.devices.map(({ device, state }) => `Device     ${device.slice(0, 8)} ${state}`),
      ].join('\n'),
    )
  })

  verb('retry [id]', 'Tries one message, or all of them, now.').action(
    async (id: string | undefined, options: Options) => {
      const result = await withOperations(environment, options, (operations, context) =>
        operations.queueRetry({ account: options.account, id }, context),
      )
      print(environment, options, result, ({ retried }) => `Trying ${retried} now.`)
    },
  )

  verb('cancel <id>', 'Takes one message out of the queue; it is not sent.').action(
    async (id: string, options: Options) => {
      const result = await withOperations(environment, options, (operations, context) =>
        operations.queueCancel({ account: options.account, id }, context),
      )
      print(environment, options, result, ({ cancelled }) => `Cancelled ${cancelled}.`)
    },
  )
}
