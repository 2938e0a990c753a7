/**
 * mutt and neomutt with one account, in a terminal of their own. Both read the same settings file; what a person would
 * press is pushed as their named functions.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runOk } from './processes.ts'
import { tempFolder } from './temp-folder.ts'
import type { MailSettings } from './mail-settings.ts'

export class Mutt implements AsyncDisposable {
  readonly #program: 'mutt' | 'neomutt'
  readonly #folder: string
  readonly #parts: AsyncDisposableStack

  private constructor(program: 'mutt' | 'neomutt', folder: string, parts: AsyncDisposableStack) {
    this.#program = program
    this.#folder = folder
    this.#parts = parts
  }

  static async open(program: 'mutt' | 'neomutt', settings: MailSettings): Promise<Mutt> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder(program))
    if (settings.authorityPem !== undefined) await writeFile(join(path, 'ca.pem'), settings.authorityPem)
    await writeFile(join(path, 'muttrc'), muttrc(settings, path), { mode: 0o600 })
    return new Mutt(program, path, parts.move())
  }

  /**
   * Writes and sends one message in its compose screen, and keeps a copy in Sent. The editor is `cp` with the text;
   * neomutt's batch mode would leave out the copy.
   */
  async send(to: string, subject: string, text: string, attachments: readonly string[] = []): Promise<void> {
    await writeFile(join(this.#folder, 'text'), text)
    const attach = attachments.map((path) => `<attach-file>${path}<enter>`).join('')
    await this.#press('INBOX', `<mail>${to}<enter>${subject}<enter>${attach}<send-message>`)
  }

  /** Displays the message with this subject, which marks it read; answers it as `<pipe-message>` gives it to a program. */
  async read(folder: string, subject: string): Promise<string> {
    const path = join(this.#folder, 'piped')
    await this.#press(
      folder,
      `${onlyThis(subject)}<display-message><pipe-message>cat >${path}<enter><exit><sync-mailbox>`,
    )
    return await readFile(path, 'utf8')
  }

  /** Flags the message with this subject as important. */
  async flag(folder: string, subject: string): Promise<void> {
    await this.#press(folder, `${onlyThis(subject)}<flag-message><sync-mailbox>`)
  }

  /** Deletes and purges the message with this subject. */
  async delete(folder: string, subject: string): Promise<void> {
    await this.#press(folder, `${onlyThis(subject)}<delete-message><sync-mailbox>`)
  }

  /** Moves the message with this subject to another folder. */
  async move(folder: string, subject: string, to: string): Promise<void> {
    await this.#press(folder, `${onlyThis(subject)}<save-message>=${to}<enter><sync-mailbox>`)
  }

  /** Searches the texts of a folder with `=b`, which asks the server; answers the raw messages found. */
  async searchOnServer(folder: string, text: string): Promise<string> {
    const path = join(this.#folder, 'found')
    const found = `<limit>=b "${text}"<enter><tag-pattern>~A<enter>`
    await this.#press(folder, `${found}<tag-prefix><pipe-message>cat >${path}<enter>`)
    return await readFile(path, 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }

  /** Opens a folder on a terminal (made by `script`), presses the keys and leaves. */
  async #press(folder: string, keys: string): Promise<void> {
    const commands = join(this.#folder, 'keys')
    await writeFile(commands, `push ${quote(`${keys}<exit>`)}\n`)
    const command = [
      this.#program,
      '-F',
      join(this.#folder, 'muttrc'),
      '-f',
      `=${folder}`,
      '-e',
      `'source ${commands}'`,
    ]
    await runOk('script', ['--quiet', '--return', '--command', command.join(' '), '/dev/null'], {
      env: { HOME: this.#folder, LC_ALL: 'C.UTF-8', TERM: 'xterm', SHELL: '/bin/sh' },
      keepInputOpen: true,
    })
  }
}

const onlyThis = (subject: string): string => `<limit>~s "${subject}"<enter><first-entry>`

const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

function muttrc({ address, displayName, user, password, imap, smtp, security }: MailSettings, home: string): string {
  const scheme = security === 'tls' ? 's' : ''
  return `
set from = "${address}"
set realname = "${displayName}"
set imap_user = "${user}"
set imap_pass = "${password}"
set smtp_url = "smtp${scheme}://${user}@${smtp.host}:${smtp.port}/"
set smtp_pass = "${password}"
set folder = "imap${scheme}://${imap.host}:${imap.port}/"
set spoolfile = "+INBOX"
set record = "+Sent"
set postponed = "+Drafts"
set ssl_starttls = ${security === 'starttls' ? 'yes' : 'no'}
set ssl_force_tls = ${security === 'plain' ? 'no' : 'yes'}
${security === 'plain' ? '' : `set certificate_file = "${home}/ca.pem"`}
set editor = "cp ${home}/text"
set ssl_verify_host = yes
set imap_idle = yes
set confirmappend = no
set confirmcreate = no
set delete = yes
set move = no
set quit = yes
set wait_key = no
set mail_check = 1
set sleep_time = 0
`
}
