/** `queue`: what waits to be sent, with reason and next attempt. */
import type { Command } from 'commander'
import type { QueueItem } from '../core/control-views.ts'
import { formatSize } from '../core/size.ts'
import { span } from '../core/span.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { indented, printable, shortAddress, table, time } from './format.ts'
import { nextText } from './reach-text.ts'

type Options = CommonOptions & { readonly account?: string }

export function addQueue(program: Command, environment: Environment): void {
  const queue = program.command('queue').description('What waits to be sent.')
  const verb = (usage: string, description: string): Command =>
    withCommon(queue.command(usage)).description(description).option('--account <account>', 'only this account')

  verb('list', 'Lists what waits, with reason and next attempt.').action(async (options: Options) => {
    const items = await withOperations(environment, options, (operations, context) =>
      operations.queueList({ account: options.account }, context),
    )
    print(environment, options, items, queueText)
  })

  verb('show <id>', 'Shows one message of the queue.').action(async (id: string, options: Options) => {
    const item = await withOperations(environment, options, (operations, context) =>
      operations.queueShow({ account: options.account, id }, context),
    )
    print(environment, options, item, (shown) =>
      [
        `Recipient  ${printable(shown.recipient)}`,
        `From       account ${printable(shown.account)}`,
        `Queued     ${time(shown.queuedAtMs)}, given up ${time(shown.expiresAtMs)}`,
        ...(shown.heldUntilMs === undefined ? [] : [`Held until ${time(shown.heldUntilMs)}`]),
        `Size       ${formatSize(shown.bytes)}`,
        `Waits for  ${printable(shown.reason)}`,
        ...(shown.remedy === undefined ? [] : [`To do      ${printable(shown.remedy)}`]),
        ...(shown.attempts === 0 ? [] : [`Attempts   ${shown.attempts}, ${nextText(shown.nextAttemptMs, Date.now())}`]),
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

/** A line for each message, and below those that share it why they wait. */
function queueText(items: readonly QueueItem[]): string {
  if (items.length === 0) return 'Nothing waits to be sent.'
  const nowMs = Date.now()
  const rows = items.map(({ id, account, recipient, queuedAtMs, bytes, attempts }) => [
    id,
    account,
    shortAddress(recipient, 40),
    span(nowMs - queuedAtMs),
    formatSize(bytes),
    String(attempts),
  ])
  const [head, ...lines] = table(['ID', 'ACCOUNT', 'RECIPIENT', 'WAITING', 'SIZE', 'TRIED'], rows).split('\n')
  const explained = items.flatMap((item, index) => {
    const isLast = whyOf(item) !== (items[index + 1] && whyOf(items[index + 1]!))
    return [lines[index]!, ...(isLast ? reasonsText(item, nowMs) : [])]
  })
  return [head!, ...explained].join('\n')
}

const whyOf = ({ recipient, reason }: QueueItem): string => `${recipient} ${reason}`

function reasonsText({ reason, remedy, nextAttemptMs }: QueueItem, nowMs: number): readonly string[] {
  const next = nextAttemptMs === undefined ? '' : `; ${nextText(nextAttemptMs, nowMs)}`
  return [indented(reason + next), ...(remedy === undefined ? [] : [indented(`→ ${remedy}`)])]
}
