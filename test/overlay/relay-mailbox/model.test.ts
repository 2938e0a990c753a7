/** A relay against the simplest thing that does the same: whatever is asked in whatever order, both answer alike. */
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import { toHex } from '../../../src/core/bytes.ts'
import type { SigningKey } from '../../../src/core/crypto/sign.ts'
import { receiveIdOf } from '../../../src/core/delivery/relay-ids.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { heldByRelay } from '../../../src/overlay/relay-mailbox/grants.ts'
import { encodeWatchMessage } from '../../../src/overlay/relay-mailbox/watch-messages.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { type DirectRelay, directRelay, newGateway } from './direct.ts'
import { ambientWith, newKey, testClock, type TestClock } from './support.ts'

vi.mock(import('../../../src/core/limits.ts'), async (original) => {
  const { limits: real } = await original()
  const changed = {
    relayOwnersMax: 3,
    relayOwnersPerGatewayMax: 2,
    relayOwnerEntriesMax: 4,
    relayOwnerQueuesMax: 3,
    relayQueuesMax: 5,
    relaySweepRows: 2,
    relayWatchEntriesMax: 2,
  }
  return { limits: { ...real, ...changed } as unknown as typeof real }
})

const hour = 3600_000

interface ModelEntry {
  readonly number: number
  readonly receiveId: string
  readonly queue: string
  readonly expiresAtMs: number
  readonly fill: number
}
interface ModelOwner {
  readonly gateway: number
  readonly queues: Set<number>
  next: number
  entries: ModelEntry[]
  seenAtMs: number
}
interface Model {
  readonly owners: Map<number, ModelOwner>
  /** Owner of each send key's queue, and how many of its entries wait that came since it was made. */
  readonly queues: Map<number, { owner: number; generation: number }>
  readonly seen: Map<string, number>
  generations: number
  nowMs: number
  readonly bytesMax: number
}
interface Real {
  readonly relay: DirectRelay
  readonly store: Store
  readonly clock: TestClock
}

const gateways: readonly GatewayId[] = [newGateway(), newGateway()]
const sender = newGateway()
const owners: readonly SigningKey[] = Array.from({ length: 4 }, newKey)
const sendKeys: readonly SigningKey[] = Array.from({ length: 6 }, newKey)
const entryIds = Array.from({ length: 5 }, (_, index) => new Uint8Array(16).fill(index + 1))
const receiveIdFor = (owner: number, key: number): Uint8Array =>
  receiveIdOf(owners[owner]!.publicKey, sendKeys[key]!.publicKey)

type Command = fc.AsyncCommand<Model, Real>
/** Buckets fill again, and every request is later than the one before. */
function pass(model: Model, { clock }: Real, ms = 120_000): void {
  clock.advance(ms)
  model.nowMs += ms
}
const waiting = (model: Model): ModelEntry[] => [...model.owners.values()].flatMap(({ entries }) => entries)

class Open implements Command {
  readonly owner: number
  readonly gateway: number
  constructor(owner: number, gateway: number) {
    this.owner = owner
    this.gateway = gateway
  }
  check = (): boolean => true
  async run(model: Model, real: Real): Promise<void> {
    pass(model, real)
    const answer = await real.relay.open(owners[this.owner]!, gateways[this.gateway]!)
    const known = model.owners.get(this.owner)
    const ofGateway = [...model.owners.values()].filter(({ gateway }) => gateway === this.gateway).length
    const isFull =
      known?.gateway !== this.gateway &&
      ((known === undefined && model.owners.size >= limits.relayOwnersMax) ||
        ofGateway >= limits.relayOwnersPerGatewayMax)
    if (isFull) return expect(answer).toEqual({ kind: 'refused', reason: 'full' })
    model.owners.set(this.owner, {
      ...(known ?? { queues: new Set(), next: 1, entries: [] }),
      gateway: this.gateway,
      seenAtMs: model.nowMs,
    })
    expect(answer).toMatchObject({ kind: 'done', bytes: (known?.entries.length ?? 0) * 8192 })
  }
  toString = (): string => `open(${this.owner}, gateway ${this.gateway})`
}

