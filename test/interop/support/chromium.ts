/** Chromium without a window, driven over the DevTools protocol as a person would: clicks, keys, and what can be read. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { WebSocket } from 'ws'
import { Program } from './processes.ts'
import { tempFolder } from './temp-folder.ts'

interface Answer {
  readonly id?: number
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** Generous for a loaded CI. */
const startMsMax = 60_000
const shownMsMax = 60_000
const soonMs = 3_000
const stillMs = 200

/** It asks nobody but the page's own servers. */
const options = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--no-first-run',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const keys = {
  Enter: { windowsVirtualKeyCode: 13, text: '\r' },
  ArrowUp: { windowsVirtualKeyCode: 38 },
  Escape: { windowsVirtualKeyCode: 27 },
} as const

interface Point {
  readonly x: number
  readonly y: number
}

/** One browser process with one page. */
export class Chromium implements AsyncDisposable {
  readonly #parts: AsyncDisposableStack
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (answer: Answer) => void>()
  #session: string | undefined
  #asked = 0

  private constructor(parts: AsyncDisposableStack, socket: WebSocket) {
    this.#parts = parts
    this.#socket = socket
    socket.on('message', (data: Buffer) => {
      const answer = JSON.parse(data.toString()) as Answer
      if (answer.id !== undefined) this.#waiting.get(answer.id)?.(answer)
    })
  }

