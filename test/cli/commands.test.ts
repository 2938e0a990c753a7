import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, expect, test } from 'vitest'
import { lineFor } from '../../src/cli/errors.ts'
import { parseDuration, printable, table } from '../../src/cli/format.ts'
import { runCommandLine } from '../../src/cli/program.ts'
import { clientSettings } from '../../src/cli/run.ts'
import type { HomeState, NewHome, Terminal, Wiring } from '../../src/cli/wiring.ts'
import { type Operations, operationParams, operationVerbs, type Results, type Verb } from '../../src/core/control.ts'
import {
  type AccountView,
  type ChatMessageView,
  type ContactView,
  type ConversationView,
  type FileView,
  type GroupView,
  type DeviceView,
  type NewAccount,
  type QueueItem,
  type ReachView,
  type RelayView,
} from '../../src/core/control-views.ts'
import { errorCodes, MyceliumError } from '../../src/core/errors.ts'

const folder = mkdtempSync(join(tmpdir(), 'mycelium-commands-'))
afterAll(() => rmSync(folder, { recursive: true }))

const contact: ContactView = {
  name: 'Bob\u001b[31m',
  identity: 'b'.repeat(64),
  fingerprint: '12345 '.repeat(12).trim(),
  addresses: [{ address: 'bob@x.myc', tier: 'zone', conflicting: false }],
  state: 'active',
  devices: 1,
  connected: true,
  lastSeenMs: 0,
  reach: { state: 'connected', how: 'direct', hops: 0, via: [], rttMs: 1.23, sinceMs: 0 },
}
const account: AccountView = {
  localName: 'alice',
  addresses: ['alice@x.myc'],
  displayName: 'Alice',
  identity: 'a'.repeat(64),
  fingerprint: contact.fingerprint,
  disabled: false,
  recoveryConfirmed: false,
  usedBytes: 2048,
  fileBytes: 1024,
  quotaBytes: 1024 * 1024,
  quotaIsOwn: true,
}
const created: NewAccount = {
  address: 'alice@x.myc',
  identity: account.identity,
  fingerprint: account.fingerprint,
  mnemonic: Array.from({ length: 24 }, (_, index) => `word${index + 1}`).join(' '),
  appPassword: 'app-password-of-the-test',
}
const item: QueueItem = {
  id: 'q1',
  account: 'alice',
  recipient: 'bob@x.myc',
  queuedAtMs: 0,
  expiresAtMs: 1,
  bytes: 5,
  attempts: 2,
  reason: 'their gateway does not answer',
  remedy: 'run doctor',
  nextAttemptMs: 1,
  heldUntilMs: 2,
}
const relay: RelayView = {
  account: 'alice',
  gateway: '12D3KooWabcdefgh',
  state: 'watching',
  sinceMs: 0,
  lastSeenMs: 0,
  faults: 0,
  lastError: 'unreachable',
}
const said: ChatMessageView = {
  id: '1f'.repeat(32),
  conversation: '2e'.repeat(32),
  author: { identity: contact.identity, name: contact.name, own: false },
  number: 7,
  sentAtMs: 0,
  receivedAtMs: 0,
  text: 'hello\u001b[2J',
  html: undefined,
  file: { name: 'plan\u202e.pdf', mediaType: 'application/pdf', size: 2048, here: false },
  replyTo: '3d'.repeat(32),
  editedAtMs: 1,
  deleted: false,
  reactions: [{ who: { identity: account.identity, name: 'Alice', own: true }, reactions: ['+1'] }],
  state: 'delivered',
  gap: false,
}
const conversation: ConversationView = {
  conversation: said.conversation,
  kind: 'direct',
  name: contact.name,
  messages: 3,
  unread: 1,
  lastAtMs: 0,
}
const group: GroupView = {
  group: '4c'.repeat(32),
  name: 'the\u001b[1mgroup',
  address: `the-group@${'a'.repeat(52)}.group.myc`,
  state: 'joined',
  members: [
    { identity: account.identity, name: 'Alice', own: true, admin: true },
    { identity: contact.identity, name: contact.name, own: false, admin: false },
  ],
  policy: { post: 'members', add: 'admins', sharesHistory: false, readReceipts: true },
  epoch: 2,
  messages: 7,
  unread: 1,
}
const sentFile: FileView = {
  message: 'f1'.repeat(32),
  with: 'Bob',
  author: { identity: account.identity, name: 'Alice', own: true },
  sentAtMs: 0,
  name: 'plan.pdf',
  mediaType: 'application/pdf',
  size: 4096,
  state: 'coming',
  reason: undefined,
  bytes: 1024,
  bytesPerSecond: 512,
}
const device: DeviceView = {
  id: 'd'.repeat(64),
  name: 'laptop',
  isThis: false,
  state: 'active',
  addedAtMs: 0,
  mayLink: true,
  connected: true,
  lastSeenMs: 0,
}
const answers: Results = {
  fileSend: sentFile,
  fileGet: { ...sentFile, state: 'here' },
  fileList: [sentFile, { ...sentFile, state: 'refused', reason: 'mailbox-full' }],
  groupCreate: group,
  groupList: [group],
  groupShow: group,
  groupInvite: group,
  groupRemove: group,
  groupGrant: group,
  groupRevoke: group,
  groupRename: group,
  groupPolicy: group,
  groupLeave: { ...group, state: 'left' },
  groupAccept: group,
  groupCheckpoint: group,
  chatSend: said,
  chatEdit: said,
  chatDelete: { ...said, text: undefined, file: undefined, deleted: true },
  chatReact: said,
  chatList: [conversation],
  chatShow: [said],
  chatRead: conversation,
  chatTail: { events: 0 },
  chatSettings: { readReceipts: false, presence: false, inInbox: true },
  deviceLink: { link: 'mycelium-device:abc', expiresAtMs: 1 },
  deviceLinkDigits: { digits: '12345 67890 12345', name: 'laptop' },
  deviceLinkEnd: device,
  deviceJoin: { digits: '12345 67890 12345', address: 'alice@x.myc', fingerprint: '1' },
  deviceJoinEnd: { address: 'alice@x.myc', identity: 'a'.repeat(64), localName: 'alice', appPassword: 'pass' },
  deviceList: [device],
  deviceRevoke: device,
  deviceRename: device,
  relayList: [relay],
  relayUse: relay,
  relayDrop: { dropped: relay.gateway },
  status: {
    running: true,
    version: '1',
    home: '/h',
    pid: 7,
    startedAtMs: 0,
    keyStore: 'key-file',
    accounts: [{ ...account, contacts: 1, requests: 0 }],
    listeners: { imap: { host: '127.0.0.1', port: 1143 }, overlay: ['/ip4/127.0.0.1/tcp/4001/p2p/x'] },
    contactsReached: { direct: 1, relayed: 0, unreachable: 2, idle: 0 },
    peersConnected: 1,
    relays: { inUse: 3, watched: 2, accountsWithout: 1 },
    reachability: {
      state: 'public',
      seen: ['192.0.2.7'],
      confirmed: ['/ip4/192.0.2.7/tcp/4001'],
      mappedBy: 'pcp',
      mapped: [],
    },
    queued: 0,
    searchIndex: { messages: 7, waiting: 2 },
  },
  peers: [
    {
      gateway: '12D3KooWabcdefgh',
      state: 'connected',
      how: 'direct',
      hops: 0,
      via: [],
      transport: 'tcp',
      remote: '/ip4/127.0.0.1/tcp/1',
      sinceMs: 0,
      rttMs: 1.23,
      lastError: 'none',
      contacts: ['bob'],
    },
  ],
  routes: [
    {
      destination: '12D3KooWabcdefgh',
      contacts: ['bob'],
      nextHop: '12D3KooWrelayrel',
      nextHopContacts: ['carol'],
      hops: 2,
      metricMs: 31.4,
      nextHopRttMs: 12.5,
      alternatives: 1,
      sinceMs: 0,
      lastFailure: { neighbour: '12D3KooWother123', reason: 'path carries nothing', atMs: 0 },
    },
  ],
  stop: { stopping: true },
  accountRemove: { removed: 'alice' },
  passwordRevoke: { revoked: 'phone', id: '01' },
  inviteRevoke: { revoked: 'i' },
  contactShow: contact,
  contactVerify: contact,
  contactRename: contact,
  contactBlock: contact,
  contactUnblock: contact,
  contactAccept: contact,
  contactRemove: { removed: 'bob' },
  queueRetry: { retried: 1 },
  queueCancel: { cancelled: 'q1' },
  recoveryAsk: { positions: [2, 7, 11, 24] },
  recoveryConfirm: { confirmed: true },
  doctor: [{ name: 'clock', state: 'problem', detail: '2 h behind', remedy: 'set it' }],
  accountAdd: created,
  accountList: [account],
  accountDisable: account,
  accountShow: {
    ...account,
    createdAtMs: 0,
    lastLoginMs: 0,
    passwords: 1,
    contacts: 2,
    mailboxes: 7,
    messages: 3,
    queued: 0,
    wordsKept: true,
  },
  accountQuota: account,
  accountHandOver: {
    address: 'alice@x.myc',
    localName: 'alice',
    identity: account.identity,
    name: 'handed over',
    password: 'new-password',
    revoked: 2,
    wordsKept: false,
  },
  auditList: [
    { atMs: 0, action: 'account.quota', account: 'ab'.repeat(16), accountName: 'alice', details: { quota: 1 } },
  ],
  passwordAdd: { id: '01', name: 'phone', password: 'secret-password' },
  passwordList: [{ name: 'phone', createdAtMs: 0, lastUsedMs: 0 }],
  inviteCreate: { link: 'mycelium:abc', expiresAtMs: 0 },
  inviteAccept: { address: 'bob@x.myc', identity: contact.identity, fingerprint: 'f', tier: 'zone', state: 'pending' },
  inviteList: [{ id: 'i', createdAtMs: 0, expiresAtMs: 1, state: 'open' }],
  contactList: [contact],
  contactConfirmStart: { text: 'apple river', expiresAtMs: 0 },
  contactConfirmEnd: { state: 'confirmed', contact },
  contactRequests: [{ identity: contact.identity, address: 'eve@x', fingerprint: 'f', receivedAtMs: 0, messages: 1 }],
  queueList: [item],
  queueShow: { ...item, messageId: 'm', devices: [{ device: 'd'.repeat(64), state: 'waiting' }] },
  trustExport: { certificate: '-----BEGIN CERTIFICATE-----\n', fingerprint: 'AA:BB', notAfterMs: 0 },
  mailImport: { added: 2, known: 1, refused: 0, refusals: [] },
  relayStatus: { on: true, owners: 2, queues: 5, entries: 7, bytes: 57_344, bytesMax: 4_294_967_296 },
  relayGrant: { capability: '000102030405060708090a0b0c0d0e0f', expiresAtMs: 0 },
  mailExport: { messages: 3 },
  backupRead: { rows: 1, files: 0, missing: 0 },
  recoveryShow: { mnemonic: created.mnemonic },
}

