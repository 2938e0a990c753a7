/** The overlay between two processes over loopback TCP and TLS 1.3, against a bare node:tls socket in the same run. */
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

const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const refuse = async (): Promise<undefined> => undefined

async function open(key: Uint8Array, port: number, onLink: (link: Link) => void): Promise<Overlay> {
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
      relay: false,
    },
    key,
    ambient,
    transports: ['tcp'],
  })
  overlay.serve({
    onLink,
    onReachable: () => {},
    onLocatorsChanged: () => {},
    answer: { bundle: refuse, handshake: refuse, blob: refuse },
  })
  return overlay
}

/** What the parent tells the child: count octets up to a number, then say so, or send everything back. */
type Order = { readonly expect: number } | { readonly echo: true }
type Report = { readonly ready: GatewayAddress & { readonly tlsPort: number } } | { readonly done: true }

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
  const progress = counter(() => report({ done: true }))
  let isEcho = false
  const overlay = await open(key, port, (link) => {
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
    isEcho = 'echo' in order
    if ('expect' in order) progress.expect(order.expect)
  })
  const { port: tlsPort } = server.address() as AddressInfo
  report({ ready: { gateway: overlay.self, locators: overlay.locators(), tlsPort } })
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
}

async function start(key: Uint8Array, port: number): Promise<Peer> {
  const child = fork(fileURLToPath(import.meta.url), ['serve', Buffer.from(key).toString('hex'), String(port)])
  const [report] = (await once(child, 'message')) as [Extract<Report, { ready: unknown }>]
  return { process: child, address: report.ready, tlsPort: report.ready.tlsPort }
}

/** Seconds until the peer has read `count` pieces of `octets`. */
async function transfer(peer: Peer, { octets, count }: { octets: number; count: number }, send: Send): Promise<number> {
  const done = once(peer.process, 'message')
  peer.process.send({ expect: octets * count } satisfies Order)
  const piece = Buffer.alloc(octets, 7)
  const startedAt = performance.now()
  for (let sent = 0; sent < count; sent += 1) {
    const wait = send(piece)
    if (wait !== undefined) await wait
  }
  await done
  return (performance.now() - startedAt) / 1000
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

const round = (value: number): number => Number(value.toPrecision(4))
const against = (name: string, unit: string, value: number, peerValue: number): Result => ({
  name,
  unit,
  value: round(value),
  peer: 'node:tls',
  peerValue: round(peerValue),
  ratio: round(value / peerValue),
})

export const bench: Bench = async ({ quick, say }) => {
  const scale = quick ? 1 : 5
  const key = newGatewayKey(systemRandom)
  const overlay = await open(newGatewayKey(systemRandom), 0, () => {})
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
  const framesS = await transfer(peer, frames, through)
  const tlsFramesS = await transfer(peer, frames, throughTls(socket))
  say('bulk of 64 KB')
  const bulk = { octets: 65_536, count: 4_000 * scale }
  const bulkS = await transfer(peer, bulk, through)
  const tlsBulkS = await transfer(peer, bulk, throughTls(socket))
  const megabytes = (bulk.octets * bulk.count) / 1e6

  say('latency')
  peer.process.send({ echo: true } satisfies Order)
  const rounds = 1_000 * scale
  const hopMs = await hop(rounds, through, link.incoming[Symbol.asyncIterator]())
  const tlsHopMs = await hop(rounds, throughTls(socket), socket.iterator() as AsyncIterator<Uint8Array>)
  socket.destroy()

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
  await overlay[Symbol.asyncDispose]()
  return [
    against('frames', 'frames/s', frames.count / framesS, frames.count / tlsFramesS),
    against('bulk', 'MB/s', megabytes / bulkS, megabytes / tlsBulkS),
    against('hop_latency', 'ms', hopMs, tlsHopMs),
    { name: 'reconnect', unit: 'ms', value: round(times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!) },
  ]
}

if (process.argv[2] === 'serve') await serve(Buffer.from(process.argv[3]!, 'hex'), Number(process.argv[4]))
