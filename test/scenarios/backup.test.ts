/** A backup taken while mail comes and goes, and what becomes of it elsewhere. */
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import { Secret } from '../../src/core/crypto/secret.ts'
import { homePaths } from '../../src/home.ts'
import { readBackup, writeHome } from '../../src/home-backup.ts'
import { openKnowledge } from '../../src/node.ts'
import { renewIfRestored } from '../../src/restored.ts'
import { tables } from '../../src/core/store/tables.ts'
import { groupConversation } from '../../src/core/message/conversation.ts'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const marker = { format: 'mycelium-gateway home', version: 1, createdAtMs: 1, keyStore: 'key-file', serviceDomain: 'x' }

const inbox = (gateway: TestGateway) => expect.poll(() => gateway.read())

/** The stream that `backup create` encrypts, while the gateway goes on. */
async function backUp({ folder, knowledge }: TestGateway, meanwhile = async () => {}): Promise<Uint8Array[]> {
  const paths = homePaths(folder)
  writeFileSync(paths.marker, JSON.stringify(marker))
  writeFileSync(paths.key, 'a key file')
  using _ = knowledge.blobs.keepAll()
  using snapshot = knowledge.store.snapshot()
  await meanwhile()
  const pieces: Uint8Array[] = []
  const output = async (bytes: Uint8Array): Promise<void> => void (await Promise.resolve(pieces.push(bytes)))
  await readBackup({ paths, snapshot, nowMs: 1 }, { output, signal: new AbortController().signal })
  return pieces
}

/** In the place of the old home, which is gone. */
async function restore(
  world: World,
  { name, folder }: TestGateway,
  pieces: readonly Uint8Array[],
): Promise<TestGateway> {
  const elsewhere = homePaths(`${folder}-new`)
  await mkdir(elsewhere.home, { mode: 0o700 })
  await writeHome(elsewhere, ReadableStream.from(pieces))
  for (const entry of await readdir(elsewhere.home, { recursive: true }))
    expect(statSync(join(elsewhere.home, entry)).mode & 0o077).toBe(0)
  await rm(folder, { recursive: true })
  await rename(elsewhere.home, folder)
  const paths = homePaths(folder)
  {
    using key = new Secret(Buffer.alloc(32, name))
    await using knowledge = await openKnowledge({ paths, key }, ambient)
    await renewIfRestored(paths, knowledge, ambient)
  }
  expect(existsSync(paths.restored)).toBe(false)
  return await world.gateway(name)
}

test('a restored home keeps its mail, is a new device, and mail to it and from it arrives once', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  const long = 'a long letter\r\n'.repeat(5000).trimEnd()
  await bob.submit(alice.address, 'one')
  await inbox(alice).toEqual(['one'])
  await alice.submit(bob.address, 'first')
  await alice.submit(bob.address, long)
  await expect.poll(async () => (await bob.read()).length).toBe(2)
  const before = bob.knowledge.mailboxes.byName(bob.account, 'INBOX')!.uidValidity
  const device = bob.knowledge.accounts.get(bob.account).device.id

  const pieces = await backUp(bob, async () => {
    await bob.submit(alice.address, 'two')
    await inbox(alice).toEqual(['one', 'two'])
  })
  await bob.submit(alice.address, 'three')
  await inbox(alice).toEqual(['one', 'two', 'three'])
  world.network.kill('bob')
  await bob.stop()
  await alice.submit(bob.address, 'while away')

  const again = await restore(world, bob, pieces)
  expect(again.account).toBe(bob.account)
  expect(again.knowledge.accounts.get(again.account).device.id).not.toBe(device)
  expect(again.knowledge.mailboxes.byName(again.account, 'INBOX')!.uidValidity).toBeGreaterThan(before)
  await expect.poll(async () => (await again.read()).toSorted()).toEqual([long, 'first', 'while away'].toSorted())
  await again.submit(alice.address, 'four')
  await inbox(alice).toEqual(['one', 'two', 'three', 'four'])
  await alice.submit(again.address, 'and back')
  await expect.poll(async () => (await again.read()).filter((text) => text === 'and back')).toHaveLength(1)
  expect((await again.read()).length).toBe(4)
}, 180_000)

test('of two devices one is restored from a backup: it is a new device of the account, and catches up from the other', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  const second = await world.gateway('second', { joins: bob })
  await alice.submit(bob.address, 'before')
  for (const gateway of [bob, second]) await inbox(gateway).toEqual(['before'])
  const old = bob.knowledge.accounts.get(bob.account).device.id
  const pieces = await backUp(bob)
  await alice.submit(bob.address, 'after the backup')
  for (const gateway of [bob, second]) await inbox(gateway).toEqual(['before', 'after the backup'])
  world.network.kill('bob')
  await bob.stop()

  const again = await restore(world, bob, pieces)
  const state = () => second.knowledge.accounts.get(second.account).state
  await expect.poll(() => state().devices.get(old)?.revokedAt, { timeout: 20_000 }).toBeDefined()
  await inbox(again).toEqual(['before', 'after the backup'])
  await alice.submit(bob.address, 'and on')
  for (const gateway of [again, second]) await inbox(gateway).toEqual(['before', 'after the backup', 'and on'])
  await again.submit(alice.address, 'from the restored one')
  await second.submit(alice.address, 'from the other')
  await arrived(alice).toEqual(['from th', 'from th'])
}, 180_000)