class Queues implements Command {
  readonly owner: number
  readonly create: readonly number[]
  readonly remove: readonly number[]
  constructor(owner: number, create: readonly number[], remove: readonly number[]) {
    this.owner = owner
    this.create = create
    this.remove = remove
  }
  check = (): boolean => true
  async run(model: Model, real: Real): Promise<void> {
    pass(model, real)
    const answer = await real.relay.queues(owners[this.owner]!, gateways[0]!, {
      create: this.create.map((key) => sendKeys[key]!.publicKey),
      remove: this.remove.map((key) => receiveIdFor(this.owner, key)),
    })
    const owner = model.owners.get(this.owner)
    const refused = (reason: string): void => expect(answer).toEqual({ kind: 'refused', reason })
    if (owner === undefined) return refused('unknown-owner')
    const remove = new Set(this.remove.filter((key) => owner.queues.has(key)))
    const create = new Set(this.create.filter((key) => !owner.queues.has(key)))
    if ([...create].some((key) => model.queues.has(key))) return refused('proof')
    const change = create.size - remove.size
    if (
      change > 0 &&
      (owner.queues.size + change > limits.relayOwnerQueuesMax || model.queues.size + change > limits.relayQueuesMax)
    )
      return refused('full')
    for (const key of remove) {
      owner.queues.delete(key)
      model.queues.delete(key)
    }
    for (const key of create) {
      owner.queues.add(key)
      model.generations += 1
      model.queues.set(key, { owner: this.owner, generation: model.generations })
    }
    owner.seenAtMs = model.nowMs
    expect(answer).toMatchObject({ kind: 'done', queues: owner.queues.size })
  }
  toString = (): string => `queues(${this.owner}, +[${this.create.join()}], -[${this.remove.join()}])`
}

class Leave implements Command {
  readonly key: number
  readonly entry: number
  readonly hours: number
  constructor(key: number, entry: number, hours: number) {
    this.key = key
    this.entry = entry
    this.hours = hours
  }
  check = (): boolean => true
  async run(model: Model, real: Real): Promise<void> {
    pass(model, real)
    const expiresAtMs = real.clock.nowMs() + this.hours * hour
    const fill = this.entry + 1
    const outcome = await real.relay.deposit(sendKeys[this.key]!, sender, {
      entryId: entryIds[this.entry]!,
      expiresAtMs,
      body: new Uint8Array(4096).fill(fill),
    })
    const queue = model.queues.get(this.key)
    if (queue === undefined) return expect(outcome).toBe('no-such-queue')
    const id = `${this.key}/${this.entry}`
    if (model.seen.has(id)) return expect(outcome).toBe('stored')
    const owner = model.owners.get(queue.owner)!
    const name = `${this.key}#${queue.generation}`
    const inQueue = owner.entries.filter((entry) => entry.queue === name).length
    const isFull =
      waiting(model).length * 8192 + 8192 > model.bytesMax ||
      owner.entries.length >= limits.relayOwnerEntriesMax ||
      inQueue >= limits.relayOwnerEntriesMax * limits.relayQueueShareMax
    if (isFull) return expect(outcome).toBe('full')
    expect(outcome).toBe('stored')
    const receiveId = toHex(receiveIdFor(queue.owner, this.key))
    owner.entries.push({ number: owner.next, receiveId, queue: name, expiresAtMs, fill })
    owner.next += 1
    model.seen.set(id, expiresAtMs)
  }
  toString = (): string => `leave(${this.key}, entry ${this.entry}, ${this.hours} h)`
}

class LeaveAll implements Command {
  readonly key: number
  constructor(key: number) {
    this.key = key
  }
  check = (): boolean => true
  async run(model: Model, real: Real): Promise<void> {
    for (const entry of entryIds.keys()) await new Leave(this.key, entry, 40).run(model, real)
  }
  toString = (): string => `leave all(${this.key})`
}

/** Takes what waits, but says of some that they are not durable yet. */
class Take implements Command {
  readonly owner: number
  readonly keep: number
  constructor(owner: number, keep: number) {
    this.owner = owner
    this.keep = keep
  }
  check = (): boolean => true
  async run(model: Model, real: Real): Promise<void> {
    pass(model, real)
    const owner = model.owners.get(this.owner)
    const watch = real.relay.watch(owners[this.owner]!, gateways[0]!)
    if (owner === undefined) {
      expect(await watch.next()).toEqual({ kind: 'refused', reason: 'unknown-owner' })
      return
    }
    owner.seenAtMs = model.nowMs
    const kept: ModelEntry[] = []
    for (const entry of [...owner.entries]) {
      if (kept.length >= limits.relayWatchEntriesMax) break
      const message = await watch.next()
      if (message.kind !== 'entry') throw new Error(`${message.kind} instead of an entry`)
      const { number, receiveId, body } = message
      expect({ number, receiveId: toHex(receiveId), fill: body[0] }).toEqual({
        number: entry.number,
        receiveId: entry.receiveId,
        fill: entry.fill,
      })
      if (number % 3 === this.keep) kept.push(entry)
      else {
        watch.say(encodeWatchMessage({ kind: 'taken', numbers: [number] }))
        owner.entries = owner.entries.filter((one) => one !== entry)
        this.#mark(model, entry)
      }
    }
    if (kept.length < limits.relayWatchEntriesMax) expect((await watch.next()).kind).toBe('drained')
    await expect.poll(() => heldByRelay(real.store).entries, { interval: 1 }).toBe(waiting(model).length)
    watch.pipe.abort('gone')
  }
  /** Its id is remembered for a day at most. */
  #mark(model: Model, entry: ModelEntry): void {
    const key = Number(entry.queue.split('#')[0])
    const id = `${key}/${entry.fill - 1}`
    model.seen.set(id, Math.min(model.seen.get(id)!, model.nowMs + limits.relayMarkMs))
  }
  toString = (): string => `take(${this.owner}, keeps every third from ${this.keep})`
}

