/** Relays in memory with the promises of docs/protocol/relay.md §4, for tests of those who use them. Some can misbehave. */
import { toHex } from '../../src/core/bytes.ts'
import { signingKey } from '../../src/core/crypto/sign.ts'
import type { GatewayAddress } from '../../src/core/delivery/ports.ts'
import { receiveIdOf } from '../../src/core/delivery/relay-ids.ts'
import type { RelayEntry, Relays, WatchHandlers } from '../../src/core/delivery/relay-ports.ts'
import { MyceliumError } from '../../src/core/errors.ts'
import type { GatewayId } from '../../src/core/ids.ts'

interface Owner {
  readonly queues: Map<string, Uint8Array>
  readonly entries: RelayEntry[]
  watcher: (() => Promise<void>) | undefined
}

export interface MemoryRelay {
  readonly at: GatewayAddress
  isUp: boolean
  /** Answers `stored` and forgets at once. */
  isLosing: boolean
  readonly owners: Map<string, Owner>
  /** Gateways that deposits were carried through, or `undefined` for those that came straight. */
  readonly carriers: (GatewayId | undefined)[]
}

export interface MemoryRelays {
  readonly relays: Relays
  readonly all: readonly MemoryRelay[]
  waiting(relay: MemoryRelay): number
}

export function memoryRelays(count: number, nowMs: () => number): MemoryRelays {
  const all = Array.from({ length: count }, (_, index): MemoryRelay => {
    const gateway = `relay-${index}` as GatewayId
    const at = { gateway, locators: [`/memory/${index}`] }
    return { at, isUp: true, isLosing: false, owners: new Map(), carriers: [] }
  })
  const find = (gateway: GatewayId): MemoryRelay => {
    const relay = all.find((one) => one.at.gateway === gateway)
    if (relay?.isUp !== true) throw new MyceliumError('unreachable')
    return relay
  }
  const ownerOf = (relay: MemoryRelay, key: Uint8Array): Owner => {
    const owner = relay.owners.get(toHex(key))
    if (owner === undefined) throw new MyceliumError('peer-misbehaved', { reason: 'unknown-owner' })
    return owner
  }
  let number = 0
  const relays: Relays = {
    describe: async (at) => {
      find(at.gateway)
      return await Promise.resolve({
        sealKey: Buffer.alloc(32, 5),
        workBits: 0,
        isKnown: true,
        bytesMax: 1e9,
        queuesMax: 1000,
        holdMsMax: 21 * 24 * 3600_000,
      })
    },
    open: async (at, owner) => {
      const { owners } = find(at.gateway)
      const name = toHex(owner.publicKey)
      if (!owners.has(name)) owners.set(name, { queues: new Map(), entries: [], watcher: undefined })
      await Promise.resolve()
    },
    queues: async (at, owner, { create, remove }) => {
      const { queues } = ownerOf(find(at.gateway), owner.publicKey)
      for (const sendId of create) queues.set(toHex(sendId), receiveIdOf(owner.publicKey, sendId))
      for (const id of remove)
        for (const [sendId, receiveId] of queues) if (Buffer.compare(receiveId, id) === 0) queues.delete(sendId)
      await Promise.resolve()
    },
    close: async (at, owner) => {
      find(at.gateway).owners.delete(toHex(owner.publicKey))
      await Promise.resolve()
    },
    deposit: async ({ relay: at, sendSeed }, { body }, { through }) => {
      if (through !== undefined) find(through.gateway)
      const relay = find(at.gateway)
      const sendId = toHex(signingKey(sendSeed).publicKey)
      const owner = [...relay.owners.values()].find(({ queues }) => queues.has(sendId))
      if (owner === undefined) return 'no-such-queue'
      relay.carriers.push(through?.gateway)
      number += 1
      if (!relay.isLosing)
        owner.entries.push({ number, receiveId: owner.queues.get(sendId)!, heldSinceMs: nowMs(), body })
      await owner.watcher?.()
      return 'stored'
    },
    watch: async (at, key, handlers, { signal }) =>
      await watch(ownerOf(find(at.gateway), key.publicKey), handlers, signal),
  }
  return {
    relays,
    all,
    waiting: ({ owners }) => [...owners.values()].reduce((sum, { entries }) => sum + entries.length, 0),
  }
}

async function watch(owner: Owner, handlers: WatchHandlers, signal: AbortSignal): Promise<void> {
  const give = async (): Promise<void> => {
    if (owner.entries.length > 0) {
      const taken = await handlers.onEntries([...owner.entries])
      for (const number of taken)
        owner.entries.splice(
          owner.entries.findIndex((entry) => entry.number === number),
          1,
        )
    }
    handlers.onDrained()
  }
  owner.watcher = give
  await give()
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
    if (signal.aborted) resolve()
  })
  owner.watcher = undefined
}
