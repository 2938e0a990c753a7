/** `import` and `export`: mail from and to the files of other programs. */
import { mkdir, realpath, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { ByteStream } from '../core/byte-stream.ts'
import type { MailProblem } from '../core/control-views.ts'
import { decodeMail, encodeMail, GivenUp, type MailEvent } from '../core/transfer/mail-stream.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { printable } from './format.ts'
import { maildirMessages, measureMaildir } from './mail-files/maildir-source.ts'
import { MaildirTarget } from './mail-files/maildir-target.ts'
import { mboxMessages, measureMbox } from './mail-files/mbox-source.ts'
import { MboxTarget, thunderbirdPath } from './mail-files/mbox-target.ts'
import { newCounts, report } from './mail-files/source.ts'
import type { MailTarget } from './mail-files/target.ts'
import { showStanding } from './progress.ts'

type Options = CommonOptions & {
  readonly maildir?: string
  readonly mbox?: string
  readonly account?: string
  readonly mailbox?: string
  readonly force?: boolean
}

interface Outcome {
  readonly added?: number
  readonly known?: number
  readonly messages?: number
  readonly skipped: number
  readonly problems: readonly MailProblem[]
}

export function addTransfer(program: Command, environment: Environment): void {
  const verb = (name: string, description: string): Command =>
    withCommon(program.command(name))
      .description(description)
      .option('--maildir <dir>', 'a Maildir, with its folders')
      .option('--account <account>', 'which account, where there are several')

  verb('import', 'Brings in mail from a Maildir or from mbox files.')
    .option('--mbox <path>', 'an mbox file, or a folder of them such as Thunderbird’s Mail folder')
    .option('--mailbox <name>', 'where it goes: in and below this mailbox (default: INBOX, and folders by their names)')
    .addHelpText('after', importHelp)
    .action(async (options: Options) => {
      const outcome = await runImport(environment, options)
      print(environment, options, outcome, importText)
    })

  verb('export', 'Writes mail to a Maildir or to mbox files; nothing is removed here.')
    .option('--mbox <path>', 'one mbox file for the mailbox of --mailbox; without it, a folder with a file for each')
    .option('--mailbox <name>', 'only this mailbox, with those below it in a Maildir')
    .option('--force', 'replace mbox files that are there')
    .addHelpText('after', exportHelp)
    .action(async (options: Options) => {
      const outcome = await runExport(environment, options)
      print(environment, options, outcome, exportText)
    })
}

const importHelp = `
A message that is in its mailbox already, octet for octet, is not added again: running the same import twice adds
nothing, and one that was interrupted goes on where it was. Flags of messages that are there stay as they are.
Files that cannot be read, links and messages above 50 MB are left out and named at the end.`

const exportHelp = `
A second export into the same Maildir adds what is new. In mbox files line ends become LF, and CRLF again at import.`

function whereOf({ maildir, mbox }: Options): { readonly kind: 'maildir' | 'mbox'; readonly path: string } {
  if ((maildir === undefined) === (mbox === undefined)) throw new UsageError('name one of --maildir and --mbox')
  return maildir === undefined ? { kind: 'mbox', path: mbox! } : { kind: 'maildir', path: maildir }
}

async function runImport(environment: Environment, options: Options): Promise<Outcome> {
  const { kind, path } = whereOf(options)
  const root = await rootOf(path)
  if (kind === 'maildir' && !(await stat(root)).isDirectory()) throw new UsageError(`${path} is not a folder`)
  const counts = newCounts()
  const bytesTotal = kind === 'maildir' ? await measureMaildir(root) : await measureMbox(root)
  const messages = kind === 'maildir' ? maildirMessages : mboxMessages
  const result = await withOperations(environment, options, async (operations, context) => {
    using _ = showStanding(environment.terminal, () => ({ bytes: counts.bytes, bytesTotal, messages: counts.messages }))
    const input = encodeMail(messages(root, options.mailbox, counts))
    return await operations.mailImport({ account: options.account }, { ...context, input })
  })
  return {
    added: result.added,
    known: result.known,
    skipped: result.refused + counts.problems,
    problems: [...counts.reports, ...result.refusals],
  }
}

/** The person may name a link; below it none is followed. */
async function rootOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (cause) {
    throw new UsageError(`${path} cannot be found or read`, { cause })
  }
}

