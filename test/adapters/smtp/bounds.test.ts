/** What one client can make the server hold, and that others do not notice. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { MyceliumError } from '../../../src/core/errors.ts'
import { limits } from '../../../src/core/limits.ts'
import { Client } from './client.ts'
import { openTestServer, plainLogin, type TestServer } from './server.ts'

async function atData(server: TestServer): Promise<Client> {
  const client = await Client.connect(server.port)
  await client.reply()
  await client.say('EHLO x')
  expect(await client.say(`AUTH PLAIN ${plainLogin}`)).toMatch(/^235/)
  await client.say('MAIL FROM:<alice@home.myc>')
  await client.say('RCPT TO:<bob@far.myc>')
  expect(await client.say('DATA')).toMatch(/^354/)
  return client
}

/** Writes `count` bytes in lines that need dot-stuffing, waiting whenever the server makes us wait. */
async function writeMessage(client: Client, count: number): Promise<string> {
  const hash = createHash('sha256')
  const line = Buffer.from(`${'.'.padEnd(98, 'x')}\r\n`)
  const block = Buffer.concat(Array.from({ length: 640 }, () => line))
  const stuffed = Buffer.from(block.toString('latin1').replaceAll(/^\./gm, '..'), 'latin1')
  let left = count
  for (; left >= block.length; left -= block.length) {
    hash.update(block)
    if (!client.socket.write(stuffed)) await once(client.socket, 'drain')
  }
  const tail = Buffer.concat([Buffer.alloc(Math.max(0, left - 2), 0x79), Buffer.from('\r\n')]).subarray(0, left)
  hash.update(tail)
  client.socket.write(tail)
  client.socket.write('.\r\n')
  return hash.digest('hex')
}

test('a message of exactly the limit arrives byte for byte without being held in memory', async () => {
  await using server = await openTestServer()
  await using client = await atData(server)
  global.gc?.()
  const before = process.memoryUsage().rss
  let peak = 0
  const watch = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss - before)
  }, 20)
  const sha256 = await writeMessage(client, limits.mailBytesMax)
  expect(await client.reply()).toMatch(/^250 /)
  clearInterval(watch)
  expect(server.submitter.stored[0]).toMatchObject({ bytes: limits.mailBytesMax, sha256 })
  expect(server.submitter.pieceBytesMax).toBeLessThanOrEqual(limits.wireBufferBytes)
  expect(peak).toBeLessThan(120 * 1024 * 1024)
})

test('one byte more is read to its end and answered with 552, and the session goes on', async () => {
  await using server = await openTestServer()
  await using client = await atData(server)
  await writeMessage(client, limits.mailBytesMax + 1)
  expect(await client.reply()).toBe('552 5.3.4 Message too large')
  expect(server.submitter.stored).toEqual([])
  expect(await client.say('NOOP')).toMatch(/^250/)
})

test('a message that goes on past a multiple of the limit is cut off', async () => {
  await using server = await openTestServer({ messageBytesMax: 100_000 })
  await using client = await atData(server)
  const block = Buffer.alloc(65_536, 0x78)
  client.socket.on('error', () => {})
  for (let sent = 0; sent < 1_000_000 && client.socket.writable; sent += block.length) {
    client.socket.write(block)
    await sleep(1)
  }
  expect(await client.reply()).toBe('552 5.3.4 Message too large')
  await expect.poll(() => client.socket.readyState).not.toBe('open')
})

test('a submitter that is slow makes the client wait instead of filling memory', async () => {
  await using server = await openTestServer()
  let release = (): void => {}
  server.submitter.afterPiece = async () =>
    await new Promise<void>((resolve) => {
      release = resolve
    })
  await using client = await atData(server)
  const block = Buffer.alloc(1024 * 1024, 0x78)
  for (let i = 0; i < 30; i += 1) client.socket.write(block)
  await sleep(200)
  // What the kernel's socket buffers hold is not ours to bound; far more than that must still be with the client.
  expect(client.socket.writableLength).toBeGreaterThan(15 * 1024 * 1024)
  server.submitter.afterPiece = async () => {}
  release()
  client.write('\r\n.\r\n')
  expect(await client.reply()).toMatch(/^250/)
})

test('a client that leaves in the middle of its message has sent nothing', async () => {
  await using server = await openTestServer()
  const client = await atData(server)
  client.write('Subject: half\r\n\r\nhel')
  await sleep(50)
  client.socket.destroy()
  await expect.poll(() => server.smtp.counts.refused).toBe(1)
  expect(server.submitter.stored).toEqual([])
})

test('a client that closes its direction right after the final dot still hears the answer', async () => {
  await using server = await openTestServer()
  await using client = await atData(server)
  client.socket.end('Subject: x\r\n\r\n.\r\n')
  expect(await client.reply()).toMatch(/^250/)
  expect(server.submitter.stored).toHaveLength(1)
})

test('a submission that resolves before the message has ended is not acknowledged', async () => {
  await using server = await openTestServer()
  server.submitter.reads = false
  await using client = await atData(server)
  client.write('Subject: x\r\n.\r\n')
  expect(await client.reply()).toMatch(/^451 4\.3\.0/)
  expect(server.logged.join('\n')).toContain('"event":"smtp.failed"')
})

test('a store that fails while a recipient is looked up is answered, and the session goes on', async () => {
  await using server = await openTestServer()
  await using client = await atData(server)
  client.write('.\r\n')
  await client.reply()
  await client.say('MAIL FROM:<alice@home.myc>')
  server.submitter.failure = new MyceliumError('store-corrupt')
  expect(await client.say('RCPT TO:<bob@far.myc>')).toMatch(/^451 4\.3\.0 The store is damaged/)
  server.submitter.failure = undefined
  expect(await client.say('RCPT TO:<bob@far.myc>')).toMatch(/^250/)
})

