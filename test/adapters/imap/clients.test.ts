/** Real programs against the server: imapflow, mbsync, mutt. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ImapFlow } from 'imapflow'
import { describe, expect, test } from 'vitest'
import { alice } from '../../core/mailbox/support.ts'
import { openTestServer, simpleMail, type TestServer } from './server.ts'

function flow({ tlsPort, cert }: TestServer): ImapFlow {
  return new ImapFlow({
    host: '127.0.0.1',
    port: tlsPort,
    secure: true,
    servername: 'localhost',
    tls: { ca: cert, servername: 'localhost' },
    auth: { user: 'alice', pass: 'secret' },
    logger: false,
    emitLogs: true,
    qresync: true,
  })
}

describe('imapflow', () => {
  test('lists, reads, flags, moves, searches and hears of new mail', async () => {
    await using server = await openTestServer()
    await server.deliver(simpleMail('first'))
    await server.deliver(simpleMail('second', 'a rare word'))
    const client = flow(server)
    await client.connect()
    const folders = await client.list({ statusQuery: { messages: true } })
    expect(folders.find(({ path }) => path === 'Sent')?.specialUse).toBe('\\Sent')
    const lock = await client.getMailboxLock('INBOX')
    const seen: (string | undefined)[] = []
    for await (const message of client.fetch('1:*', { envelope: true, bodyStructure: true, flags: true, uid: true })) {
      seen.push(message.envelope?.subject)
    }
    expect(seen).toEqual(['first', 'second'])
    expect(await client.search({ body: 'RARE' }, { uid: true })).toEqual([2])
    expect(await client.messageFlagsAdd('1', ['\\Flagged', '$Forwarded'])).toBe(true)
    const download = await client.fetchOne('2', { source: true })
    expect(download === false ? '' : download?.source?.toString()).toBe(simpleMail('second', 'a rare word'))
    const moved = await client.messageMove('1', 'Archive')
    expect(moved === false ? undefined : moved.uidMap?.get(1)).toBe(1)
    // imapflow 2.1.2 does not count VANISHED down, so its event comes with the third message only.
    const heard = new Promise<number>((resolve) =>
      client.on('exists', ({ count }: { count: number }) => resolve(count)),
    )
    // imapflow loses its way when something happens before its IDLE has begun.
    const hasBegun = new Promise<void>((resolve) =>
      client.on('log', ({ msg }: { msg?: string }) => msg?.startsWith('Initiated IDLE') === true && resolve()),
    )
    const idling = client.idle()
    await hasBegun
    await server.deliver(simpleMail('third'))
    await server.deliver(simpleMail('fourth'))
    expect(await heard).toBe(3)
    lock.release()
    await client.append('Drafts', Buffer.from(simpleMail('draft')), ['\\Draft'], new Date('2026-01-02T03:04:05Z'))
    expect(await client.status('Drafts', { messages: true, uidNext: true })).toMatchObject({ messages: 1, uidNext: 2 })
    await client.logout()
    await idling
  })
})

interface Ran {
  readonly code: number | null
  readonly output: string
}

async function run(command: string, args: readonly string[], home: string): Promise<Ran> {
  const child = spawn(command, args, { env: { HOME: home, PATH: '/usr/bin:/bin', TERM: 'vt100' }, stdio: 'pipe' })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stdin.end()
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { code, output }
}

const isHere = (program: string): boolean => readdirSync('/usr/bin').includes(program)

function temporaryHome(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'mycelium-client-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

describe('mbsync', () => {
  test.skipIf(!isHere('mbsync'))('synchronises both ways, twice, and loses nothing', async () => {
    await using server = await openTestServer()
    using home = temporaryHome()
    for (let index = 0; index < 30; index += 1) await server.deliver(simpleMail(`mail ${index}`))
    mkdirSync(join(home.path, 'mail'))
    writeFileSync(join(home.path, 'ca.pem'), server.cert)
    writeFileSync(
      join(home.path, '.mbsyncrc'),
      `IMAPAccount a\nHost localhost\nPort ${server.tlsPort}\nUser alice\nPass secret\nSSLType IMAPS\n` +
        `CertificateFile ${home.path}/ca.pem\nSystemCertificates no\nTimeout 15\n\nIMAPStore far\nAccount a\n\n` +
        `MaildirStore near\nPath ${home.path}/mail/\nInbox ${home.path}/mail/INBOX\nSubFolders Verbatim\n\n` +
        'Channel c\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n',
    )
    const first = await run('mbsync', ['-a', '-V'], home.path)
    expect(first.code, first.output).toBe(0)
    expect(
      readdirSync(join(home.path, 'mail/INBOX/new')).length + readdirSync(join(home.path, 'mail/INBOX/cur')).length,
    ).toBe(30)
    writeFileSync(join(home.path, 'mail/INBOX/cur/999.x.host:2,FS'), simpleMail('local').replaceAll('\r\n', '\n'))
    await server.deliver(simpleMail('later'))
    const second = await run('mbsync', ['-a'], home.path)
    expect(second.code, second.output).toBe(0)
    const [inbox] = server.home.mailboxes.list(alice).filter(({ name }) => name === 'INBOX')
    expect(inbox).toMatchObject({ messages: 32 })
    const count = (folder: string): number => readdirSync(join(home.path, 'mail/INBOX', folder)).length
    expect(count('new') + count('cur')).toBe(32)
  })
})

describe('mutt', () => {
  test.skipIf(!isHere('mutt'))('reads a mailbox and saves a message elsewhere', async () => {
    await using server = await openTestServer()
    using home = temporaryHome()
    await server.deliver(simpleMail('for mutt'))
    const url = `imap://alice:secret@localhost:${server.port}`
    writeFileSync(join(home.path, 'ca.pem'), server.cert)
    writeFileSync(
      join(home.path, '.muttrc'),
      `set ssl_ca_certificates_file=${home.path}/ca.pem\nset folder="${url}/"\nset spoolfile="${url}/INBOX"\nset confirmappend=no confirmcreate=no delete=yes quit=yes\n` +
        'set header_cache="" sleep_time=0 wait_key=no mark_old=no move=no\n' +
        'push "<copy-message>=Archive<enter><quit>"\n',
    )
    const { code, output } = await run(
      'script',
      ['-qec', `mutt -n -F ${home.path}/.muttrc -f '${url}/INBOX'`, '/dev/null'],
      home.path,
    )
    expect(code, output).toBe(0)
    expect(server.home.mailboxes.byName(alice, 'Archive')).toMatchObject({ messages: 1 })
  })
})
