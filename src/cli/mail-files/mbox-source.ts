/** Reads an mbox file, or a folder of them as Thunderbird keeps it: `Name` beside `Name.sbd/` with what is below it. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { GivenUp, type MailEvent } from '../../core/transfer/mail-stream.ts'
import { mailboxLevelOf } from '../../core/transfer/mbox-names.ts'
import { readMbox } from '../../core/transfer/mbox-reader.ts'
import { entriesOf, openRegular, reasonOf, tooLarge } from './files.ts'
import { counted } from './maildir-source.ts'
import { headOf, type ImportCounts, mailboxUnder, report } from './source.ts'

interface MboxFile {
  readonly path: string
  readonly mailbox: string | undefined
}

/** @param under the mailbox of a single file, or above those of a folder's files */
export async function* mboxMessages(
  root: string,
  under: string | undefined,
  counts: ImportCounts,
): AsyncGenerator<MailEvent> {
  for await (const file of mboxFiles(root, under)) yield* messagesOf(file, counts)
}

export async function measureMbox(root: string): Promise<number> {
  let bytes = 0
  for await (const { path } of mboxFiles(root, undefined)) {
    try {
      await using file = await openRegular(path)
      bytes += file.size
    } catch {
      // The import says so.
    }
  }
  return bytes
}

async function* mboxFiles(root: string, under: string | undefined): AsyncGenerator<MboxFile> {
  if (!(await stat(root)).isDirectory()) {
    yield { path: root, mailbox: mailboxUnder(under, []) }
    return
  }
  async function* visit(folder: string, levels: readonly string[], depth: number): AsyncGenerator<MboxFile> {
    for (const entry of await entriesOf(folder).catch(() => [])) {
      const path = join(folder, entry.name)
      if (entry.isDirectory() && depth < limits.importDepthMax) {
        // Beside `Name.sbd` there are folders of whole accounts, as Local Folders: their mailboxes are put together.
        const isBelow = entry.name.endsWith('.sbd')
        const more = isBelow ? [mailboxLevelOf(entry.name.slice(0, -'.sbd'.length))] : []
        yield* visit(path, [...levels, ...more], depth + 1)
      } else if (!entry.isDirectory() && !other.test(entry.name)) {
        yield { path, mailbox: mailboxUnder(under, [...levels, mailboxLevelOf(entry.name)]) }
      }
    }
  }
  yield* visit(root, [], 0)
}

/** Files of Thunderbird that hold no mail. */
const other = /^\.|\.(?:msf|dat|html|json|lck|log|sqlite|mab|bak|txt)$/i

async function* messagesOf({ path, mailbox }: MboxFile, counts: ImportCounts): AsyncGenerator<MailEvent> {
  const before = counts.bytes
  try {
    if (mailbox === undefined) throw new GivenUp('has a name that no mailbox may have')
    await using file = await openRegular(path)
    let isFirst = true
    for await (const message of readMbox(file)) {
      if (isFirst) yield { kind: 'mailbox', mailbox }
      isFirst = false
      if (message.isExpunged) continue
      const name = `${path}: message ${message.number}`
      const head = headOf({ mailbox, flags: message.flags, dateMs: message.dateMs, name })
      yield { kind: 'message', head, body: counted(bounded(message.body), name, counts) }
    }
    if (isFirst) yield { kind: 'mailbox', mailbox } // an empty file is an empty folder
    counts.bytes = before + file.size // what is between messages counts too
  } catch (error) {
    const isOther = hasCode(error, 'malformed')
    report(counts, path, isOther ? 'is not an mbox file: it does not begin with a From line' : reasonOf(error))
  }
}

async function* bounded(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const piece of body) {
    bytes += piece.length
    if (bytes > limits.mailBytesMax) throw new GivenUp(tooLarge)
    yield piece
  }
}