/** Their beginnings, whatever their order. */
const arrived = (gateway: TestGateway) =>
  expect.poll(async () => (await gateway.read()).map((text) => text.slice(0, 7).trim()).toSorted())

test('a restored home goes on in its chats and groups: what others said after the backup comes, and holds nothing up', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'hello')
  await inbox(alice).toEqual(['hello'])
  const group = await alice.node.delivery.groups.create(alice.account, 'friends')
  await alice.node.delivery.groups.add(alice.account, group, [bob.account])
  const direct = idOfPartner(alice.account, { kind: 'direct', peer: bob.account })
  const texts = (who: TestGateway, conversation = groupConversation(group)) =>
    who.knowledge.conversations.page(who.account, conversation, { limit: 100 }).map(({ text }) => text)
  const say = async (who: TestGateway, text: string) =>
    await who.node.delivery.groups.say(who.account, group, { parts: [{ kind: 'text', text }] })
  const write = async (from: TestGateway, to: TestGateway, text: string) =>
    await from.node.delivery.chats.say(from.account, to.account, { parts: [{ kind: 'text', text }] })
  await say(alice, 'one')
  await write(alice, bob, 'before')
  await expect.poll(() => texts(bob)).toEqual(['one'])
  await expect.poll(() => texts(bob, direct)).toEqual(['before'])

  const pieces = await backUp(bob)
  await say(bob, 'two')
  await write(bob, alice, 'after')
  await expect.poll(() => texts(alice)).toEqual(['one', 'two'])
  await expect.poll(() => texts(alice, direct)).toEqual(['before', 'after'])
  world.network.kill('bob')
  await bob.stop()
  await say(alice, 'three')
  const again = await restore(world, bob, pieces)
  await write(alice, again, 'to the restored one')
  await expect.poll(() => texts(again, direct)).toContain('to the restored one')
  await write(again, alice, 'from the restored one')
  await expect.poll(() => texts(alice, direct)).toContain('from the restored one')
  await expect.poll(() => texts(again)).toContain('three')
  await say(again, 'four')
  await expect.poll(() => texts(alice)).toEqual(['one', 'two', 'three', 'four'])
  await say(alice, 'five')
  await expect.poll(() => texts(again).slice(-2)).toEqual(['four', 'five'])
  // what bob himself said since the backup is lost to him: nobody else is believed, and its keys are gone
  expect(texts(again)).toEqual(texts(alice).filter((text) => text !== 'two'))
  expect(texts(again, direct)).toEqual(texts(alice, direct).filter((text) => text !== 'after'))
}, 120_000)

test('what waited in the queue when the backup was made arrives once, whether the old gateway has sent it since or not', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  const carol = await world.gateway('carol')
  await world.introduce(alice, bob)
  await world.introduce(carol, bob)
  await bob.submit(alice.address, 'hello')
  await bob.submit(carol.address, 'hello')
  await inbox(alice).toEqual(['hello'])
  await inbox(carol).toEqual(['hello'])
  for (const name of ['alice', 'carol']) world.network.partition(name, 'bob')
  const long = 'a long letter\r\n'.repeat(5000).trimEnd()
  for (const to of [alice, carol]) {
    await bob.submit(to.address, 'waiting')
    await bob.submit(to.address, long)
  }
  const pieces = await backUp(bob)
  world.network.heal('alice', 'bob')
  await arrived(alice).toEqual(['a long', 'hello', 'waiting'])
  world.network.kill('bob')
  await bob.stop()

  world.network.heal('carol', 'bob')
  const again = await restore(world, bob, pieces)
  await arrived(carol).toEqual(['a long', 'hello', 'waiting'])
  await again.submit(alice.address, 'last')
  await expect.poll(async () => (await alice.read()).includes('last')).toBe(true)
  await expect.poll(() => again.knowledge.store.read((tx) => [...tx.keys(tables.outbox, {})]).length).toBe(0)
  await arrived(alice).toEqual(['a long', 'hello', 'last', 'waiting'])
}, 180_000)

test('a stream that breaks off makes no home, and the next attempt starts anew', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const pieces = await backUp(alice)
  const paths = homePaths(`${alice.folder}-new`)
  await mkdir(paths.home, { mode: 0o700 })
  const source = (all: readonly Uint8Array[]) => ReadableStream.from(all)
  await expect(writeHome(paths, source(pieces.slice(0, -1)))).rejects.toThrow(
    expect.objectContaining({ code: 'malformed' }),
  )
  expect(existsSync(paths.marker)).toBe(false)
  await writeHome(paths, source(pieces))
  expect(existsSync(paths.marker)).toBe(true)
})
