import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { signingKey } from '../../../src/core/crypto/sign.ts'
import { heldByRelay } from '../../../src/overlay/relay-mailbox/grants.ts'
import { encodeWatchMessage } from '../../../src/overlay/relay-mailbox/watch-messages.ts'
import { killAtWork } from '../../support/kill-at-work.ts'
import { directRelay, newGateway, ownerWithQueue } from './direct.ts'
import { ambientWith, openRelayStore } from './support.ts'

const program = join(import.meta.dirname, 'relay-process.ts')
const ambient = ambientWith(systemClock)

test('what was acknowledged before a kill is there, once, in order', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mycelium-relay-'))
  const [self, gateway] = [newGateway(), newGateway()]
  const [ownerSeed, sendSeed] = [systemRandom.bytes(32), systemRandom.bytes(32)]
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  const acknowledged = new Set<number>()
  for (let round = 0; round < 3; round += 1) {
    const args = [folder, self, gateway, hex(ownerSeed), hex(sendSeed), String(round * 1000)]
    for (const line of await killAtWork(program, args, 1 + round * 40)) acknowledged.add(Number(line))
  }
  await using store = await openRelayStore(folder, ambient)
  await using relay = await directRelay({ store, ambient, self, known: new Set([gateway]) })
  const held = heldByRelay(store)
  expect(held).toMatchObject({ owners: 1, queues: 1, bytes: held.entries * 8192 })
  const watch = relay.watch(signingKey(ownerSeed), gateway)
  const found: number[] = []
  for (let last = 0; ;) {
    const message = await watch.next()
    if (message.kind === 'drained') break
    if (message.kind !== 'entry') throw new Error(message.kind)
    expect(message.number).toBeGreaterThan(last)
    last = message.number
    found.push(Buffer.from(message.body).readUInt32BE())
    watch.say(encodeWatchMessage({ kind: 'taken', numbers: [message.number] }))
  }
  expect(new Set(found).size).toBe(found.length)
  expect(found.length).toBe(held.entries)
  expect(acknowledged.isSubsetOf(new Set(found))).toBe(true)
  await expect.poll(() => heldByRelay(store)).toMatchObject({ entries: 0, bytes: 0 })
  watch.pipe.abort('gone')
  await rm(folder, { recursive: true, force: true })
})

test('owners, queues, entries, capabilities and the seal key outlive a restart', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mycelium-relay-'))
  const [self, gateway, sender] = [newGateway(), newGateway(), newGateway()]
  const known = new Set([gateway])
  const before = await openRelayStore(folder, ambient)
  const first = await directRelay({ store: before, ambient, self, known })
  const { owner, sendKey } = await ownerWithQueue(first, gateway)
  const entryId = systemRandom.bytes(16)
  expect(await first.deposit(sendKey, sender, { entryId })).toBe('stored')
  const sealKey = await first.sealKey()
  const held = heldByRelay(before)
  await first[Symbol.asyncDispose]()
  await before[Symbol.asyncDispose]()

  await using store = await openRelayStore(folder, ambient)
  await using relay = await directRelay({ store, ambient, self, known })
  expect(Buffer.from(await relay.sealKey())).toEqual(Buffer.from(sealKey))
  expect(heldByRelay(store)).toEqual(held)
  expect(await relay.deposit(sendKey, sender, { entryId })).toBe('stored')
  expect(await relay.deposit(sendKey, sender)).toBe('stored')
  const watch = relay.watch(owner, gateway)
  expect(await watch.next()).toMatchObject({ kind: 'entry', number: 1 })
  expect(await watch.next()).toMatchObject({ kind: 'entry', number: 2 })
  expect(await watch.next()).toMatchObject({ kind: 'drained' })
  watch.pipe.abort('gone')
  await rm(folder, { recursive: true, force: true })
})
