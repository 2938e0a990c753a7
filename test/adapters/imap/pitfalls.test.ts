/** Where other servers broke mail programs: one test for each, so that the list can be read off. */
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { Client } from './client.ts'
import { openTestServer, simpleMail } from './server.ts'

const append = async (client: Client, message: string, options = ''): Promise<string> => {
  client.write(`x APPEND INBOX ${options}{${message.length}+}\r\n${message}\r\n`)
  for (;;) {
    const line = await client.line()
    if (line === undefined || line.startsWith('x ')) return line ?? 'closed'
  }
}

test('a message is never changed: it comes back octet for octet', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  const message = 'Subject:  two  spaces\r\nX-Odd :\tfolded\r\n  more\r\n\r\nDear =20 \xff\r\n.\r\n\r\n'
  await append(client, message)
  await client.ok('SELECT INBOX')
  const [answer] = await client.ok('FETCH 1 BODY.PEEK[]')
  expect(answer).toBe(`* 1 FETCH (BODY[] {${message.length}}\r\n${message})`)
})

test('mail that no standard allows is appended all the same', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  for (const message of [
    'no header at all',
    ': \r\n\r\n',
    'From: a\nTo: b\n\nbare\n',
    'Date: never\r\n\r\n\x80',
    '\r\n',
  ]) {
    expect(await append(client, message)).toMatch(/^x OK \[APPENDUID/)
  }
})

test('UID comes first in FETCH responses', async () => {
  await using server = await openTestServer()
  await server.deliver(simpleMail('one'))
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  const [answer] = await client.ok('UID FETCH 1 (FLAGS RFC822.SIZE ENVELOPE)')
  expect(answer).toMatch(/^\* 1 FETCH \(UID 1 /)
})

test('what others change is told outside of the FETCH that runs, never inside', async () => {
  await using server = await openTestServer()
  for (const subject of ['one', 'two', 'three']) await server.deliver(simpleMail(subject))
  await using one = await Client.loggedIn(server.port)
  await using two = await Client.loggedIn(server.port)
  await one.ok('SELECT INBOX')
  await two.ok('SELECT INBOX')
  await two.ok('STORE 2 +FLAGS.SILENT (\\Flagged)')
  const lines = await one.ok('FETCH 1:3 (RFC822.SIZE)')
  expect(lines.slice(0, 3).every((line) => line.includes('RFC822.SIZE'))).toBe(true)
  expect(lines.slice(3)).toEqual(['* 2 FETCH (UID 2 FLAGS (\\Flagged))'])
})

test('after EXPUNGE there is no EXISTS unless mail came', async () => {
  await using server = await openTestServer()
  await server.deliver(simpleMail('one'), { flags: ['\\Deleted'] })
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  expect(await client.ok('EXPUNGE')).toEqual(['* 1 EXPUNGE'])
})

test('LIST (SUBSCRIBED) does not call folders nonexistent that are there', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  expect((await client.ok('LIST (SUBSCRIBED) "" "*"')).join()).not.toContain('NonExistent')
})

test('a plain LIST shows special uses', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  expect(await client.ok('LIST "" Sent')).toEqual(['* LIST (\\HasNoChildren \\Sent) "/" Sent'])
})

test('a new keyword is announced before it is used, to every session', async () => {
  await using server = await openTestServer()
  await server.deliver(simpleMail('one'))
  await using one = await Client.loggedIn(server.port)
  await using two = await Client.loggedIn(server.port)
  await one.ok('SELECT INBOX')
  await two.ok('SELECT INBOX')
  for (const lines of [await two.ok('STORE 1 +FLAGS ($Label1)'), await one.ok('NOOP')]) {
    const announced = lines.findIndex((line) => /^\* FLAGS .*\$Label1/.test(line))
    const used = lines.findIndex((line) => line.includes('FETCH') && line.includes('$Label1'))
    expect(announced).toBeGreaterThanOrEqual(0)
    expect(used).toBeGreaterThan(announced)
  }
})

test('RENAME takes everything below along', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  await client.ok('CREATE a/b/c')
  await client.ok('RENAME a z')
  expect((await client.ok('LIST "" "z*"')).map((line) => line.split(' ').at(-1))).toEqual(['z', 'z/b', 'z/b/c'])
  expect(await client.ok('LIST "" "a*"')).toEqual([])
})

