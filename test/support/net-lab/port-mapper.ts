/** A home router's daemon for NAT-PMP, PCP and UPnP IGD (miniupnpd) on a lab's router. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Namespace } from './namespaces.ts'

export async function startPortMapper(router: Namespace, protocols: 'all' | 'upnp' = 'all'): Promise<AsyncDisposable> {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-mapper-'))
  const file = join(folder, 'miniupnpd.conf')
  const isAll = protocols === 'all' ? 'yes' : 'no'
  const lines = [
    'ext_ifname=wan',
    'listening_ip=lan',
    `enable_natpmp=${isAll}`,
    'enable_upnp=yes',
    'upnp_table_name=upnp',
    'upnp_nat_table_name=upnp',
    'upnp_forward_chain=forwarded',
    'upnp_nat_chain=mapped',
    'upnp_nat_postrouting_chain=after',
    'secure_mode=yes',
    'system_uptime=yes',
    'uuid=6138a970-07ab-4f17-ab55-d4feb04421c5',
    'allow 1024-65535 0.0.0.0/0 1024-65535',
    `lease_file=${join(folder, 'leases')}`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  await router.rules(chains)
  await router.ip('route add 239.0.0.0/8 dev lan')
  const args = ['netns', 'exec', router.name, 'miniupnpd', '-d', '-f', file, '-P', join(folder, 'pid')]
  const daemon = spawn('ip', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [daemon.stdout, daemon.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  const ended = once(daemon, 'close')
  for (const deadline = Date.now() + 10_000; !/listening|HTTP/i.test(said); await sleep(50))
    if (daemon.exitCode !== null || Date.now() > deadline) throw new Error(`miniupnpd did not start: ${said}`)
  return {
    async [Symbol.asyncDispose]() {
      daemon.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Where the daemon writes its rules. What it forwards is let through by its destination address having been rewritten. */
const chains = `
  table inet upnp {
    chain forwarded { }
    chain mapped { }
    chain after { }
    chain prerouting {
      type nat hook prerouting priority -100
      jump mapped
    }
  }
`