let calls: { verb: Verb; params: unknown }[]
let out: string
let err: string
let state: HomeState
let home: NewHome | undefined
let passphraseSeen: string | undefined
let failure: Error | undefined
let emptyHomes = 0
let terminal: { interactive: boolean; stdin: string; typed: string[] }

beforeEach(() => {
  calls = []
  out = ''
  err = ''
  home = undefined
  passphraseSeen = undefined
  emptyHomes = 0
  failure = undefined
  state = { kind: 'home', keyStore: 'key-file' }
  terminal = { interactive: false, stdin: '', typed: [] }
})

/** A gateway of canned answers: what is tested is what the command line asks, prints and returns. */
const operations = Object.fromEntries(
  operationVerbs.map((verb) => [
    verb,
    async (params: unknown) => {
      operationParams[verb].parse(params)
      calls.push({ verb, params: JSON.parse(JSON.stringify(params)) as unknown })
      if (failure !== undefined) throw failure
      return await Promise.resolve(answers[verb])
    },
  ]),
) as unknown as Operations

const wiring: Wiring = {
  version: '9.9.9',
  command: ['/opt/node', '/opt/gateway/src/main.ts'],
  controlSocket: () => join(folder, 'absent.sock'),
  inspect: () => state,
  async createHome(_, options) {
    home = options
    return await Promise.resolve(created)
  },
  async openStopped(_, passphrase) {
    passphraseSeen = passphrase
    return { ...operations, [Symbol.asyncDispose]: async () => await Promise.resolve() }
  },
  readStopped: async () => await Promise.resolve(answers.backupRead),
  createEmptyHome: async () => await Promise.resolve(void (emptyHomes += 1)),
  restoreHome: async () => await Promise.resolve(answers.backupRead),
  async start() {
    return await Promise.resolve({
      listeners: { imap: { host: '127.0.0.1', port: 1143 }, overlay: [] },
      operations,
      ended: Promise.resolve(),
      [Symbol.asyncDispose]: async () => await Promise.resolve(),
    })
  },
}

