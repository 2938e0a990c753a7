/** A relay, a sender and a recipient on the memory network, each with what a test wants to hold in its hands. */
import type { Ambient } from '../../../src/core/ambient.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { toHex } from '../../../src/core/bytes.ts'
import { Secret } from '../../../src/core/crypto/secret.ts'
import { type SigningKey, signingKey } from '../../../src/core/crypto/sign.ts'
import type { GatewayAddress, Overlay } from '../../../src/core/delivery/ports.ts'
import { receiveIdOf } from '../../../src/core/delivery/relay-ids.ts'
import { relayBodySizes, type RelayEntry, type Relays, type SendQueue } from '../../../src/core/delivery/relay-ports.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { openStore, type SnapshotStore } from '../../../src/core/store/lmdb-store.ts'
import { memoryNetwork, type MemoryNetwork } from '../../../src/overlay/memory-overlay.ts'

export interface TestClock {
  nowMs(): number
  monotonicMs(): number
  /** Both clocks go on by so much. */
  advance(ms: number): void
  /** The wall clock alone is set. */
  jump(ms: number): void
}
export function testClock(): TestClock {
  let wallMs = 0
  let passedMs = 0
  return {
    nowMs: () => systemClock.nowMs() + passedMs + wallMs,
    monotonicMs: () => systemClock.monotonicMs() + passedMs,
    advance: (ms) => void (passedMs += ms),
    jump: (ms) => void (wallMs += ms),
  }
}

export const ambientWith = (clock: Ambient['clock']): Ambient => ({ clock, random: systemRandom, log: silentLog })
export const newKey = (): SigningKey => signingKey(systemRandom.bytes(32))
export const soon = (ms = 20_000): { readonly signal: AbortSignal } => ({ signal: AbortSignal.timeout(ms) })
export const addressOf = (overlay: Overlay): GatewayAddress => ({
  gateway: overlay.self,
  locators: overlay.locators(),
})
export const bodyOf = (fill: number, size: number = relayBodySizes[0]): Uint8Array => new Uint8Array(size).fill(fill)
export const entryOf = (body: Uint8Array, clock: Ambient['clock'] = systemClock) => ({
  id: systemRandom.bytes(16),
  body,
  expiresAtMs: clock.nowMs() + 7 * 24 * 3600_000,
})

export const openRelayStore = async (path: string, ambient: Ambient): Promise<SnapshotStore> =>
  await openStore({ path, key: new Secret(Buffer.alloc(32, 7)), mapSizeBytes: 512 * 1024 * 1024 }, ambient)

export type RelayUser = Overlay & { readonly relays: Relays }
export function serveNothing(overlay: Overlay): void {
  const refuse = async (): Promise<undefined> => undefined
  overlay.serve({
    onLink: () => {},
    onReachable: () => {},
    onLocatorsChanged: () => {},
    answer: { bundle: refuse, handshake: refuse, blob: refuse, device: refuse },
  })
}

export interface RelayWorld {
  readonly network: MemoryNetwork
  readonly known: Set<GatewayId>
  join(name: string): Promise<RelayUser>
  relay(name: string, store: SnapshotStore, bytesMax?: number): Promise<RelayUser>
}
export function relayWorld(ambient: Ambient): RelayWorld {
  const network = memoryNetwork(ambient)
  const known = new Set<GatewayId>()
  return {
    network,
    known,
    async join(name) {
      const overlay = await network.join(name)
      serveNothing(overlay)
      return overlay
    },
    async relay(name, store, bytesMax = 256 * 1024 * 1024) {
      const overlay = await network.join(name, {
        relay: { store, bytesMax, isKnown: (gateway) => known.has(gateway) },
      })
      serveNothing(overlay)
      return overlay
    },
  }
}

/** A queue that the recipient made: what its sender holds, and by what the recipient knows it. */
export async function newQueue(
  recipient: RelayUser,
  relay: GatewayAddress,
  owner: SigningKey,
): Promise<SendQueue & { readonly sendId: Uint8Array; readonly receiveId: Uint8Array }> {
  const { relays } = recipient
  const offer = await relays.describe(relay, soon())
  const sendSeed = systemRandom.bytes(32)
  const sendId = signingKey(sendSeed).publicKey
  await relays.queues(relay, owner, { create: [sendId], remove: [] }, soon())
  return { relay, sealKey: offer!.sealKey, sendSeed, sendId, receiveId: receiveIdOf(owner.publicKey, sendId) }
}

/** Takes everything that waits and says that it is durable. */
export async function takeAll(
  recipient: RelayUser,
  relay: GatewayAddress,
  owner: SigningKey,
): Promise<readonly RelayEntry[]> {
  const taken: RelayEntry[] = []
  const onEntries = async (entries: readonly RelayEntry[]): Promise<readonly number[]> => {
    taken.push(...entries.map((entry) => ({ ...entry, body: entry.body.slice(), receiveId: entry.receiveId.slice() })))
    return entries.map(({ number }) => number)
  }
  await recipient.relays.watch(relay, owner, { onEntries, onDrained: () => {} }, { stay: false, ...soon() })
  return taken
}
export const fills = (entries: readonly RelayEntry[]): readonly number[] => entries.map(({ body }) => body[0]!)
export const hexOf = (bytes: Uint8Array): string => toHex(bytes)
