/** Reads a Maildir: Maildir++ folders (`.Sent.2024`) and folders in folders (`Sent/2024`), also both. */
import { join } from 'node:path'
import { limits } from '../../core/limits.ts'
import type { Flag } from '../../core/mailbox/mailbox.ts'
import { flagsOfName, levelOf, mailboxOfFolder, parseKeywords } from '../../core/transfer/maildir-names.ts'
import { GivenUp, type MailEvent } from '../../core/transfer/mail-stream.ts'
import { contentOf, entriesOf, openRegular, reasonOf } from './files.ts'
import { headOf, type ImportCounts, mailboxUnder, report } from './source.ts'

interface Folder {
  readonly path: string
  readonly mailbox: string
}

const own: ReadonlySet<string> = new Set(['cur', 'new', 'tmp'])
const keywordsBytesMax = 64 * 1024

/** The messages of all folders below `root`. @param under the mailbox that the Maildir's own messages go to */
export async function* maildirMessages(
  root: string,
  under: string | undefined,
  counts: ImportCounts,
): AsyncGenerator<MailEvent> {
  for await (const folder of foldersOf(root, under, counts)) {
    yield { kind: 'mailbox', mailbox: folder.mailbox }
    const keywords = await keywordsOf(folder.path)
    for (const part of ['new', 'cur']) yield* filesOf(folder, part, { keywords, counts })
  }
}

/** Files and octets that an import will read; what cannot be read is reported by the import itself. */
export async function measureMaildir(root: string): Promise<number> {
  let bytes = 0
  for await (const { path } of foldersOf(root, undefined, undefined)) {
    for (const part of ['new', 'cur']) {
      for (const entry of await entriesOf(join(path, part)).catch(() => [])) {
        if (!entry.isFile()) continue
        bytes += await sizeOf(join(path, part, entry.name))
      }
    }
  }
  return bytes
}

async function sizeOf(path: string): Promise<number> {
  try {
    await using file = await openRegular(path)
    return file.size
  } catch {
    return 0
  }
}

async function* filesOf(
  { path, mailbox }: Folder,
  part: string,
  { keywords, counts }: { readonly keywords: readonly Flag[]; readonly counts: ImportCounts },
): AsyncGenerator<MailEvent> {
  const folder = join(path, part)
  for (const entry of await listed(folder, counts)) {
    const name = join(folder, entry.name)
    if (entry.name.startsWith('.')) continue // no message of a Maildir has such a name
    try {
      if (!entry.isFile())
        throw new GivenUp(
          entry.isSymbolicLink() ? 'is a symbolic link, which is not followed' : 'is not a regular file',
        )
      await using file = await openRegular(name)
      const head = headOf({ mailbox, flags: flagsOfName(entry.name, keywords), dateMs: file.modifiedMs, name })
      yield { kind: 'message', head, body: counted(contentOf(file), name, counts) }
    } catch (error) {
      report(counts, name, reasonOf(error))
    }
  }
}

/** Says what failed, here and to the other end. */
export async function* counted(
  body: AsyncIterable<Uint8Array>,
  name: string,
  counts: ImportCounts,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of body) {
      counts.bytes += piece.length
      yield piece
    }
    counts.messages += 1
  } catch (error) {
    report(counts, name, reasonOf(error))
    throw error instanceof GivenUp ? error : new GivenUp(reasonOf(error), { cause: error })
  }
}

async function listed(folder: string, counts: ImportCounts): ReturnType<typeof entriesOf> {
  try {
    return await entriesOf(folder)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) report(counts, folder, reasonOf(error))
    return []
  }
}

async function* foldersOf(
  root: string,
  under: string | undefined,
  counts: ImportCounts | undefined,
): AsyncGenerator<Folder> {
  async function* visit(path: string, levels: readonly string[]): AsyncGenerator<Folder> {
    const entries = (await entriesOf(path).catch(() => [])).filter((entry) => entry.isDirectory())
    const names = new Set(entries.map(({ name }) => name))
    const mailbox = mailboxUnder(under, levels)
    if (names.has('cur') || names.has('new')) {
      if (mailbox !== undefined) yield { path, mailbox }
      else if (counts !== undefined) report(counts, path, 'is a folder with a name that no mailbox may have')
    }
    if (levels.length >= limits.importDepthMax) return
    for (const { name } of entries) {
      if (own.has(name)) continue
      const more = name.startsWith('.') ? mailboxOfFolder(name).split('/') : [levelOf(name)]
      yield* visit(join(path, name), [...levels, ...more])
    }
  }
  yield* visit(root, [])
}

async function keywordsOf(folder: string): Promise<readonly Flag[]> {
  try {
    await using file = await openRegular(join(folder, 'dovecot-keywords'))
    const text = await file.read(0, Math.min(file.size, keywordsBytesMax))
    return parseKeywords(Buffer.from(text).toString('utf8'))
  } catch {
    return []
  }
}
