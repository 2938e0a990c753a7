/** Two homes of one person as real processes over TCP: linked on the command line, the same in two mail programs. */
import { expect, test } from 'vitest'
import type { Results } from '../../src/core/control.ts'
import type { DeviceView, NewAccount } from '../../src/core/control-views.ts'
import { Client } from '../adapters/imap/client.ts'
import { gateway, onLoopback, type Running, startGateway, tempHome } from './process-support.ts'

const within = { timeout: 60_000, interval: 200 }

async function json<T>(home: string, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
const start = async (home: string): Promise<Running> =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])

async function imap({ listeners }: Running, user: string, password: string): Promise<Client> {
  const client = await Client.connect(listeners.imap.port)
  await client.line()
  await client.ok(`LOGIN ${user} ${password}`)
  return client
}

/** Subjects and flags of a mailbox, whatever the numbers. */
async function listing(client: Client, mailbox: string): Promise<readonly string[]> {
  await client.ok(`SELECT ${mailbox}`)
  const lines = (await client.ok('UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])')).join('\n')
  return [...lines.matchAll(/FLAGS \(([^)]*)\)[\s\S]*?Subject: (\S+)/g)]
    .map(([, flags, subject]) => `${subject} ${flags!.replace('\\Recent', '').trim()}`)
    .toSorted()
}
async function append(client: Client, mailbox: string, subject: string, flags = ''): Promise<void> {
  const text = `Subject: ${subject}\r\n\r\ntext\r\n`
  await client.ok(`APPEND ${mailbox} (${flags}) {${text.length}+}\r\n${text}`)
}

test('device link and device join make two homes one account, and IMAP shows the same on both', async () => {
  using deskHome = tempHome()
  using lapHome = tempHome()
  const account = await json<NewAccount>(deskHome.home, 'init', '--address', 'alice@alice.example')
  await json(lapHome.home, 'init', '--no-account')
  await using desk = await start(deskHome.home)
  await using lap = await start(lapHome.home)
  await using atDesk = await imap(desk, 'alice', account.appPassword)
  await append(atDesk, 'INBOX', 'before', '\\Seen')
  await atDesk.ok('CREATE Projects')
  await append(atDesk, 'Projects', 'bridge', '\\Flagged')

  const { link, qr } = await json<Results['deviceLink'] & { readonly qr: string }>(deskHome.home, 'device', 'link')
  expect(qr).toContain('█')
  const joining = await json<Results['deviceJoin']>(lapHome.home, 'device', 'join', link, '--name', 'laptop')
  expect(joining.address).toBe(account.address)
  const shown = await json<Results['deviceLinkDigits']>(deskHome.home, 'device', 'link', '--digits')
  expect(shown).toEqual({ digits: joining.digits, name: 'laptop' })
  expect(shown.digits).toMatch(/^\d{5} \d{5} \d{5}$/)
  const [linked, joined] = await Promise.all([
    json<DeviceView>(deskHome.home, 'device', 'link', '--same'),
    json<Results['deviceJoinEnd']>(lapHome.home, 'device', 'join', '--same'),
  ])
  expect(linked).toMatchObject({ name: 'laptop', state: 'active', isThis: false })
  expect(joined).toMatchObject({ address: account.address, identity: account.identity, localName: 'alice' })

  await using atLap = await imap(lap, 'alice', joined.appPassword)
  await expect.poll(async () => await listing(atLap, 'INBOX'), within).toEqual(['before \\Seen'])
  await expect.poll(async () => await listing(atLap, 'Projects'), within).toEqual(['bridge \\Flagged'])
  await append(atLap, 'INBOX', 'after')
  await atLap.ok('SELECT Projects')
  await atLap.ok('UID MOVE 1 Archive')
  await expect.poll(async () => await listing(atDesk, 'INBOX'), within).toEqual(['after ', 'before \\Seen'])
  await expect.poll(async () => await listing(atDesk, 'Archive'), within).toEqual(['bridge \\Flagged'])

  const names = async () => (await json<readonly DeviceView[]>(deskHome.home, 'device', 'list')).map(({ name }) => name)
  expect(await names()).toEqual(['', 'laptop'])
  await json(deskHome.home, 'device', 'rename', 'laptop', 'old laptop')
  const revoked = await json<DeviceView>(deskHome.home, 'device', 'revoke', 'old laptop')
  expect(revoked).toMatchObject({ id: linked.id, state: 'revoked' })
  const { code, stderr } = await gateway(['device', 'revoke', 'nobody', '--home', deskHome.home])
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: 'mycelium-gateway: no such device of this account; see: device list\n',
  })
  await append(atDesk, 'INBOX', 'afterwards')
  await append(atLap, 'INBOX', 'elsewhere')
  expect(await listing(atDesk, 'INBOX')).toEqual(['after ', 'afterwards ', 'before \\Seen'])
  expect(await listing(atLap, 'INBOX')).toEqual(['after ', 'before \\Seen', 'elsewhere '])
}, 180_000)
