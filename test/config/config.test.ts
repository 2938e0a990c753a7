import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { parseConfigText } from '../../src/config-file.ts'
import { parseSize } from '../../src/core/size.ts'
import {
  ConfigError,
  configJsonSchema,
  exampleConfigText,
  homeDirectory,
  listenerNames,
  loadConfig,
} from '../../src/config.ts'

const folder = mkdtempSync(join(tmpdir(), 'mycelium-config-'))
afterAll(() => rmSync(folder, { recursive: true }))
const write = (name: string, text: string): string => {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

test('defaults are the documented ports on loopback', () => {
  const config = loadConfig({})
  expect(listenerNames.map((name) => config[name].port)).toEqual([1025, 1465, 1143, 1993, 5222, 5223, 8008, 8443])
  expect(new Set(listenerNames.map((name) => config[name].host))).toEqual(new Set(['127.0.0.1']))
  expect(config.overlay.port).toBe(4001)
  expect(Object.isFrozen(config.imap)).toBe(true)
})

test('later wins: file, then --ports auto, then --set', () => {
  const file = write('order.json', '{"imap":{"port":2143,"host":"127.0.0.2"},"log":{"level":"warn"}}')
  expect(loadConfig({ file }).imap.port).toBe(2143)
  const auto = loadConfig({ file, portsAuto: true })
  expect(auto.imap).toEqual({ enabled: true, host: '127.0.0.2', port: 0 })
  expect([auto.overlay.port, auto.overlay.webSocketPort, auto.smtp.port]).toEqual([0, 0, 0])
  const set = loadConfig({ file, portsAuto: true, set: ['imap.port=3143', 'overlay.port=4100', 'log.level=debug'] })
  expect([set.imap.port, set.overlay.port, set.smtp.port, set.log.level]).toEqual([3143, 4100, 0, 'debug'])
})

test('--set takes JSON, and text that is not JSON as a string', () => {
  const config = loadConfig({
    set: [
      'overlay.bootstrap=["/ip4/192.0.2.1/tcp/4001/p2p/x"]',
      'overlay.mdns=false',
      'imap.host=::1',
      'smtps={"enabled":false}',
    ],
  })
  expect(config.overlay.bootstrap).toEqual(['/ip4/192.0.2.1/tcp/4001/p2p/x'])
  expect(config.overlay.mdns).toBe(false)
  expect(config.imap.host).toBe('::1')
  expect(config.smtps).toEqual({ enabled: false, host: '127.0.0.1', port: 1465 })
})

test.each([
  [['imap.prot=0'], "unknown key 'imap.prot'; did you mean 'imap.port'?"],
  [['imapp.port=0'], "unknown key 'imapp'; did you mean 'imap'?"],
  [['imap.port=70000'], /^imap\.port: /],
  [['imap.port="x"'], /^imap\.port: /],
  [['imap.port'], /^--set takes KEY=VALUE/],
  [['=1'], /^--set takes KEY=VALUE/],
  [['__proto__.x=1'], /^unknown key/],
  [['log.level=chatty'], /^log\.level: /],
  [['mail.messageBytesMax=52428801'], /^mail\.messageBytesMax: /],
])('%s is refused with its key', (set, message) => {
  expect(() => loadConfig({ set })).toThrow(message)
  expect(() => loadConfig({ set })).toThrow(ConfigError)
})

test('a file that is absent, not JSON or not an object is refused by name', () => {
  expect(() => loadConfig({ file: join(folder, 'absent.json') })).toThrow(/cannot read .*absent\.json: ENOENT/)
  expect(() => loadConfig({ file: write('broken.json', '{') })).toThrow(/broken\.json:1: not JSON/)
  expect(() => loadConfig({ file: write('array.json', '[]') })).toThrow(/array\.json must hold one JSON object/)
})

test.each([
  [
    'unknown key',
    '{\n  // mail programs\n  "imap": {\n    "prot": 1\n  }\n}',
    /:4: unknown key 'imap\.prot'; did you mean 'imap\.port'\?$/,
  ],
  ['wrong type', '{\n  "imap": { "port": 1,\n   "host": 7 }\n}', /:3: imap\.host: /],
  ['wrong element', '{ "overlay": { "bootstrap": ["/ip4/192.0.2.1",\n\n  "here"] } }', /:3: overlay\.bootstrap\.1: /],
  ['half a pair', '{\n"certificates": { "cert": "a.pem" } }', /:2: certificates: needs both cert and key/],
  ['no size', '{"accounts":{\n"quota": "plenty"}}', /:2: accounts\.quota: a size such as/],
  ['no comma', '{\n  "imap": {}\n  "smtp": {}\n}', /:3: not JSON: , or } is expected$/],
  ['a key twice', '{\n  "imap": {},\n  "imap": {}\n}', /:3: not JSON: "imap" is there twice$/],
  ['an open comment', '{ /* \n', /:1: not JSON: a key in double quotes/],
])('a file with %s is refused with its line', (_, text, message) => {
  expect(() => loadConfig({ file: write('lines.jsonc', text) })).toThrow(message)
})

