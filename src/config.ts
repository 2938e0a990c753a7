/**
 * Configuration: schema, defaults, file and command line → one frozen value, of which each part receives its own
 * section. Only this file reads the environment. Later wins: defaults, file, `--ports auto`, `--set`.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import * as z from 'zod'
import { ConfigSyntaxError, parseConfigText } from './config-file.ts'
import { limits } from './core/limits.ts'
import { parseSize, sizePattern } from './core/size.ts'

const port = z.int().min(0).max(65_535)
const path = z.string().max(4096).default('')
const multiaddr = z.string().startsWith('/').max(limits.locatorOctetsMax)

const listenerKeys = (defaultPort: number) => ({
  enabled: z.boolean().default(true).describe('Whether it listens at all.'),
  host: z.string().min(1).max(255).default('127.0.0.1').describe('Address to listen on; loopback unless changed.'),
  port: port.default(defaultPort).describe('TCP port; 0 picks a free one.'),
})

const listener = (defaultPort: number, what: string) =>
  z.strictObject(listenerKeys(defaultPort)).prefault({}).describe(what)

/** As browsers write it (RFC 6454 §6.2), so that it can be compared. */
const isOrigin = (text: string): boolean => /^https?:/.test(text) && URL.parse(text)?.origin === text

const turnServer = z.strictObject({
  type: z.enum(['stun', 'stuns', 'turn', 'turns']).describe('What it is.'),
  host: z.string().min(1).max(253).describe('Where it is.'),
  port: z.int().min(1).max(65_535).default(3478).describe('Its port.'),
  transport: z.enum(['udp', 'tcp']).default('udp').describe('How it is reached.'),
  username: z.string().max(256).default('').describe('Login there, if it takes one.'),
  secretFile: path.describe(
    'File with the secret that is shared with it (static-auth-secret of coturn): programs then get logins that end by themselves.',
  ),
})

const isLoopbackHost = (host: string): boolean => /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/.test(host)

const xmppComponent = z
  .strictObject({
    enabled: z.boolean().default(false).describe('Whether the gateway attaches itself to another XMPP server.'),
    host: z.string().min(1).max(255).default('127.0.0.1').describe('Where that server takes components.'),
    port: z.int().min(1).max(65_535).default(5347).describe('Its port for components.'),
    domain: z.string().max(253).default('').describe('Domain of the component, as that server knows it.'),
    secretFile: path.describe('File with the secret that is shared with that server.'),
    remote: z
      .boolean()
      .default(false)
      .describe('Lets the server be on another machine: everything between goes unencrypted (XEP-0114).'),
    users: z
      .record(z.string().min(3).max(limits.xmppJidOctetsMax), z.string().min(1).max(limits.addressOctetsMax))
      .default({})
      .describe('Users of that server, each with their account here: "romeo@example.org": "romeo".'),
  })
  .refine(({ enabled, domain, secretFile }) => !enabled || (domain !== '' && secretFile !== ''), {
    error: 'a component needs a domain and a secretFile',
  })
  .refine(({ enabled, host, remote }) => !enabled || remote || isLoopbackHost(host), {
    path: ['host'],
    error: 'an address of this machine, unless component.remote allows another: nothing is encrypted on the way',
  })

