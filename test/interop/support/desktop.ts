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
import { Program } from './processes.ts'
import { Screen } from './screen.ts'
import { tempFolder } from './temp-folder.ts'

const forwarder = join(import.meta.dirname, 'forward-process.ts')
const inside = `
mount --bind "$HOME/ca.crt" /etc/ssl/certs/ca-certificates.crt
ip link set lo up
"$NODE" "$FORWARDER" "$HOME/xmpp" &
exec unshare --user --map-user=1000 --map-group=1000 dbus-run-session -- "$@"
`
const ownNetwork = ['--user', '--map-root-user', '--mount', '--net']

/** Ends the test as skipped (or failed, with CI set) where a desktop cannot be made. */
export function requireDesktop(context: TestContext, ...programs: readonly Peer[]): void {
  requirePeer(context, 'Xvfb', 'xdotool', 'dbus-run-session', 'unshare', 'ip', ...programs)
  const { status, stderr } = spawnSync('unshare', [...ownNetwork, 'true'], { encoding: 'utf8' })
  if (status !== 0) skipWithReason(context, `no namespaces for a desktop: ${stderr}`)
}

export class Desktop implements AsyncDisposable {
  readonly home: string
  readonly screen: Screen
  readonly #parts: AsyncDisposableStack
  readonly #env: Readonly<Record<string, string>>

  private constructor(parts: AsyncDisposableStack, home: string, screen: Screen) {
    this.#parts = parts
    this.home = home
    this.screen = screen
    this.#env = {
      HOME: home,
      XDG_CONFIG_HOME: join(home, '.config'),
      XDG_DATA_HOME: join(home, '.local/share'),
      XDG_CACHE_HOME: join(home, '.cache'),
      XDG_RUNTIME_DIR: home,
      ...screen.env,
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
    const screen = parts.use(await Screen.open())
    const server = createServer((from) => {
      const to = connect(gateway.listeners.xmpp.port, '127.0.0.1')
      from.on('error', () => to.destroy()).on('close', () => to.destroy())
      to.on('error', () => from.destroy()).on('close', () => from.destroy())
      from.pipe(to).pipe(from)
    }).listen(join(path, 'xmpp'))
    parts.defer(() => void server.close())
    await once(server, 'listening')
    return new Desktop(parts.move(), path, screen)
  }

  /** Starts a program, which ends with its scope or the desktop's. */
  start(command: string): Program {
    const script = ['sh', '-ec', inside, 'sh']
    return this.#parts.use(new Program('unshare', [...ownNetwork, ...script, command], { env: this.#env }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.disposeAsync()
  }
}
