import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { launchAgent, type ServiceOptions, systemUnit, userUnit } from '../../src/cli/service-files.ts'
import { gateway } from '../cli/process-support.ts'
import { requirePeer } from '../interop/support/peers.ts'

const folder = mkdtempSync(join(tmpdir(), 'mycelium-service-'))
afterAll(() => rmSync(folder, { recursive: true }))

const odd = '/srv/100% "mail" & <more>/$HOME/gateway.json'
const options: ServiceOptions = {
  command: [process.execPath, join(process.cwd(), 'src/main.ts')],
  home: '/var/lib/mycelium-gateway/home',
  config: odd,
  passphraseFile: '/etc/mycelium/passphrase',
}

function unitFile(text: string): string {
  const file = join(folder, 'mycelium-gateway.service')
  writeFileSync(file, text)
  return file
}

const analyze = (...args: readonly string[]): { readonly status: number | null; readonly output: string } => {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, {
    encoding: 'utf8',
    env: { ...process.env, XDG_RUNTIME_DIR: folder }, // the user manager's
  })
  return { status, output: stdout + stderr }
}

test.each([
  ['system', systemUnit],
  ['user', userUnit],
])('the %s unit runs this program, and lets its compiler write code', (kind, make) => {
  const [program, entry] = options.command
  const unit = make({ ...options, config: undefined })
  expect(unit).toContain(`ExecStart=${program} ${entry} run --home /var/lib/mycelium-gateway/home --passphrase-file `)
  expect(unit.includes('--passphrase-file %d/passphrase')).toBe(kind === 'system')
  expect(unit).not.toContain('MemoryDenyWriteExecute')
})

test('the launchd agent is a property list with the arguments as they are', (context) => {
  requirePeer(context, 'python3')
  const script = 'import json, plistlib, sys; json.dump(plistlib.loads(sys.stdin.buffer.read()), sys.stdout)'
  const { stdout, stderr } = spawnSync('python3', ['-c', script], { encoding: 'utf8', input: launchAgent(options) })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toMatchObject({
    Label: 'local.mycelium-gateway',
    ProgramArguments: [
      ...options.command,
      'run',
      '--home',
      options.home,
      '--config',
      odd,
      '--passphrase-file',
      '/etc/mycelium/passphrase',
    ],
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
  })
})

test('service install --print writes the unit to standard output and installs nothing', async () => {
  const { code, stdout } = await gateway(['service', 'install', '--print', '--home', join(folder, 'home')])
  expect(code).toBe(0)
  expect(stdout).toContain(`--home ${join(folder, 'home')}`)
  expect((await gateway(['service', 'install', '--print', '--passphrase-stdin'])).code).toBe(2)
})

test('systemd verifies both units and finds the system one well closed', (context) => {
  requirePeer(context, 'systemd-analyze')
  for (const [make, manager] of [
    [systemUnit, '--system'],
    [userUnit, '--user'],
  ] as const) {
    const verified = analyze('verify', manager, '--recursive-errors=no', unitFile(make(options)))
    expect(verified).toEqual({ status: 0, output: '' })
  }
  const security = analyze('security', '--offline=true', '--threshold=25', unitFile(systemUnit(options)))
  expect(security.output).toMatch(/Overall exposure level for .*: (?:[01]\.\d|2\.[0-5]) OK/)
  expect(security.status).toBe(0)
})
