/** What hostile, slow or simply large clients may cost. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import type { Mailboxes } from '../../../src/core/mailbox/mailbox.ts'
import { alice } from '../../core/mailbox/support.ts'
import { Client } from './client.ts'
import { openTestServer, simpleMail } from './server.ts'

const megabyte = 1024 * 1024

test('a mail of 50 MB goes in and out, and one octet more is refused before it is sent', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  const size = limits.mailBytesMax
  client.write(`a APPEND INBOX {${size + 1}}\r\n`)
  expect(await client.line()).toMatch(/^a NO \[TOOBIG\]/)
  client.write(`b APPEND INBOX {${size}}\r\n`)
  expect(await client.line()).toMatch(/^\+/)
  await sendLarge(client, size)
  client.write('\r\n')
  expect(await client.line()).toMatch(/^b OK \[APPENDUID/)
  await client.ok('SELECT INBOX')
  const [answer] = await client.ok(`FETCH 1 (RFC822.SIZE BODY.PEEK[]<${size - 10}.100>)`)
  expect(answer).toMatch(new RegExp(`RFC822.SIZE ${size} BODY\\[\\]<${size - 10}> \\{10\\}`))
})

test('an ID of the largest size is taken before login', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.line()
  const field = `"${'n'.repeat(30)}" "${'v'.repeat(1024)}"`
  expect(await client.ok(`ID (${Array.from({ length: 30 }, () => field).join(' ')})`)).toHaveLength(1)
})

test('a client that asked for more news than can be told at once hears that, and nothing more', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  const { mailboxes } = server.home
  const names = Array.from({ length: limits.imapNotifyPendingMax }, (_, at) => `Top/${at}`)
  await Promise.all(names.map((name) => mailboxes.create(alice, name)))
  await client.ok('NOTIFY SET (personal (MailboxName))')
  await mailboxes.rename(alice, 'Top', 'Other')
  expect(await client.line()).toMatch(/^\* OK \[NOTIFICATIONOVERFLOW\]/)
  await mailboxes.create(alice, 'Later')
  expect(await client.ok('NOOP')).toEqual([])
})

test('a slow store makes the client of an APPEND wait instead of filling memory', async () => {
  const enough = new AbortController()
  const slow = async function* (source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let taken = 0
    for await (const piece of source) {
      taken += piece.length
      if (taken > megabyte) await sleep(60_000, undefined, { signal: enough.signal })
      yield piece
    }
  }
  const wrap = (mailboxes: Mailboxes): Mailboxes =>
    new Proxy(mailboxes, {
      get(target, key) {
        const store: Mailboxes['store'] = (account, source, options) => target.store(account, slow(source), options)
        const value: unknown = key === 'store' ? store : Reflect.get(target, key)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  await using server = await openTestServer({ wrap })
  await using client = await Client.loggedIn(server.port)
  client.write(`a APPEND INBOX {${limits.mailBytesMax}+}\r\n`)
  void sendLarge(client, limits.mailBytesMax)
  await sleep(800)
  const taken = client.socket.bytesWritten - client.socket.writableLength
  // What the kernel buffers for a loopback connection is several megabytes.
  enough.abort()
  client.socket.destroy()
  expect(taken).toBeLessThan(16 * megabyte)
})

async function sendLarge(client: Client, size: number): Promise<void> {
  const head = 'Subject: large\r\n\r\n'
  client.write(head)
  const lines = Buffer.from(`${'0123456789abcdef'.repeat(4)}\r\n`.repeat(1000))
  for (let left = size - head.length; left > 0 && !client.socket.destroyed; left -= lines.length) {
    if (client.socket.write(lines.subarray(0, Math.min(left, lines.length)))) continue
    await new Promise<void>((resolve) => {
      const goOn = (): void => {
        client.socket.off('drain', goOn).off('close', goOn)
        resolve()
      }
      client.socket.on('drain', goOn).on('close', goOn)
    })
  }
}

test('a client that asks for much and reads nothing is not buffered for', async () => {
  await using server = await openTestServer()
  await server.deliver(simpleMail('x', 'y'.repeat(12_000)))
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  client.socket.pause()
  const baseline = process.memoryUsage().rss
  client.write('a FETCH 1 BODY.PEEK[]\r\n'.repeat(20_000))
  await sleep(1500)
  expect(process.memoryUsage().rss - baseline).toBeLessThan(64 * megabyte)
})

test('mistakes without end are not answered without end', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  client.write('what\r\n'.repeat(1000))
  let answers = 0
  for (let line = await client.line(); line !== undefined; line = await client.line()) answers += 1
  expect(answers).toBeLessThanOrEqual(limits.imapBadCommandsMax + 2)
})

test('an endless literal before login is refused', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.line()
  client.write('a LOGIN {4000000000+}\r\n')
  expect(await client.line()).toMatch(/^\* BYE/)
  expect(await client.line()).toBeUndefined()
})

test('a hundred connections of one account work, the next one is told why not', async () => {
  await using server = await openTestServer()
  await using clients = new AsyncDisposableStack()
  for (let index = 0; index < limits.imapConnectionsPerAccountMax; index += 1) {
    clients.use(await Client.loggedIn(server.port))
  }
  await using late = await Client.connect(server.port)
  await late.line()
  expect((await late.run('LOGIN alice secret')).end).toMatch(/^NO \[LIMIT\]/)
})

test('no address, password, subject or folder name is logged', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.line()
  await client.run('LOGIN alice@home.myc hunter2')
  await client.run('LOGIN alice secret')
  await client.run('CREATE Hidden')
  await client.run('SELECT Hidden')
  client.write('garbage secret alice@home.myc\r\n')
  await client.line()
  expect(server.logged.join('\n')).not.toMatch(/alice|secret|hunter2|Hidden/)
})

test('a web page cannot hide its request behind a first line that is too long', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.line()
  client.write(`POST /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\na NOOP\r\n`)
  expect(await client.line()).toBeUndefined()
})

test('who has not logged in in time is cut off, also in the middle of a command', async () => {
  const adjustable = limits as Record<keyof typeof limits, number>
  const { imapLoginMs, lingerMs } = limits
  Object.assign(adjustable, { imapLoginMs: 2_000, lingerMs: 100 })
  try {
    await using server = await openTestServer()
    await using dripping = await Client.connect(server.port)
    await using user = await Client.loggedIn(server.port)
    await dripping.line()
    dripping.write('a LOGIN {0+}\r\n')
    const drops = setInterval(() => dripping.write(' {0+}\r\n'), 20)
    expect(await dripping.line()).toBeUndefined()
    clearInterval(drops)
    await user.ok('NOOP')
  } finally {
    Object.assign(adjustable, { imapLoginMs, lingerMs })
  }
})

test('the folder that keeps strangers out of the inbox cannot be taken away', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  if (!(await client.ok('LIST "" Requests')).length) await client.ok('CREATE Requests')
  for (const command of ['DELETE Requests', 'RENAME Requests Other', 'RENAME Requests Requests/Other']) {
    expect((await client.run(command)).end).toMatch(/^NO \[CANNOT\]/)
  }
  expect(await client.ok('LIST "" Requests')).toHaveLength(1)
})

test('whoever lists long names by hard patterns does not keep the others waiting', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  await using other = await Client.loggedIn(server.port)
  for (let at = 0; at < 40; at += 1) await client.ok(`CREATE "${'a'.repeat(950)}${at}"`)
  const pattern = `"${'*a'.repeat(500)}"`
  expect((await client.run(`LIST "" (${Array.from({ length: 17 }, () => pattern).join(' ')})`)).end).toMatch(/^NO/)
  client.write(`l LIST "" (${Array.from({ length: 16 }, () => pattern).join(' ')})\r\n`)
  let isListed = false
  const listed = client.line().finally(() => {
    isListed = true
  })
  let servedMeanwhile = 0
  for (let asked = 0; asked < 10; asked += 1) {
    await other.ok('NOOP')
    if (!isListed) servedMeanwhile += 1
  }
  expect(servedMeanwhile).toBeGreaterThan(4)
  expect(await listed).toMatch(/^l OK/)
})
