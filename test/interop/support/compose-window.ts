/** Thunderbird's compose window: fields and text are typed key by key, and its own button sends. */
import type { ThunderbirdProcess } from './thunderbird-process.ts'

const enter = '\uE007'

export class ComposeWindow {
  readonly #thunderbird: ThunderbirdProcess
  readonly #window: string

  private constructor(thunderbird: ThunderbirdProcess, window: string) {
    this.#thunderbird = thunderbird
    this.#window = window
  }

  /** Runs what opens a compose window, makes that the current window and waits until it can be typed into. */
  static async open(thunderbird: ThunderbirdProcess, open: () => Promise<unknown>): Promise<ComposeWindow> {
    const { marionette } = thunderbird
    const before = new Set(await marionette.windows())
    await open()
    let opened: string | undefined
    await thunderbird.until('compose window', 15_000, async () => {
      opened = (await marionette.windows()).find((window) => !before.has(window))
      return opened !== undefined
    })
    await marionette.switchTo(opened!)
    await thunderbird.until('compose window to be ready', 15_000, () =>
      marionette.execute<boolean>(
        `const editor = document.getElementById('messageEditor')
         return Boolean(window.gMsgCompose?.editor && !window.gLoadingComposeWindow
           && editor?.contentDocument.readyState === 'complete')`,
      ),
    )
    return new ComposeWindow(thunderbird, opened!)
  }

  async typeTo(address: string): Promise<void> {
    await this.#type('#toAddrInput', address)
  }

  async typeSubject(subject: string): Promise<void> {
    await this.#type('#msgSubject', subject)
  }

  async attach(path: string): Promise<void> {
    await this.#thunderbird.marionette.execute(
      `const { FileUtils } = ChromeUtils.importESModule('resource://gre/modules/FileUtils.sys.mjs')
       await AddAttachments([FileToAttachment(new FileUtils.File(args[0]))])`,
      path,
    )
  }

  /** Puts the cursor above a quotation. */
  async toBeginning(): Promise<void> {
    await this.#thunderbird.marionette.execute(`gMsgCompose.editor.beginningOfDocument()`)
  }

  async typeText(text: string): Promise<void> {
    const { marionette } = this.#thunderbird
    await this.#thunderbird.until('focus in the text', 5000, () =>
      marionette.execute<boolean>(
        `document.getElementById('messageEditor').focus()
         return document.activeElement?.id === 'messageEditor'`,
      ),
    )
    await marionette.pressKeys(text.replaceAll('\n', enter))
  }

  /** "Save as Draft"; returns when Thunderbird says that it is saved. */
  async saveDraft(): Promise<void> {
    const { marionette } = this.#thunderbird
    await marionette.execute(`goDoCommand('cmd_saveAsDraft')`)
    await this.#thunderbird.until('saved draft', 15_000, () =>
      marionette.execute<boolean>(`return !gSaveOperationInProgress && !gWindowLocked && !gContentChanged`),
    )
  }

  /** "Send"; returns when the window has closed, that is when the server took the mail and the copy is filed. */
  async send(): Promise<void> {
    const { marionette } = this.#thunderbird
    await this.#thunderbird.keepScreenshot('compose')
    await marionette.click(await marionette.find('#button-send'))
    await this.#thunderbird.until(
      'compose window to close',
      20_000,
      async () => !(await marionette.windows()).includes(this.#window),
    )
    await this.#thunderbird.toMainWindow()
  }

  async #type(selector: string, text: string): Promise<void> {
    const { marionette } = this.#thunderbird
    await marionette.type(await marionette.find(selector), text)
  }
}
