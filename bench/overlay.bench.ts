/**
 * The overlay between two processes over loopback TCP and TLS 1.3, against a bare node:tls socket and a stream of libp2p
 * as it comes, in the same run.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { fileURLToPath } from 'node:url'
import type { Bench, Result } from '../scripts/bench.ts'
import { silentLog, systemClock, systemRandom } from '../src/core/ambient.ts'
import type { Ambient } from '../src/core/ambient.ts'
import type { GatewayAddress, Link, Overlay } from '../src/core/delivery/ports.ts'
import { newGatewayKey } from '../src/overlay/gateway-key.ts'
import { openOverlay } from '../src/overlay/overlay.ts'
import { bootMs } from './overlay/boot.ts'
import { chunkCryptoMs } from './overlay/chunk-cost.ts'
import { dialPlain, servePlain } from './overlay/plain-libp2p.ts'

const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const refuse = async (): Promise<undefined> => undefined

async function open(
  { key, port, isRelay = false }: { readonly key: Uint8Array; readonly port: number; readonly isRelay?: boolean },
  onLink: (link: Link) => void,
): Promise<Overlay> {
  const overlay = await openOverlay({
    config: {
      host: '127.0.0.1',
      port,
      webSocketPort: 0,
      mdns: false,
      bootstrap: [],
      relays: [],
      announce: [],
      loopback: true,
      routing: true,
      relay: isRelay,
    },
    key,
    ambient,
    transports: ['tcp'],
  })
  overlay.serve({
    onLink,
    onReachable: () => {},
    onLocatorsChanged: () => {},
    answer: { bundle: refuse, handshake: refuse, blob: refuse, device: refuse },
  })
  return overlay
}

/** What the parent tells the child: count octets up to a number, then say so; send everything back; connect to another. */
type Order = { readonly expect: number } | { readonly echo: true } | { readonly meet: GatewayAddress }
type Report =
  | { readonly ready: GatewayAddress & { readonly tlsPort: number; readonly plain: string } }
  | { readonly done: true; readonly cpuMs: number }

interface Counter {
  expect(octets: number): void
  count(octets: number): void
}

function counter(done: () => void): Counter {
  let left = Infinity
  return {
    expect: (octets) => {
      left = octets
    },
    count: (octets) => {
      left -= octets
      if (left <= 0) {
        left = Infinity
        done()
      }
    },
  }
}

