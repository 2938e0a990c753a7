/** Files in conversations: whatever happens on the way, what arrives is what was sent, once, and within what was agreed. */
import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import { forgetFiles } from '../../src/core/delivery/files.ts'
import type { Overlay } from '../../src/core/delivery/ports.ts'
import { MyceliumError } from '../../src/core/errors.ts'
import type { MessageId } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import { tables } from '../../src/core/store/tables.ts'
import { createAccount } from '../../src/operations/accounts.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const patience = { timeout: 20_000 }
const signal = AbortSignal.any([])

const content = (bytes: number, seed = 1): Buffer =>
  Buffer.concat(
    Array.from({ length: Math.ceil(bytes / 32) }, (_, at) => createHash('sha256').update(`${seed} ${at}`).digest()),
  ).subarray(0, bytes)

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000)
}

async function sendFile(from: TestGateway, to: TestGateway, bytes: Uint8Array, knowsSize = true): Promise<MessageId> {
  const { files, chats } = from.node.delivery
  using prepared = await files.prepare(from.account, pieces(bytes), {
    name: '/home/somebody/plan.pdf',
    mediaType: 'application/pdf',
    signal,
    ...(knowsSize ? { bytes: bytes.length } : {}),
  })
  return (await chats.say(from.account, to.account, { parts: [prepared.part] })).id
}

const read = async (whose: TestGateway, message: MessageId, range?: { from: number; to: number }): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(whose.node.delivery.files.read(whose.account, message, range)))
const stateOf = (whose: TestGateway, message: MessageId) =>
  whose.node.delivery.files.standing(whose.account, message)?.state
const fateOf = (whose: TestGateway, message: MessageId) =>
  whose.knowledge.conversations.message(whose.account, message)?.fate
const used = (whose: TestGateway): number => whose.knowledge.fileUse.bytes(whose.account)

async function friends(options: Parameters<Awaited<ReturnType<typeof openWorld>>['gateway']>[1] = {}) {
  const world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob', options)
  await world.introduce(alice, bob)
  await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text: 'hello' }] })
  const conversation = idOfPartner(alice.account, { kind: 'direct', peer: bob.account })
  await expect
    .poll(() => alice.knowledge.conversations.page(alice.account, conversation, { limit: 9 }).length, patience)
    .toBe(1)
  return { world, alice, bob, [Symbol.asyncDispose]: async () => await world[Symbol.asyncDispose]() }
}

test.each([
  ['a few octets, in the message itself', 100, true],
  ['one chunk', 60_000, true],
  ['many chunks', 3_000_000, true],
  ['many chunks whose number was not known before', 3_000_001, false],
])('%s arrive, and only then does the sender hear that they did', async (_, size, knowsSize) => {
  await using scope = await friends()
  const { alice, bob } = scope
  const bytes = content(size)
  const sent = await sendFile(alice, bob, bytes, knowsSize)
  expect((await read(alice, sent)).equals(bytes)).toBe(true)
  await expect.poll(() => fateOf(alice, sent), patience).toBe('delivered')
  expect(stateOf(bob, sent)).toBe('here')
  expect((await read(bob, sent)).equals(bytes)).toBe(true)
  expect((await read(bob, sent, { from: 10, to: 90 })).equals(bytes.subarray(10, 90))).toBe(true)
  expect(bob.knowledge.conversations.message(bob.account, sent)?.file?.part).toMatchObject({ name: 'plan.pdf' })
  expect([used(alice), used(bob)]).toEqual(size > limits.messageInlineBytesMax ? [size, size] : [0, 0])
})

test('a file goes on where it was when its receiver starts again, and its sender comes and goes', async () => {
  let asks = 0
  const dying = asking(() => {
    if ((asks += 1) > 20) throw new MyceliumError('unreachable')
  })
  await using scope = await friends({ wrap: dying })
  const { world, alice, bob } = scope
  const bytes = content(12 * 262_144 + 5)
  asks = 16 // four more get through
  const sent = await sendFile(alice, bob, bytes)
  await expect.poll(() => bob.node.delivery.files.standing(bob.account, sent)?.bytes, patience).toBe(4 * 262_144)
  expect(fateOf(alice, sent)).toBe('open')
  await bob.stop()
  const chunks: number[] = []
  const counting = asking((request) => chunks.push(Buffer.from(request).readUInt32BE(32)))
  const back = await world.gateway('bob', { wrap: counting })
  await expect.poll(() => fateOf(alice, sent), patience).toBe('delivered')
  expect(chunks.toSorted((a, b) => a - b)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12])
  expect((await read(back, sent)).equals(bytes)).toBe(true)
})

