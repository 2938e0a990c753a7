/** `chat`: conversations on the command line, for scripts and for those who like it so. */
import type { Command } from 'commander'
import type { ChatEvent, ChatMessageView, ConversationView } from '../core/control-views.ts'
import { unreachable } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { formatSize } from '../core/size.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { printable, table, time } from './format.ts'

type Options = CommonOptions & { readonly account?: string }

export function addChat(program: Command, environment: Environment): void {
  const chat = program.command('chat').description('Conversations with contacts and groups.')
  const verb = (usage: string, description: string): Command =>
    withCommon(chat.command(usage)).description(description).option('--account <account>', 'where there are several')

  verb('send <to> [text]', 'Says something; without a text it is read from standard input.')
    .option('--reply-to <message>', 'answers this message')
    .action(async (to: string, given: string | undefined, options: Options & { readonly replyTo?: string }) => {
      const text = await textOf(environment, given)
      const sent = await withOperations(environment, options, (operations, context) =>
        operations.chatSend({ account: options.account, to, text, replyTo: options.replyTo }, context),
      )
      print(environment, options, sent, messageText)
    })

  verb('edit <message> [text]', 'Puts another text in the place of one of your own.').action(
    async (message: string, given: string | undefined, options: Options) => {
      const text = await textOf(environment, given)
      const edited = await withOperations(environment, options, (operations, context) =>
        operations.chatEdit({ account: options.account, message, text }, context),
      )
      print(environment, options, edited, messageText)
    },
  )

  verb('react <message> [reactions...]', 'Reacts to a message; without reactions, takes yours back.').action(
    async (message: string, reactions: readonly string[], options: Options) => {
      const view = await withOperations(environment, options, (operations, context) =>
        operations.chatReact({ account: options.account, message, reactions: [...reactions] }, context),
      )
      print(environment, options, view, messageText)
    },
  )

  verb('delete <message>', 'Takes a message of your own back, for everybody.').action(
    async (message: string, options: Options) => {
      const view = await withOperations(environment, options, (operations, context) =>
        operations.chatDelete({ account: options.account, message }, context),
      )
      print(environment, options, view, messageText)
    },
  )

  verb('list', 'Lists conversations, the latest first.').action(async (options: Options) => {
    const conversations = await withOperations(environment, options, (operations, context) =>
      operations.chatList({ account: options.account }, context),
    )
    print(environment, options, conversations, conversationsText)
  })

  verb('show <with>', 'Shows the latest messages of a conversation.')
    .option('--limit <count>', 'how many', (text) => countOf(text), 50)
    .option('--before <message>', 'those before this one')
    .action(async (whom: string, options: Options & { readonly limit: number; readonly before?: string }) => {
      const { account, limit, before } = options
      const messages = await withOperations(environment, options, (operations, context) =>
        operations.chatShow({ account, with: whom, limit, before }, context),
      )
      print(environment, options, messages, (shown) =>
        shown.length === 0 ? 'Nothing was said yet.' : shown.map(messageText).join('\n'),
      )
    })

  verb('read <with>', 'Marks a conversation as read, up to a message or all of it.')
    .option('--up-to <message>', 'no further than this one')
    .action(async (whom: string, options: Options & { readonly upTo?: string }) => {
      const view = await withOperations(environment, options, (operations, context) =>
        operations.chatRead({ account: options.account, with: whom, upTo: options.upTo }, context),
      )
      print(environment, options, view, ({ name, unread }) => `${printable(name)}: ${unread} unread.`)
    })

  verb('tail [with]', 'Follows what happens, until it is interrupted; with --json one event a line.')
    .option('--after <number>', 'begins after the event of this number', (text) => countOf(text, 0))
    .action(async (whom: string | undefined, options: Options & { readonly after?: number }) => {
      await tail(environment, options, whom)
    })

  verb('settings', 'Shows or changes what others may know and where mail programs show chats.')
    .option('--read-receipts <on|off>', 'whether others hear what you have read')
    .option('--presence <on|off>', 'whether others see that you are there')
    .option('--in-inbox <on|off>', 'whether direct chats are in INBOX, or in folders below Chats')
    .action(
      async (
        options: Options & { readonly readReceipts?: string; readonly presence?: string; readonly inInbox?: string },
      ) => {
        const view = await withOperations(environment, options, (operations, context) =>
          operations.chatSettings(
            {
              account: options.account,
              readReceipts: switchOf(options.readReceipts),
              presence: switchOf(options.presence),
              inInbox: switchOf(options.inInbox),
            },
            context,
          ),
        )
        print(environment, options, view, ({ readReceipts, presence, inInbox }) =>
          [
            `Read receipts  ${onOff(readReceipts)}`,
            `Presence       ${onOff(presence)}`,
            `Chats in INBOX ${onOff(inInbox)}`,
          ].join('\n'),
        )
      },
    )
}

