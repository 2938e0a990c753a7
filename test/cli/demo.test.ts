import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ImapFlow } from 'imapflow'
import { createTransport } from 'nodemailer'
import { expect, test } from 'vitest'

test('the demo makes two contacts who can write to each other, and leaves nothing behind', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'mycelium-demo-test-'))
  const demo = spawn(process.execPath, ['scripts/demo.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder },
  })
  let out = ''
  demo.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  await expect.poll(() => out, { timeout: 60_000 }).toContain('Ctrl-C')
  const [alice, bob] = ['alice', 'bob'].map((name) => {
    const shown = new RegExp(
      `^${name}@.*\\n +IMAP .* port (\\d+) .*\\n +SMTP .* port (\\d+) .*\\n +user +(\\S+) +password +(\\S+)$`,
      'm',
    ).exec(out)!
    return { imap: Number(shown[1]), smtp: Number(shown[2]), user: shown[3]!, pass: shown[4]! }
  })

  const transport = createTransport({
    host: '127.0.0.1',
    port: alice!.smtp,
    tls: { rejectUnauthorized: false },
    auth: { user: alice!.user, pass: alice!.pass },
  })
  await transport.sendMail({ from: alice!.user, to: bob!.user, subject: 'A demo', text: 'hello bob' })
  transport.close()
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: bob!.imap,
    secure: false,
    tls: { rejectUnauthorized: false },
    auth: { user: bob!.user, pass: bob!.pass },
    logger: false,
  })
  await client.connect()
  await client.mailboxOpen('INBOX')
  await expect
    .poll(async () => (await client.fetchAll('1:*', { envelope: true })).map(({ envelope }) => envelope?.subject), {
      timeout: 20_000,
    })
    .toContain('A demo')
  await client.logout()

  demo.kill('SIGINT')
  expect(await once(demo, 'exit')).toEqual([0, null])
  expect(readdirSync(folder)).toEqual([])
  rmSync(folder, { recursive: true })
}, 90_000)
