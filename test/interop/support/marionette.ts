/**
 * Client of Marionette, the remote protocol of Mozilla programs: each message is `LENGTH:JSON` over TCP, a command is
 * [0, id, name, parameters] and its answer [1, id, error, result]. Scripts run in the chrome context, where they see
 * what the program itself sees (`Services`, windows, `MailServices`).
 */
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'

interface Pending {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: Error) => void
}

/** Screenshots are the largest answers; more than this is a broken peer. */
const messageBytesMax = 64 * 1024 * 1024

export class Marionette implements AsyncDisposable {
  readonly #socket: Socket
  readonly #pending = new Map<number, Pending>()
  #buffered: Buffer = Buffer.alloc(0)
  #nextId = 1

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new Error('Marionette connection closed')))
  }

  static async open(port: number): Promise<Marionette> {
    const socket = connect({ host: '127.0.0.1', port })
    await once(socket, 'connect')
    const client = new Marionette(socket)
    await client.send('WebDriver:NewSession', { capabilities: { alwaysMatch: { acceptInsecureCerts: false } } })
    await client.send('Marionette:SetContext', { value: 'chrome' })
    await client.send('WebDriver:SetTimeouts', { script: 60_000 })
    return client
  }

  /** Sends one command. @throws with the program's own error and stack */
  send(name: string, parameters: object = {}): Promise<unknown> {
    const id = this.#nextId++
    const body = Buffer.from(JSON.stringify([0, id, name, parameters]))
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#pending.set(id, { resolve, reject })
    this.#socket.write(`${body.length}:`)
    this.#socket.write(body)
    return promise
  }

  /** Runs the body of an async function in the current chrome window; `args` arrive as `args`. */
  async execute<T>(body: string, ...args: readonly unknown[]): Promise<T> {
    const script = `
      const done = arguments[arguments.length - 1]
      const args = [...arguments].slice(0, -1)
      ;(async () => { ${body} })().then(
        (value) => done({ value: value ?? null }),
        (error) => done({ error: String(error) + '\\n' + (error?.stack ?? '') }),
      )`
    const answer = (await this.send('WebDriver:ExecuteAsyncScript', {
      script,
      args,
      newSandbox: true,
      sandbox: 'system',
    })) as { value: { value?: T; error?: string } }
    if (answer.value.error !== undefined) throw new Error(`in the program: ${answer.value.error}\nscript: ${body}`)
    return answer.value.value as T
  }

  /** Handles of all windows. */
  async windows(): Promise<readonly string[]> {
    return (await this.send('WebDriver:GetWindowHandles')) as string[]
  }

  /** Later commands and scripts go to this window. */
  async switchTo(window: string): Promise<void> {
    await this.send('WebDriver:SwitchToWindow', { handle: window, focus: true })
  }

  /** The element that a CSS selector finds in the current window. @throws when there is none */
  async find(selector: string): Promise<string> {
    const found = (await this.send('WebDriver:FindElement', { using: 'css selector', value: selector })) as {
      value: Record<string, string>
    }
    return Object.values(found.value)[0]!
  }

  async click(element: string): Promise<void> {
    await this.send('WebDriver:ElementClick', { id: element })
  }

  /** Types into an element. */
  async type(element: string, text: string): Promise<void> {
    await this.send('WebDriver:ElementSendKeys', { id: element, text })
  }

  /** Presses keys one after the other, wherever the focus is. */
  async pressKeys(text: string): Promise<void> {
    const actions = Array.from(text).flatMap((value) => [
      { type: 'keyDown', value },
      { type: 'keyUp', value },
    ])
    await this.send('WebDriver:PerformActions', { actions: [{ type: 'key', id: 'keyboard', actions }] })
    await this.send('WebDriver:ReleaseActions')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await Promise.resolve()
  }

  #fail(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }

  #read(chunk: Buffer): void {
    this.#buffered = Buffer.concat([this.#buffered, chunk])
    for (;;) {
      const colon = this.#buffered.indexOf(0x3a)
      if (colon < 0) return
      const length = Number(this.#buffered.toString('latin1', 0, colon))
      if (!Number.isSafeInteger(length) || length > messageBytesMax) {
        this.#socket.destroy(new Error('Marionette sent something that is not a message'))
        return
      }
      if (this.#buffered.length < colon + 1 + length) return
      this.#take(JSON.parse(this.#buffered.toString('utf8', colon + 1, colon + 1 + length)))
      this.#buffered = this.#buffered.subarray(colon + 1 + length)
    }
  }

  #take(message: unknown): void {
    // The greeting is an object; everything after it an array.
    if (!Array.isArray(message)) return
    const [, id, error, result] = message as [number, number, { message: string; stacktrace: string } | null, unknown]
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (error === null) pending?.resolve(result)
    else pending?.reject(new Error(`${error.message}\n${error.stacktrace}`))
  }
}
