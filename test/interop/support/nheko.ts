/** nheko on a screen of its own, logged in by what it would have written down itself. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MatrixLogin } from './matrix-login.ts'
import { Program } from './processes.ts'
import { Screen } from './screen.ts'
import { tempFolder } from './temp-folder.ts'

/** Generous for a loaded CI. */
const startMsMax = 60_000
const openMsMax = 60_000
/** Until what it knows is what its window shows, too. */
const drawnMs = 1_500
const title = 'nheko'
/** Where "Cancel" stands in the dialog about keys that greets who has none; a place of no effect without it. */
const cancel = [1000, 561] as const

export class Nheko implements AsyncDisposable {
  readonly screen: Screen
  readonly #parts: AsyncDisposableStack

  private constructor(parts: AsyncDisposableStack, screen: Screen) {
    this.#parts = parts
    this.screen = screen
  }

  /** Ends when its window shows what it heard in the first sync. */
  static async logIn(login: MatrixLogin): Promise<Nheko> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder('nheko'))
    await mkdir(join(path, '.config/nheko'), { recursive: true })
    await writeFile(join(path, '.config/nheko/nheko.conf'), await settings(login))
    const screen = parts.use(await Screen.open())
    const env = {
      HOME: path,
      XDG_CONFIG_HOME: join(path, '.config'),
      XDG_DATA_HOME: join(path, '.local/share'),
      XDG_CACHE_HOME: join(path, '.cache'),
      XDG_RUNTIME_DIR: path,
      ...screen.env,
      LANG: 'C.UTF-8',
      QT_QUICK_BACKEND: 'software',
    }
    const program = parts.use(new Program('dbus-run-session', ['--', 'nheko'], { env }))
    const isInitial = (): true | undefined =>
      `${program.stdout}${program.stderr}`.includes('initial sync completed') ? true : undefined
    await program.waitFor('first sync', startMsMax, isInitial)
    await screen.showsWindow(title)
    await sleep(drawnMs)
    return new Nheko(parts.move(), screen)
  }

  /** Waits until so many rooms or messages are marked as unread in the title of its window. */
  async hasUnread(count: number): Promise<void> {
    await this.screen.showsWindow(`^${title} \\(${count}\\)$`)
  }

  /** Opens the room with that name, which has something unread: then it is read. */
  async openRoom(name: string): Promise<void> {
    const { screen } = this
    const deadline = performance.now() + openMsMax
    while ((await screen.windowTitle(title)) !== title) {
      if (performance.now() > deadline) throw new Error(`nheko does not open ${name}`)
      await screen.click(...cancel)
      await screen.focus(title)
      await screen.press('ctrl+k')
      await sleep(drawnMs)
      await screen.type(title, name)
      await sleep(drawnMs)
    }
  }

  /** Writes a message in the open room and sends it. */
  async say(text: string): Promise<void> {
    await this.screen.type(title, text)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}

async function settings({ homeserver, user, password }: MatrixLogin): Promise<string> {
  const identifier = { type: 'm.id.user', user }
  const answer = await fetch(`${homeserver}/_matrix/client/v3/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'm.login.password', identifier, password, initial_device_display_name: 'nheko' }),
  })
  if (!answer.ok) throw new Error(`${user} is not logged in: ${answer.status} ${await answer.text()}`)
  const { user_id, access_token, device_id } = (await answer.json()) as Readonly<Record<string, string>>
  return `[General]
run_without_secure_secrets_service=true

[auth]
access_token=${access_token}
device_id=${device_id}
home_server=${homeserver}
user_id=${user_id}
`
}