async function run(...args: string[]): Promise<number> {
  const fake: Terminal = {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    interactive: terminal.interactive,
    ask: async () => await Promise.resolve(terminal.typed.shift()!),
    readStdin: async () => await Promise.resolve(terminal.stdin),
    stop: new AbortController().signal,
  }
  return await runCommandLine(args, { wiring, terminal: fake })
}

const commands: readonly (readonly [string[], Verb, unknown])[] = [
  [['status'], 'status', {}],
  [['peers'], 'peers', {}],
  [['routes'], 'routes', {}],
  [['stop'], 'stop', {}],
  [['account', 'add', 'x@y.myc', '--display-name', 'X'], 'accountAdd', { address: 'x@y.myc', displayName: 'X' }],
  [['account', 'list'], 'accountList', {}],
  [['account', 'remove', 'alice', '--yes'], 'accountRemove', { account: 'alice' }],
  [['account', 'disable', 'alice'], 'accountDisable', { account: 'alice', disabled: true }],
  [['account', 'enable', 'alice'], 'accountDisable', { account: 'alice', disabled: false }],
  [['account', 'show', 'alice'], 'accountShow', { account: 'alice' }],
  [['account', 'quota', 'alice', '5GB'], 'accountQuota', { account: 'alice', quota: 5 * 1024 ** 3 }],
  [['account', 'quota', 'alice', 'default'], 'accountQuota', { account: 'alice', quota: 'default' }],
  [
    ['account', 'hand-over', 'alice', '--display-name', 'Al', '--yes'],
    'accountHandOver',
    { account: 'alice', displayName: 'Al' },
  ],
  [['audit', 'list', '--limit', '5'], 'auditList', { limit: 5 }],
  [['password', 'add', '--account', 'a', '--name', 'phone'], 'passwordAdd', { account: 'a', name: 'phone' }],
  [['password', 'list'], 'passwordList', {}],
  [['password', 'revoke', 'phone'], 'passwordRevoke', { name: 'phone' }],
  [['invite', 'create', '--expires', '2h'], 'inviteCreate', { expiresMs: 7_200_000 }],
  [['invite', 'create'], 'inviteCreate', { expiresMs: 604_800_000 }],
  [['invite', 'accept', 'link', '--account', 'a'], 'inviteAccept', { account: 'a', link: 'link' }],
  [['invite', 'list'], 'inviteList', {}],
  [['invite', 'revoke', 'i'], 'inviteRevoke', { id: 'i' }],
  [['contact', 'list'], 'contactList', {}],
  [['contact', 'show', 'bob'], 'contactShow', { contact: 'bob' }],
  [['contact', 'rename', 'bob', 'Robert'], 'contactRename', { contact: 'bob', name: 'Robert' }],
  [['contact', 'block', 'bob'], 'contactBlock', { contact: 'bob' }],
  [['contact', 'unblock', 'bob'], 'contactUnblock', { contact: 'bob' }],
  [['contact', 'remove', 'bob'], 'contactRemove', { contact: 'bob' }],
  [['contact', 'requests'], 'contactRequests', {}],
  [['contact', 'accept', 'eve'], 'contactAccept', { contact: 'eve' }],
  [
    ['contact', 'verify', 'bob', ...'12345 '.repeat(12).trim().split(' ')],
    'contactVerify',
    { contact: 'bob', digits: '12345 '.repeat(12).trim() },
  ],
  [['contact', 'verify', 'bob'], 'contactConfirmStart', { contact: 'bob' }],
  [['contact', 'verify', 'bob', '--same'], 'contactConfirmEnd', { contact: 'bob', same: true }],
  [['contact', 'verify', 'bob', '--different'], 'contactConfirmEnd', { contact: 'bob', same: false }],
  [['file', 'list'], 'fileList', {}],
  [['file', 'list', 'bob'], 'fileList', { with: 'bob' }],
  [['chat', 'send', 'bob', 'hello'], 'chatSend', { to: 'bob', text: 'hello' }],
  [
    ['chat', 'send', 'bob', 'hello', '--reply-to', '1f1f1f1f'],
    'chatSend',
    { to: 'bob', text: 'hello', replyTo: '1f1f1f1f' },
  ],
  [['chat', 'edit', '1f1f1f1f', 'hullo'], 'chatEdit', { message: '1f1f1f1f', text: 'hullo' }],
  [['chat', 'react', '1f1f1f1f', '+1', 'ok'], 'chatReact', { message: '1f1f1f1f', reactions: ['+1', 'ok'] }],
  [['chat', 'react', '1f1f1f1f'], 'chatReact', { message: '1f1f1f1f', reactions: [] }],
  [['chat', 'delete', '1f1f1f1f'], 'chatDelete', { message: '1f1f1f1f' }],
  [['chat', 'list'], 'chatList', {}],
  [['chat', 'show', 'bob', '--limit', '5'], 'chatShow', { with: 'bob', limit: 5 }],
  [['chat', 'read', 'bob'], 'chatRead', { with: 'bob' }],
  [['chat', 'settings', '--read-receipts', 'on'], 'chatSettings', { readReceipts: true }],
  [['group', 'create', 'friends', 'bob', 'carol'], 'groupCreate', { name: 'friends', members: ['bob', 'carol'] }],
  [['group', 'list'], 'groupList', {}],
  [['group', 'show', 'friends'], 'groupShow', { group: 'friends' }],
  [['group', 'invite', 'friends', 'dan', 'eve'], 'groupInvite', { group: 'friends', members: ['dan', 'eve'] }],
  [['group', 'remove', 'friends', 'bob'], 'groupRemove', { group: 'friends', member: 'bob' }],
  [['group', 'grant', 'friends', 'bob'], 'groupGrant', { group: 'friends', member: 'bob' }],
  [['group', 'revoke', 'friends', 'bob'], 'groupRevoke', { group: 'friends', member: 'bob' }],
  [['group', 'rename', 'friends', 'family'], 'groupRename', { group: 'friends', name: 'family' }],
  [
    ['group', 'policy', 'friends', '--post', 'admins', '--history', 'on'],
    'groupPolicy',
    { group: 'friends', post: 'admins', sharesHistory: true },
  ],
  [['group', 'leave', 'friends'], 'groupLeave', { group: 'friends' }],
  [['group', 'checkpoint', 'friends'], 'groupCheckpoint', { group: 'friends' }],
  [['group', 'accept', 'friends'], 'groupAccept', { group: 'friends' }],
  [['device', 'link', '--account', 'a'], 'deviceLink', { account: 'a' }],
  [['device', 'link', '--digits'], 'deviceLinkDigits', {}],
  [['device', 'link', '--same'], 'deviceLinkEnd', { same: true }],
  [['device', 'link', '--different'], 'deviceLinkEnd', { same: false }],
  [['device', 'list'], 'deviceList', {}],
  [['device', 'revoke', 'laptop'], 'deviceRevoke', { device: 'laptop' }],
  [['device', 'revoke', 'desk', '--words-stdin'], 'deviceRevoke', { device: 'desk', words: '' }],
  [['device', 'rename', 'dddd', 'lap'], 'deviceRename', { device: 'dddd', name: 'lap' }],
  [['device', 'join', 'mycelium-device:x', '--name', 'lap'], 'deviceJoin', { link: 'mycelium-device:x', name: 'lap' }],
  [['device', 'join', '--same'], 'deviceJoinEnd', { same: true }],
  [['device', 'join', '--different'], 'deviceJoinEnd', { same: false }],
  [['queue', 'list', '--account', 'a'], 'queueList', { account: 'a' }],
  [['queue', 'show', 'q1'], 'queueShow', { id: 'q1' }],
  [['queue', 'retry'], 'queueRetry', {}],
  [['queue', 'retry', 'q1'], 'queueRetry', { id: 'q1' }],
  [['queue', 'cancel', 'q1'], 'queueCancel', { id: 'q1' }],
  [['relay', 'status'], 'relayStatus', {}],
  [['relay', 'grant'], 'relayGrant', { expiresMs: 604_800_000 }],
  [['relay', 'grant', '--expires', '2h'], 'relayGrant', { expiresMs: 7_200_000 }],
  [['relay', 'list'], 'relayList', {}],
  [
    ['relay', 'use', '/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWx'],
    'relayUse',
    { relay: '/ip4/203.0.113.7/tcp/4001/p2p/12D3KooWx' },
  ],
  [['relay', 'drop', 'abcdefgh'], 'relayDrop', { gateway: 'abcdefgh' }],
  [['trust', 'export'], 'trustExport', {}],
  [['recovery', 'show'], 'recoveryShow', {}],
]

