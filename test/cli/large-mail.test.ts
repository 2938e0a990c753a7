/** A mail as large as is taken, between two real gateways: whole at the other end, and nowhere whole in memory. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { skipWithReason } from '../interop/support/peers.ts'
import type { NewAccount } from '../../src/core/control-views.ts'
import { Client as ImapClient } from '../adapters/imap/client.ts'
import { Client as SmtpClient } from '../adapters/smtp/client.ts'
import { gateway, onLoopback, type Running, startGateway, tempHome } from './process-support.ts'

const megabyte = 1024 * 1024
const mailBytes = 49 * megabyte
/** Ours: 90 to 120 are seen, and busy machines see more, because the garbage collector comes later there. */
const growthMegabytesMax = 200

async function json<T>(home: string, ...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await gateway([...args, '--home', home, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as T
}
const start = async (home: string): Promise<Running> =>
  await startGateway(['--home', home, '--ports', 'auto', ...onLoopback])

/** What the process holds in memory beside files, megabytes; Linux only. */
function anonymousMegabytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/RssAnon:\s+(\d+)/.exec(status)![1]) / 1024
}

/** The highest value seen until it is disposed of. */
function watchMemory(pid: number): Disposable & { readonly peak: number } {
  let peak = anonymousMegabytes(pid)
  const timer = setInterval(() => (peak = Math.max(peak, anonymousMegabytes(pid))), 20)
  return {
    get peak() {
      return peak
    },
    [Symbol.dispose]: () => clearInterval(timer),
  }
}

const lineOf = (index: number): string =>
  createHash('sha256').update(String(index)).digest('base64').padEnd(76, '0').slice(0, 76)

function* mailTo(from: string, to: string): Generator<string> {
  yield `From: <${from}>\r\nTo: <${to}>\r\nSubject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n`
  yield '--b\r\n\r\nsee attachment\r\n--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n'
  const lines = Array.from({ length: 800 }, (_, index) => `${lineOf(index)}\r\n`).join('')
  for (let bytes = 0; bytes < mailBytes; bytes += lines.length) yield lines
  yield '--b--\r\n'
}

async function submit({ listeners }: Running, { address, appPassword }: NewAccount, to: string): Promise<void> {
  await using client = await SmtpClient.connect(listeners.smtp.port)
  await client.reply()
  await client.say('EHLO x')
  await client.say(`AUTH PLAIN ${Buffer.from(`\0${address}\0${appPassword}`).toString('base64')}`)
  for (const command of [`MAIL FROM:<${address}>`, `RCPT TO:<${to}>`]) expect(await client.say(command)).toMatch(/^250/)
  expect(await client.say('DATA')).toMatch(/^354/)
  for (const piece of mailTo(address, to)) {
    client.write(piece)
    await sleep(0) // a real program does not hand over everything at once either
  }
  expect(await client.say('.')).toMatch(/^250/)
}

/** SHA-256 of what follows the first header field of the sender, without the command line that ends the answer. */
async function fetchWhole(port: number, login: string): Promise<{ readonly bytes: number; readonly digest: string }> {
  const socket = connect(port, '127.0.0.1')
  const hash = createHash('sha256')
  let [announced, taken] = [-1, 0]
  let pending = Buffer.alloc(0)
  socket.write(`${login}b EXAMINE INBOX\r\nc FETCH 1 BODY.PEEK[1]\r\nd FETCH 1 BODY.PEEK[2]\r\n`)
  let found = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    pending = Buffer.concat([pending, chunk])
    for (;;) {
      if (announced < 0) {
        const mark = /BODY\[(\d)\] \{(\d+)\}\r\n/.exec(pending.toString('latin1', 0, 8192))
        if (mark === null) break
        found = Number(mark[1])
        announced = Number(mark[2])
        taken = 0
        pending = pending.subarray(mark.index + mark[0].length)
      }
      const piece = pending.subarray(0, announced - taken)
      if (found === 2) hash.update(piece)
      taken += piece.length
      pending = pending.subarray(piece.length)
      if (taken < announced) break
      if (found === 2) {
        socket.destroy()
        return { bytes: announced, digest: hash.digest('hex') }
      }
      announced = -1
    }
  }
  throw new Error('closed before the whole part had come')
}

test('a mail of 49 MB is sent, received, listed, searched and fetched whole, and neither gateway grows by several times its size', async (context) => {
  if (process.platform !== 'linux')
    skipWithReason(context, 'the memory of a process is read from /proc, which only Linux has')
  using aliceTemp = tempHome()
  using bobTemp = tempHome()
  const alice = await json<NewAccount>(aliceTemp.home, 'init', '--address', 'alice@alice.example')
  const bob = await json<NewAccount>(bobTemp.home, 'init', '--address', 'bob@bob.example')
  await using sender = await start(aliceTemp.home)
  await using receiver = await start(bobTemp.home)
  const { link } = await json<{ link: string }>(bobTemp.home, 'invite', 'create')
  expect(await json(aliceTemp.home, 'invite', 'accept', link)).toMatchObject({ state: 'active' })
  await using imap = await ImapClient.connect(receiver.listeners.imap.port)
  await imap.line()
  await imap.ok(`LOGIN ${bob.address} ${bob.appPassword}`)
  const before = [sender, receiver].map(({ pid }) => anonymousMegabytes(pid))

  using atSender = watchMemory(sender.pid)
  using atReceiver = watchMemory(receiver.pid)
  await submit(sender, alice, bob.address)
  await expect
    .poll(async () => (await imap.ok('STATUS INBOX (MESSAGES)')).join(), { timeout: 60_000 })
    .toContain('MESSAGES 1')
  await imap.ok('EXAMINE INBOX')
  const structure = await imap.ok('FETCH 1 (ENVELOPE BODYSTRUCTURE PREVIEW)')
  expect(structure.join()).toContain('"application" "zip"')

  expect(await imap.ok('SEARCH BODY "see attachment"')).toContain('* SEARCH 1')
  expect(await imap.ok('SEARCH NOT TEXT "no such text"')).toContain('* SEARCH 1')

  const login = `a LOGIN ${bob.address} ${bob.appPassword}\r\n`
  const { bytes, digest } = await fetchWhole(receiver.listeners.imap.port, login)
  const sent = [...mailTo(alice.address, bob.address)].slice(2, -1).join('').slice(0, -2)
  expect({ bytes, digest }).toEqual({ bytes: sent.length, digest: createHash('sha256').update(sent).digest('hex') })
  const growth = [atSender.peak - before[0]!, atReceiver.peak - before[1]!].map(Math.round)
  expect(Math.max(...growth)).toBeLessThan(growthMegabytesMax)
}, 240_000)
