/**
 * What it takes to bring a new device up to date: an account with 100,000 messages in a few folders is linked to a second
 * gateway, which fetches everything; then both compare once more with nothing new. Octets are counted where the delivery
 * path hands them to the network, in both directions: handshakes, bundles, comparison, states and contents.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bench } from '../scripts/bench.ts'
import { type Ambient, silentLog, systemClock, systemRandom } from '../src/core/ambient.ts'
import { Secret } from '../src/core/crypto/secret.ts'
import type { Link, Overlay, OverlayHandlers } from '../src/core/delivery/ports.ts'
import type { Identity } from '../src/core/ids.ts'
import { type Knowledge, type Node, openKnowledge, openNode } from '../src/node.ts'
import { createAccount } from '../src/operations/accounts.ts'
import { adoptAccount } from '../src/operations/devices.ts'
import { type MemoryNetwork, memoryNetwork } from '../src/overlay/memory-overlay.ts'
import { below, type Random, seeded } from './support/seeded.ts'

const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const folders = ['INBOX', 'Archive', 'Sent', 'Lists/Announcements', 'Projects'] as const

interface Gateway {
  readonly knowledge: Knowledge
  readonly node: Node
}

async function open(network: MemoryNetwork, root: string, name: string, counted: { octets: number }): Promise<Gateway> {
  const folder = join(root, name)
  const paths = { store: join(folder, 'store'), blobs: join(folder, 'blobs') }
  const options = { paths, key: new Secret(Buffer.alloc(32, name)), indexes: false }
  const knowledge = await openKnowledge(options, ambient)
  const node = await openNode(knowledge, counting(await network.join(name), counted), ambient)
  return { knowledge, node }
}

/** Counts what this side sends; with the same counter on both sides, everything. */
function counting(overlay: Overlay, counted: { octets: number }): Overlay {
  const links = new WeakMap<Link, Link>()
  const countedLink = (link: Link): Link => {
    const known = links.get(link)
    if (known !== undefined) return known
    const made: Link = {
      peer: link.peer,
      initiator: link.initiator,
      closed: link.closed,
      incoming: link.incoming,
      close: (reason) => link.close(reason),
      send: async (bytes) => {
        counted.octets += bytes.length
        await link.send(bytes)
      },
    }
    links.set(link, made)
    return made
  }
  return {
    self: overlay.self,
    locators: () => overlay.locators(),
    listeners: () => overlay.listeners(),
    peers: () => overlay.peers(),
    link: async (to, options) => countedLink(await overlay.link(to, options)),
    async ask(to, topic, request, options) {
      const answer = await overlay.ask(to, topic, request, options)
      counted.octets += request.length + answer.length
      return answer
    },
    serve: (handlers: OverlayHandlers) =>
      overlay.serve({ ...handlers, onLink: (link) => handlers.onLink(countedLink(link)) }),
    [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
  }
}

function mailText(random: Random, number: number): Buffer {
  const words =
    'the bridge will be closed for works from monday until the end of the month please take another way'.split(' ')
  const length = random() < 0.005 ? 40_000 + below(random, 400_000) : 400 + below(random, 3600)
  let text = ''
  while (text.length < length) text += `${words[below(random, words.length)]}${random() < 0.1 ? '\r\n' : ' '}`
  const from = `person${below(random, 200)}@example.org`
  return Buffer.from(
    `Return-Path: <${from}>\r\nDate: Tue, 3 Nov 2026 10:00:00 +0000\r\nFrom: <${from}>\r\nTo: <me@example.com>\r\n` +
      `Message-ID: <${number}.${below(random, 1e9)}@example.org>\r\nSubject: message ${number}\r\nMIME-Version: 1.0\r\n` +
      `Content-Type: text/plain; charset=utf-8\r\n\r\n${text}\r\n`,
  )
}

/** @returns octets of all messages */
async function fill({ mailboxes, store }: Knowledge, account: Identity, count: number): Promise<number> {
  for (const name of folders) if (mailboxes.byName(account, name) === undefined) await mailboxes.create(account, name)
  const random = seeded(7)
  let octets = 0
  for (let number = 0; number < count;) {
    const batch = Array.from({ length: Math.min(500, count - number) }, (_, index) => ({
      bytes: mailText(random, number + index),
      folder: folders[below(random, folders.length)]!,
      flags: [...(random() < 0.7 ? ['\\Seen'] : []), ...(random() < 0.2 ? ['\\Answered'] : [])],
      internalDateMs: Date.UTC(2024, 0, 1) + (number + index) * 600_000,
    }))
    number += batch.length
    const stored = new Map<Buffer, Awaited<ReturnType<typeof mailboxes.store>>>()
    for (const { bytes } of batch)
      if (bytes.length > 16_384)
        stored.set(bytes, await mailboxes.store(account, ReadableStream.from([bytes]), { bytesMax: bytes.length }))
    await store.write((tx) => {
      for (const { bytes, folder, flags, internalDateMs } of batch) {
        const content = stored.get(bytes) ?? mailboxes.storeInline(tx, account, bytes)
        mailboxes.append(tx, account, mailboxes.byName(account, folder)!.id, [{ ...content, flags, internalDateMs }])
        octets += bytes.length
      }
    })
  }
  return octets
}

const messagesOf = ({ mailboxes }: Knowledge, account: Identity): number =>
  mailboxes.list(account).reduce((sum, { messages }) => sum + messages, 0)

async function until(isSo: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 3600_000
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function link(first: Gateway, second: Gateway, account: Identity): Promise<void> {
  const { signal } = new AbortController()
  const { link: text } = first.node.linking.offer(account)
  await second.node.linking.join(text, 'second', { signal })
  const [handedOver] = await Promise.all([
    second.node.linking.joined(true, { signal }),
    first.node.linking.end(account, true, { signal }),
  ])
  await adoptAccount(second.knowledge, ambient, handedOver)
}

export const bench: Bench = async ({ quick, say }) => {
  const count = quick ? 5_000 : 100_000
  const root = await mkdtemp(join(tmpdir(), 'mycelium-sync-'))
  const counted = { octets: 0 }
  const network = memoryNetwork(ambient)
  try {
    const first = await open(network, root, 'first', counted)
    const second = await open(network, root, 'second', counted)
    const made = await createAccount(first.knowledge, ambient, {
      localName: 'me',
      address: undefined,
      displayName: undefined,
    })
    const account = made.identity as Identity
    const content = await fill(first.knowledge, account, count)
    say(`${count} messages, ${Math.round(content / 1e6)} MB`)

    const startedAt = performance.now()
    await link(first, second, account)
    await until(() => messagesOf(second.knowledge, account) === count, 'all messages')
    const firstSeconds = (performance.now() - startedAt) / 1000
    await first.node.delivery.compareNow(account)
    await second.node.delivery.compareNow(account)
    const firstOctets = counted.octets
    say(`fetched in ${firstSeconds.toFixed(1)} s, ${Math.round(firstOctets / 1e6)} MB`)

    counted.octets = 0
    const secondStartedAt = performance.now()
    await second.node.delivery.compareNow(account)
    await first.node.delivery.compareNow(account)
    const secondMs = performance.now() - secondStartedAt
    const secondOctets = counted.octets
    await second.node[Symbol.asyncDispose]()
    await first.node[Symbol.asyncDispose]()
    await second.knowledge[Symbol.asyncDispose]()
    await first.knowledge[Symbol.asyncDispose]()
    return [
      { name: 'bytes_over_content', unit: 'ratio', value: Number((firstOctets / content).toFixed(4)) },
      { name: 'second_run_bytes', unit: 'bytes', value: secondOctets },
      { name: 'first_run', unit: 's', value: Number(firstSeconds.toFixed(1)) },
      { name: 'messages_per_s', unit: 'messages/s', value: Math.round(count / firstSeconds) },
      { name: 'second_run', unit: 'ms', value: Math.round(secondMs) },
    ]
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}