const schema = z.strictObject({
  $schema: z.string().optional().describe('For editors; ignored.'),
  smtp: listener(1025, 'SMTP submission with STARTTLS.'),
  smtps: listener(1465, 'SMTP submission, implicit TLS.'),
  imap: listener(1143, 'IMAP with STARTTLS.'),
  imaps: listener(1993, 'IMAP, implicit TLS.'),
  xmpp: z
    .strictObject({
      ...listenerKeys(5222),
      origins: z
        .array(z.string().max(512).refine(isOrigin, 'an origin such as https://chat.example'))
        .max(limits.xmppOriginsMax)
        .default([])
        .describe(
          'Origins of web pages that may log in over WebSocket and BOSH, beside pages of this gateway: https://chat.example.',
        ),
      turn: z
        .array(turnServer)
        .max(limits.turnServersMax)
        .default([])
        .describe('STUN and TURN servers that programs are told of for calls.'),
      openRoomsFirst: z
        .boolean()
        .default(false)
        .describe(
          'Whether programs make their rooms as open ones among the accounts of this gateway, in which nothing is kept, rather than as groups.',
        ),
      hostCandidates: z
        .boolean()
        .default(false)
        .describe('Whether contacts learn in calls which addresses programs have in their own networks.'),
      component: xmppComponent
        .default({
          enabled: false,
          host: '127.0.0.1',
          port: 5347,
          domain: '',
          secretFile: '',
          remote: false,
          users: {},
        })
        .describe('The gateway as a component of another XMPP server (XEP-0114).'),
    })
    .prefault({})
    .describe('XMPP with STARTTLS; what concerns all of XMPP.'),
  xmpps: listener(5223, 'XMPP, TLS from the start.'),
  http: listener(
    8008,
    'HTTP for clients: Matrix, settings for mail programs, XMPP over WebSocket and BOSH, /healthz, /metrics.',
  ),
  https: listener(8443, 'The same over TLS, and files of chats.'),
  overlay: z
    .strictObject({
      host: z
        .string()
        .min(1)
        .max(255)
        .default('0.0.0.0')
        .describe('Address on which other gateways connect; 0.0.0.0 (or ::) is every one, IPv4 and IPv6.'),
      port: port.default(4001).describe('TCP and UDP port for other gateways; 0 picks free ones.'),
      webSocketPort: port.default(4002).describe('TCP port for other gateways over WebSocket; 0 picks a free one.'),
      mdns: z.boolean().default(true).describe('Find contacts on the local network.'),
      bootstrap: z
        .array(multiaddr)
        .max(32)
        .default([])
        .describe('Gateways to connect to at start, as multiaddrs with /p2p.'),
      announce: z
        .array(multiaddr)
        .max(limits.locatorsMax)
        .default([])
        .describe('Addresses to give to contacts beside the ones found, e.g. of a forwarded port.'),
      loopback: z
        .boolean()
        .default(false)
        .describe('Give out and dial loopback addresses too: for several gateways on one machine.'),
      relay: z
        .boolean()
        .default(false)
        .describe(
          'Hold sealed mail for others while they are away, contacts first. Needs an address that others reach.',
        ),
      relayBytesMax: z
        .int()
        .min(64 * 1024 * 1024)
        .default(4 * 1024 * 1024 * 1024)
        .describe('Octets that this gateway holds for others at most.'),
      relays: z
        .array(multiaddr)
        .max(16)
        .default([])
        .describe('Relays to be reached through, as multiaddrs with /p2p, before those that contacts run.'),
      hideFromRelays: z
        .boolean()
        .default(false)
        .describe("Leave mail at a contact's relay only through a relay of one's own, never straight."),
      routing: z
        .boolean()
        .default(true)
        .describe(
          "Carry connections between gateways that cannot reach each other: those of contacts, as a relay everybody's.",
        ),
      portMapping: z
        .boolean()
        .default(true)
        .describe('Ask the router of the local network (NAT-PMP, PCP, UPnP) to let other gateways in.'),
    })
    .prefault({})
    .describe('How other gateways reach this one.'),
  certificates: z
    .strictObject({
      hostnames: z
        .array(z.string().min(1).max(253))
        .max(8)
        .default([])
        .describe('Further names for the local certificate, for listeners on the local network.'),
      cert: path.describe(
        "File with a certificate of another authority and those that lead to it, PEM, to present in place of the local one; read again when it changes and at SIGHUP. Empty: the gateway's own.",
      ),
      key: path.describe('File with the private key of that certificate, PEM.'),
    })
    .refine(({ cert, key }) => (cert === '') === (key === ''), {
      error: 'needs both cert and key, or neither',
    })
    .prefault({})
    .describe('What the listeners present: the local certificate authority, or files.'),
  accounts: z
    .strictObject({
      quota: z
        .string()
        .regex(sizePattern, 'a size such as 500MB or 5GB, or none')
        .refine((text) => parseSize(text) !== undefined, 'more than nothing')
        .default('none')
        .transform((text) => parseSize(text) ?? Infinity)
        .describe('Mail that an account may keep unless it has a quota of its own: a size such as 5GB, or none.'),
    })
    .prefault({})
    .describe('The users of this gateway.'),
  mail: z
    .strictObject({
      messageBytesMax: z
        .int()
        .min(64 * 1024)
        .max(limits.mailBytesMax)
        .default(limits.mailBytesMax)
        .describe('Largest mail that a client may submit or append, bytes.'),
      expiryDays: z
        .int()
        .min(1)
        .max(60)
        .default(limits.messageExpiryMs / 86_400_000)
        .describe('How long an undelivered mail is tried, days.'),
    })
    .prefault({})
    .describe('Mail.'),
  store: z
    .strictObject({
      bytesMax: z
        .int()
        .min(64 * 1024 * 1024)
        .max(2 ** 44)
        .default(2 ** 38)
        .describe('Most that the database file may grow to, bytes; space is taken as needed.'),
    })
    .prefault({})
    .describe('The store in the home directory.'),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('The least important lines to write.'),
    })
    .prefault({})
    .describe('NDJSON on standard error; never contains content.'),
})