test.each(commands)('%j asks for the right operation, as text and as JSON', async (args, verb, params) => {
  expect(await run(...args)).toBe(0)
  expect(calls).toEqual([{ verb, params }])
  expect(out).not.toBe('')
  expect(out).not.toContain('\u001b')
  expect(out).not.toContain('undefined')
  out = ''
  expect(await run(...args, '--json')).toBe(0)
  expect(out.endsWith('\n') && out.indexOf('\n') === out.length - 1).toBe(true)
  expect(JSON.parse(out)).toMatchObject(JSON.parse(JSON.stringify(answers[verb])) as object)
})

test('every verb and every group has --help and takes --home and --json', async () => {
  const single = ['status', 'peers', 'routes', 'stop']
  const verbs = commands.map(([args]) => (single.includes(args[0]!) ? args.slice(0, 1) : args.slice(0, 2)))
  for (const verb of [...verbs, ['init'], ['run'], ['doctor'], ['service', 'install'], ['service', 'uninstall']]) {
    out = ''
    expect(await run(...verb, '--help')).toBe(0)
    expect(out).toContain('--home <dir>')
    expect(out).toContain('--json')
  }
  expect(await run('--version')).toBe(0)
  expect(out).toContain('9.9.9')
})

test.each([
  [[]],
  [['nonsense']],
  [['status', '--nonsense']],
  [['status', 'extra']],
  [['account']],
  [['account', 'add']],
  [['invite', 'create', '--expires', '1y']],
  [['contact', 'verify', 'bob', '12345']],
  [['contact', 'verify', 'bob', '--same', '--different']],
  [['account', 'remove', 'alice']],
  [['device', 'join']],
  [['device', 'join', 'mycelium-device:x', '--same']],
  [['device', 'link', '--same', '--different']],
  [['account', 'hand-over', 'alice']],
  [['account', 'quota', 'alice', 'plenty']],
  [['audit', 'list', '--limit', '0']],
  [['relay']],
  [['relay', 'grant', '--expires', 'soon']],
  [['recovery', 'confirm']],
  [['run', '--ports', 'some']],
  [['run', '--set', 'imap.prot=1']],
  [['run', '--config', '/absent.json']],
  [['init', '--ask-passphrase']],
])('wrong usage %j ends with 2 and a line on standard error', async (args) => {
  expect(await run(...args)).toBe(2)
  expect(err).not.toBe('')
  expect(out).toBe('')
  expect(calls).toEqual([])
})

