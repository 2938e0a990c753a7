import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { LineRule } from '../../../src/adapters/smtp/line-rule.ts'
import { fromLatin1 } from '../../../src/core/bytes.ts'
import { limits } from '../../../src/core/limits.ts'
import { Client } from './client.ts'
import { openTestServer, plainLogin, type TestServer } from './server.ts'

const text = fc.string({ maxLength: 40, unit: fc.constantFrom('\r', '\n', '.', 'a', '\0', '\r\n', '\r\n.\r\n') })

async function loggedIn(server: TestServer): Promise<Client> {
  const client = await Client.connect(server.port)
  await client.reply()
  await client.say('EHLO x')
  expect(await client.say(`AUTH PLAIN ${plainLogin}`)).toMatch(/^235/)
  return client
}

/** The envelope and `pieces` as chunks, the last one marked. */
const mailInChunks = (pieces: readonly string[], body: string): string =>
  `MAIL FROM:<alice@home.myc> BODY=${body}\r\nRCPT TO:<bob@far.myc>\r\n` +
  pieces.map((piece, at) => `BDAT ${piece.length}${at + 1 === pieces.length ? ' LAST' : ''}\r\n${piece}`).join('')

test('lines are whole exactly when CR and LF stand together and no NUL is in them, however they are cut', () => {
  fc.assert(
    fc.property(fc.array(text, { maxLength: 6 }), (pieces) => {
      const rule = new LineRule()
      for (const piece of pieces) rule.feed(fromLatin1(piece))
      expect(rule.isWhole).toBe(!/\0|\r(?!\n)|(?<!\r)\n/.test(pieces.join('')))
    }),
    { numRuns: 2000 },
  )
})

test('whatever bytes a mail has and however they are cut into chunks and packets, exactly they arrive and the next command is found', async () => {
  await using server = await openTestServer()
  await using client = await loggedIn(server)
  client.socket.setNoDelay(true)
  const chunks = fc.array(text, { minLength: 1, maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(chunks, fc.array(fc.nat({ max: 300 }), { maxLength: 4 }), async (pieces, cuts) => {
      const before = server.submitter.stored.length
      const sent = `${mailInChunks(pieces, 'BINARYMIME')}NOOP\r\n`
      let at = 0
      for (const cut of [...cuts.toSorted((a, b) => a - b), sent.length]) {
        client.write(sent.slice(at, cut))
        at = Math.max(at, cut)
      }
      for (let reply = 0; reply < 2 + pieces.length; reply += 1) expect(await client.reply()).toMatch(/^250 /)
      expect(await client.reply()).toBe('250 2.0.0 OK')
      expect(server.submitter.stored.length).toBe(before + 1)
      expect(server.submitter.stored.at(-1)!.text).toBe(pieces.join(''))
    }),
    { numRuns: 150 },
  )
})

test('what is not binary is held to lines in chunks as after DATA, and the session goes on', async () => {
  await using server = await openTestServer()
  await using client = await loggedIn(server)
  await fc.assert(
    fc.asyncProperty(text, async (whole) => {
      client.write(`${mailInChunks([whole], '8BITMIME')}NOOP\r\n`)
      await client.reply()
      await client.reply()
      const isBad = /\0|\r(?!\n)|(?<!\r)\n/.test(whole)
      expect(await client.reply()).toMatch(isBad ? /^550 5\.6\.0/ : /^250 2\.0\.0 Queued/)
      expect(await client.reply()).toBe('250 2.0.0 OK')
    }),
    { numRuns: 150 },
  )
})

test('a mail of exactly the limit in chunks of a megabyte arrives without being held in memory', async () => {
  await using server = await openTestServer()
  await using client = await loggedIn(server)
  const block = 'x'.repeat(1024 * 1024)
  const count = limits.mailBytesMax / block.length
  client.write('MAIL FROM:<alice@home.myc>\r\nRCPT TO:<bob@far.myc>\r\n')
  await client.reply()
  await client.reply()
  for (let at = 1; at <= count; at += 1) {
    client.write(`BDAT ${block.length}${at === count ? ' LAST' : ''}\r\n`)
    client.write(block)
    expect(await client.reply()).toMatch(/^250 2\.0\.0/)
  }
  expect(server.submitter.stored[0]!.bytes).toBe(limits.mailBytesMax)
  expect(server.submitter.pieceBytesMax).toBeLessThanOrEqual(limits.wireBufferBytes)
})

test('a client that leaves in a chunk, or between two, has sent nothing', async () => {
  await using server = await openTestServer()
  for (const rest of ['BDAT 100\r\nSubject: half', 'BDAT 3\r\nX: ']) {
    const client = await loggedIn(server)
    const refused = server.smtp.counts.refused
    client.socket.end(`MAIL FROM:<alice@home.myc>\r\nRCPT TO:<bob@far.myc>\r\n${rest}`)
    await expect.poll(() => server.smtp.counts.refused).toBe(refused + 1)
    client.socket.destroy()
  }
  expect(server.submitter.stored).toEqual([])
})

test('a message inside a chunk is never taken for one', async () => {
  await using server = await openTestServer()
  await using client = await loggedIn(server)
  for (const end of ['\r\n.\r\n', '\r\n', '']) {
    const smuggled = `Subject: a\r\n\r\nb${end}MAIL FROM:<alice@home.myc>\r\nRCPT TO:<bob@far.myc>\r\nBDAT 1 LAST\r\nx`
    client.write(`${mailInChunks([smuggled], '8BITMIME')}NOOP\r\n`)
    for (const wanted of [/Sender/, /Recipient/, /Queued/, /OK/]) expect(await client.reply()).toMatch(wanted)
    expect(server.submitter.stored.at(-1)!.text).toBe(smuggled)
  }
  expect(server.submitter.stored).toHaveLength(3)
})

test('chunks of nothing without end are not answered to a client that does not listen', async () => {
  await using server = await openTestServer()
  const sockets: Socket[] = []
  const note = (message: unknown): void => void sockets.push((message as { socket: Socket }).socket)
  subscribe('net.server.socket', note)
  await using client = await loggedIn(server)
  unsubscribe('net.server.socket', note)
  const [socket] = sockets
  client.write('MAIL FROM:<alice@home.myc>\r\nRCPT TO:<bob@far.myc>\r\nNOOP\r\n')
  for (let reply = 0; reply < 3; reply += 1) await client.reply()
  client.socket.pause()
  client.write('BDAT 0\r\n'.repeat(1_000_000))
  let read = -1
  await vi.waitFor(
    () => {
      const before = read
      read = socket!.bytesRead
      expect(read).toBe(before)
    },
    { timeout: 20_000, interval: 200 },
  )
  expect(socket!.writableLength).toBeLessThan(256 * 1024)
})
