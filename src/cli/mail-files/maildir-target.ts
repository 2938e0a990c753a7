/**
 * Writes a Maildir with Maildir++ folders. A message's file name follows from its place here (UIDVALIDITY and UID), so
 * that a second export into the same folder adds what is new and leaves the rest.
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Flag } from '../../core/mailbox/mailbox.ts'
import { folderOf, formatKeywords, lettersOf, parseKeywords } from '../../core/transfer/maildir-names.ts'
import type { MessageHead } from '../../core/transfer/mail-stream.ts'
import { type MailTarget, withName } from './target.ts'

interface Folder {
  readonly path: string
  /** Without flags. */
  readonly names: Set<string>
  readonly keywords: Flag[]
  keywordsWritten: number
}

export class MaildirTarget implements MailTarget {
  readonly #root: string
  readonly #levelOf: (mailbox: string) => string | undefined
  readonly #folders = new Map<string, Folder>()

  /** @param levelOf the mailbox below what is exported; `undefined` for the Maildir's own messages */
  constructor(root: string, levelOf: (mailbox: string) => string | undefined) {
    this.#root = root
    this.#levelOf = levelOf
  }

  async mailbox(name: string): Promise<void> {
    await this.#folder(name)
  }

  async message(head: MessageHead, body: AsyncIterable<Uint8Array>): Promise<boolean> {
    const folder = await this.#folder(head.mailbox)
    const base = `${Math.floor(head.dateMs / 1000)}.V${head.name.replace('.', 'U')}.mycelium`
    if (folder.names.has(base)) return false
    const letters = lettersOf(head.flags, folder.keywords)
    await this.#writeKeywords(folder)
    const draft = join(folder.path, 'tmp', base)
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
      await using file = await open(draft, flags, 0o600)
      for await (const piece of body) await file.writeFile(piece)
    } catch (error) {
      await rm(draft, { force: true })
      throw error
    }
    const date = new Date(head.dateMs)
    await utimes(draft, date, date)
    await rename(draft, join(folder.path, 'cur', `${base}:2,${letters}`))
    folder.names.add(base)
    if (folder.names.size % 64 === 0) await nextTurn()
    return true
  }

  async finish(): Promise<void> {
    for (const { path } of this.#folders.values()) {
      await using directory = await open(join(path, 'cur'), 'r')
      await directory.sync()
    }
  }

  async #folder(mailbox: string): Promise<Folder> {
    const known = this.#folders.get(mailbox)
    if (known !== undefined) return known
    const level = this.#levelOf(mailbox)
    const path = level === undefined ? this.#root : join(this.#root, folderOf(level))
    for (const part of ['cur', 'new', 'tmp'])
      await withName(async () => await mkdir(join(path, part), { recursive: true, mode: 0o700 }))
    if (level !== undefined) await writeFile(join(path, 'maildirfolder'), '', { mode: 0o600 })
    const files = [...(await readdir(join(path, 'cur'))), ...(await readdir(join(path, 'new')))]
    const folder = {
      path,
      names: new Set(files.map((name) => name.replace(/[:;!]2,[A-Za-z]*$/, ''))),
      keywords: [...(await keywordsIn(path))],
      keywordsWritten: 0,
    }
    folder.keywordsWritten = folder.keywords.length
    this.#folders.set(mailbox, folder)
    return folder
  }

  /** Before the first file that uses them. */
  async #writeKeywords(folder: Folder): Promise<void> {
    if (folder.keywords.length === folder.keywordsWritten) return
    const file = join(folder.path, 'dovecot-keywords')
    await writeFile(`${file}.new`, formatKeywords(folder.keywords), { mode: 0o600 })
    await rename(`${file}.new`, file)
    folder.keywordsWritten = folder.keywords.length
  }
}

async function keywordsIn(path: string): Promise<readonly Flag[]> {
  try {
    const keywords = parseKeywords(await readFile(join(path, 'dovecot-keywords'), 'utf8'))
    return keywords.slice(0, keywords.findLastIndex((keyword) => keyword !== '') + 1)
  } catch {
    return []
  }
}