test('one byte at a time gives the same message', async () => {
  await using server = await openTestServer()
  await using client = await atData(server)
  client.socket.setNoDelay(true)
  for (const character of 'Subject: x\r\n\r\n..a\r\n..\r\n.\r\n') {
    client.write(character)
    await sleep(1)
  }
  expect(await client.reply()).toMatch(/^250/)
  expect(server.submitter.stored[0]!.text).toBe('Subject: x\r\n\r\n.a\r\n.\r\n')
})

test('a slow message does not hold up another connection', async () => {
  await using server = await openTestServer()
  await using slow = await atData(server)
  slow.write('Subject: slow\r\n')
  await using quick = await atData(server)
  quick.write('Subject: quick\r\n.\r\n')
  expect(await quick.reply()).toMatch(/^250/)
  slow.write('.\r\n')
  expect(await slow.reply()).toMatch(/^250/)
})

test('an endless command line is answered with 500 and then cut', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.reply()
  await client.say('EHLO x')
  client.write(`NOOP ${'x'.repeat(20_000)}\r\n`)
  expect(await client.reply()).toMatch(/^500 5\.5\.2/)
  expect(await client.say('NOOP')).toMatch(/^250/)
  client.socket.on('error', () => {})
  for (let sent = 0; sent < limits.smtpSkippedOctetsMax * 3 && client.socket.writable; sent += 65_536) {
    client.write('x'.repeat(65_536))
    await sleep(1)
  }
  expect(await client.reply()).toMatch(/^500 5\.5\.2/)
  expect(await client.line()).toBeUndefined()
})

test('an endless first line is cut without an answer', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.reply()
  client.write(`GET /${'x'.repeat(20_000)}`)
  expect(await client.line()).toBeUndefined()
})

test('too many refused commands, and too many commands without a login, end the connection', async () => {
  await using server = await openTestServer()
  await using wrong = await Client.connect(server.port)
  await wrong.reply()
  for (let i = 1; i <= limits.smtpErrorsMax; i += 1) expect(await wrong.say('WHAT')).toMatch(/^500/)
  expect(await wrong.reply()).toMatch(/^421 4\.7\.0/)
  await using idle = await Client.connect(server.port)
  await idle.reply()
  for (let i = 0; i <= limits.smtpUnauthenticatedCommandsMax; i += 1) expect(await idle.say('NOOP')).toMatch(/^250/)
  expect(await idle.reply()).toMatch(/^421 4\.7\.0/)
})

test('refused recipients are no misbehaviour, and a mail has a most number of recipients', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.reply()
  await client.say('EHLO x')
  await client.say(`AUTH PLAIN ${plainLogin}`)
  await client.say('MAIL FROM:<alice@home.myc>')
  for (let i = 0; i < limits.smtpErrorsMax * 2; i += 1) {
    expect(await client.say(`RCPT TO:<x${i}@unknown.myc>`)).toMatch(/^550 5\.1\.1/)
  }
  const many = Array.from({ length: limits.mailRecipientsMax }, (_, at) => `RCPT TO:<x${at}@far.myc>\r\n`)
  client.write(many.join(''))
  for (let i = 0; i < limits.mailRecipientsMax; i += 1) expect(await client.reply()).toMatch(/^250/)
  expect(await client.say('RCPT TO:<last@far.myc>')).toMatch(/^452 4\.5\.3/)
})

test('a client that never reads its replies is not worked for without bound', async () => {
  await using server = await openTestServer()
  const socket = connect({ host: server.host, port: server.port })
  await once(socket, 'connect')
  socket.pause()
  socket.on('error', () => {})
  socket.write(`EHLO x\r\nAUTH PLAIN ${plainLogin}\r\n`)
  const helps = Buffer.from('HELP\r\n'.repeat(200_000))
  for (let i = 0; i < 20; i += 1) socket.write(helps)
  await sleep(500)
  expect(socket.writableLength).toBeGreaterThan(5 * 1024 * 1024)
  socket.destroy()
})

test('when the gateway stops, an idle client is told and a message on its way still gets its answer', async () => {
  const server = await openTestServer()
  await using busy = await atData(server)
  await using idle = await Client.connect(server.port)
  await idle.reply()
  busy.write('Subject: x\r\n')
  await sleep(20)
  const stopped = server[Symbol.asyncDispose]()
  expect(await idle.reply()).toMatch(/^421 4\.3\.2/)
  idle.socket.end()
  busy.write('.\r\n')
  expect(await busy.reply()).toMatch(/^250/)
  expect(await busy.reply()).toMatch(/^421 4\.3\.2/)
  busy.socket.end()
  await stopped
  expect(server.submitter.stored).toHaveLength(1)
})

test('the log tells no name, address, password or content', async () => {
  await using server = await openTestServer()
  await using client = await atData(server)
  client.write('Subject: mushrooms\r\n\r\nbody words\r\n.\r\n')
  expect(await client.reply()).toMatch(/^250/)
  await client.say('MAIL FROM:<mallory@elsewhere.myc>')
  const log = server.logged.join('\n')
  expect(log).toContain('smtp.accepted')
  for (const word of ['alice', 'bob', 'home.myc', 'far.myc', 'secret', 'mushrooms', 'words', 'mallory', plainLogin]) {
    expect(log).not.toContain(word)
  }
})
