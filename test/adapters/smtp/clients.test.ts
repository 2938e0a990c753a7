/** Real clients: nodemailer, and swaks where it is installed (test-only, GPL, run as a program). */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createTransport } from 'nodemailer'
import { describe, expect, test } from 'vitest'
import { ScramClient } from '../wire/scram-client.ts'
import { Client } from './client.ts'
import { openTestServer } from './server.ts'

const auth = { user: 'alice', pass: 'secret' }

describe('nodemailer', () => {
  test.each([
    ['STARTTLS, PLAIN', { secure: false, requireTLS: true, method: 'PLAIN' }],
    ['STARTTLS, LOGIN', { secure: false, requireTLS: true, method: 'LOGIN' }],
    ['implicit TLS, PLAIN', { secure: true, requireTLS: false, method: 'PLAIN' }],
    ['clear on loopback, PLAIN', { secure: false, requireTLS: false, method: 'PLAIN' }],
  ])('%s', async (name, { secure, requireTLS, method }) => {
    await using server = await openTestServer()
    const transport = createTransport({
      host: server.host,
      port: secure ? server.tlsPort : server.port,
      secure,
      requireTLS,
      ignoreTLS: name.startsWith('clear'),
      authMethod: method,
      auth,
      tls: { ca: server.cert, servername: 'localhost' },
    })
    const mail = {
      from: 'alice@home.myc',
      to: ['bob@far.myc', 'carol@far.myc'],
      bcc: 'dave@far.myc',
      subject: 'Grüße',
      text: '.\n..\n.starts with a dot\n',
      attachments: [{ filename: 'a.bin', content: Buffer.alloc(100_000, 0xa5) }],
      dsn: { id: 'x1', return: 'headers', notify: ['failure', 'delay'], recipient: 'alice@home.myc' },
    }
    const sent = await transport.sendMail(mail)
    expect(sent.response).toMatch(/^250 2\.0\.0 Queued as [\da-f]{64}$/)
    const [stored] = server.submitter.stored
    expect(stored).toMatchObject({ from: 'alice@home.myc', returned: 'headers', envelopeId: 'x1' })
    expect(stored!.recipients.map((to) => to.address)).toEqual(['bob@far.myc', 'carol@far.myc', 'dave@far.myc'])
    expect(stored!.recipients[0]).toMatchObject({ notify: ['failure', 'delay'] })
    expect(stored!.text).toContain('\r\n.\r\n..\r\n.starts with a dot\r\n')
  })

  test('a wrong password and an unknown recipient fail with our words', async () => {
    await using server = await openTestServer()
    const options = { host: server.host, port: server.port, tls: { ca: server.cert, servername: 'localhost' } }
    const mail = { from: 'alice@home.myc', to: 'bob@unknown.myc', text: 'x' }
    await expect(createTransport({ ...options, auth: { ...auth, pass: 'no' } }).sendMail(mail)).rejects.toThrow(
      '535 5.7.8',
    )
    await expect(createTransport({ ...options, auth }).sendMail(mail)).rejects.toThrow('invite accept LINK')
  })

  test('200 connections at once, two mails on each', async () => {
    await using server = await openTestServer()
    const sendTwo = async (id: number): Promise<void> => {
      const transport = createTransport({
        host: server.host,
        port: server.port,
        ignoreTLS: true,
        auth,
        pool: true,
        maxConnections: 1,
      })
      for (const round of [1, 2]) {
        await transport.sendMail({ from: 'alice@home.myc', to: 'bob@far.myc', subject: `${id}/${round}`, text: 'x' })
      }
      transport.close()
    }
    await Promise.all(Array.from({ length: 200 }, async (_, id) => await sendTwo(id)))
    const subjects = new Set(server.submitter.stored.map(({ text }) => /^Subject: (.*)\r$/m.exec(text)![1]))
    expect(subjects.size).toBe(400)
    expect(server.smtp.counts).toMatchObject({ accepted: 400, refused: 0, logins: 200, loginFailures: 0 })
  })
})

function has(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe.skipIf(!has('swaks'))('swaks', () => {
  test.each([
    ['STARTTLS, PLAIN', ['--tls', '--auth', 'PLAIN']],
    ['STARTTLS, LOGIN', ['--tls', '--auth', 'LOGIN']],
    ['implicit TLS, PLAIN', ['--tls-on-connect', '--auth', 'PLAIN']],
    ['clear, PIPELINING', ['--pipeline', '--auth', 'PLAIN']],
  ])('%s', async (_, flags) => {
    await using server = await openTestServer()
    const folder = mkdtempSync(join(tmpdir(), 'swaks-'))
    const file = join(folder, 'mail')
    writeFileSync(file, 'From: alice@home.myc\nTo: bob@far.myc\nSubject: hi\n\n.\n.dot\nend\n')
    try {
      const port = flags.includes('--tls-on-connect') ? server.tlsPort : server.port
      const fixed = `--hide-all --server ${server.host} --port ${port} --auth-user alice --auth-password secret`
      const envelope = `--from alice@home.myc --to bob@far.myc,carol@far.myc --data @${file}`
      await promisify(execFile)('swaks', [...`${fixed} ${envelope}`.split(' '), ...flags])
    } finally {
      rmSync(folder, { recursive: true })
    }
    expect(server.submitter.stored).toHaveLength(1)
    expect(server.submitter.stored[0]!.text).toContain('\r\n\r\n.\r\n.dot\r\nend\r\n')
    expect(server.submitter.stored[0]!.recipients).toHaveLength(2)
  })
})

describe('SCRAM', () => {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const decoded = (reply: string): string => Buffer.from(reply.slice(4), 'base64').toString()

  test.each([
    ['SCRAM-SHA-1', 'sha1', true],
    ['SCRAM-SHA-256', 'sha256', false],
  ] as const)('%s, initial response %s, server proven', async (mechanism, hash, withInitial) => {
    await using server = await openTestServer()
    await using client = await Client.connect(server.port)
    await client.reply()
    await client.say('EHLO x')
    const scram = new ScramClient(hash, 'alice', 'secret', 'abcdefgh')
    if (!withInitial) expect(await client.say(`AUTH ${mechanism}`)).toBe('334 ')
    const serverFirst = await client.say((withInitial ? `AUTH ${mechanism} ` : '') + base64(scram.first()))
    const serverFinal = await client.say(base64(scram.final(decoded(serverFirst))))
    expect(scram.accepts(decoded(serverFinal))).toBe(true)
    expect(await client.say('')).toMatch(/^235 /)
  })
  test('a wrong password', async () => {
    await using server = await openTestServer()
    await using client = await Client.connect(server.port)
    await client.reply()
    await client.say('EHLO x')
    const scram = new ScramClient('sha256', 'alice', 'wrong', 'abcdefgh')
    const serverFirst = await client.say(`AUTH SCRAM-SHA-256 ${base64(scram.first())}`)
    expect(await client.say(base64(scram.final(decoded(serverFirst))))).toMatch(/^535 5\.7\.8/)
    expect(server.logins.ended).toEqual([{ user: 'alice', success: false }])
  })
})