test('a failure ends with 1 and one line; every code has its line', async () => {
  failure = new MyceliumError('no-such-contact')
  expect(await run('contact', 'show', 'carol')).toBe(1)
  expect(err).toBe('mycelium-gateway: no such contact; see: contact list\n')
  for (const code of errorCodes) expect(lineFor(new MyceliumError(code))).toMatch(/^[^\n]{10,}$/)
  expect(lineFor(new MyceliumError('home-locked', { pid: 42 }))).toContain('process 42')
})

test('without a home the remedy is named', async () => {
  state = { kind: 'nothing' }
  expect(await run('status')).toBe(1)
  expect(err).toContain('init')
})

test('doctor fails when there is a problem, after it has printed everything', async () => {
  expect(await run('doctor', '--json')).toBe(1)
  expect(JSON.parse(out)).toEqual(answers.doctor)
  failure = new MyceliumError('store-corrupt', { file: 'data.mdb' })
  out = ''
  expect(await run('doctor')).toBe(1)
  expect(out).toContain('PROBLEM home')
  expect(out).toContain('data.mdb')
})

test('init passes on what was given and shows words and password this once', async () => {
  state = { kind: 'nothing' }
  expect(await run('init', '--address', 'a@b.myc', '--display-name', 'A', '--service-domain', 'b.myc', '--json')).toBe(
    0,
  )
  expect(home).toEqual({
    address: 'a@b.myc',
    displayName: 'A',
    serviceDomain: 'b.myc',
    passphrase: undefined,
    keepWords: false,
  })
  expect(JSON.parse(out)).toEqual(created)
  out = ''
  expect(await run('init')).toBe(0)
  expect(out).toContain('24 word24')
  expect(out).toContain(created.appPassword)
})

