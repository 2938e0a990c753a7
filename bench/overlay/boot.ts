/** From the start of a gateway's process until another gateway has a link to it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Overlay } from '../../src/core/delivery/ports.ts'
import type { GatewayId } from '../../src/core/ids.ts'

const executable = resolve(import.meta.dirname, '../../bin/mycelium-gateway')
const settings = ['overlay.mdns=false', 'overlay.host=127.0.0.1', 'overlay.loopback=true'].flatMap((set) => [
  '--set',
  set,
])

/** Milliseconds. */
export async function bootMs(overlay: Overlay): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'mycelium-bench-boot-'))
  const home = join(folder, 'home')
  try {
    await once(spawn(executable, ['init', '--home', home, '--json'], { stdio: 'ignore' }), 'exit')
    const startedAt = performance.now()
    const child = spawn(executable, ['run', '--home', home, '--ports', 'auto', ...settings], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { listeners } = JSON.parse(line.toString()) as { listeners: { overlay: readonly string[] } }
    const [, locator, gateway] = /^(.+\/tcp\/\d+)\/p2p\/(.+)$/.exec(
      listeners.overlay.find((one) => /\/tcp\/\d+\/p2p\//.test(one))!,
    )!
    await overlay.link({ gateway: gateway as GatewayId, locators: [locator!] }, { signal: AbortSignal.timeout(20_000) })
    const tookMs = performance.now() - startedAt
    child.kill('SIGTERM')
    await once(child, 'exit')
    return tookMs
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