test('a file over what is left of the quota is refused, and its sender told; with room it is fetched when asked for', async () => {
  await using scope = await friends()
  const { alice, bob } = scope
  const quota = async (bytes: number | undefined) =>
    await bob.knowledge.store.write((tx) => bob.knowledge.quotas.set(tx, bob.account, bytes))
  await quota(500_000)
  const bytes = content(600_000)
  const sent = await sendFile(alice, bob, bytes)
  await expect.poll(() => fateOf(alice, sent), patience).toBe('failed')
  expect(bob.node.delivery.files.standing(bob.account, sent)).toMatchObject({
    state: 'refused',
    reason: 'mailbox-full',
  })
  const next = await alice.node.delivery.chats.say(alice.account, bob.account, {
    parts: [{ kind: 'text', text: 'got it?' }],
  })
  await expect.poll(() => bob.knowledge.conversations.message(bob.account, next.id)?.hasGap, patience).toBe(false)
  await expect(bob.node.delivery.files.fetch(bob.account, sent)).rejects.toMatchObject({ code: 'mailbox-full' })
  await quota(undefined)
  await bob.node.delivery.files.fetch(bob.account, sent)
  await expect.poll(() => stateOf(bob, sent), patience).toBe('here')
  expect((await read(bob, sent)).equals(bytes)).toBe(true)
  await quota(1_000_000)
  await expect(sendFile(bob, alice, content(450_000))).rejects.toMatchObject({ code: 'mailbox-full' })
  expect(bob.knowledge.mailboxes.isFull(bob.account, 500_000)).toBe(true)
})

test('a file that is taken back goes on both sides, also while it is on its way', async () => {
  let isCut = false
  const cut = asking(() => {
    if (isCut) throw new MyceliumError('unreachable')
  })
  await using scope = await friends({ wrap: cut })
  const { alice, bob } = scope
  const redact = async (target: MessageId) =>
    void (await alice.node.delivery.chats.say(alice.account, bob.account, { parts: [{ kind: 'redaction', target }] }))
  const here = await sendFile(alice, bob, content(100_000))
  await expect.poll(() => stateOf(bob, here), patience).toBe('here')
  isCut = true
  const coming = await sendFile(alice, bob, content(100_000, 2))
  await expect.poll(() => stateOf(bob, coming), patience).toBe('coming')
  for (const one of [here, coming]) await redact(one)
  await expect.poll(() => [used(alice), used(bob)], patience).toEqual([0, 0])
  expect(() => bob.node.delivery.files.read(bob.account, here)).toThrow(
    expect.objectContaining({ code: 'no-such-message' }),
  )
  await expect.poll(() => alice.node.delivery.queued(), patience).toBe(0)
  const rows = [tables.files, tables.fileArrivals, tables.fileRoots, tables.incomingBlobs]
  const left = () =>
    [alice, bob].flatMap(({ knowledge }) =>
      knowledge.store.read((tx) => rows.flatMap((table) => [...tx.keys(table, {})])),
    )
  await expect.poll(left, patience).toEqual([])
})

test('a file for somebody who is away waits at relays and arrives without its sender', async () => {
  await using world = await openWorld()
  const relay = await world.gateway('relay', { relay: { isKnown: () => true } })
  const alice = await world.gateway('alice', { relays: [relay] })
  let bob = await world.gateway('bob', { relays: [relay] })
  await world.introduce(alice, bob)
  await bob.node.delivery.chats.say(bob.account, alice.account, { parts: [{ kind: 'text', text: 'hello' }] })
  await expect.poll(() => alice.node.delivery.relays!.queuesOf(alice.account, bob.account), patience).toBe(1)
  await expect.poll(() => alice.knowledge.conversations.list(alice.account).length, patience).toBe(1)
  await bob.stop()
  const bytes = content(700_000)
  const sent = await sendFile(alice, bob, bytes)
  await expect.poll(() => alice.node.delivery.waiting(alice.account)[0]?.atRelays?.count, patience).toBe(1)
  await alice.stop()
  bob = await world.gateway('bob', { relays: [relay] })
  await expect.poll(() => stateOf(bob, sent), patience).toBe('here')
  expect((await read(bob, sent)).equals(bytes)).toBe(true)
})

