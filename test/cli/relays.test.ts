/** Real gateways as processes over TCP: mail to somebody who is off waits at a relay, and its sender may be killed. */
import { expect, test } from 'vitest'
import type { NewAccount, QueueItem, RelayView } from '../../src/core/control-views.ts'
import { Client as ImapClient } from '../adapters/imap/client.ts'
import { Client as SmtpClient } from '../adapters/smtp/client.ts'
import { gateway, onLoopback, type Running, startGateway, tempHome } from './process-support.ts'

const within = { timeout: 60_000, interval: 200 }

async function json<T>(home: string, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
const start = async (home: string, ...set: string[]): Promise<Running> =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback, ...set.flatMap((one) => ['--set', one])])

async function send({ listeners }: Running, from: NewAccount, to: string, text: string): Promise<void> {
  const client = await SmtpClient.connect(listeners.smtp.port)
  await client.reply()
  await client.say('EHLO x')
  const credentials = Buffer.from(`\0${from.address}\0${from.appPassword}`).toString('base64')
  expect(await client.say(`AUTH PLAIN ${credentials}`)).toMatch(/^235/)
  for (const command of [`MAIL FROM:<${from.address}>`, `RCPT TO:<${to}>`])
    expect(await client.say(command)).toMatch(/^250/)
  expect(await client.say('DATA')).toMatch(/^354/)
  expect(await client.say(`From: ${from.address}\r\nTo: ${to}\r\nSubject: ${text}\r\n\r\n${text}\r\n.`)).toMatch(/^250/)
  await client[Symbol.asyncDispose]()
}

async function subjects({ listeners }: Running, { address, appPassword }: NewAccount): Promise<string> {
  await using client = await ImapClient.connect(listeners.imap.port)
  await client.line()
  await client.ok(`LOGIN ${address} ${appPassword}`)
  await client.ok('SELECT INBOX')
  return (await client.ok('FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])')).join('\n')
}

test('mail to a gateway that is off waits at a relay, and arrives when the sender was killed meanwhile', async () => {
  using relayHome = tempHome()
  using aliceHome = tempHome()
  using bobHome = tempHome()
  await json(relayHome.home, 'init', '--address', 'relay@relay.example')
  const alice = await json<NewAccount>(aliceHome.home, 'init', '--address', 'alice@alice.example')
  const bob = await json<NewAccount>(bobHome.home, 'init', '--address', 'bob@bob.example')
  await using relay = await start(relayHome.home, 'overlay.relay=true')
  const uses = `overlay.relays=${JSON.stringify([relay.listeners.overlay.find((one) => /\/tcp\/\d+\/p2p\//.test(one))])}`
  const first = await start(aliceHome.home, uses)
  const off = await start(bobHome.home, uses)
  const { link } = await json<{ link: string }>(aliceHome.home, 'invite', 'create')
  await json(bobHome.home, 'invite', 'accept', link)
  for (const { home } of [aliceHome, bobHome])
    await expect
      .poll(async () => (await json<readonly RelayView[]>(home, 'relay', 'list')).map(({ state }) => state), within)
      .toEqual(['watching'])
  await send(off, bob, alice.address, 'hello')
  await expect.poll(async () => await subjects(first, alice), within).toContain('hello')
  await off.end('SIGTERM')

  await send(first, alice, bob.address, 'while you were off')
  await expect
    .poll(async () => (await json<readonly QueueItem[]>(aliceHome.home, 'queue', 'list'))[0]?.reason, within)
    .toContain('waits at a relay')
  await first.end('SIGKILL')

  await using back = await start(bobHome.home, uses)
  await expect.poll(async () => await subjects(back, bob), within).toContain('while you were off')
}, 180_000)
