/** `file`: files of conversations, sent from and written to this machine. */
import { createReadStream } from 'node:fs'
import { link, open, rename, rm, stat } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import type { FileView } from '../core/control-views.ts'
import { fileNameOf } from '../core/delivery/file-name.ts'
import { formatSize } from '../core/size.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { printable, table, time } from './format.ts'
import { showStanding } from './progress.ts'

type Options = CommonOptions & { readonly account?: string }

export function addFile(program: Command, environment: Environment): void {
  const file = program.command('file').description('Files in conversations with contacts and groups.')
  const verb = (usage: string, description: string): Command =>
    withCommon(file.command(usage)).description(description).option('--account <account>', 'where there are several')

  verb('send <to> <file>', 'Sends a file to a contact or a group.')
    .option('--type <type>', 'its media type; told from its name otherwise')
    .option('--text <text>', 'words beside it')
    .action(async (to: string, path: string, options: Options & { readonly type?: string; readonly text?: string }) => {
      print(environment, options, await send(environment, to, path, options), sentText)
    })

  verb('get <message>', 'Writes the file of a message to this folder, once it is here.')
    .option('--out <file>', 'where to write it')
    .option('--force', 'replace a file that is there')
    .action(async (message: string, options: Options & { readonly out?: string; readonly force?: boolean }) => {
      print(environment, options, await get(environment, message, options), ({ path, size }) =>
        printable(`${path}, ${formatSize(size)}`),
      )
    })

  verb('list [with]', 'Lists files, the latest last; those on their way with how far they have come.').action(
    async (whom: string | undefined, options: Options) => {
      const files = await withOperations(environment, options, (operations, context) =>
        operations.fileList({ account: options.account, with: whom }, context),
      )
      print(environment, options, files, filesText)
    },
  )
}

async function send(
  environment: Environment,
  to: string,
  path: string,
  { type, text, ...options }: Options & { readonly type?: string; readonly text?: string },
): Promise<FileView> {
  const found = await stat(path).catch((cause: unknown) => {
    throw new UsageError(`${path} cannot be found or read`, { cause })
  })
  if (!found.isFile()) throw new UsageError(`${path} is not a file`)
  const standing = { bytes: 0, bytesTotal: found.size }
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
      standing.bytes += piece.length
      yield piece
    }
  }
  return await withOperations(environment, options, async (operations, context) => {
    using _ = showStanding(environment.terminal, () => standing)
    const named = { account: options.account, to, name: basename(path), mediaType: type ?? typeOf(path) }
    return await operations.fileSend({ ...named, bytes: found.size, text }, { ...context, input: counted() })
  })
}

async function get(
  environment: Environment,
  message: string,
  { out, force = false, ...options }: Options & { readonly out?: string; readonly force?: boolean },
): Promise<FileView & { readonly path: string }> {
  if (out !== undefined && !force && (await exists(out)))
    throw new UsageError(`${out} is there already; --force replaces it`)
  const part = `${out ?? join('.', message)}.${process.pid}.part`
  const target = await open(part, 'wx', 0o600)
  const standing = { bytes: 0, bytesTotal: 0 }
  let written = 0
  try {
    const got = await withOperations(environment, options, async (operations, context) => {
      using _ = showStanding(environment.terminal, () => standing)
      return await operations.fileGet(
        { account: options.account, message },
        {
          ...context,
          progress: ({ done = 0, total = 0 }) => Object.assign(standing, { bytes: done, bytesTotal: total }),
          output: async (bytes) => {
            written += bytes.length
            standing.bytes = written
            await target.writeFile(bytes)
          },
        },
      )
    })
    await target.sync()
    await target.close()
    const path = out ?? fileNameOf(got.name)
    await (force ? rename(part, path) : put(part, path))
    return { ...got, path: resolve(path) }
  } finally {
    await target.close().catch(() => {})
    await rm(part, { force: true })
  }
}

/** Never over something that is there. */
async function put(part: string, path: string): Promise<void> {
  try {
    await link(part, path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause
    throw new UsageError(`${path} is there already; --force replaces it, --out gives it another name`, { cause })
  }
}

const exists = async (path: string): Promise<boolean> =>
  await stat(path).then(
    () => true,
    () => false,
  )

const types: Readonly<Record<string, string>> = {
  '.gif': 'image/gif',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.mp3': 'audio/mpeg',
  '.mp4': 'video/mp4',
  '.ogg': 'audio/ogg',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.txt': 'text/plain',
  '.webp': 'image/webp',
  '.zip': 'application/zip',
}
const typeOf = (path: string): string => types[extname(path).toLowerCase()] ?? 'application/octet-stream'

const sentText = ({ message, name, size, with: whom }: FileView): string =>
  printable(`${name}, ${formatSize(size)}, to ${whom}: ${message.slice(0, 8)}`)

function filesText(files: readonly FileView[]): string {
  if (files.length === 0) return 'No files yet: file send CONTACT FILE.'
  return table(
    ['MESSAGE', 'SENT', 'WITH', 'FROM', 'NAME', 'SIZE', 'STATE'],
    files.map((file) => [
      file.message.slice(0, 8),
      time(file.sentAtMs),
      printable(file.with),
      file.author.own ? 'you' : printable(file.author.name),
      printable(file.name),
      formatSize(file.size),
      stateText(file),
    ]),
  )
}

const reasons: Readonly<Record<string, string>> = {
  'mailbox-full': 'no room for it',
  'message-too-large': 'too large',
}

function stateText({ state, reason = '', bytes, size, bytesPerSecond }: FileView): string {
  if (state === 'refused') return `not fetched: ${reasons[reason] ?? reason}`
  if (state === 'absent') return 'not here: file get fetches it'
  if (state === 'here') return 'here'
  const rate = bytesPerSecond === 0 ? 'waiting' : `${formatSize(bytesPerSecond)}/s`
  return `${Math.floor((bytes / size) * 100)}%, ${rate}`
}
