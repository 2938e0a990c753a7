/** How long a silent or slow client may stay. The limits are minutes, so these tests make them short. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { Client } from './client.ts'
import { openTestServer, plainLogin } from './server.ts'

const adjustable = limits as Record<keyof typeof limits, number>
const original = { ...limits }
afterEach(() => void Object.assign(adjustable, original))

test('a client that says nothing is told so and closed', async () => {
  adjustable.smtpUnauthenticatedMs = 100
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.reply()
  expect(await client.reply()).toMatch(/^421 4\.4\.2/)
  expect(await client.line()).toBeUndefined()
})

test('a client that keeps talking without logging in is closed all the same', async () => {
  adjustable.smtpUnauthenticatedMs = 1_000
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.reply()
  for (let reply = ''; !reply.startsWith('421'); await sleep(100)) {
    reply = await client.say('NOOP')
    expect(reply).toMatch(/^(?:250|421 4\.4\.2) /)
  }
})

test('a login that is never finished is closed', async () => {
  adjustable.smtpUnauthenticatedMs = 1_000
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.reply()
  await client.say('EHLO x')
  expect(await client.say('AUTH LOGIN')).toMatch(/^334/)
  expect(await client.reply()).toMatch(/^421 4\.4\.2/)
  expect(await client.line()).toBeUndefined()
})

test('a message that stops in the middle is given up, and one that drips is too', async () => {
  await using server = await openTestServer()
  for (const drips of [false, true]) {
    adjustable.smtpDataPieceMs = drips ? original.smtpDataPieceMs : 100
    adjustable.smtpDataMs = drips ? 300 : original.smtpDataMs
    await using client = await Client.connect(server.port)
    await client.reply()
    await client.say('EHLO x')
    await client.say(`AUTH PLAIN ${plainLogin}`)
    await client.say('MAIL FROM:<alice@home.myc>')
    await client.say('RCPT TO:<bob@far.myc>')
    await client.say('DATA')
    client.write('Subject: x\r\n')
    const dripping = drips ? setInterval(() => client.write('x'), 20) : undefined
    expect(await client.reply()).toMatch(/^421 4\.4\.2/)
    clearInterval(dripping)
  }
  expect(server.submitter.stored).toEqual([])
  expect(server.smtp.counts.refused).toBe(2)
})

test('a TLS handshake that drips is cut', async () => {
  adjustable.tlsHandshakeMs = 200
  await using server = await openTestServer()
  const socket = connect({ host: server.host, port: server.tlsPort })
  socket.on('error', () => {})
  await once(socket, 'connect')
  const hello = Buffer.concat([Buffer.from('1603010200010001fc0303', 'hex'), Buffer.alloc(500)])
  let at = 0
  const dripping = setInterval(() => socket.write(hello.subarray(at, (at += 1))), 20)
  socket.resume()
  // what is written after the cut may be answered with a reset
  await new Promise<void>((resolve) => socket.once('close', () => resolve()))
  clearInterval(dripping)
  expect(at).toBeLessThan(hello.length)
})
