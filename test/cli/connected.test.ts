/** The real gateway with mail programs connected to it: how it ends, and how their sessions end. */
import { expect, test } from 'vitest'
import type { NewAccount } from '../../src/core/control-views.ts'
import { Client as ImapClient } from '../adapters/imap/client.ts'
import { Client as SmtpClient } from '../adapters/smtp/client.ts'
import { gateway, onLoopback, type Running, startGateway, tempHome } from './process-support.ts'

async function json<T>(home: string, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
const start = async (home: string): Promise<Running> =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])

async function imapOf({ listeners }: Running, user: string, password: string): Promise<ImapClient> {
  const client = await ImapClient.connect(listeners.imap.port)
  await client.line()
  await client.ok(`LOGIN ${user} ${password}`)
  return client
}
async function smtpOf({ listeners }: Running, user: string, password: string): Promise<SmtpClient> {
  const client = await SmtpClient.connect(listeners.smtp.port)
  await client.reply()
  await client.say('EHLO x')
  const credentials = Buffer.from(`\0${user}\0${password}`).toString('base64')
  expect(await client.say(`AUTH PLAIN ${credentials}`)).toMatch(/^235/)
  return client
}

test('SIGTERM ends it in time and in order while clients idle, and have stopped in the middle of things', async () => {
  using temp = tempHome()
  const { address, appPassword } = await json<NewAccount>(temp.home, 'init', '--address', 'alice@alice.example')
  await using running = await start(temp.home)
  await using idle = await imapOf(running, 'alice', appPassword)
  await idle.ok('SELECT INBOX')
  idle.write('i IDLE\r\n')
  expect(await idle.line()).toMatch(/^\+/)
  await using half = await imapOf(running, 'alice', appPassword)
  half.write('h APPEND INBOX {100+}\r\nSubject')
  await using word = await imapOf(running, 'alice', appPassword)
  word.write('w NO')
  await using sender = await smtpOf(running, 'alice', appPassword)
  for (const command of [`MAIL FROM:<${address}>`, `RCPT TO:<${address}>`, 'DATA']) await sender.say(command)
  sender.write(`From: ${address}\r\nSubj`)

  const code = await running.end('SIGTERM')
  expect({ code, stderr: running.output().stderr }).toMatchObject({ code: 0 })
  expect(running.output().stderr).not.toContain('not everything closed')
  expect(await idle.line()).toMatch(/^\* BYE/)
}, 20_000)

test('a revoked app password, a disabled account and a removed account end the sessions that are open', async () => {
  using temp = tempHome()
  await json(temp.home, 'init', '--address', 'alice@alice.example')
  await using running = await start(temp.home)
  const { password } = await json<{ password: string }>(temp.home, 'password', 'add', '--name', 'lost-phone')
  const { appPassword } = await json<NewAccount>(temp.home, 'account', 'add', 'bob@alice.example')

  await using phone = await imapOf(running, 'alice', password)
  await phone.ok('SELECT INBOX')
  phone.write('i IDLE\r\n')
  expect(await phone.line()).toMatch(/^\+/)
  await using sender = await smtpOf(running, 'alice', password)
  await using bob = await imapOf(running, 'bob', appPassword)

  await json(temp.home, 'password', 'revoke', 'lost-phone', '--account', 'alice@alice.example')
  expect(await phone.line()).toBeUndefined()
  expect(await sender.line()).toBeUndefined()

  await bob.ok('NOOP')
  await json(temp.home, 'account', 'disable', 'bob')
  expect(await bob.line()).toBeUndefined()

  await json(temp.home, 'account', 'enable', 'bob')
  await using again = await imapOf(running, 'bob', appPassword)
  await json(temp.home, 'account', 'remove', 'bob', '--yes')
  expect(await again.line()).toBeUndefined()
}, 20_000)

test('a mail of exactly the announced SIZE is taken, with Message-ID and Date still to be added, and no byte more', async () => {
  using temp = tempHome()
  const { address, appPassword } = await json<NewAccount>(temp.home, 'init', '--address', 'alice@alice.example')
  await using running = await start(temp.home)
  await using client = await smtpOf(running, 'alice', appPassword)
  const size = Number(/SIZE (\d+)/.exec(await client.say('EHLO x'))![1])
  const head = `From: ${address}\r\nSubject: large\r\n\r\n`
  const line = `${'x'.repeat(998)}\r\n`
  for (const [bytes, answer] of [
    [size, /^250 /],
    [size + 1, /^552 5\.3\.4/],
  ] as const) {
    for (const command of [`MAIL FROM:<${address}>`, `RCPT TO:<${address}>`, 'DATA']) await client.say(command)
    client.write(head)
    const lines = Math.floor((bytes - head.length - 2) / line.length)
    for (let left = lines; left > 0; left -= 1000) client.write(line.repeat(Math.min(left, 1000)))
    client.write(`${'y'.repeat(bytes - head.length - 2 - lines * line.length)}\r\n`)
    expect(await client.say('.')).toMatch(answer)
  }
}, 20_000)
