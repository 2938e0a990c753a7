/** A local Maildir that a program keeps the same as an account. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

export interface LocalMessage {
  readonly subject: string
  /** Maildir flags in alphabetical order, such as `FS`. */
  readonly flags: string
  readonly raw: Buffer
  readonly path: string
}

export class Maildir {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async folders(): Promise<readonly string[]> {
    const entries = await readdir(this.#path, { withFileTypes: true })
    return entries
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort()
  }

  /** Makes an empty local folder. */
  async create(folder: string): Promise<void> {
    for (const part of ['new', 'cur', 'tmp']) await mkdir(join(this.#path, folder, part), { recursive: true })
  }

  async messages(folder: string): Promise<readonly LocalMessage[]> {
    const found: LocalMessage[] = []
    for (const part of ['new', 'cur']) {
      for (const name of await readdir(join(this.#path, folder, part))) {
        const path = join(this.#path, folder, part, name)
        const raw = await readFile(path)
        const subject = /^Subject: (.*)$/m.exec(raw.toString('latin1'))?.[1]?.trim() ?? ''
        found.push({ subject, flags: /:2,([A-Z]*)$/.exec(name)?.[1] ?? '', raw, path })
      }
    }
    return found
  }

  /** Puts a message into a local folder, as a mail program working on the Maildir would. */
  async add(folder: string, name: string, raw: string): Promise<void> {
    await writeFile(join(this.#path, folder, 'cur', `${name}:2,S`), raw)
  }

  /** Replaces the flags of a local message. */
  async setFlags(message: LocalMessage, flags: string): Promise<void> {
    const target = message.path.replace('/new/', '/cur/').replace(/:2,[A-Z]*$/, '')
    await rename(message.path, `${target}:2,${flags}`)
  }

  /** Moves a local message; without the UID in its name, which counts in its old folder only. */
  async move(message: LocalMessage, folder: string): Promise<void> {
    const [name = '', flags = ''] = basename(message.path).split(':2,')
    await rename(message.path, join(this.#path, folder, 'cur', `${name.replace(/,U=\d+$/, '')}.moved:2,${flags}`))
  }

  async remove(message: LocalMessage): Promise<void> {
    await rm(message.path)
  }
}