test('NOT and OR nest, and *:* of an empty mailbox is no mistake', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT Drafts')
  expect(await client.ok('UID SEARCH *:*')).toEqual(['* SEARCH'])
  expect(await client.ok('UID FETCH 1:* (FLAGS)')).toEqual([])
  await server.deliver(simpleMail('one'))
  await server.deliver(simpleMail('two'), { flags: ['\\Seen'] })
  await client.ok('SELECT INBOX')
  expect(await client.ok('SEARCH OR NOT SEEN (SUBJECT two NOT UNSEEN)')).toEqual(['* SEARCH 1 2'])
})

test('one user may hold fifty connections', async () => {
  await using server = await openTestServer()
  await using clients = new AsyncDisposableStack()
  const all = await Promise.all(Array.from({ length: 50 }, () => Client.loggedIn(server.port)))
  for (const client of all) clients.use(client)
  await Promise.all(all.map((client) => client.ok('SELECT INBOX')))
  expect(server.imap.connections).toBe(50)
})

test('parts, nesting and parameters beyond all bounds are answered in bounds', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  const deep = Array.from(
    { length: limits.mimeDepthMax * 3 },
    (_, at) => `Content-Type: multipart/mixed; boundary=b${at}\r\n\r\n--b${at}\r\n`,
  )
  const many = `Content-Type: multipart/mixed; boundary=b\r\n\r\n${'--b\r\n\r\nx\r\n'.repeat(20_000)}--b--\r\n`
  const wide = `Content-Type: text/plain${Array.from({ length: 5000 }, (_, at) => `;\r\n p*${at}*=x`).join('')}\r\n\r\nx\r\n`
  for (const message of [deep.join(''), many, wide]) expect(await append(client, message)).toMatch(/^x OK/)
  await client.ok('SELECT INBOX')
  for (const line of await client.ok('FETCH 1:3 BODYSTRUCTURE')) expect(line.length).toBeLessThan(2 * 1024 * 1024)
})

test('an empty partial fetch is "" and not {0}', async () => {
  await using server = await openTestServer()
  await server.deliver(simpleMail('one'))
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  expect(await client.ok('FETCH 1 BODY.PEEK[]<100000.10>')).toEqual(['* 1 FETCH (BODY[]<100000> "")'])
})

test('Thunderbird’s APPEND … UTF8 (~{n+} is understood', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  await client.ok('ENABLE UTF8=ACCEPT')
  client.write('u APPEND INBOX (\\Seen) UTF8 (~{8+}\r\nA: b\r\n\r\n)\r\n')
  expect(await client.line()).toMatch(/^u OK \[APPENDUID/)
})

test('a command behind DONE in one packet, and blank lines between commands, are taken', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  client.write('\r\n\r\ni IDLE\r\n')
  expect(await client.line()).toMatch(/^\+ /)
  client.write('DONE\r\n\r\nn NOOP\r\n\r\n')
  expect(await client.line()).toMatch(/^i OK/)
  expect(await client.line()).toMatch(/^n OK/)
})

test('a UID is given out once', async () => {
  await using server = await openTestServer()
  await server.deliver(simpleMail('one'), { flags: ['\\Deleted'] })
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  await client.ok('EXPUNGE')
  await server.deliver(simpleMail('two'))
  await client.ok('NOOP')
  expect(await client.ok('UID SEARCH ALL')).toEqual(['* SEARCH 2'])
})

test('a binary part with NUL is kept in base64, however its header is folded', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  const message = 'Content-Type: application/octet-stream\r\nContent-Transfer-Encoding:\r\n binary\r\n\r\na\0b'
  await client.ok(`APPEND INBOX ~{${message.length}+}\r\n${message}`)
  await client.ok('SELECT INBOX')
  const [answer] = await client.ok('FETCH 1 (BODY.PEEK[HEADER] BODY.PEEK[TEXT])')
  expect(answer).toContain('Content-Transfer-Encoding: base64\r\n\r\n')
  expect(answer).toContain('YQBi\r\n')
})

test('more notes than a client can be told of at once are not kept for it', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  await using other = await Client.loggedIn(server.port)
  await client.ok('NOTIFY SET (PERSONAL (ServerMetadataChange))')
  const names = Array.from({ length: limits.imapNotifyPendingMax + 1 }, (_none, at) => `/private/n${at} NIL`)
  await other.ok(`SETMETADATA "" (${names.join(' ')})`)
  expect(await client.line()).toMatch(/^\* OK \[NOTIFICATIONOVERFLOW\]/)
})
