/** offlineimap: a second program that keeps a Maildir and an account the same, with other commands than mbsync. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Maildir } from './maildir.ts'
import { runOk } from './processes.ts'
import { tempFolder } from './temp-folder.ts'
import type { MailSettings } from './mail-settings.ts'

export class Offlineimap implements AsyncDisposable {
  readonly mail: Maildir
  readonly #folder: string
  readonly #parts: AsyncDisposableStack

  private constructor(folder: string, parts: AsyncDisposableStack) {
    this.mail = new Maildir(join(folder, 'mail'))
    this.#folder = folder
    this.#parts = parts
  }

  static async open(settings: MailSettings): Promise<Offlineimap> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder('offlineimap'))
    await mkdir(join(path, 'mail'))
    if (settings.authorityPem !== undefined) await writeFile(join(path, 'ca.pem'), settings.authorityPem)
    await writeFile(join(path, 'offlineimaprc'), offlineimaprc(settings, path), { mode: 0o600 })
    return new Offlineimap(path, parts.move())
  }

  /** One run over all folders. @throws with its output when it reports any error */
  async sync(): Promise<void> {
    const args = ['-c', join(this.#folder, 'offlineimaprc'), '-o', '-u', 'basic']
    await runOk('offlineimap', args, { env: { HOME: this.#folder } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}

function offlineimaprc({ user, password, imap, security }: MailSettings, folder: string): string {
  return `
[general]
metadata = ${folder}/metadata
accounts = gateway

[Account gateway]
localrepository = local
remoterepository = remote

[Repository local]
type = Maildir
localfolders = ${folder}/mail

[Repository remote]
type = IMAP
remotehost = ${imap.host}
remoteport = ${imap.port}
remoteuser = ${user}
remotepass = ${password.replaceAll('%', '%%')}
ssl = ${security === 'tls' ? 'yes' : 'no'}
starttls = ${security === 'starttls' ? 'yes' : 'no'}
${security === 'plain' ? '' : `sslcacertfile = ${folder}/ca.pem`}
`
}
