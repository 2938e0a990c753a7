import { connect, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { connect as connectTls } from 'node:tls'
import { once } from 'node:events'
import { afterEach, describe, expect, test } from 'vitest'
import { type Channel, isLoopback } from '../../../src/adapters/wire/channel.ts'
import { isHttpRequestLine, isTlsRecord } from '../../../src/adapters/wire/foreign.ts'
import { type Listener, type ListenerOptions, openListener } from '../../../src/adapters/wire/listener.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { fromLatin1, toLatin1 } from '../../../src/core/bytes.ts'
import { limits } from '../../../src/core/limits.ts'
import { selfSigned } from './certificate.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const options: ListenerOptions = {
  name: 'echo',
  host: '127.0.0.1',
  port: 0,
  tls: { mode: 'none' },
  connectionsMax: 10,
  perAddressMax: 10,
  busy: 'BUSY\r\n',
}
const adjustable = limits as Record<keyof typeof limits, number>
const { listenerDrainMs } = limits
afterEach(() => void (adjustable.listenerDrainMs = listenerDrainMs))
const bounds = { octetsMax: 1000, waitMsMax: 20_000 }

/** Answers each line with itself; `TLS` starts TLS, `BYE` ends. */
async function echo(channel: Channel, waitMsMax = bounds.waitMsMax): Promise<void> {
  for (;;) {
    const line = await channel.reader.line({ ...bounds, waitMsMax })
    if (line === undefined || toLatin1(line) === 'BYE') break
    channel.send(`${toLatin1(line)} ${channel.isSecure ? 'secure' : 'plain'}\r\n`)
    if (toLatin1(line) === 'TLS') await channel.startTls()
  }
  await channel.end()
}

const listeners: Listener[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const listener of listeners.splice(0)) await listener[Symbol.asyncDispose]()
})
const listen = async (changed: Partial<ListenerOptions> = {}, serve = echo): Promise<Listener> => {
  const listener = await openListener({ ...options, ...changed }, serve, ambient)
  listeners.push(listener)
  return listener
}
const dial = (listener: Listener): Socket => {
  const socket = connect({ ...listener.address, allowHalfOpen: true })
  sockets.push(socket)
  socket.on('error', () => {})
  return socket
}
const said = async (socket: Socket): Promise<string> => {
  let all = ''
  for await (const piece of socket) all += toLatin1(piece as Buffer)
  return all
}
const nextPiece = async (socket: Socket): Promise<string> => toLatin1((await once(socket, 'data'))[0] as Buffer)

describe('listener', () => {
  test('answers everything a client sent before it closed its direction', async () => {
    const socket = dial(await listen())
    socket.end('a\r\nb\r\nc\r\n')
    expect(await said(socket)).toBe('a plain\r\nb plain\r\nc plain\r\n')
  })
  test('refuses beyond its cap with a word, and serves again when one has left', async () => {
    const listener = await listen({ connectionsMax: 1 })
    const first = dial(listener)
    first.write('hello\r\n')
    await nextPiece(first)
    expect(await said(dial(listener))).toBe('BUSY\r\n')
    first.end()
    await said(first)
    await expect.poll(() => listener.connections).toBe(0)
    const second = dial(listener)
    second.end('x\r\n')
    expect(await said(second)).toBe('x plain\r\n')
  })
  test('ends in time even when a client has stopped in the middle of a line', async () => {
    adjustable.listenerDrainMs = 100
    const listener = await listen({}, async (channel) => await echo(channel, 3600_000))
    const socket = dial(listener)
    socket.write('whole\r\nhal')
    await nextPiece(socket)
    await listener[Symbol.asyncDispose]()
  })
  test('says once that it is full, not for everyone it turns away', async () => {
    const lines: string[] = []
    const log = { ...silentLog, warn: (event: string) => void lines.push(event) }
    const listener = await openListener({ ...options, connectionsMax: 1 }, echo, { ...ambient, log })
    listeners.push(listener)
    const first = dial(listener)
    first.write('hello\r\n')
    await nextPiece(first)
    for (let turn = 0; turn < 3; turn += 1) await said(dial(listener))
    expect(lines).toEqual(['listener.busy'])
  })
  test('an empty host, which would mean every address, and a port in use are refused', async () => {
    await expect(listen({ host: '' })).rejects.toThrow('malformed')
    const { address } = await listen()
    await expect(listen({ port: address.port })).rejects.toThrow('port-in-use')
  })
  test('an error while serving ends that connection only', async () => {
    const listener = await listen({}, async (channel) => {
      const line = await channel.reader.line(bounds)
      if (toLatin1(line!) === 'bad') throw new TypeError('a bug')
      channel.send('fine\r\n')
      await channel.end()
    })
    const good = dial(listener)
    const bad = dial(listener)
    bad.end('bad\r\n')
    expect(await said(bad)).toBe('')
    good.end('good\r\n')
    expect(await said(good)).toBe('fine\r\n')
  })
  test('disposal interrupts idle connections and lets the current line finish', async () => {
    const begun = Promise.withResolvers<void>()
    const finished = Promise.withResolvers<void>()
    const listener = await openListener(
      options,
      async (channel) => {
        await channel.reader.line(bounds)
        begun.resolve()
        await finished.promise
        channel.send('done\r\n')
        await expect(channel.reader.line(bounds)).rejects.toThrow('shutting-down')
        await channel.end()
      },
      ambient,
    )
    const socket = dial(listener)
    socket.write('work\r\n')
    await begun.promise
    expect(listener.connections).toBe(1)
    socket.end()
    const disposed = listener[Symbol.asyncDispose]()
    finished.resolve()
    expect(await said(socket)).toBe('done\r\n')
    await disposed
    expect(listener.connections).toBe(0)
  })
})

