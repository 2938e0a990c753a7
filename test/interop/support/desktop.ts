/**
 * A desktop of its own for a chat program with windows: display, bus, home, no network but a gateway's XMPP at the
 * standard port of localhost, and a system trust store that holds nothing but that gateway's authority. So the program is
 * given what a person would give it, address and password, and nothing else; and it is not root, which Gajim refuses to be.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import type { Gateway } from './gateway-process.ts'
import { type Peer, requirePeer, skipWithReason } from './peers.ts'
import { Program, runOk } from './processes.ts'
import { tempFolder } from './temp-folder.ts'
import { openDisplay } from './xvfb.ts'

const forwarder = join(import.meta.dirname, 'forward-process.ts')
const inside = `
mount --bind "$HOME/ca.crt" /etc/ssl/certs/ca-certificates.crt
ip link set lo up
"$NODE" "$FORWARDER" "$HOME/xmpp" &
exec unshare --user --map-user=1000 --map-group=1000 dbus-run-session -- "$@"
`
const ownNetwork = ['--user', '--map-root-user', '--mount', '--net']
const shownMsMax = 60_000

/** Ends the test as skipped (or failed, with CI set) where a desktop cannot be made. */
export function requireDesktop(context: TestContext, ...programs: readonly Peer[]): void {
  requirePeer(context, 'Xvfb', 'xdotool', 'dbus-run-session', 'unshare', 'ip', ...programs)
  const { status, stderr } = spawnSync('unshare', [...ownNetwork, 'true'], { encoding: 'utf8' })
  if (status !== 0) skipWithReason(context, `no namespaces for a desktop: ${stderr}`)
}

export class Desktop implements AsyncDisposable {
  readonly home: string
  readonly #parts: AsyncDisposableStack
  readonly #env: Readonly<Record<string, string>>

  private constructor(parts: AsyncDisposableStack, home: string, display: string) {
    this.#parts = parts
    this.home = home
    this.#env = {
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      XDG_DATA_HOME: join(home, '.local/share'),
      XDG_CACHE_HOME: join(home, '.cache'),
      XDG_RUNTIME_DIR: home,
      DISPLAY: display,
      LANG: 'C.UTF-8',
      GSETTINGS_BACKEND: 'memory',
      // a desktop that has no route anywhere counts as offline otherwise
      GIO_USE_NETWORK_MONITOR: 'base',
      GTK_A11Y: 'none',
      NO_AT_BRIDGE: '1',
      NODE: process.execPath,
      FORWARDER: forwarder,
    }
  }

  static async open(gateway: Gateway): Promise<Desktop> {
    await using parts = new AsyncDisposableStack()
    const { path } = parts.use(await tempFolder('desktop'))
    await mkdir(join(path, '.local/share'), { recursive: true })
    await writeFile(join(path, 'ca.crt'), await gateway.authority())
    const { name } = parts.use(await openDisplay())
    const server = createServer((from) => {
      const to = connect(gateway.listeners.xmpp.port, '127.0.0.1')
      from.on('error', () => to.destroy()).on('close', () => to.destroy())
      to.on('error', () => from.destroy()).on('close', () => from.destroy())
      from.pipe(to).pipe(from)
    }).listen(join(path, 'xmpp'))
    parts.defer(() => void server.close())
    await once(server, 'listening')
    return new Desktop(parts.move(), path, name)
  }

  /** Starts a program, which ends with its scope or the desktop's. */
  start(command: string): Program {
    const script = ['sh', '-ec', inside, 'sh']
    return this.#parts.use(new Program('unshare', [...ownNetwork, ...script, command], { env: this.#env }))
  }

  /** Waits for a window whose title has that in it. */
  async showsWindow(title: string): Promise<void> {
    await this.#xdotool('search', '--sync', '--onlyvisible', '--name', title)
  }

  /** Types as a person would who then presses Enter, into the window with that title. */
  async type(title: string, text: string): Promise<void> {
    // without a window manager nobody else gives it the keys
    await this.#xdotool('search', '--onlyvisible', '--name', title, 'windowfocus')
    await this.#xdotool('type', '--delay', '20', text)
    await this.#xdotool('key', 'Return')
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

  async #xdotool(...args: readonly string[]): Promise<void> {
    await runOk('xdotool', args, { env: this.#env, timeoutMs: shownMsMax })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}
