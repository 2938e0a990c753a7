/** One running Thunderbird: its process and profile, Marionette, and how the tests wait for what it shows. */
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Marionette } from './marionette.ts'
import { Program } from './processes.ts'
import { tempFolder } from './temp-folder.ts'
import { writeProfile } from './thunderbird-profile.ts'
import type { MailSettings } from './mail-settings.ts'
import type { Display } from './xvfb.ts'

const startMsMax = 60_000

export class ThunderbirdProcess implements AsyncDisposable {
  readonly marionette: Marionette
  readonly #parts: AsyncDisposableStack
  readonly #program: Program
  readonly #mainWindow: string

  private constructor(parts: AsyncDisposableStack, program: Program, marionette: Marionette, mainWindow: string) {
    this.#parts = parts
    this.#program = program
    this.marionette = marionette
    this.#mainWindow = mainWindow
  }

  /** Starts it with a new profile that has one account; it has no password yet and does not connect. */
  static async start(display: Display, settings: MailSettings): Promise<ThunderbirdProcess> {
    await using parts = new AsyncDisposableStack()
    const folder = parts.use(await tempFolder('thunderbird'))
    const profile = join(folder.path, 'profile')
    await mkdir(profile)
    await writeProfile(profile, settings)
    const program = parts.use(
      new Program(
        'thunderbird',
        ['--marionette', '--remote-allow-system-access', '--no-remote', '--profile', profile],
        { env: { HOME: folder.path, DISPLAY: display.name, MOZ_CRASHREPORTER_DISABLE: '1', NO_AT_BRIDGE: '1' } },
      ),
    )
    const port = await program.waitFor('Marionette port', startMsMax, () => readPort(profile))
    const marionette = parts.use(await Marionette.open(port))
    const window = await mainWindow(marionette)
    return new ThunderbirdProcess(parts.move(), program, marionette, window)
  }

  /**
   * Runs the body of an async function in the main window, where `pane()` is the window part with folders, list and
   * message, `server()` the account and `subjectOf` gives the subject of a message with its "Re:".
   */
  async inMainWindow<T>(body: string, ...args: readonly unknown[]): Promise<T> {
    return await this.marionette.execute<T>(
      `const pane = () => window.gTabmail.currentAbout3Pane
       const subjectOf = ({ flags, mime2DecodedSubject }) =>
         (flags & Ci.nsMsgMessageFlags.HasRe ? 'Re: ' : '') + mime2DecodedSubject
       const server = () => MailServices.accounts.defaultAccount.incomingServer
       ${body}`,
      ...args,
    )
  }

  /** Makes the main window the current one again. */
  async toMainWindow(): Promise<void> {
    await this.marionette.switchTo(this.#mainWindow)
  }

  /** Waits until something holds. @throws after `timeoutMs`, with `detail` */
  async until(
    what: string,
    timeoutMs: number,
    holds: () => Promise<boolean>,
    detail: () => string = () => '',
  ): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!(await holds())) {
      if (performance.now() > deadline) {
        await this.keepScreenshot('failed')
        throw new Error(
          `Thunderbird: no ${what} within ${timeoutMs} ms ${detail()}\n${this.#program.stderr.slice(-2000)}`,
        )
      }
      await sleep(25)
    }
  }

  /** A PNG of the current window, kept only when INTEROP_SCREENSHOTS names a folder. */
  async keepScreenshot(name: string): Promise<void> {
    const folder = process.env['INTEROP_SCREENSHOTS']
    if (folder === undefined) return
    const { value } = (await this.marionette.send('WebDriver:TakeScreenshot', { full: true })) as { value: string }
    await writeFile(join(folder, `${Date.now()}-${name}.png`), Buffer.from(value, 'base64'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.kill()
    await this.#parts.disposeAsync()
  }
}

/** Marionette writes the port it chose into the profile. */
function readPort(profile: string): number | undefined {
  try {
    const port = Number(readFileSync(join(profile, 'MarionetteActivePort'), 'utf8'))
    return port > 0 ? port : undefined
  } catch {
    return undefined
  }
}

/** The window with the folders; Thunderbird may still be opening it. */
async function mainWindow(marionette: Marionette): Promise<string> {
  const deadline = performance.now() + startMsMax
  for (;;) {
    for (const window of await marionette.windows()) {
      await marionette.switchTo(window)
      const isReady = await marionette.execute<boolean>(
        `return Boolean(window.gTabmail?.currentAbout3Pane?.folderTree && window.gTabmail.currentAbout3Pane.displayFolder)`,
      )
      if (isReady) return window
    }
    if (performance.now() > deadline) throw new Error('Thunderbird: no main window')
    await sleep(50)
  }
}
