import { appendFileSync, readFileSync, statSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openAuditLog } from '../../src/audit-log.ts'
import { limits } from '../../src/core/limits.ts'
import { type Box, logIn, openBox, type Person, send } from './support.ts'

let box: Box
beforeAll(async () => {
  box = await openBox('accounts.quota=100KB')
})
afterAll(async () => await box[Symbol.asyncDispose]())

async function add(name: string): Promise<Person> {
  const user = `${name}@box.example`
  const { appPassword } = await box.ask('accountAdd', { address: user })
  return { user, password: appPassword }
}

test('a full account is shown as full, refuses mail and APPEND, and takes them again when it has more room', async () => {
  const [ann, ben] = [await add('ann'), await add('ben')]
  await box.ask('accountQuota', { account: 'ann', quota: 'none' })
  expect(await send(box, ann, ben.user, 60_000)).toMatch(/^250/)
  const client = await logIn(box, ben)
  expect(await client.getQuota('INBOX')).toMatchObject({ storage: { limit: 100 * 1024 } })
  await expect(client.append('INBOX', Buffer.alloc(60_000, 'x'))).rejects.toMatchObject({
    serverResponseCode: 'OVERQUOTA',
  })
  await box.ask('accountQuota', { account: ben.user, quota: 4096 })
  expect(await send(box, ann, ben.user, 100)).toMatch(/^452 4\.2\.2/)
  const room = (await box.ask('doctor', {})).find(({ name }) => name === 'room of ben')
  expect(room?.remedy).toContain('account quota ben')
  expect(await send(box, ben, ann.user, 8192)).toMatch(/^452 4\.2\.2/) // his own copy in Sent has no room
  await box.ask('accountQuota', { account: ben.user, quota: 'default' })
  expect(await send(box, ann, ben.user, 100)).toMatch(/^250/)
  const { quotaBytes, quotaIsOwn, usedBytes } = await box.ask('accountShow', { account: 'ben' })
  expect([quotaBytes, quotaIsOwn]).toEqual([100 * 1024, false])
  expect(usedBytes).toBeGreaterThan(60_000)
  await client.logout()
})

test('a long mail to a colleague without room for it is refused before it is accepted', async () => {
  const [cat, dan] = [await add('cat'), await add('dan')]
  await box.ask('accountQuota', { account: 'cat', quota: 'none' })
  expect(await send(box, cat, dan.user, 200_000)).toMatch(/^452 4\.2\.2/)
  expect((await box.ask('accountShow', { account: 'dan' })).messages).toBe(0)
})

test('quotas are kept through restarts and may be set while the gateway is off', async () => {
  await add('eve')
  await box.whileStopped(async (ask) => {
    await ask('accountQuota', { account: 'eve', quota: 123_456 })
  })
  expect(await box.ask('accountShow', { account: 'eve' })).toMatchObject({ quotaBytes: 123_456, quotaIsOwn: true })
})

test('handing an account over ends the former holder: sessions, passwords and open invitations', async () => {
  const former = await add('info')
  await box.ask('passwordAdd', { account: 'info', name: 'phone' })
  await box.ask('inviteCreate', { account: 'info', expiresMs: limits.inviteExpiryMs })
  const open = await logIn(box, former)
  const closed = once(open, 'close')
  const after = await box.ask('accountHandOver', { account: 'info', displayName: 'Reception' })
  await closed
  expect(after).toMatchObject({ address: former.user, revoked: 2, wordsKept: true })
  await expect(logIn(box, former)).rejects.toMatchObject({ authenticationFailed: true })
  await (await logIn(box, { user: 'info', password: after.password })).logout()
  expect(await box.ask('inviteList', { account: 'info' })).toEqual([])
  expect(await box.ask('accountShow', { account: 'info' })).toMatchObject({ displayName: 'Reception', passwords: 1 })
})

test('everything administered is in the audit log, for the owner only and without an address', async () => {
  const { user } = await add('gil')
  await box.ask('accountDisable', { account: 'gil', disabled: true })
  await box.ask('accountQuota', { account: 'gil', quota: 'none' })
  const entries = (await box.ask('auditList', { account: 'gil', limit: 10 })).map(
    ({ action, accountName, details }) => ({
      action,
      accountName,
      details,
    }),
  )
  expect(entries).toEqual([
    { action: 'account.added', accountName: 'gil', details: {} },
    { action: 'account.disabled', accountName: 'gil', details: { disabled: true } },
    { action: 'account.quota', accountName: 'gil', details: { quota: 'none' } },
  ])
  const { identity } = await box.ask('accountShow', { account: 'gil' })
  await box.ask('accountRemove', { account: 'gil' })
  const latest = (await box.ask('auditList', { limit: 1 }))[0]!
  expect([latest.action, latest.accountName]).toEqual(['account.removed', undefined])
  const file = join(box.home, 'audit.jsonl')
  const text = readFileSync(file, 'utf8')
  expect(text).toContain('"gateway.started"')
  expect(text).toContain('accounts.quota') // which keys are set, not their values
  for (const secret of [user, 'gil', identity, '@', 'box.example']) expect(text).not.toContain(secret)
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('who breaks off an export or a backup after it has read much is in the audit log too', async () => {
  await add('hal')
  const hangUp = {
    signal: new AbortController().signal,
    progress: () => {},
    output: async () => await Promise.reject(new Error('hung up')),
  }
  const { operations } = box.gateway
  await expect(operations.mailExport({ account: 'hal', mailbox: undefined }, hangUp)).rejects.toThrow('hung up')
  await expect(operations.backupRead({}, hangUp)).rejects.toThrow('hung up')
  const latest = await box.ask('auditList', { limit: 2 })
  expect(latest.map(({ action, accountName, details }) => [action, accountName, details])).toEqual([
    ['mail.exported', 'hal', { brokenOff: true }],
    ['backup.read', undefined, { brokenOff: true }],
  ])
})

test('where there is one account, what is done without naming it is noted as done to it', async () => {
  await using small = await openBox()
  const { id } = await small.ask('passwordAdd', { name: 'phone' })
  const latest = (await small.ask('auditList', { limit: 1 }))[0]!
  expect(latest).toMatchObject({ action: 'password.added', accountName: 'first', details: { password: id } })
})

test('the audit log goes on after a torn line, and keeps a bounded number of full files', () => {
  const path = join(box.home, 'other.jsonl')
  const log = openAuditLog(path)
  const actions = (): string[] => log.entries().map(({ action }) => action)
  log.append({ atMs: 1, action: 'one', details: {} })
  appendFileSync(path, '{"atMs":2,"act')
  log.append({ atMs: 3, action: 'three', details: {} })
  expect(actions()).toEqual(['one', 'three'])
  for (let index = 0; index < limits.auditFilesMax + 2; index += 1) {
    appendFileSync(path, `${' '.repeat(limits.auditFileBytesMax)}\n`)
    log.append({ atMs: 4 + index, action: `full ${index}`, details: {} })
  }
  expect(actions().at(-1)).toBe(`full ${limits.auditFilesMax + 1}`)
  expect(actions()).toHaveLength(limits.auditFilesMax - 1)
})