test('a passphrase comes from a file, also for the home that run creates at its first start', async () => {
  const file = join(folder, 'passphrase')
  writeFileSync(file, 'correct horse battery\n')
  state = { kind: 'nothing' }
  expect(await run('run', '--passphrase-file', file)).toBe(0)
  expect(home?.passphrase).toBe('correct horse battery')
  state = { kind: 'home', keyStore: 'passphrase' }
  expect(await run('account', 'list', '--passphrase-file', file)).toBe(0)
  expect(passphraseSeen).toBe('correct horse battery')
  expect(await run('account', 'list', '--passphrase-file', join(folder, 'absent'))).toBe(1)
})

test('a passphrase comes from standard input or a hidden prompt, never shorter than 12 characters', async () => {
  terminal.stdin = 'correct horse battery'
  expect(await run('init', '--passphrase-stdin')).toBe(0)
  expect(home?.passphrase).toBe('correct horse battery')
  terminal.stdin = 'short'
  expect(await run('init', '--passphrase-stdin')).toBe(2)
  terminal = { interactive: true, stdin: '', typed: ['correct horse battery', 'correct horse battery'] }
  expect(await run('init', '--ask-passphrase')).toBe(0)
  terminal.typed = ['correct horse battery', 'another horse battery']
  expect(await run('init', '--ask-passphrase')).toBe(2)

  state = { kind: 'home', keyStore: 'passphrase' }
  terminal = { interactive: false, stdin: 'pass from stdin', typed: [] }
  expect(await run('status')).toBe(1)
  expect(err).toContain('--passphrase-stdin')
  expect(await run('status', '--passphrase-stdin')).toBe(0)
  expect(passphraseSeen).toBe('pass from stdin')
})

