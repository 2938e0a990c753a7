import { globSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { parseSync } from 'oxc-parser'
import { expect, test } from 'vitest'

/** What each part of `src` may import from `src`; the first matching line decides. */
const mayImport: readonly (readonly [from: string, to: readonly string[]])[] = [
  ['src/core/', ['src/core/']],
  ['src/overlay/', ['src/overlay/', 'src/core/']],
  ...readdirSync('src/adapters').map(
    (name) => [`src/adapters/${name}/`, [`src/adapters/${name}/`, 'src/adapters/wire/', 'src/core/']] as const,
  ),
  ['src/cli/', ['src/cli/', 'src/core/', 'src/config.ts']],
  ['src/', ['src/']],
]
/** Core folders in order; each may import only itself and what stands before it. */
const coreOrder = [
  'crypto',
  'identity',
  'session',
  'group',
  'message',
  'store',
  'account',
  'mailbox',
  'replica',
  'conversation',
  'delivery',
  'transfer',
]
/** The only place each library may be used. */
const owners: readonly (readonly [library: RegExp, home: string])[] = [
  [/^(@noble\/|sodium-native$)/, 'src/core/crypto/'],
  [/^lmdb$/, 'src/core/store/'],
  [/^(@jsquash\/|omggif$)/, 'src/core/message/thumbnail/'],
  [/^(libp2p$|@libp2p\/|@chainsafe\/|dns-packet$)/, 'src/overlay/'],
]

function importsOf(file: string): string[] {
  const { module } = parseSync(file, readFileSync(file, 'utf8'))
  return [
    ...module.staticImports.map((found) => found.moduleRequest.value),
    ...module.staticExports.flatMap((found) => found.entries.flatMap((entry) => entry.moduleRequest?.value ?? [])),
  ]
}

function problem(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) {
    const home = owners.find(([library]) => library.test(specifier))?.[1]
    return home === undefined || file.startsWith(home) ? undefined : `${specifier} belongs in ${home}`
  }
  const target = posix.join(posix.dirname(file), specifier)
  const allowed = mayImport.find(([from]) => file.startsWith(from))?.[1] ?? []
  if (!allowed.some((prefix) => target.startsWith(prefix))) return `may not import ${target}`
  const rank = (path: string) => coreOrder.indexOf(/^src\/core\/([^/]+)\//.exec(path)?.[1] ?? '')
  if (file.startsWith('src/core/') && rank(target) > rank(file)) return `imports upwards: ${target}`
  return undefined
}

test('every import follows the map in STYLE.md', () => {
  const files = globSync('src/**/*.ts').map((file) => file.replaceAll('\\', '/'))
  expect(files.length).toBeGreaterThan(3)
  const problems = files.flatMap((file) =>
    importsOf(file).flatMap((specifier) => {
      const found = problem(file, specifier)
      return found === undefined ? [] : `${file}: ${found}`
    }),
  )
  expect(problems).toEqual([])
})

test('the map itself refuses what it should', () => {
  expect(problem('src/core/store/store.ts', '../../overlay/node.ts')).toBeDefined()
  expect(problem('src/core/session/ratchet.ts', '../mailbox/mailbox.ts')).toBeDefined()
  expect(problem('src/adapters/imap/view.ts', '../smtp/reply.ts')).toBeDefined()
  expect(problem('src/adapters/imap/view.ts', 'libp2p')).toBeDefined()
  expect(problem('src/adapters/imap/view.ts', '../../core/mailbox/changes.ts')).toBeUndefined()
})
