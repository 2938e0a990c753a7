/** Profanity in a terminal of tmux: what is typed, and what is on the screen. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Gateway } from './gateway-process.ts'
import { Program, runOk } from './processes.ts'
import { tempFolder } from './temp-folder.ts'

/** Generous for a loaded CI. */
const shownMsMax = 60_000

export class Profanity implements AsyncDisposable {
  readonly #parts: AsyncDisposableStack
  readonly #socket: string

  private constructor(parts: AsyncDisposableStack, socket: string) {
    this.#parts = parts
    this.#socket = socket
  }

  /** Starts it and logs in, trusting the gateway's authority. */
  static async logIn(gateway: Gateway): Promise<Profanity> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder('profanity'))
    await writeFile(join(path, 'ca.pem'), await gateway.authority())
    const socket = join(path, 'tmux')
    const env = { HOME: path, XDG_CONFIG_HOME: join(path, '.config'), XDG_DATA_HOME: join(path, '.local/share') }
    const utf8 = { LANG: 'C.UTF-8', TERM: 'xterm-256color', SSL_CERT_FILE: join(path, 'ca.pem') }
    const size = ['-x', '120', '-y', '40']
    // in the foreground, so that ending it ends everything in it
    parts.use(
      new Program('tmux', ['-S', socket, '-f', '/dev/null', '-D'], { env: { ...env, ...utf8 }, keepInputOpen: true }),
    )
    await using undo = new AsyncDisposableStack()
    const profanity = undo.use(new Profanity(parts.move(), socket))
    await profanity.#until(
      async () =>
        await profanity.#tmux('new-session', '-d', ...size, 'profanity').then(
          () => true,
          () => false,
        ),
    )
    await profanity.sees('Profanity')
    const { port } = gateway.listeners.xmpp
    await profanity.type(`/connect ${gateway.name}@localhost server localhost port ${port}`)
    await profanity.sees('Enter password:')
    await profanity.type(await gateway.addPassword('Profanity'))
    await profanity.sees('logged in successfully')
    undo.move()
    return profanity
  }

  /** Types a line. */
  async type(line: string): Promise<void> {
    await this.#tmux('send-keys', '-l', line)
    await this.#tmux('send-keys', 'Enter')
  }

  async screen(): Promise<string> {
    return await this.#tmux('capture-pane', '-p')
  }

  /** Waits until the text is on the screen. @throws after a minute, with what is there instead */
  async sees(text: string): Promise<void> {
    if (await this.#until(async () => (await this.screen()).includes(text))) return
    throw new Error(`Profanity does not show "${text}":\n${await this.screen()}`)
  }

  async #until(isTrue: () => Promise<boolean>): Promise<boolean> {
    const deadline = performance.now() + shownMsMax
    while (performance.now() < deadline) {
      if (await isTrue()) return true
      await sleep(100)
    }
    return false
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    // never by a server of its own, which would have another environment
    return (await runOk('tmux', ['-N', '-S', this.#socket, ...args])).stdout
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}
