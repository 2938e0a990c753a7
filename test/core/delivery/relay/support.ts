/** A relay desk over relays in memory, with a clock in the test's hands; what it takes in and says is noted. */
import { type Ambient, silentLog, systemRandom } from '../../../../src/core/ambient.ts'
import { signingKey } from '../../../../src/core/crypto/sign.ts'
import type { BlobSource } from '../../../../src/core/delivery/blob-source.ts'
import type { FirstContact } from '../../../../src/core/delivery/first-contact.ts'
import type { Inbound } from '../../../../src/core/delivery/inbound.ts'
import type { Item } from '../../../../src/core/delivery/items.ts'
import type { Keyring, PeerContact } from '../../../../src/core/delivery/needs.ts'
import { Outbox } from '../../../../src/core/delivery/outbox.ts'
import { RelayDesk } from '../../../../src/core/delivery/relay/desk.ts'
import { type Pair, SessionBook } from '../../../../src/core/delivery/session-book.ts'
import type { DeviceId, GatewayId, Identity } from '../../../../src/core/ids.ts'
import type { Store } from '../../../../src/core/store/store.ts'
import { memoryRelays, type MemoryRelays } from '../../../support/memory-relays.ts'
import { openMemoryStore } from '../../../support/memory-store.ts'

export const account = 'a'.repeat(64) as Identity
const device = '1'.repeat(64) as DeviceId
export const contact = 'b'.repeat(64) as Identity
const contactDevice = '2'.repeat(64) as DeviceId
/** Frames between this account and its one contact. */
export const pair: Pair = { account, device, peer: contact, peerDevice: contactDevice }

export interface TestDesk extends AsyncDisposable {
  readonly desk: RelayDesk
  readonly store: Store
  readonly memory: MemoryRelays
  readonly said: Item[]
  /** How many frames it took in. */
  frames: number
  readonly time: { wallMs: number }
  /** Lets everything that is under way come to its end. */
  settle(): Promise<void>
  /** Moves the clocks and ticks, as a minute does. */
  pass(ms: number): Promise<void>
}

export function openDesk(options: {
  readonly relays: number
  readonly configured?: number
  readonly isHidden?: boolean
  readonly store?: Store
  readonly memory?: MemoryRelays
  readonly time?: { wallMs: number }
  readonly onOutletFailed?: () => void
}): TestDesk {
  const time = options.time ?? { wallMs: Date.UTC(2026, 10, 30) }
  const clock = { nowMs: () => time.wallMs, monotonicMs: () => time.wallMs }
  const ambient: Ambient = { clock, random: systemRandom, log: silentLog }
  const store = options.store ?? openMemoryStore()
  const memory = options.memory ?? memoryRelays(options.relays, clock.nowMs)
  const said: Item[] = []
  const peer = {
    identity: contact,
    state: 'active',
    devices: [{ device: contactDevice, where: undefined }],
  } as unknown as PeerContact
  const keyring = {
    accounts: () => [account],
    contacts: () => [peer],
    contact: () => peer,
    own: () => ({ party: { identity: account, device }, signing: signingKey(Buffer.alloc(32, 1)) }),
  } as unknown as Keyring
  const made = { frames: 0 }
  const desk = new RelayDesk({
    store,
    relays: memory.relays,
    settings: {
      relays: memory.all.slice(0, options.configured ?? memory.all.length).map(({ at }) => at),
      isHidden: options.isHidden ?? false,
    },
    keyring,
    sessions: new SessionBook(store, ambient),
    outbox: new Outbox(),
    blobSource: {} as unknown as BlobSource,
    inbound: {
      take: async (frames: readonly unknown[]) => {
        made.frames += frames.length
        return await Promise.resolve([])
      },
    } as unknown as Inbound,
    takeChunk: async () => await Promise.resolve(true),
    ambient,
    self: 'self' as GatewayId,
    locators: () => [],
    firstContact: () => ({}) as unknown as FirstContact,
    isConnected: () => false,
    readyLink: () => undefined,
    say: (_, item) => void said.push(item),
    onFresh: () => {},
    onRelayBack: () => {},
    onOutletFailed: options.onOutletFailed ?? ((): void => {}),
  })
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 60; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    desk,
    store,
    memory,
    said,
    get frames() {
      return made.frames
    },
    time,
    settle,
    async pass(ms) {
      time.wallMs += ms
      await desk.tick()
      await settle()
    },
    [Symbol.asyncDispose]: async () => await desk[Symbol.asyncDispose](),
  }
}

/** Gateways in use for new queues. */
export const inUse = ({ desk }: TestDesk): readonly string[] =>
  desk
    .inUse(account)
    .filter(({ choice }) => choice.retiredAtMs === 0)
    .map(({ choice }) => choice.relay.gateway as string)
