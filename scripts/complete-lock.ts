/**
 * Adds to package-lock.json the packages for other platforms that the lock does not name, because the registry in use
 * when it was made did not have them; `npm ci` refuses such a lock everywhere. Run it after every change of dependencies;
 * `--check` writes nothing and exits 1 when something is missing.
 * What a platform's package is good for is read from its name, e.g. `…-linux-arm64-musl`.
 */
import { readFileSync, writeFileSync } from 'node:fs'

interface Locked {
  readonly version?: string
  readonly dev?: boolean
  readonly license?: string
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly [more: string]: unknown
}

const file = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, Locked> }

const systems = ['darwin', 'linux', 'win32', 'freebsd', 'android', 'openharmony']
const processors = ['arm64', 'x64', 'arm', 'ia32', 'ppc64', 'riscv64', 's390x']

function platformPackage(name: string, version: string, parent: Locked): Locked {
  const words = name.split('/').at(-1)!.split('-')
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.includes(processor))
  if (os === undefined || cpu === undefined || !/^\d/.test(version)) {
    throw new Error(`${name}@${version} is missing in the lock and not a package for one platform`)
  }
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.some((word) => word.startsWith('gnu'))
      ? 'glibc'
      : undefined
  return {
    version,
    cpu: [cpu],
    ...(parent.dev === true ? { dev: true } : {}),
    ...(libc === undefined ? {} : { libc: [libc] }),
    ...(parent.license === undefined ? {} : { license: parent.license }),
    optional: true,
    os: [os],
  }
}

/** Whether Node would find this version from the folder of `parent`; any version will do for a range. */
function isFound(parent: string, name: string, version: string): boolean {
  const folders = parent
    .split('/node_modules/')
    .map((_, depth, parts) => parts.slice(0, depth + 1).join('/node_modules/'))
  const nearest = [...folders.map((folder) => `${folder}/node_modules/${name}`).toReversed(), `node_modules/${name}`]
  const found = nearest.map((path) => lock.packages[path]?.version).find((candidate) => candidate !== undefined)
  return found === version || (found !== undefined && !/^\d/.test(version))
}

let added = 0
for (const [path, parent] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (isFound(path, name, version)) continue
    const top = `node_modules/${name}`
    const beside = `${path.slice(0, path.lastIndexOf('node_modules/'))}${top}`
    lock.packages[lock.packages[top] === undefined ? top : beside] = platformPackage(name, version, parent)
    added += 1
  }
}
if (process.argv.includes('--check')) process.exit(added === 0 ? 0 : 1)
const { '': root, ...packages } = lock.packages
const sorted = Object.fromEntries(Object.entries(packages).toSorted(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify({ ...lock, packages: { '': root, ...sorted } }, undefined, 2)}\n`)
console.log(`${added} added`)