test('recovery confirm takes 24 words from standard input, or asks for those that the gateway names', async () => {
  terminal.stdin = `${created.mnemonic.toUpperCase()}\n`
  expect(await run('recovery', 'confirm', '--words-stdin')).toBe(0)
  expect(calls[0]!.params).toMatchObject({
    words: expect.arrayContaining([{ position: 24, word: 'word24' }]) as unknown,
  })
  terminal.stdin = 'only three words'
  expect(await run('recovery', 'confirm', '--words-stdin')).toBe(2)
  terminal = { interactive: true, stdin: '', typed: ['one', 'two', 'three', 'four'] }
  expect(await run('recovery', 'confirm')).toBe(0)
  expect(calls.at(-1)).toEqual({
    verb: 'recoveryConfirm',
    params: {
      words: [
        { position: 2, word: 'one' },
        { position: 7, word: 'two' },
        { position: 11, word: 'three' },
        { position: 24, word: 'four' },
      ],
    },
  })
})

test('verify on a terminal shows the text, asks, and passes the answer on', async () => {
  terminal = { interactive: true, stdin: '', typed: ['yes'] }
  expect(await run('contact', 'verify', 'bob')).toBe(0)
  expect(err).toContain('apple river')
  expect(calls.map(({ verb }) => verb)).toEqual(['contactConfirmStart', 'contactConfirmEnd'])
  terminal.typed = ['hm']
  expect(await run('contact', 'verify', 'bob')).toBe(0)
  expect(calls.at(-1)!.params).toEqual({ contact: 'bob', same: false })
})

test('run prints the ready line first; a first start shows secrets on a terminal only', async () => {
  state = { kind: 'nothing' }
  expect(await run('run', '--ports', 'auto')).toBe(0)
  expect(JSON.parse(out)).toEqual({
    event: 'ready',
    listeners: { imap: { host: '127.0.0.1', port: 1143 }, overlay: [] },
  })
  expect(err).toContain('localhost port 1143')
  expect(err).toContain('recovery show')
  expect(out + err).not.toContain('word1')
  expect(out + err).not.toContain(created.appPassword)
  terminal.interactive = true
  expect(await run('run')).toBe(0)
  expect(home?.keepWords).toBe(false)
  expect(err).toContain('24 word24')
  expect(err).toContain(created.appPassword)
})

test('trust export writes the certificate and says where it goes', async () => {
  const file = join(folder, 'ca.crt')
  expect(await run('trust', 'export', '--out', file)).toBe(0)
  expect(readFileSync(file, 'utf8')).toContain('BEGIN CERTIFICATE')
  for (const name of ['Thunderbird', 'Apple Mail', 'mutt', 'Debian', 'macOS']) expect(err).toContain(name)
})

test('invite create draws the link as a QR code', async () => {
  await run('invite', 'create', '--json')
  expect((JSON.parse(out) as { qr: string }).qr).toMatch(/[▀▄█ \n]{100,}/)
})

test('foreign text cannot steer the terminal', () => {
  expect(printable('a\u001b[2Jb\u202Ec\nd')).toBe('a�[2Jb�c�d')
  expect(table(['A', 'B'], [['x\ny', '1']])).toBe('A    B\nx�y  1')
})

test.each([
  ['90m', 5_400_000],
  ['12h', 43_200_000],
  ['7d', 604_800_000],
])('%s is a duration', (text, ms) => expect(parseDuration(text)).toBe(ms))

test('settings name localhost for loopback and leave out what is off', () => {
  const text = clientSettings(account, { smtp: { host: '192.0.2.1', port: 25 }, overlay: [] })
  expect(text).toContain('192.0.2.1 port 25')
  expect(text).toContain('(off)')
})

/** What a person reads, in a terminal of 100 columns. */
async function shown(...args: readonly string[]): Promise<string> {
  out = ''
  expect(await run(...args)).toBe(0)
  for (const line of out.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100)
  return out
}

