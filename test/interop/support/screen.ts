/** A virtual display as a person has it before them: windows by their titles, keys, the pointer. */
import { join } from 'node:path'
import { type Outcome, runOk } from './processes.ts'
import { openDisplay } from './xvfb.ts'

const shownMsMax = 60_000

export class Screen implements AsyncDisposable {
  readonly #display: AsyncDisposable
  readonly #env: { readonly DISPLAY: string }

  private constructor(display: AsyncDisposable, name: string) {
    this.#display = display
    this.#env = { DISPLAY: name }
  }

  static async open(): Promise<Screen> {
    const display = await openDisplay()
    return new Screen(display, display.name)
  }

  /** What tells a program to appear here. */
  get env(): Readonly<Record<string, string>> {
    return this.#env
  }

  /** Waits for a window whose title matches that. */
  async showsWindow(title: string): Promise<void> {
    await this.#xdotool('search', '--sync', '--onlyvisible', '--name', title)
  }

  /** The whole title of the window whose title matches that. */
  async windowTitle(title: string): Promise<string> {
    return (await this.#xdotool('search', '--onlyvisible', '--name', title, 'getwindowname')).stdout.trim()
  }

  /** Gives the keys to the window whose title matches that; without a window manager nobody else does. */
  async focus(title: string): Promise<void> {
    await this.#xdotool('search', '--onlyvisible', '--name', title, 'windowfocus')
  }

  /** Types as a person would who then presses Enter, into the window whose title matches that. */
  async type(title: string, text: string): Promise<void> {
    await this.focus(title)
    await this.#xdotool('type', '--delay', '20', text)
    await this.press('Return')
  }

  /** A key or several together, such as `ctrl+k`. */
  async press(keys: string): Promise<void> {
    await this.#xdotool('key', keys)
  }

  async click(x: number, y: number): Promise<void> {
    await this.#xdotool('mousemove', `${x}`, `${y}`, 'click', '1')
  }

  /** A PNG of the screen, kept only when INTEROP_SCREENSHOTS names a folder. */
  async keepScreenshot(name: string): Promise<void> {
    const folder = process.env['INTEROP_SCREENSHOTS']
    if (folder === undefined) return
    await runOk('import', ['-window', 'root', join(folder, `${Date.now()}-${name}.png`)], { env: this.#env })
  }

  async #xdotool(...args: readonly string[]): Promise<Outcome> {
    return await runOk('xdotool', args, { env: this.#env, timeoutMs: shownMsMax })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#display[Symbol.asyncDispose]()
  }
}