export type Config = z.output<typeof schema>

/** Names of the listeners for local clients. */
export const listenerNames = ['smtp', 'smtps', 'imap', 'imaps', 'xmpp', 'xmpps', 'http', 'https'] as const

/** One line for a person: which key is wrong and what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

export interface ConfigSources {
  /** Path of a JSON file. */
  readonly file?: string | undefined
  readonly portsAuto?: boolean
  /** `KEY=VALUE` with a dotted key; VALUE is JSON, or else a string. */
  readonly set?: readonly string[]
}

/** @throws ConfigError */
export function loadConfig({ file, portsAuto = false, set = [] }: ConfigSources): Config {
  const { input, lines } = file === undefined ? { input: {}, lines: new Map<string, number>() } : readFile(file)
  if (portsAuto) {
    for (const name of listenerNames) assign(input, [name, 'port'], 0)
    assign(input, ['overlay', 'port'], 0)
    assign(input, ['overlay', 'webSocketPort'], 0)
  }
  for (const entry of set) {
    const equals = entry.indexOf('=')
    if (equals <= 0) throw new ConfigError(`--set takes KEY=VALUE, e.g. imap.port=0, not '${entry}'`)
    const key = entry.slice(0, equals)
    assign(input, key.split('.'), jsonOrText(entry.slice(equals + 1)))
    lines.delete(key)
  }
  const parsed = schema.safeParse(input)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!
    const line = lines.get(keyOf(issue))
    throw new ConfigError(`${line === undefined ? '' : `${file}:${line}: `}${explain(issue)}`)
  }
  return deepFreeze(parsed.data)
}

/** What the audit log notes of a configuration: which keys are not at their default, and a digest of all values. */
export function settingsOf(config: Config): { readonly set: string; readonly digest: string } {
  const standard = schema.parse({}) as unknown as Record<string, Record<string, unknown>>
  const set = Object.entries(config).flatMap(([section, values]) =>
    Object.entries(values as Record<string, unknown>)
      .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(standard[section]?.[key]))
      .map(([key]) => `${section}.${key}`),
  )
  const digest = createHash('sha256').update(JSON.stringify(config)).digest('hex')
  return { set: set.join(' '), digest: digest.slice(0, 16) }
}

interface SchemaNode {
  readonly description?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, SchemaNode>>
}

