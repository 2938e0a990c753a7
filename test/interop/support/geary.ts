/**
 * Geary with one account, in a session of its own: bus, keyring, accessibility and home. What a person would see is read
 * as a screen reader does, and commands are the ones of its menus.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Program, run } from './processes.ts'
import { tempFolder } from './temp-folder.ts'
import type { MailSettings } from './mail-settings.ts'
import type { Display } from './xvfb.ts'

/** What is on the screen. */
interface Shown {
  readonly labels: readonly string[]
  /** Of the message that is displayed. */
  readonly text: string
  /** How many the list of conversations has. */
  readonly conversations: number
}

/** The commands of its window that the tests use, by the names that Geary gives them. */
export type GearyCommand =
  | 'archive-conversation'
  | 'trash-conversation'
  | 'mark-conversation-starred'
  | 'show-move-menu'
  | 'search'

/** Keyring, bus and accessibility start one after the other; generous for a loaded CI. */
const startMsMax = 60_000
const shownMsMax = 60_000

export class Geary implements AsyncDisposable {
  readonly #parts: AsyncDisposableStack
  readonly #program: Program
  readonly #display: Display
  #asked = 0

  private constructor(parts: AsyncDisposableStack, program: Program, display: Display) {
    this.#parts = parts
    this.#program = program
    this.#display = display
  }

  /** Starts it and waits for its window. */
  static async open(display: Display, settings: MailSettings): Promise<Geary> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder('geary'))
    await writeSettings(path, settings)
    const script = join(import.meta.dirname, 'geary-session.py')
    const program = parts.use(
      // The system's Python has the accessibility bindings, whichever one comes first in PATH.
      new Program('dbus-run-session', ['--', '/usr/bin/python3', script], {
        env: environment(path, display),
        keepInputOpen: true,
      }),
    )
    program.write(`${JSON.stringify({ host: settings.imap.host, user: settings.user, password: settings.password })}\n`)
    const geary = new Geary(parts, program, display)
    await geary.#until('window', async () => (await geary.shown(startMsMax)).labels.length > 0, startMsMax)
    parts.move()
    return geary
  }

  async shown(timeoutMs = shownMsMax): Promise<Shown> {
    return await this.#ask<Shown>(timeoutMs, 'shown')
  }

  /** Waits until what is on the screen satisfies `wanted`. */
  async sees(what: string, wanted: (shown: Shown) => boolean): Promise<Shown> {
    let shown: Shown = { labels: [], text: '', conversations: 0 }
    await this.#until(
      what,
      async () => {
        shown = await this.shown()
        return wanted(shown)
      },
      shownMsMax,
      () => JSON.stringify(shown),
    )
    return shown
  }

  /** Waits until a message with this subject is displayed; answers its text. */
  async reads(subject: string): Promise<string> {
    const { text } = await this.sees(
      `message "${subject}"`,
      ({ labels, text: body }) => labels.includes(subject) && body.trim() !== '',
    )
    return text
  }

  /** Selects one conversation of the list; 0 is the newest. Displaying it marks it read. */
  async select(row: number): Promise<void> {
    await this.#ask(shownMsMax, 'select', row)
  }

  async command(name: GearyCommand): Promise<void> {
    await this.#ask(shownMsMax, 'act', name)
  }

  /** Opens the menu "Move to" and clicks a folder in it. */
  async move(folder: string): Promise<void> {
    await this.command('show-move-menu')
    await this.sees('menu of folders', ({ labels }) => labels.includes(folder))
    // The menu slides into its place: a click while it moves may miss.
    await this.#until(
      'end of the menu',
      async () => {
        if (!(await this.shown()).labels.includes(folder)) return true
        await this.#succeeds('click', folder)
        return false
      },
      shownMsMax,
    )
  }

  /** Opens the search bar and types into it. */
  async search(text: string): Promise<void> {
    await this.command('search')
    await this.#until('search bar', async () => await this.#succeeds('fill', text), shownMsMax)
  }

  /** Shows the inbox, as Alt+1 does; this also ends a search. */
  async inbox(): Promise<void> {
    await this.#ask(shownMsMax, 'inbox')
  }

  /** Writes a mail as a mailto: link begins it, and presses "Send". */
  async send(to: string, subject: string, text: string): Promise<void> {
    const fields = `subject=${encodeURIComponent(subject)}&body=${encodeURIComponent(text)}`
    await this.#ask(shownMsMax, 'compose', `mailto:${to}?${fields}`)
    await this.#until('button "Send"', async () => await this.#succeeds('press', 'Send'), shownMsMax)
  }

  /** A PNG of the whole screen, kept only when INTEROP_SCREENSHOTS names a folder. */
  async keepScreenshot(name: string): Promise<void> {
    const folder = process.env['INTEROP_SCREENSHOTS']
    if (folder === undefined) return
    const path = join(folder, `${Date.now()}-geary-${name}.png`)
    await run('import', ['-window', 'root', path], { env: { DISPLAY: this.#display.name } })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.kill()
    await this.#parts.disposeAsync()
  }

  async #succeeds(...command: readonly unknown[]): Promise<boolean> {
    return !('error' in (await this.#answer(shownMsMax, command)))
  }

  async #ask<T>(timeoutMs: number, ...command: readonly unknown[]): Promise<T> {
    const answer = await this.#answer(timeoutMs, command)
    if (answer.error !== undefined) throw new Error(`Geary: ${JSON.stringify(command)}: ${answer.error}`)
    return answer.value as T
  }

  async #answer(timeoutMs: number, command: readonly unknown[]): Promise<{ value?: unknown; error?: string }> {
    this.#asked += 1
    const number = this.#asked
    const answer = new RegExp(`^${number} (.*)\\n`, 'm')
    this.#program.write(`${JSON.stringify([number, ...command])}\n`)
    const line = await this.#program.waitFor(
      `answer to ${JSON.stringify(command)}`,
      timeoutMs,
      () => answer.exec(this.#program.stdout)?.[1],
    )
    return JSON.parse(line) as { value?: unknown; error?: string }
  }

  async #until(
    what: string,
    holds: () => Promise<boolean>,
    timeoutMs: number,
    detail: () => string = () => '',
  ): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!(await holds())) {
      if (performance.now() > deadline) {
        await this.keepScreenshot('failed')
        throw new Error(`Geary: no ${what} within ${timeoutMs} ms ${detail()}\n${this.#program.stderr.slice(-2000)}`)
      }
      await sleep(100)
    }
  }
}

