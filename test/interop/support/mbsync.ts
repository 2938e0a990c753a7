/** mbsync (isync): keeps a Maildir and an account the same, in both directions. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Maildir } from './maildir.ts'
import { runOk } from './processes.ts'
import { tempFolder } from './temp-folder.ts'
import type { MailSettings } from './mail-settings.ts'

export class Mbsync implements AsyncDisposable {
  readonly mail: Maildir
  readonly #folder: string
  readonly #parts: AsyncDisposableStack

  private constructor(folder: string, parts: AsyncDisposableStack) {
    this.mail = new Maildir(join(folder, 'mail'))
    this.#folder = folder
    this.#parts = parts
  }

  static async open(settings: MailSettings): Promise<Mbsync> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder('mbsync'))
    await mkdir(join(path, 'mail'))
    if (settings.authorityPem !== undefined) await writeFile(join(path, 'ca.pem'), settings.authorityPem)
    await writeFile(join(path, 'mbsyncrc'), mbsyncrc(settings, path), { mode: 0o600 })
    return new Mbsync(path, parts.move())
  }

  /** One run over all folders. @throws with its output when it reports any error */
  async sync(timeoutMs?: number): Promise<void> {
    await runOk('mbsync', ['--config', join(this.#folder, 'mbsyncrc'), '--all', '--verbose'], {
      env: { HOME: this.#folder },
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}

const sslType = { plain: 'None', starttls: 'STARTTLS', tls: 'IMAPS' } as const

function mbsyncrc({ user, password, imap, security }: MailSettings, folder: string): string {
  // What a power cut does to the Maildir is not in question here, and ten thousand files take long to reach the disk.
  return `
FSync no

IMAPAccount gateway
Host ${imap.host}
Port ${imap.port}
User ${user}
Pass "${password}"
SSLType ${sslType[security]}
${security === 'plain' ? '' : `CertificateFile ${join(folder, 'ca.pem')}`}

IMAPStore remote
Account gateway

MaildirStore local
Path ${folder}/mail/
Inbox ${folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Expunge Both
SyncState *
`
}