/** An address of this machine that is not loopback: such connections never leave it either. */
const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.internal === false && one.family === 'IPv4')?.address

test.skipIf(ownAddress === undefined)(
  'beyond loopback each address has its own cap, and clear text is not private',
  async () => {
    const listener = await listen({ host: ownAddress!, perAddressMax: 1 }, async (channel) => {
      const line = await channel.reader.line(bounds)
      channel.send(`${toLatin1(line!)} ${channel.isPrivate}\r\n`)
      await channel.end()
    })
    const first = dial(listener)
    await expect.poll(() => listener.connections).toBe(1)
    expect(await said(dial(listener))).toBe('BUSY\r\n')
    first.end('private\r\n')
    expect(await said(first)).toBe('private false\r\n')
    await expect.poll(() => listener.connections).toBe(0)
    const second = dial(listener)
    second.end('private\r\n')
    expect(await said(second)).toBe('private false\r\n')
  },
)

describe('TLS', () => {
  test('from the first byte', async () => {
    const material = await selfSigned()
    const listener = await listen({ tls: { mode: 'implicit', material: () => material, protocols: ['echo'] } })
    const socket = connectTls({ ...listener.address, ca: material.cert, servername: 'localhost' })
    sockets.push(socket)
    await once(socket, 'secureConnect')
    socket.end('a\r\n')
    expect(await said(socket)).toBe('a secure\r\n')
  })
  test('in the middle, and a renewed certificate is presented without a restart', async () => {
    let material = await selfSigned()
    const listener = await listen({ tls: { mode: 'starttls', material: () => material, protocols: ['echo'] } })
    for (let round = 0; round < 2; round += 1) {
      const plain = dial(listener)
      plain.write('TLS\r\n')
      expect(await nextPiece(plain)).toBe('TLS plain\r\n')
      const socket = connectTls({ socket: plain, ca: material.cert, servername: 'localhost' })
      await once(socket, 'secureConnect')
      socket.end('a\r\n')
      expect(await said(socket)).toBe('a secure\r\n')
      material = await selfSigned()
    }
  })
  test('bytes sent in clear before the handshake end the connection (CVE-2011-0411)', async () => {
    const material = await selfSigned()
    const listener = await listen({ tls: { mode: 'starttls', material: () => material, protocols: ['echo'] } })
    const together = dial(listener)
    together.write('TLS\r\ninjected\r\n')
    expect(await said(together)).toBe('TLS plain\r\n')
    const later = dial(listener)
    later.write('TLS\r\n')
    await nextPiece(later)
    later.write('injected\r\n')
    expect(await said(later)).not.toContain('injected')
  })
  test.each([
    [['http/1.1', 'h2'], false],
    [['echo'], true],
    [undefined, true],
  ])('a client that offers %j by ALPN: welcome %s (ALPACA)', async (protocols, welcome) => {
    const material = await selfSigned()
    const listener = await listen({ tls: { mode: 'implicit', material: () => material, protocols: ['echo'] } })
    const socket = connectTls({
      ...listener.address,
      ca: material.cert,
      servername: 'localhost',
      ...(protocols === undefined ? {} : { ALPNProtocols: protocols }),
    })
    sockets.push(socket)
    const outcome = await Promise.race([
      once(socket, 'secureConnect').then(() => true),
      new Promise<boolean>((resolve) => socket.once('error', () => resolve(false))),
    ])
    expect(outcome).toBe(welcome)
  })
  test('garbage instead of a handshake leaves the listener working', async () => {
    const material = await selfSigned()
    const listener = await listen({ tls: { mode: 'implicit', material: () => material, protocols: ['echo'] } })
    const garbage = dial(listener)
    garbage.write('EHLO plain\r\n')
    await said(garbage).catch(() => '')
    await expect.poll(() => listener.connections).toBe(0)
    const socket = connectTls({ ...listener.address, ca: material.cert, servername: 'localhost' })
    sockets.push(socket)
    await once(socket, 'secureConnect')
  })
})

test('loopback is 127.0.0.0/8 and ::1', () => {
  for (const address of ['127.0.0.1', '127.9.9.9', '::1']) expect(isLoopback(address)).toBe(true)
  for (const address of ['10.0.0.1', '128.0.0.1', '::2', 'fe80::1']) expect(isLoopback(address)).toBe(false)
})

test('a browser and a TLS client are told from a mail client', () => {
  for (const line of [
    'GET / HTTP/1.1',
    'POST /x HTTP/1.1',
    'OPTIONS * HTTP/1.1',
    'CONNECT a.b:25 HTTP/1.1',
    'PRI * HTTP/2.0',
  ]) {
    expect(isHttpRequestLine(fromLatin1(line))).toBe(true)
  }
  for (const line of ['EHLO GET', 'GET NOOP', 'HEAD LOGIN a b', 'a1 NOOP', 'NOOP']) {
    expect(isHttpRequestLine(fromLatin1(line))).toBe(false)
  }
  expect(isTlsRecord(0x16)).toBe(true)
  expect(isTlsRecord(0x45)).toBe(false)
})