async function textOf({ terminal }: Environment, given: string | undefined): Promise<string> {
  const text = given ?? (await terminal.readStdin(limits.messageInlineBytesMax))
  if (text === '') throw new UsageError('there is no text')
  return text
}

function countOf(text: string, min = 1): number {
  const count = Number(text)
  if (!Number.isSafeInteger(count) || count < min) throw new UsageError(`not a number of at least ${min}: ${text}`)
  return count
}

export function switchOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (text !== 'on' && text !== 'off') throw new UsageError('say on or off')
  return text === 'on'
}

const onOff = (value: boolean): string => (value ? 'on' : 'off')

async function tail(
  environment: Environment,
  options: Options & { readonly after?: number },
  whom: string | undefined,
): Promise<void> {
  const { terminal } = environment
  let rest = ''
  const output = async (bytes: Uint8Array): Promise<void> => {
    const lines = (rest + Buffer.from(bytes).toString()).split('\n')
    rest = lines.pop()!
    for (const line of lines)
      terminal.out(options.json === true ? `${line}\n` : `${eventText(JSON.parse(line) as ChatEvent)}\n`)
  }
  try {
    await withOperations(environment, options, (operations, context) =>
      operations.chatTail({ account: options.account, with: whom, after: options.after }, { ...context, output }),
    )
  } catch (error) {
    if (!terminal.stop.aborted) throw error
  }
}

function eventText({ kind, id, with: name, message, who }: ChatEvent): string {
  const where = printable(name)
  switch (kind) {
    case 'message':
    case 'about':
    case 'file':
      return `${where}: ${message === undefined ? '–' : messageText(message)}`
    case 'read':
      return `${where}: read by ${printable(who?.name ?? '')}`
    case 'delivered':
    case 'failed':
      return `${where}: ${message?.id.slice(0, 8) ?? ''} ${kind === 'failed' ? 'not delivered' : 'delivered'} to ${printable(who?.name ?? '')}`
    case 'struck':
      return `${where}: ${id?.slice(0, 8) ?? ''} counts no more: its author had been removed`
    case 'group':
      return `${where}: its members or its name changed`
    default:
      return unreachable(kind)
  }
}

/** `1f0c…  12:04  Alice: hello`, and below it what else there is to say. */
function messageText(message: ChatMessageView): string {
  const { id, author, sentAtMs, text, file, deleted, editedAtMs, reactions, state, replyTo } = message
  const words = [
    ...(text === undefined ? [] : text.split('\n').map(printable)),
    ...(file === undefined
      ? []
      : [`[file ${printable(file.name)}, ${formatSize(file.size)}${file.here ? '' : ', on its way'}]`]),
    ...(deleted ? ['(taken back)'] : []),
  ]
  const marks = [
    ...(replyTo === undefined ? [] : [`answers ${replyTo.slice(0, 8)}`]),
    ...(editedAtMs === undefined ? [] : ['edited']),
    ...(state === undefined ? [] : [state]),
    ...reactions.map(({ who, reactions: given }) => `${given.map(printable).join(' ')} ${printable(who.name)}`),
  ]
  const name = author.own ? 'you' : printable(author.name)
  const note = marks.length === 0 ? '' : `  (${marks.join(', ')})`
  return `${id.slice(0, 8)}  ${time(sentAtMs)}  ${name}: ${words.join('\n    ')}${note}`
}

function conversationsText(conversations: readonly ConversationView[]): string {
  if (conversations.length === 0) return 'No conversations yet: chat send CONTACT TEXT.'
  return table(
    ['NAME', 'KIND', 'MESSAGES', 'UNREAD', 'LAST'],
    conversations.map(({ name, kind, messages, unread, lastAtMs }) => [
      name,
      kind,
      String(messages),
      String(unread),
      time(lastAtMs),
    ]),
  )
}