  static async open(url: string): Promise<Chromium> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder('chromium'))
    const program = parts.use(
      new Program(
        'chromium',
        [...options, '--remote-debugging-port=0', `--user-data-dir=${path}`, '--window-size=1280,900', 'about:blank'],
        { env: { HOME: path } },
      ),
    )
    const address = await program.waitFor(
      'DevTools address',
      startMsMax,
      () => /^DevTools listening on (\S+)/m.exec(program.stderr)?.[1],
    )
    const socket = new WebSocket(address)
    await once(socket, 'open')
    const browser = new Chromium(parts.move(), socket)
    const { targetId } = (await browser.#ask('Target.createTarget', { url })) as { targetId: string }
    const attached = (await browser.#ask('Target.attachToTarget', { targetId, flatten: true })) as { sessionId: string }
    browser.#session = attached.sessionId
    return browser
  }

  /** The value of a JavaScript expression in the page; a promise is waited for. @throws what it throws */
  async value<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.#ask('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } }
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? expression)
    return result.value
  }

  /** What can be read in each element that is there and displayed. */
  async texts(selector: string): Promise<readonly string[]> {
    return await this.value(
      `[...document.querySelectorAll(${JSON.stringify(selector)})]
        .filter((one) => one.getClientRects().length > 0).map((one) => one.innerText.trim())`,
    )
  }

  /** Waits until the texts of the elements are as wanted. @throws after a minute, with what could be read instead */
  async sees(selector: string, isWanted: (texts: readonly string[]) => boolean): Promise<readonly string[]> {
    const deadline = performance.now() + shownMsMax
    for (;;) {
      const texts = await this.texts(selector)
      if (isWanted(texts)) return texts
      if (performance.now() > deadline) {
        await this.keepScreenshot('failed')
        const page = await this.value<string>('document.body.innerText')
        throw new Error(
          `Chromium: not what was wanted at ${selector}: ${JSON.stringify(texts)}\n${page.slice(0, 4000)}`,
        )
      }
      await sleep(50)
    }
  }

  /** Whether such an element is displayed within a few seconds. */
  async isSoon(selector: string): Promise<boolean> {
    const deadline = performance.now() + soonMs
    while (performance.now() < deadline) {
      if ((await this.texts(selector)).length > 0) return true
      await sleep(50)
    }
    return false
  }

  /** Clicks the middle of the first displayed element, whose text contains `text`, once it is there. */
  async click(selector: string, text = ''): Promise<void> {
    const at = await this.#middle(selector, text)
    for (const type of ['mousePressed', 'mouseReleased'])
      await this.#ask('Input.dispatchMouseEvent', { type, ...at, button: 'left', clickCount: 1 })
  }

  /** Moves the pointer over the first displayed element, whose text contains `text`. */
  async hover(selector: string, text = ''): Promise<void> {
    await this.#ask('Input.dispatchMouseEvent', { type: 'mouseMoved', ...(await this.#middle(selector, text)) })
  }

  /** Once it stays there: what has just opened may still move, and its neighbour would be clicked instead. */
  async #middle(selector: string, text: string): Promise<Point> {
    await this.sees(selector, (texts) => texts.some((one) => one.includes(text)))
    const deadline = performance.now() + shownMsMax
    for (let before: Point | undefined; ; await sleep(stillMs)) {
      const at = await this.value<Point | undefined>(
        `(() => {
          const found = [...document.querySelectorAll(${JSON.stringify(selector)})]
            .find((one) => one.getClientRects().length > 0 && one.innerText.includes(${JSON.stringify(text)}))
          if (found === undefined) return undefined
          found.scrollIntoView({ block: 'nearest' })
          const { x, y, width, height } = found.getBoundingClientRect()
          return { x: x + width / 2, y: y + height / 2 }
        })()`,
      )
      if (at !== undefined && before !== undefined && isDeepStrictEqual(at, before)) return at
      if (performance.now() > deadline) throw new Error(`Chromium: ${selector} does not stay where it is`)
      before = at
    }
  }

  /** Types into a field after clicking it. */
  async type(selector: string, text: string): Promise<void> {
    await this.click(selector)
    await this.insert(text)
  }

  /** Types where the cursor is. */
  async insert(text: string): Promise<void> {
    await this.#ask('Input.insertText', { text })
  }

  /** Types where the cursor is, instead of what stands there. */
  async replace(text: string): Promise<void> {
    await this.value(`document.execCommand('selectAll')`)
    await this.insert(text)
  }

  /** Chooses a file in a field for files, which need not be displayed. */
  async chooseFile(selector: string, path: string): Promise<void> {
    const { result } = (await this.#ask('Runtime.evaluate', {
      expression: `document.querySelector(${JSON.stringify(selector)})`,
    })) as { result: { objectId: string } }
    await this.#ask('DOM.setFileInputFiles', { files: [path], objectId: result.objectId })
  }

  /** @returns once the new page is there: questions before are about the old one, or end with it */
  async reload(): Promise<void> {
    await this.value('void (window.isOld = true)')
    await this.#ask('Page.reload', {})
    const deadline = performance.now() + shownMsMax
    while (await this.value<boolean>('window.isOld === true').catch(() => true)) {
      if (performance.now() > deadline) throw new Error('Chromium: the page was not loaded again')
      await sleep(20)
    }
  }

  async press(key: keyof typeof keys): Promise<void> {
    await this.#ask('Input.dispatchKeyEvent', { type: 'keyDown', key, code: key, ...keys[key] })
    await this.#ask('Input.dispatchKeyEvent', { type: 'keyUp', key, code: key, ...keys[key] })
  }

  /** A PNG of the page, kept only when INTEROP_SCREENSHOTS names a folder. */
  async keepScreenshot(name: string): Promise<void> {
    const folder = process.env['INTEROP_SCREENSHOTS']
    if (folder === undefined) return
    const { data } = (await this.#ask('Page.captureScreenshot', { format: 'png' })) as { data: string }
    await writeFile(join(folder, `${Date.now()}-${name}.png`), Buffer.from(data, 'base64'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate()
    await this.#parts.disposeAsync()
  }

  async #ask(method: string, params: object): Promise<unknown> {
    this.#asked += 1
    const id = this.#asked
    const answered = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve))
    this.#socket.send(
      JSON.stringify({ id, method, params, ...(this.#session === undefined ? {} : { sessionId: this.#session }) }),
    )
    const { result, error } = await answered
    this.#waiting.delete(id)
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result
  }
}
