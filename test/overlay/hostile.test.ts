import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { generateKeyPair } from '@libp2p/crypto/keys'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import type { Libp2p } from 'libp2p'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fromUtf8 } from '../../src/core/bytes.ts'
import type { GatewayId } from '../../src/core/ids.ts'
import type { Link } from '../../src/core/delivery/ports.ts'
import { limits } from '../../src/core/limits.ts'
import { encodeProposal } from '../../src/overlay/opening.ts'
import { askProtocol, linkProtocol } from '../../src/overlay/protocols.ts'
import { gatewayIdOf, newGatewayKey } from '../../src/overlay/gateway-key.ts'
import { systemRandom } from '../../src/core/ambient.ts'
import { openPeer, text, within } from './support.ts'
import type { Peer } from './support.ts'

let victim: Peer
let friend: Peer
let friendly: Link
let hostile: Libp2p
/** The hostile gateway passes for one that a contact lives at. */
let isHostileFamiliar = true

beforeEach(async () => {
  isHostileFamiliar = true
  victim = await openPeer({
    answer: { bundle: async (request) => request, blob: async () => new Uint8Array(limits.askAnswerBytesMax) },
    isFamiliar: (gateway) => gateway !== hostile.peerId.toString() || isHostileFamiliar,
  })
  friend = await openPeer()
  friendly = await friend.overlay.link(victim.address, within(20_000))
  hostile = await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    transports: [tcp()],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux({ maxOutboundStreams: 5_000 })],
    connectionMonitor: { enabled: false },
  })
})

afterEach(async () => {
  await hostile.stop()
  await friend[Symbol.asyncDispose]()
  await victim[Symbol.asyncDispose]()
})

/** The other link works as if nothing were. */
async function expectUndisturbed(): Promise<void> {
  expect(friendly.closed.aborted).toBe(false)
  const already = text(victim).length
  await friendly.send(fromUtf8('still here'))
  await expect.poll(() => text(victim).length).toBe(already + 10)
  const answer = await friend.overlay.ask(victim.address, 'bundle', Uint8Array.of(1), {
    ...within(20_000),
    answerBytesMax: 9,
  })
  expect([...answer]).toEqual([1])
}

const lastError = (): string | undefined =>
  victim.overlay.peers().find(({ gateway }) => gateway === (hostile.peerId.toString() as GatewayId))?.lastError

const dial = async (): Promise<Connection> => await hostile.dial(multiaddr(victim.overlay.listeners()[0]))

/** A link the victim accepted, as the raw stream. */
async function openRaw(connection: Connection, id = 1n): Promise<Stream> {
  const stream = await connection.newStream(linkProtocol)
  const linked = victim.links.length + 1
  stream.send(encodeProposal({ instance: 5n, id, after: 0n }))
  await expect.poll(() => victim.links.length).toBe(linked)
  return stream
}

test('a thousand link streams are bounded, and the peer is named', async () => {
  const connection = await dial()
  const opened = await Promise.allSettled(
    Array.from(
      { length: 1_000 },
      async () =>
        await connection.newStream(linkProtocol, { maxOutboundStreams: 5_000, signal: AbortSignal.timeout(8_000) }),
    ),
  )
  expect(opened.filter(({ status }) => status === 'fulfilled').length).toBeLessThan(200)
  await expect.poll(lastError).toMatch(/too many/)
  await expectUndisturbed()
})

test('streams that never say which protocol they want hold a place for a few seconds only', async () => {
  const connection = await dial()
  const muxer = (connection as unknown as { readonly muxer: { createStream(): Promise<Stream> } }).muxer
  for (let count = 0; count < 1_000; count += 1) await muxer.createStream()
  await expect.poll(lastError).toMatch(/too many open streams/)
  await expect.poll(() => connection.status).not.toBe('open')
  await expectUndisturbed()
  const again = await dial().catch(() => undefined)
  await expect.poll(() => again?.status ?? 'refused').not.toBe('open')
})

test('garbage instead of a proposal, and garbage on an accepted link, end that stream with a reason', async () => {
  const connection = await dial()
  const stream = await connection.newStream(linkProtocol)
  stream.send(new Uint8Array(100).fill(0xff))
  await expect.poll(lastError).toBe('garbled link stream')
  const link = await openRaw(connection)
  link.send(new Uint8Array(100).fill(0xff))
  await expect.poll(() => victim.links.at(-1)?.closed.aborted).toBe(true)
  expect(lastError()).toBe('sent what is no link stream')
  await expectUndisturbed()
})