/** A configuration file with every key at its default, each explained: `config/gateway.example.jsonc`. */
export function exampleConfigText(): string {
  const { properties = {} } = configJsonSchema() as SchemaNode
  const sections = Object.entries(properties).flatMap(([name, { description = '', properties: keys }]) => {
    if (keys === undefined) return []
    const lines = Object.entries(keys).flatMap(([key, node]) => [
      ...(node.description === undefined ? [] : [`    // ${node.description}`]),
      `    ${JSON.stringify(key)}: ${exampleValue(node.default)},`,
    ])
    return [`  // ${description}\n  ${JSON.stringify(name)}: {\n${lines.join('\n')}\n  },`]
  })
  return `// Every setting of mycelium-gateway at its default. Keep only what you change: run --config FILE.\n{\n  "$schema": "./gateway.schema.json",\n\n${sections.join('\n\n')}\n}\n`
}

/** As `npm run format` leaves it: an object with its members below each other. */
function exampleValue(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return JSON.stringify(value)
  const members = Object.entries(value).map(
    ([key, member]) => `      ${JSON.stringify(key)}: ${JSON.stringify(member)},`,
  )
  return `{\n${members.join('\n')}\n    }`
}

/** JSON Schema (2020-12) of the configuration file. */
export const configJsonSchema = (): object => ({
  title: 'mycelium-gateway configuration',
  ...z.toJSONSchema(schema, { io: 'input' }),
})

/**
 * The home directory: as given, else `$MYCELIUM_HOME`, else the platform's place for application data.
 * An unset or empty variable counts as absent.
 */
export function homeDirectory(given: string | undefined, env: NodeJS.ProcessEnv = process.env): string {
  const chosen = given ?? (env['MYCELIUM_HOME'] === '' ? undefined : env['MYCELIUM_HOME'])
  if (chosen !== undefined) return resolve(chosen)
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'mycelium-gateway')
  if (process.platform === 'win32') {
    return join(env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'mycelium-gateway')
  }
  const data = env['XDG_DATA_HOME']
  const base = data !== undefined && isAbsolute(data) ? data : join(homedir(), '.local', 'share')
  return join(base, 'mycelium-gateway')
}

interface ReadFile {
  readonly input: Record<string, unknown>
  /** Of each key, by dotted path. */
  readonly lines: Map<string, number>
}

function readFile(file: string): ReadFile {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`)
  }
  try {
    const { value, lines } = parseConfigText(text)
    if (isRecord(value)) return { input: value, lines: new Map(lines) }
  } catch (error) {
    if (!(error instanceof ConfigSyntaxError)) throw error
    throw new ConfigError(`${file}:${error.line}: not JSON: ${error.message}`)
  }
  throw new ConfigError(`${file} must hold one JSON object`)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function assign(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = target
  for (const [index, key] of path.entries()) {
    if (key === '__proto__' || key === '') throw new ConfigError(`unknown key '${path.join('.')}'`)
    if (index === path.length - 1) {
      at[key] = value
      return
    }
    const next = Object.hasOwn(at, key) ? at[key] : undefined
    const child = isRecord(next) ? next : {}
    at[key] = child
    at = child
  }
}

function jsonOrText(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** The key that an issue is about, dotted; of an unknown one, its full name. */
const keyOf = (issue: z.core.$ZodIssue): string =>
  [...issue.path, ...(issue.code === 'unrecognized_keys' ? [issue.keys[0]!] : [])].map(String).join('.')

function explain(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'unrecognized_keys') return `${keyOf(issue) || 'configuration'}: ${issue.message}`
  const unknown = keyOf(issue)
  const nearest = knownKeys()
    .map((key) => ({ key, distance: editDistance(unknown, key) }))
    .toSorted((a, b) => a.distance - b.distance)[0]!
  return `unknown key '${unknown}'; did you mean '${nearest.key}'?`
}

/** Every section and every dotted key. */
function knownKeys(): string[] {
  return Object.entries(schema.parse({})).flatMap(([section, value]) => [
    section,
    ...Object.keys(value as object).map((key) => `${section}.${key}`),
  ])
}

/** Levenshtein distance; both texts are short. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, substitution))
    }
    previous = current
  }
  return previous[b.length]!
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) deepFreeze(child)
  return Object.freeze(value)
}