class Close implements Command {
  readonly owner: number
  constructor(owner: number) {
    this.owner = owner
  }
  check = (): boolean => true
  async run(model: Model, real: Real): Promise<void> {
    pass(model, real)
    const answer = await real.relay.close(owners[this.owner]!, gateways[0]!)
    await real.relay.server.sweep()
    forgetExpired(model)
    const owner = model.owners.get(this.owner)
    if (owner === undefined) return expect(answer).toEqual({ kind: 'refused', reason: 'unknown-owner' })
    expect(answer.kind).toBe('done')
    model.owners.delete(this.owner)
    for (const key of owner.queues) model.queues.delete(key)
  }
  toString = (): string => `close(${this.owner})`
}

class Pass implements Command {
  readonly hours: number
  constructor(hours: number) {
    this.hours = hours
  }
  check = (): boolean => true
  async run(model: Model, real: Real): Promise<void> {
    // a watch that was left a moment ago is gone by then
    await new Promise((resolve) => {
      setTimeout(resolve, 2)
    })
    pass(model, real, this.hours * hour)
    await real.relay.server.sweep()
    for (const [id, owner] of model.owners) {
      // noted to the hour
      if (model.nowMs - owner.seenAtMs <= limits.relayOwnerUnseenMs) continue
      model.owners.delete(id)
      for (const key of owner.queues) model.queues.delete(key)
    }
    forgetExpired(model)
    expect(heldByRelay(real.store)).toMatchObject({
      owners: model.owners.size,
      queues: model.queues.size,
      entries: waiting(model).length,
      bytes: waiting(model).length * 8192,
    })
  }
  toString = (): string => `pass(${this.hours} h)`
}

function forgetExpired(model: Model): void {
  for (const owner of model.owners.values())
    owner.entries = owner.entries.filter(({ expiresAtMs }) => expiresAtMs > model.nowMs)
  for (const [id, untilMs] of model.seen) if (untilMs <= model.nowMs) model.seen.delete(id)
}

class Restart implements Command {
  check = (): boolean => true
  async run(model: Model, real: { relay: DirectRelay; store: Store; clock: TestClock }): Promise<void> {
    const { self } = real.relay
    await real.relay[Symbol.asyncDispose]()
    real.relay = await openRelay(real.store, real.clock, { bytesMax: model.bytesMax, self })
  }
  toString = (): string => 'restart'
}

const openRelay = async (
  store: Store,
  clock: TestClock,
  { bytesMax, self }: { readonly bytesMax: number; readonly self?: GatewayId },
): Promise<DirectRelay> =>
  await directRelay({
    store,
    ambient: ambientWith(clock),
    bytesMax,
    known: new Set(gateways),
    ...(self === undefined ? {} : { self }),
  })

const owner = fc.nat(owners.length - 1)
const key = fc.nat(sendKeys.length - 1)
const keys = fc.array(key, { maxLength: 3 })
const commands = [
  fc.tuple(owner, fc.nat(1)).map(([one, gateway]) => new Open(one, gateway)),
  fc.tuple(owner, keys, keys).map(([one, create, remove]) => new Queues(one, create, remove)),
  fc.tuple(key, fc.nat(entryIds.length - 1), fc.integer({ min: 1, max: 60 })).map((all) => new Leave(...all)),
  key.map((one) => new LeaveAll(one)),
  fc.tuple(owner, fc.nat(4)).map((all) => new Take(...all)),
  owner.map((one) => new Close(one)),
  fc.constantFrom(1, 5, 30, 24 * 30, 24 * 61).map((hours) => new Pass(hours)),
  fc.constant(new Restart()),
]

test('a relay does what its model does', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(3 * 8192, 6 * 8192),
      fc.commands(commands, { maxCommands: 60, size: 'max' }),
      async (bytesMax, run) => {
        const store = openMemoryStore({ rerun: true })
        const clock = testClock()
        const relay = await openRelay(store, clock, { bytesMax })
        const real = { relay, store, clock }
        // two owners with queues to begin with, so that short runs do something
        const begin = [new Open(0, 0), new Queues(0, [0, 1, 3], []), new Open(1, 1), new Queues(1, [2], [])]
        const model: Model = {
          owners: new Map(),
          queues: new Map(),
          seen: new Map(),
          generations: 0,
          nowMs: clock.nowMs(),
          bytesMax,
        }
        for (const command of begin) await command.run(model, real)
        await fc.asyncModelRun(() => ({ model, real }), run)
        await real.relay[Symbol.asyncDispose]()
        await store[Symbol.asyncDispose]()
      },
    ),
    { numRuns: 60 },
  )
}, 120_000)