test('a file said in a group comes from another member when its author is gone, and to whom it was too large nothing is lost', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const [bob, carol] = [await world.gateway('bob'), await world.gateway('carol')]
  for (const other of [bob, carol]) {
    await world.introduce(alice, other)
    await other.submit(alice.address, 'hello')
  }
  await expect.poll(async () => (await alice.read()).length, patience).toBe(2)
  const group = await alice.node.delivery.groups.create(alice.account, 'friends')
  await alice.node.delivery.groups.add(alice.account, group, [bob.account, carol.account])
  for (const other of [bob, carol])
    await expect.poll(() => other.node.delivery.groups.row(other.account, group)?.state, patience).toBe('joined')
  await expect.poll(() => bob.knowledge.contacts.byIdentity(bob.account, carol.account)?.state, patience).toBe('fellow')
  const bytes = content(2_000_000)
  const small = async (limit: number | undefined) =>
    await carol.knowledge.store.write((tx) => carol.knowledge.quotas.set(tx, carol.account, limit))
  await small(1_000_000)
  const { files, groups } = alice.node.delivery
  using prepared = await files.prepare(alice.account, pieces(bytes), {
    name: 'plan.pdf',
    mediaType: 'application/pdf',
    bytes: bytes.length,
    signal,
  })
  const { id } = await groups.say(alice.account, group, { parts: [prepared.part] })
  await expect.poll(() => stateOf(bob, id), patience).toBe('here')
  await expect.poll(() => stateOf(carol, id), patience).toBe('refused')
  await alice.stop()
  await small(undefined)
  await carol.node.delivery.files.fetch(carol.account, id)
  await expect.poll(() => stateOf(carol, id), patience).toBe('here')
  expect((await read(carol, id)).equals(bytes)).toBe(true)
})

test('a file for another account of the same gateway is there at once, as a content of its own', async () => {
  await using world = await openWorld()
  const office = await world.gateway('office')
  const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
  await createAccount(office.knowledge, ambient, { localName: 'second', address: undefined, displayName: undefined })
  const second = office.knowledge.accounts.list().find(({ identity }) => identity !== office.account)!.identity
  const bytes = content(300_000)
  const { files, chats } = office.node.delivery
  using prepared = await files.prepare(office.account, pieces(bytes), { name: 'a', mediaType: 'b/c', signal })
  const { id } = await chats.say(office.account, second, { parts: [prepared.part] })
  await expect.poll(() => files.standing(second, id)?.state, patience).toBe('here')
  expect(Buffer.concat(await Array.fromAsync(files.read(second, id))).equals(bytes)).toBe(true)
  expect([office.account, second].map((account) => office.knowledge.fileUse.bytes(account))).toEqual([300_000, 300_000])
  await office.knowledge.store.write((tx) => forgetFiles(tx, second, office.knowledge))
  expect(office.knowledge.fileUse.bytes(second)).toBe(0)
  expect(Buffer.concat(await Array.fromAsync(files.read(office.account, id))).equals(bytes)).toBe(true)
})

/** The same network, but for how chunks are asked for. */
function asking(before: (request: Uint8Array) => void): (overlay: Overlay) => Overlay {
  return (overlay) => ({
    self: overlay.self,
    locators: () => overlay.locators(),
    listeners: () => overlay.listeners(),
    peers: () => overlay.peers(),
    async ask(to, topic, request, options) {
      if (topic === 'blob') before(request)
      return await overlay.ask(to, topic, request, options)
    },
    link: async (...to) => await overlay.link(...to),
    serve: (handlers) => overlay.serve(handlers),
    [Symbol.asyncDispose]: async () => await overlay[Symbol.asyncDispose](),
  })
}

test('a file that one device of an account sent is had by the other one, while its recipient is away', async () => {
  const { world, alice: desk, bob } = await friends()
  await using _ = world
  const lap = await world.gateway('lap', { joins: desk })
  world.network.disconnect('lap', 'bob')
  const bytes = content(300_000)
  const message = await sendFile(desk, bob, bytes)
  await expect.poll(() => stateOf(lap, message), patience).toBe('here')
  expect((await read(lap, message)).equals(bytes)).toBe(true)
}, 60_000)
