/** A relay that many gateways want to drown: what it holds and what it costs stay bounded, and honest owners are served. */
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { relayBodySizes } from '../../../src/core/delivery/relay-ports.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { heldByRelay } from '../../../src/overlay/relay-mailbox/grants.ts'
import { encodeRelayRequest, signRelayRequest } from '../../../src/overlay/relay-mailbox/messages.ts'
import { sealDeposit, signDeposit } from '../../../src/overlay/relay-mailbox/sealed.ts'
import { encodeWatchMessage } from '../../../src/overlay/relay-mailbox/watch-messages.ts'
import { heldMb } from '../../support/held-memory.ts'
import { type DirectRelay, directRelay, newGateway, ownerWithQueue } from './direct.ts'
import { ambientWith, newKey, openRelayStore } from './support.ts'

const ambient = ambientWith(systemClock)
const megabyte = 1024 * 1024

async function flooded(
  run: (parts: {
    readonly relay: DirectRelay
    readonly store: Store
    readonly bob: GatewayId
    readonly databaseBytes: () => Promise<number>
  }) => Promise<void>,
  bytesMax?: number,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'mycelium-relay-'))
  const store = await openRelayStore(folder, ambient)
  const bob = newGateway()
  const relay = await directRelay({
    store,
    ambient,
    known: new Set([bob]),
    ...(bytesMax === undefined ? {} : { bytesMax }),
  })
  await relay.sealKey()
  const databaseBytes = async (): Promise<number> => (await stat(join(folder, 'data.mdb'))).size
  try {
    await run({ relay, store, bob, databaseBytes })
  } finally {
    await relay[Symbol.asyncDispose]()
    await store[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Each gateway asks as fast as it is answered, three at once. */
async function ask(relay: DirectRelay, gateways: readonly GatewayId[], requests: readonly (() => Uint8Array)[]) {
  const counts: Record<string, number> = {}
  let next = 0
  const asker = async (from: GatewayId): Promise<void> => {
    while (next < requests.length) {
      const request = requests[next]!
      next += 1
      const answer = await relay.ask(request(), from).catch((error: { details?: { reason?: string } }) => ({
        kind: error.details?.reason ?? 'failed',
      }))
      const what = 'reason' in answer ? answer.reason : answer.kind
      counts[what] = (counts[what] ?? 0) + 1
    }
  }
  await Promise.all(gateways.flatMap((gateway) => [asker(gateway), asker(gateway), asker(gateway)]))
  return counts
}

/** Leaves and takes one entry after another until told to stop. @returns how many, none of them refused */
function honestUse(relay: DirectRelay, bob: GatewayId) {
  const stop = new AbortController()
  const using = (async () => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const watch = relay.watch(owner, bob)
    expect((await watch.next()).kind).toBe('drained')
    let served = 0
    while (!stop.signal.aborted) {
      const outcome = await relay.deposit(sendKey, bob)
      if (outcome !== 'stored') throw new Error(`not stored: ${JSON.stringify(outcome)}`)
      served += 1
      for (;;) {
        const message = await watch.next()
        if (message.kind !== 'entry') continue
        expect(message.number).toBe(served)
        watch.say(encodeWatchMessage({ kind: 'taken', numbers: [served] }))
        break
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 100)
      })
    }
    watch.pipe.abort('gone')
    return served
  })()
  return async () => {
    stop.abort()
    return await using
  }
}

test('a hundred thousand deposits of hostile gateways leave nothing', async () => {
  await flooded(async ({ relay, store, bob, databaseBytes }) => {
    const finish = honestUse(relay, bob)
    const gateways = Array.from({ length: 8 }, newGateway)
    const sealKey = await relay.sealKey()
    const unknown = signDeposit(relay.self, newKey(), {
      entryId: systemRandom.bytes(16),
      expiresAtMs: Date.now() + 3600_000,
      body: new Uint8Array(relayBodySizes[0]),
    })
    const { sealed } = sealDeposit(sealKey, unknown, systemRandom)
    const requests = [
      encodeRelayRequest({ kind: 'deposit', sealed: systemRandom.bytes(300) }),
      encodeRelayRequest({ kind: 'deposit', sealed }),
      Uint8Array.of(77),
    ]
    const memoryBefore = await heldMb()
    const bytesBefore = await databaseBytes()
    const counts = await ask(
      relay,
      gateways,
      Array.from({ length: 100_000 }, (_, index) => () => requests[index % 3]!),
    )
    const served = await finish()
    expect(counts['throttled']).toBeGreaterThan(1_000)
    expect(served).toBeGreaterThan(3)
    expect(heldByRelay(store)).toMatchObject({ owners: 1, queues: 1, entries: 0 })
    expect((await databaseBytes()) - bytesBefore).toBeLessThan(4 * megabyte)
    expect((await heldMb()) - memoryBefore).toBeLessThan(100)
  })
}, 240_000)

test('ten thousand opens of hostile gateways make no owner, and the honest one still has its own', async () => {
  await flooded(async ({ relay, store, bob, databaseBytes }) => {
    const finish = honestUse(relay, bob)
    const gateways = Array.from({ length: 8 }, newGateway)
    const bytesBefore = await databaseBytes()
    const made = (index: number): Uint8Array => {
      const owner = newKey()
      const proof = [
        { kind: 'known' } as const,
        { kind: 'capability', capability: systemRandom.bytes(16) } as const,
        { kind: 'work', nonce: index } as const,
      ][index % 3]!
      return signRelayRequest({ kind: 'open', atMs: Date.now(), proof }, owner, relay.self)
    }
    const counts = await ask(
      relay,
      gateways,
      Array.from({ length: 10_000 }, (_, index) => () => made(index)),
    )
    const served = await finish()
    expect(counts['proof']).toBeGreaterThan(1_000)
    expect(counts['throttled']).toBeGreaterThan(1_000)
    expect(served).toBeGreaterThan(1)
    expect(heldByRelay(store)).toMatchObject({ owners: 1, workOwners: 0 })
    expect((await databaseBytes()) - bytesBefore).toBeLessThan(4 * megabyte)
  })
}, 240_000)

test('a sender that fills its queue has its share of the disk and no more; others of the owner still get through', async () => {
  const bytesMax = 64 * megabyte
  await flooded(async ({ relay, store, bob, databaseBytes }) => {
    const { owner, sendKey } = await ownerWithQueue(relay, bob)
    const other = newKey()
    await relay.queues(owner, bob, { create: [other.publicKey] })
    const outcomes: Record<string, number> = {}
    const body = new Uint8Array(relayBodySizes[3])
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const from = newGateway()
        for (let count = 0; count < 30; count += 1) {
          const outcome = await relay.deposit(sendKey, from, { body })
          const name = typeof outcome === 'string' ? outcome : outcome.kind
          outcomes[name] = (outcomes[name] ?? 0) + 1
        }
      }),
    )
    expect(outcomes['stored']).toBe(Math.floor(bytesMax / (relayBodySizes[3] + 4096)))
    const { bytes } = heldByRelay(store)
    expect(bytes).toBeLessThanOrEqual(bytesMax)
    expect(await databaseBytes()).toBeLessThan(bytesMax * 1.1 + 20 * megabyte)
    expect(await relay.deposit(other, bob)).toBe('stored')
  }, bytesMax)
}, 120_000)