test('people read how each contact is reached, why mail waits, and what to do', async () => {
  const nowMs = Date.now()
  const long = `bob@${'v'.repeat(52)}.myc`
  const problem = 'their gateway does not answer: it is off, or out of reach'
  const remedy = 'nothing, if they are away; if they are on: run doctor at both ends'
  const waits: ReachView = { state: 'waiting', via: [], problem, remedy, attempts: 3, nextAttemptMs: nowMs + 40_500 }
  const relayed: ReachView = {
    state: 'connected',
    how: 'relayed',
    hops: 1,
    via: ['carol'],
    rttMs: 31.25,
    sinceMs: nowMs,
  }
  const bob = { ...contact, name: 'bob', addresses: [{ address: long, tier: 'zone' as const, conflicting: false }] }
  Object.assign(answers, {
    contactList: [
      { ...bob, reach: relayed },
      { ...bob, connected: false, lastSeenMs: nowMs - 3 * 3600_000, reach: waits },
    ],
    contactShow: { ...bob, connected: false, reach: waits },
    peers: [
      { ...answers.peers[0]!, contacts: [], state: 'disconnected', lastError: 'refused' },
      { ...answers.peers[0]!, how: 'relayed', via: ['carol'], hops: 1, rttMs: 31.25, sinceMs: nowMs - 120_000 },
      { ...answers.peers[0]!, contacts: ['dan'], state: 'disconnected', lastError: 'nobody answers' },
    ],
    queueList: [
      {
        ...item,
        recipient: long,
        queuedAtMs: nowMs - 3600_000,
        reason: problem,
        remedy,
        nextAttemptMs: nowMs + 40_500,
      },
      { ...item, id: 'q2', recipient: long, queuedAtMs: nowMs, reason: problem, remedy, nextAttemptMs: nowMs + 40_500 },
    ],
  })
  const list = await shown('contact', 'list')
  expect(list).toMatch(/bob@v+….myc +zone +active +relayed by carol, 31.3 ms +now/)
  expect(list).toMatch(/no; next attempt in 4[01] s +3 h ago/)
  expect(await shown('contact', 'show', 'bob')).toMatch(/Problem +their gateway[^]*To do +nothing/)

  const peers = await shown('peers')
  expect(peers).toMatch(/bob +connected +relayed by carol, 31.3 ms/)
  expect(peers).toMatch(/dan[^\n]*\n {4}last trouble: nobody answers/)
  expect(peers).toContain('1 others were met')

  const queue = await shown('queue', 'list')
  expect(queue.split('\n').filter((line) => line.includes('does not answer'))).toHaveLength(1)
  expect(queue).toContain(`    → ${remedy}`)
  expect(await shown('status')).toContain('1 connected directly, 2 out of reach; see: contact list')
  expect(await shown('status')).toContain('Relays    2 of 3 watched; 1 account has none')

  Object.assign(answers, { contactRequests: [], contactList: [], queueList: [] })
  expect(await shown('contact', 'requests')).toContain('Nobody waits')
  expect(await shown('contact', 'list')).toContain('invite create')
  expect(await shown('queue', 'list')).toContain('Nothing waits')
})

test('linking on a terminal shows the link, then the digits, and asks on both sides', async () => {
  terminal = { interactive: true, stdin: '', typed: ['yes'] }
  expect(await run('device', 'link')).toBe(0)
  expect(calls.map(({ verb }) => verb)).toEqual(['deviceLink', 'deviceLinkDigits', 'deviceLinkEnd'])
  expect(calls.at(-1)!.params).toEqual({ same: true })
  expect(out).toContain('mycelium-device:abc')
  expect(err).toContain('12345 67890 12345')

  calls = []
  terminal = { interactive: true, stdin: '', typed: ['no'] }
  expect(await run('device', 'join', 'mycelium-device:abc')).toBe(0)
  expect(calls).toEqual([
    { verb: 'deviceJoin', params: { link: 'mycelium-device:abc' } },
    { verb: 'deviceJoinEnd', params: { same: false } },
  ])
})

test('joining on a terminal needs neither a home nor a running gateway', async () => {
  state = { kind: 'nothing' }
  terminal = { interactive: true, stdin: '', typed: ['yes'] }
  expect(await run('device', 'join', 'mycelium-device:abc')).toBe(0)
  expect(emptyHomes).toBe(1)
  expect(home).toBeUndefined() // no account of its own
  expect(calls.at(-1)).toEqual({ verb: 'deviceJoinEnd', params: { same: true } })
  expect(await run('init', '--no-account')).toBe(0)
  expect(emptyHomes).toBe(2)
  expect(home).toBeUndefined()
})