function environment(home: string, display: Display): Record<string, string> {
  return {
    HOME: home,
    XDG_RUNTIME_DIR: join(home, 'run'),
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_DATA_HOME: join(home, '.local/share'),
    XDG_CACHE_HOME: join(home, '.cache'),
    DISPLAY: display.name,
    GDK_BACKEND: 'x11',
    GSETTINGS_BACKEND: 'keyfile',
    // Without this it asks the machine's network manager, finds none and stays offline.
    GIO_USE_NETWORK_MONITOR: 'base',
    LC_ALL: 'C.UTF-8',
    LANGUAGE: 'en',
  }
}

async function writeSettings(home: string, settings: MailSettings): Promise<void> {
  const account = join(home, '.config/geary/account_01')
  const keyfile = join(home, '.config/glib-2.0/settings')
  await mkdir(account, { recursive: true })
  await mkdir(keyfile, { recursive: true })
  await mkdir(join(home, 'run'), { mode: 0o700 })
  await writeFile(join(account, 'geary.ini'), accountIni(settings))
  // Wide enough for folders, list and message side by side; a message that is folded away is never displayed.
  await writeFile(
    join(keyfile, 'keyfile'),
    '[org/gnome/Geary]\nwindow-width=1560\nwindow-height=960\nmigrated-config=true\nundo-send-delay=0\n',
  )
}

function accountIni({ address, displayName, user, imap, smtp }: MailSettings): string {
  return `[Metadata]
version=1
status=enabled

[Account]
ordinal=1
label=${displayName}
prefetch_days=-1
save_drafts=true
save_sent=false
sender_mailboxes=${displayName} <${address}>;
service_provider=other

[Folders]
archive_folder=
drafts_folder=
sent_folder=
junk_folder=
trash_folder=

[Incoming]
login=${user}
remember_password=true
host=${imap.host}
port=${imap.port}
transport_security=none
credentials=custom

[Outgoing]
remember_password=true
host=${smtp.host}
port=${smtp.port}
transport_security=none
credentials=use-incoming
`
}
