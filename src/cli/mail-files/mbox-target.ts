/** Writes mbox files (mboxrd): one, or a folder of them as Thunderbird keeps it. Each appears when it is whole. */
import { access, type FileHandle, mkdir, open, rm, truncate } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { MessageHead } from '../../core/transfer/mail-stream.ts'
import { mboxNameOf } from '../../core/transfer/mbox-names.ts'
import { mboxMessage } from '../../core/transfer/mbox-writer.ts'
import { draftName, takeName } from '../take-name.ts'
import { type MailTarget, withName } from './target.ts'

interface Writing {
  readonly path: string
  /** Beside it, under a name that no mailbox's file has. */
  readonly draft: string
  readonly handle: FileHandle
  bytes: number
}

export class MboxTarget implements MailTarget {
  readonly #pathOf: (mailbox: string) => string
  readonly #isForced: boolean
  #open: { readonly mailbox: string; readonly file: Writing } | undefined

  constructor(pathOf: (mailbox: string) => string, { force }: { readonly force: boolean }) {
    this.#pathOf = pathOf
    this.#isForced = force
  }

  /** Mailboxes come one after the other. */
  async mailbox(name: string): Promise<void> {
    await this.#close()
    const path = this.#pathOf(name)
    await withName(async () => await mkdir(dirname(path), { recursive: true, mode: 0o700 }))
    await withName(async () => await access(path).catch(unlessMissing))
    const draft = join(dirname(path), draftName())
    this.#open = { mailbox: name, file: { path, draft, handle: await open(draft, 'wx', 0o600), bytes: 0 } }
  }

  async message(head: MessageHead, body: AsyncIterable<Uint8Array>): Promise<boolean> {
    if (this.#open?.mailbox !== head.mailbox) await this.mailbox(head.mailbox)
    const { file } = this.#open!
    const start = file.bytes
    try {
      for await (const piece of mboxMessage(head, body)) {
        await file.handle.writeFile(piece)
        file.bytes += piece.length
      }
    } catch (error) {
      file.bytes = start
      await file.handle.close()
      await truncate(file.draft, start)
      this.#open = { mailbox: head.mailbox, file: { ...file, handle: await open(file.draft, 'a') } }
      throw error
    }
    return true
  }

  async finish(): Promise<void> {
    await this.#close()
  }

  async #close(): Promise<void> {
    if (this.#open === undefined) return
    const { path, draft, handle } = this.#open.file
    await handle.sync()
    await handle.close()
    this.#open = undefined
    await takeName(draft, path, this.#isForced)
  }

  /** Whatever is not whole goes. */
  async discard(): Promise<void> {
    if (this.#open === undefined) return
    await this.#open.file.handle.close().catch(() => {})
    await rm(this.#open.file.draft, { force: true })
  }
}

/** A name that is free is fine; one that is too long is not. */
function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}

/** `a/b` → `a.sbd/b`. */
export const thunderbirdPath = (root: string, mailbox: string): string => {
  const levels = mailbox.split('/').map(mboxNameOf)
  return join(root, ...levels.slice(0, -1).map((level) => `${level}.sbd`), levels.at(-1)!)
}
