/**
 * The image, by the project's own Dockerfile. Its base, which a registry would give, is made here: Debian from the mirror
 * that this machine's apt uses, with the Node and npm of this machine, under the name that the Dockerfile asks for.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from './commands.ts'
import type { Engine } from './engine.ts'

const baseName = 'docker.io/library/node:24-bookworm-slim'
export const imageName = 'mycelium-gateway:test'

export async function buildImage(engine: Engine): Promise<void> {
  const root = join(engine.folder, 'base')
  await run('debootstrap', ['--variant=minbase', '--include=ca-certificates', 'bookworm', root, await mirror()], {
    timeout: 400_000,
  })
  for (const folder of ['var/cache/apt/archives', 'var/lib/apt/lists'])
    rmSync(join(root, folder), { recursive: true, force: true })
  addNode(join(root, 'usr/local'))
  await importRoot(engine, root)
  rmSync(root, { recursive: true, force: true })
  await engine.docker(
    ['build', '-t', imageName, '-f', 'docker/Dockerfile', ...(await packageSources(engine)), ...proxies(), '.'],
    { timeout: 400_000 },
  )
}

/** Where apt takes Debian's main packages from. */
async function mirror(): Promise<string> {
  const format = '$(REPO_URI)'
  const found = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages', 'Codename: bookworm'])
  return found.split('\n')[0]!.trim()
}

function addNode(local: string): void {
  const npm = dirname(dirname(realpathSync(programOnPath('npm'))))
  const modules = join(local, 'lib/node_modules')
  mkdirSync(modules, { recursive: true })
  cpSync(process.execPath, join(local, 'bin/node'))
  cpSync(npm, join(modules, 'npm'), { recursive: true })
  for (const name of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, 'bin', name))
}

function programOnPath(name: string): string {
  const folder = process.env['PATH']!.split(':').find((one) => existsSync(join(one, name)))
  if (folder === undefined) throw new Error(`no ${name} on the path`)
  return join(folder, name)
}

async function importRoot(engine: Engine, root: string): Promise<void> {
  const tar = spawn('tar', ['-C', root, '-cf', join(engine.folder, 'base.tar'), '.'], { stdio: 'ignore' })
  await once(tar, 'exit')
  await engine.docker(['import', join(engine.folder, 'base.tar'), baseName])
  rmSync(join(engine.folder, 'base.tar'))
}

/** The registry and the certificate authorities that npm uses here. */
async function packageSources(engine: Engine): Promise<string[]> {
  const npmrc = join(engine.folder, 'npmrc')
  writeFileSync(npmrc, `registry=${(await run('npm', ['config', 'get', 'registry'])).trim()}\n`, { mode: 0o600 })
  const cafile = (await run('npm', ['config', 'get', 'cafile'])).trim()
  const authorities = [process.env['NODE_EXTRA_CA_CERTS'] ?? '', cafile].find((path) => path !== '' && existsSync(path))
  const ca = authorities === undefined ? [] : ['--secret', `id=ca,src=${realpathSync(authorities)}`]
  return ['--secret', `id=npmrc,src=${npmrc}`, ...ca]
}

const proxies = (): string[] =>
  ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'].flatMap((name) => {
    const value = process.env[name] ?? process.env[name.toLowerCase()]
    return value === undefined || value === '' ? [] : ['--build-arg', `${name}=${value}`]
  })