async function runExport(environment: Environment, options: Options): Promise<Outcome> {
  const target = await targetOf(options)
  const counts = newCounts()
  let written = 0
  let bytesTotal = 0
  try {
    await withOperations(environment, options, async (operations, context) => {
      using _ = showStanding(environment.terminal, () => ({
        bytes: counts.bytes,
        bytesTotal,
        messages: counts.messages,
      }))
      const arrived = new ByteStream()
      const writing = writeAll(decodeMail(arrived), {
        total: (bytes) => (bytesTotal = bytes),
        message: async (event) => {
          if (await target.message(event.head, counting(event.body))) written += 1
          counts.messages += 1
        },
        mailbox: async (name) => await target.mailbox(name),
        problem: (name, reason) => report(counts, name, reason),
      })
      async function* counting(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const piece of body) {
          counts.bytes += piece.length
          yield piece
        }
      }
      writing.catch((error: unknown) => arrived.fail(error))
      const output = async (bytes: Uint8Array): Promise<void> => await arrived.push(bytes, false)
      try {
        await operations.mailExport({ account: options.account, mailbox: options.mailbox }, { ...context, output })
        await arrived.push(undefined, true)
      } catch (error) {
        arrived.fail(error)
        throw error
      } finally {
        await writing.catch(() => {})
      }
      await writing
    })
    await target.finish()
  } finally {
    if (target instanceof MboxTarget) await target.discard()
  }
  return { messages: written, known: counts.messages - written, skipped: counts.problems, problems: counts.reports }
}

async function writeAll(
  events: AsyncIterable<MailEvent>,
  to: {
    readonly total: (bytes: number) => void
    readonly mailbox: (name: string) => Promise<void>
    readonly message: (event: Extract<MailEvent, { kind: 'message' }>) => Promise<void>
    readonly problem: (name: string, reason: string) => void
  },
): Promise<void> {
  for await (const event of events) {
    if (event.kind === 'total') to.total(event.bytes)
    else {
      const name = event.kind === 'mailbox' ? event.mailbox : `${event.head.mailbox} ${event.head.name}`
      try {
        await (event.kind === 'mailbox' ? to.mailbox(event.mailbox) : to.message(event))
      } catch (error) {
        if (!(error instanceof GivenUp)) throw error
        to.problem(name, error.message)
      }
    }
  }
}

/** Names below the exported mailbox stand for themselves: an import into a mailbox brings them back. */
async function targetOf(options: Options): Promise<MailTarget & Partial<Pick<MboxTarget, 'discard'>>> {
  const { kind, path } = whereOf(options)
  const { mailbox: root, force = false } = options
  if (kind === 'maildir') {
    await mkdir(path, { recursive: true, mode: 0o700 })
    const own = root ?? 'INBOX'
    return new MaildirTarget(path, (name) => {
      if (name.toLowerCase() === own.toLowerCase()) return undefined
      return root === undefined ? name : name.slice(root.length + 1)
    })
  }
  if (root === undefined) return new MboxTarget((name) => thunderbirdPath(path, name), { force })
  return new MboxTarget(
    (name) => (name.length === root.length ? path : thunderbirdPath(`${path}.sbd`, name.slice(root.length + 1))),
    { force },
  )
}

function importText({ added, known, skipped, problems }: Outcome): string {
  return [`Added ${added}; ${known} were there already; ${skipped} left out.`, ...problemLines(problems, skipped)].join(
    '\n',
  )
}

function exportText({ messages, known, skipped, problems }: Outcome): string {
  return [
    `Wrote ${messages}; ${known} were there already; ${skipped} left out.`,
    ...problemLines(problems, skipped),
  ].join('\n')
}

function problemLines(problems: readonly MailProblem[], skipped: number): readonly string[] {
  const lines = problems.map(({ name, reason }) => `  ${printable(name)}: ${printable(reason)}`)
  return skipped > problems.length ? [...lines, `  and ${skipped - problems.length} more`] : lines
}