/** The other process: reads what comes over a link or a TLS socket. */
async function serve(key: Uint8Array, port: number): Promise<void> {
  const report = (message: Report): void => void process.send!(message)
  let before = process.cpuUsage()
  const finished = (): void => {
    const { user, system } = process.cpuUsage(before)
    report({ done: true, cpuMs: (user + system) / 1000 })
  }
  const progress = counter(finished)
  let isEcho = false
  const overlay = await open({ key, port, isRelay: true }, (link) => {
    void (async () => {
      for await (const piece of link.incoming) {
        if (isEcho) await link.send(piece)
        else progress.count(piece.length)
      }
    })()
  })
  const server = tls.createServer({ ...(await certificate()), minVersion: 'TLSv1.3' }, (socket) => {
    socket.on('data', (piece) => (isEcho ? void socket.write(piece) : progress.count(piece.length)))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.on('message', (order: Order) => {
    isEcho ||= 'echo' in order
    if ('meet' in order) {
      const signal = AbortSignal.timeout(10_000)
      void overlay.link(order.meet, { signal }).then(finished)
    }
    if ('expect' in order) {
      before = process.cpuUsage()
      progress.expect(order.expect)
    }
  })
  const { port: tlsPort } = server.address() as AddressInfo
  const plain = await servePlain((octets) => progress.count(octets))
  report({ ready: { gateway: overlay.self, locators: overlay.locators(), tlsPort, plain } })
}

async function certificate(): Promise<{ readonly key: string; readonly cert: string }> {
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  const signingAlgorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(signingAlgorithm, true, ['sign', 'verify'])
  const made = await x509.X509CertificateGenerator.createSelfSigned(
    { name: 'CN=bench', keys, signingAlgorithm },
    crypto,
  )
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return { key: `-----BEGIN PRIVATE KEY-----\n${pkcs8}\n-----END PRIVATE KEY-----\n`, cert: made.toString('pem') }
}

interface Peer {
  readonly process: ChildProcess
  readonly address: GatewayAddress
  readonly tlsPort: number
  readonly plain: string
}

async function start(key: Uint8Array, port: number): Promise<Peer> {
  const child = fork(fileURLToPath(import.meta.url), ['serve', Buffer.from(key).toString('hex'), String(port)])
  const [report] = (await once(child, 'message')) as [Extract<Report, { ready: unknown }>]
  return { process: child, address: report.ready, tlsPort: report.ready.tlsPort, plain: report.ready.plain }
}

interface Took {
  readonly seconds: number
  /** Of both processes. */
  readonly cpuMs: number
}

/** Until the peer has read `count` pieces of `octets`. */
async function transfer(peer: Peer, { octets, count }: { octets: number; count: number }, send: Send): Promise<Took> {
  const done = once(peer.process, 'message') as Promise<[Extract<Report, { done: true }>]>
  const before = process.cpuUsage()
  peer.process.send({ expect: octets * count } satisfies Order)
  const piece = Buffer.alloc(octets, 7)
  const startedAt = performance.now()
  for (let sent = 0; sent < count; sent += 1) {
    const wait = send(piece)
    if (wait !== undefined) await wait
  }
  const [{ cpuMs }] = await done
  const { user, system } = process.cpuUsage(before)
  return { seconds: (performance.now() - startedAt) / 1000, cpuMs: cpuMs + (user + system) / 1000 }
}

type Send = (piece: Uint8Array) => Promise<unknown> | undefined

const throughTls =
  (socket: tls.TLSSocket): Send =>
  (piece) =>
    socket.write(piece) ? undefined : once(socket, 'drain')

/** Median of one way, milliseconds: half a round trip of 128 octets. */
async function hop(count: number, send: Send, answers: AsyncIterator<Uint8Array>): Promise<number> {
  const piece = Buffer.alloc(128, 7)
  const times: number[] = []
  for (let round = 0; round < count; round += 1) {
    const startedAt = performance.now()
    await send(piece)
    for (let got = 0; got < piece.length;) got += ((await answers.next()).value as Uint8Array).length
    times.push((performance.now() - startedAt) / 2)
  }
  return times.sort((a, b) => a - b)[Math.floor(count / 2)]!
}

/** What a gateway in between adds to one way: alice, a relay and bob are three processes, with TLS end to end. */
async function addedByHop(rounds: number, directMs: number): Promise<number> {
  const alice = await open({ key: newGatewayKey(systemRandom), port: 0 }, () => {})
  const [relay, bob] = [await start(newGatewayKey(systemRandom), 0), await start(newGatewayKey(systemRandom), 0)]
  const signal = AbortSignal.timeout(60_000)
  try {
    bob.process.send({ meet: relay.address } satisfies Order)
    await once(bob.process, 'message')
    bob.process.send({ echo: true } satisfies Order)
    await alice.link(relay.address, { signal })
    const link = await alice.link({ gateway: bob.address.gateway, locators: [] }, { signal })
    const through: Send = (piece) => link.send(piece)
    return (await hop(rounds, through, link.incoming[Symbol.asyncIterator]())) - directMs
  } finally {
    for (const { process: child } of [relay, bob]) child.kill()
    await alice[Symbol.asyncDispose]()
  }
}

const round = (value: number): number => Number(value.toPrecision(4))
const against = (name: string, unit: string, value: number, peerValue: number, peer = 'node:tls'): Result => ({
  name,
  unit,
  value: round(value),
  peer,
  peerValue: round(peerValue),
  ratio: round(value / peerValue),
})

export const bench: Bench = async ({ quick, say }) => {
  const scale = quick ? 1 : 5
  const key = newGatewayKey(systemRandom)
  const overlay = await open({ key: newGatewayKey(systemRandom), port: 0 }, () => {})
  let peer = await start(key, 0)
  const signal = AbortSignal.timeout(120_000)
  const link = await overlay.link(peer.address, { signal })
  const socket = tls.connect({
    port: peer.tlsPort,
    host: '127.0.0.1',
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  })
  await once(socket, 'secureConnect')
  const through: Send = (piece) => link.send(piece)

  say('frames of 128 B')
  const frames = { octets: 128, count: 400_000 * scale }
  await transfer(peer, { octets: 128, count: 50_000 }, through)
  const plain = await dialPlain(peer.plain)
  const throughPlain: Send = (piece) => plain.send(piece)
  const rate = ({ seconds }: Took): number => frames.count / seconds
  const ours = await transfer(peer, frames, through)
  const bare = await transfer(peer, frames, throughTls(socket))
  // a tenth of it: each send is a frame and a write of its own there
  const raw = await transfer(peer, { ...frames, count: frames.count / 10 }, throughPlain)
  say('bulk of 64 KB')
  const bulk = { octets: 65_536, count: 4_000 * scale }
  const ourBulk = await transfer(peer, bulk, through)
  const bareBulk = await transfer(peer, bulk, throughTls(socket))
  const rawBulk = await transfer(peer, bulk, throughPlain)
  await plain[Symbol.asyncDispose]()
  const megabytes = ({ seconds }: Took): number => (bulk.octets * bulk.count) / 1e6 / seconds
  const cryptoMs = chunkCryptoMs(1_000 * scale)
  const carryMs = ourBulk.cpuMs / bulk.count

  say('latency')
  peer.process.send({ echo: true } satisfies Order)
  const rounds = 1_000 * scale
  const hopMs = await hop(rounds, through, link.incoming[Symbol.asyncIterator]())
  const tlsHopMs = await hop(rounds, throughTls(socket), socket.iterator() as AsyncIterator<Uint8Array>)
  socket.destroy()

  say('latency over another gateway')
  const added = await addedByHop(rounds, hopMs)

  say('reconnect')
  const times: number[] = []
  for (let kill = 0; kill < (quick ? 3 : 10); kill += 1) {
    const port = Number(/\/tcp\/(\d+)$/.exec(peer.address.locators[0]!)![1])
    const before = await overlay.link(peer.address, { signal })
    peer.process.kill('SIGKILL')
    if (!before.closed.aborted) await once(before.closed, 'abort')
    peer = await start(key, port)
    const startedAt = performance.now()
    await overlay.link(peer.address, { signal })
    times.push(performance.now() - startedAt)
  }
  peer.process.kill()

  say('reachable after boot')
  const boot = await bootMs(overlay)
  await overlay[Symbol.asyncDispose]()
  return [
    against('frames', 'frames/s', rate(ours), rate(bare)),
    against('frames_libp2p', 'frames/s', rate(ours), rate(raw) / 10, 'libp2p'),
    against('bulk', 'MB/s', megabytes(ourBulk), megabytes(bareBulk)),
    against('bulk_libp2p', 'MB/s', megabytes(ourBulk), megabytes(rawBulk), 'libp2p'),
    against('latency', 'ms', hopMs, tlsHopMs),
    { name: 'hop_latency', unit: 'ms', value: round(added) },
    { name: 'e2ee_overhead', unit: '%', value: round((100 * cryptoMs) / (cryptoMs + carryMs)) },
    { name: 'boot', unit: 'ms', value: round(boot) },
    { name: 'reconnect', unit: 'ms', value: round(times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!) },
  ]
}

if (process.argv[2] === 'serve') await serve(Buffer.from(process.argv[3]!, 'hex'), Number(process.argv[4]))