test('a peer that sends more than its credit loses the link, and what it sent is bounded', async () => {
  await victim[Symbol.asyncDispose]()
  victim = await openPeer({ reads: 'leave' })
  const stream = await openRaw(await dial())
  const segment = new Uint8Array(32 * 1024)
  segment.set([0, 0, 0x7f, 0xfc])
  for (let sent = 0; sent < 4 * limits.linkWindowBytes && stream.status === 'open'; sent += segment.length) {
    stream.send(segment)
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
  await expect.poll(() => victim.links.at(-1)?.closed.aborted).toBe(true)
  expect(lastError()).toBe('sent more than its credit')
  let octets = 0
  for await (const piece of victim.links.at(-1)!.incoming) octets += piece.length
  expect(octets).toBeLessThanOrEqual(limits.linkWindowBytes + 2 * limits.linkSegmentBytesMax)
})

test('a peer that never reads makes only its own sender wait', async () => {
  const stream = await openRaw(await dial())
  stream.pause()
  const link = victim.links.at(-1)!
  let sent = 0
  const flooding = (async () => {
    for (;;) {
      await link.send(new Uint8Array(64 * 1024))
      sent += 64 * 1024
    }
  })()
  flooding.catch(() => {})
  await new Promise((resolve) => {
    setTimeout(resolve, 1_000)
  })
  expect(sent).toBeLessThanOrEqual(limits.linkWindowBytes + limits.linkQueueBytesMax + 128 * 1024)
  await expectUndisturbed()
})

test('a million pings cost one answer at a time', async () => {
  const stream = await openRaw(await dial())
  stream.pause()
  const pings = Buffer.concat(Array.from({ length: 20_000 }, () => Buffer.from([1, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1])))
  for (let sent = 0; sent < 50; sent += 1) {
    stream.send(pings)
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
  await expectUndisturbed()
})

test('an oversize, half-open or endless ask ends with a reason', async () => {
  const connection = await dial()
  const oversize = await connection.newStream(askProtocol('bundle'))
  oversize.send(Uint8Array.of(0xff, 0xff, 0xff, 0xff))
  await expect.poll(lastError).toBe('bundle: request too large')
  const endless = await connection.newStream(askProtocol('bundle'))
  for (let sent = 0; sent < 100 && endless.status === 'open'; sent += 1) {
    endless.send(new Uint8Array(64 * 1024))
    await new Promise((resolve) => {
      setImmediate(resolve)
    })
  }
  await expect.poll(() => endless.status).not.toBe('open')
  for (let count = 0; count < 20; count += 1) {
    await connection.newStream(askProtocol('bundle'), { maxOutboundStreams: 100 }).catch(() => {})
  }
  await expectUndisturbed()
})

test('asks whose answers are never read are bounded for that peer alone', async () => {
  const connection = await dial()
  const answers: number[] = []
  for (let count = 0; count < limits.asksPerPeerMax + 4; count += 1) {
    const stream = await connection.newStream(askProtocol('blob'), { maxOutboundStreams: 100 })
    stream.addEventListener('message', ({ data }) => {
      answers.push(data instanceof Uint8Array ? data[0]! : data.get(0))
      stream.pause()
    })
    stream.send(Uint8Array.of(0, 0, 0, 0))
  }
  await expect.poll(() => answers.filter((outcome) => outcome === 2).length).toBe(4)
  await expectUndisturbed()
})

test('a thousand connections from one address are refused beyond a few, and others still get in', async () => {
  const port = Number(/\/tcp\/(\d+)/.exec(victim.overlay.listeners()[0]!)![1])
  const sockets: Socket[] = []
  let open = 0
  for (let count = 0; count < 1_000; count += 1) {
    const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' })
    socket.on('connect', () => (open += 1))
    socket.on('close', () => (open -= 1))
    socket.on('error', () => {})
    sockets.push(socket)
  }
  await expect.poll(() => open).toBeLessThanOrEqual(limits.connectionsPerAddressMax)
  await using late = await openPeer()
  const link = await late.overlay.link(victim.address, within(20_000))
  await link.send(fromUtf8('late'))
  await expect.poll(() => text(victim)).toContain('late')
  await expectUndisturbed()
  for (const socket of sockets) socket.destroy()
})

test('a connection that says nothing, or garbage, is dropped', async () => {
  const port = Number(/\/tcp\/(\d+)/.exec(victim.overlay.listeners()[0]!)![1])
  const silent = connect({ host: '127.0.0.1', port })
  const garbled = connect({ host: '127.0.0.1', port })
  const closed = { silent: false, garbled: false }
  silent.on('error', () => {}).on('close', () => (closed.silent = true))
  garbled.on('error', () => {}).on('close', () => (closed.garbled = true))
  garbled.write('GET / HTTP/1.1\r\n\r\n')
  await expect.poll(() => closed).toEqual({ silent: true, garbled: true })
  await expectUndisturbed()
})

/** The outcome of one ask; `undefined` when the connection ended instead. */
async function outcomeOf(connection: Connection, request: Uint8Array): Promise<number | undefined> {
  const stream = await connection.newStream(askProtocol('bundle'), { maxOutboundStreams: 100 }).catch(() => undefined)
  if (stream === undefined) return undefined
  const first = Promise.withResolvers<number | undefined>()
  stream.addEventListener('message', ({ data }) => first.resolve(data instanceof Uint8Array ? data[0] : data.get(0)))
  stream.addEventListener('close', () => first.resolve(undefined))
  try {
    stream.send(request)
  } catch {
    return undefined
  }
  const outcome = await first.promise
  stream.close().catch(() => {})
  return outcome
}

const question = Uint8Array.of(0, 0, 0, 1, 7)

test('a stranger that asks without waiting for answers is not read any more, then not connected; contacts ask as ever', async () => {
  isHostileFamiliar = false
  const connection = await dial()
  for (let asked = 0; asked < limits.strangerAsksBurst; asked += 1)
    expect(await outcomeOf(connection, question)).toBe(0)
  const outcomes = new Set<number | undefined>()
  const impatient = async (): Promise<void> => {
    while (connection.status === 'open') outcomes.add(await outcomeOf(connection, question))
  }
  await Promise.all(Array.from({ length: limits.strangerAsksAheadMax + 4 }, impatient))
  expect(outcomes).toContain(2)
  await expectUndisturbed()
})

test('a stranger that asks one after another is answered each time, at the pace that strangers have', async () => {
  isHostileFamiliar = false
  const connection = await dial()
  const most = limits.strangerAsksBurst + 2 * limits.strangerAsksIgnoredMax
  for (let asked = 0; asked < most; asked += 1) expect(await outcomeOf(connection, question)).toBe(0)
  expect(connection.status).toBe('open')
})

const strangerAt = async (localAddress: string): Promise<Libp2p> =>
  await createLibp2p({
    privateKey: await generateKeyPair('Ed25519'),
    transports: [tcp({ dialOpts: { localAddress } as never })],
    connectionEncrypters: [tls()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  })

test('strangers whose questions do not come keep no other stranger from being answered', async () => {
  await victim[Symbol.asyncDispose]()
  const friends = new Set<string>([friend.overlay.self])
  victim = await openPeer({
    answer: { bundle: async (request) => request },
    isFamiliar: (gateway) => friends.has(gateway),
  })
  friendly = await friend.overlay.link(victim.address, within(20_000))
  const at = multiaddr(victim.overlay.listeners()[0])
  const slow = await Promise.all(
    Array.from({ length: 8 }, async (_, number) => await strangerAt(`127.0.9.${number + 1}`)),
  )
  for (const stranger of slow) {
    const connection = await stranger.dial(at)
    for (let count = 0; count < limits.asksStrangersMax / 4; count += 1) {
      const stream = await connection.newStream(askProtocol('bundle'), { maxOutboundStreams: 100 })
      stream.send(Uint8Array.of(0, 0, 0, 9)) // and nothing of the nine octets
    }
  }
  await using scope = new AsyncDisposableStack()
  const honest = await strangerAt('127.0.10.1')
  for (const stranger of [...slow, honest]) scope.defer(async () => await stranger.stop())
  const connection = await honest.dial(at)
  for (let asked = 0; asked < 10; asked += 1) expect(await outcomeOf(connection, question)).toBe(0)
  await expectUndisturbed()
})

test('strangers that hold every ask open leave places for contacts', async () => {
  isHostileFamiliar = false
  const strangers: Libp2p[] = [hostile]
  for (let count = 1; count < 8; count += 1)
    strangers.push(
      await createLibp2p({
        privateKey: await generateKeyPair('Ed25519'),
        transports: [tcp()],
        connectionEncrypters: [tls()],
        streamMuxers: [yamux()],
        connectionMonitor: { enabled: false },
      }),
    )
  await victim[Symbol.asyncDispose]()
  const friends = new Set<string>()
  victim = await openPeer({
    answer: { bundle: async (request) => request },
    isFamiliar: (gateway) => friends.has(gateway),
  })
  friends.add(friend.overlay.self)
  friendly = await friend.overlay.link(victim.address, within(20_000))
  for (const stranger of strangers) {
    const connection = await stranger.dial(multiaddr(victim.overlay.listeners()[0]))
    for (let count = 0; count < limits.asksPerPeerMax; count += 1) {
      const stream = await connection.newStream(askProtocol('bundle'), { maxOutboundStreams: 100 })
      stream.send(Uint8Array.of(0, 0, 0, 9)) // and nothing of the nine octets
    }
  }
  await expectUndisturbed()
  for (const stranger of strangers.slice(1)) await stranger.stop()
})

test('locators that lead to somebody else’s server bring it a few connections a minute, however often they are tried', async () => {
  let connections = 0
  const bystander = createServer((socket) => {
    connections += 1
    socket.on('error', () => {}).resetAndDestroy()
  })
  await new Promise<void>((resolve) => bystander.listen(0, '127.0.0.1', resolve))
  const { port } = bystander.address() as { readonly port: number }
  const locator = `/ip4/127.0.0.1/tcp/${port}`
  const to = { gateway: gatewayIdOf(newGatewayKey(systemRandom)), locators: Array.from({ length: 64 }, () => locator) }
  for (let attempts = 0; attempts < 200; attempts += 1) {
    await expect(victim.overlay.link(to, within(20_000))).rejects.toMatchObject({ code: 'unreachable' })
    await new Promise((resolve) => {
      setTimeout(resolve, 5)
    })
  }
  // after 0, 0.25, 0.75, 1.75, 3.75 s, and each 5 s from then on
  expect(connections).toBeGreaterThan(1)
  expect(connections).toBeLessThan(20)
  await new Promise((resolve) => {
    bystander.close(resolve)
  })
  await expectUndisturbed()
})