test('what --set changes is not blamed on the file', () => {
  const file = write('blame.json', '{"imap":{"port":1143}}')
  expect(() => loadConfig({ file, set: ['imap.port=70000'] })).toThrow(/^imap\.port: /)
})

test('every JSON text means the same with this parser', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.constantFrom(undefined, 2), (value, indent) => {
      const text = JSON.stringify(value, undefined, indent)
      const expected: unknown = JSON.parse(text)
      expect(parseConfigText(text).value).toEqual(expected)
    }),
  )
})

test.each([
  ['1.5GB', 1.5 * 1024 ** 3],
  ['500 mb', 500 * 1024 ** 2],
  ['12345', 12_345],
  ['none', Infinity],
  ['0', undefined],
  ['-1', undefined],
  ['5 apples', undefined],
  ['999999999TB', undefined],
])('%s is a size of %s octets', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test('no key or value makes anything but a ConfigError, and prototypes stay clean', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (key, value) => {
      try {
        loadConfig({ set: [`${key}=${value}`] })
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError)
      }
    }),
  )
  expect(({} as Record<string, unknown>)['x']).toBeUndefined()
})

test('schema and example in config/ are current (node scripts/schema.ts writes them), and the example is the defaults', () => {
  expect(JSON.parse(readFileSync('config/gateway.schema.json', 'utf8'))).toEqual(
    JSON.parse(JSON.stringify(configJsonSchema())),
  )
  const example = 'config/gateway.example.jsonc'
  expect(readFileSync(example, 'utf8')).toBe(exampleConfigText())
  expect(loadConfig({ file: example })).toEqual({ $schema: './gateway.schema.json', ...loadConfig({}) })
})

test('the home is what was given, then $MYCELIUM_HOME, then the data directory', () => {
  expect(homeDirectory('/a/b', { MYCELIUM_HOME: '/c' })).toBe('/a/b')
  expect(homeDirectory(undefined, { MYCELIUM_HOME: '/c' })).toBe('/c')
  expect(homeDirectory(undefined, { MYCELIUM_HOME: '', XDG_DATA_HOME: '/d' })).toMatch(/mycelium-gateway$/)
})

test('the lock file names the packages of every platform, so that npm ci accepts it (node scripts/complete-lock.ts adds them)', () => {
  expect(spawnSync(process.execPath, ['scripts/complete-lock.ts', '--check']).status).toBe(0)
})

test('a component connects to its own machine, unless it is told otherwise', () => {
  const component = (host: string, remote: boolean) =>
    loadConfig({
      set: [
        'xmpp.component.enabled=true',
        'xmpp.component.domain=myc.example.org',
        'xmpp.component.secretFile=/secret',
        `xmpp.component.host=${host}`,
        `xmpp.component.remote=${remote}`,
      ],
    }).xmpp.component
  for (const host of ['127.0.0.1', '::1', 'localhost']) expect(component(host, false).host).toBe(host)
  for (const host of ['xmpp.example.org', '192.168.1.2', '0.0.0.0', '127.0.0.1.example.org'])
    expect(() => component(host, false), host).toThrow(ConfigError)
  expect(component('xmpp.example.org', true).host).toBe('xmpp.example.org')
})
