/** A channel over a real session and outbox, with ways in the test's hands and a store whose commits can be held up. */
import { silentLog, systemRandom } from '../../../src/core/ambient.ts'
import { Channel } from '../../../src/core/delivery/channel.ts'
import { Outbox, type OutboxRef } from '../../../src/core/delivery/outbox.ts'
import type { Outlet } from '../../../src/core/delivery/outlet.ts'
import { type Pair, SessionBook, takeOver } from '../../../src/core/delivery/session-book.ts'
import type { Address, Identity, MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import type { Store, WriteTx } from '../../../src/core/store/store.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { pair as sessionPair, seededRandom } from '../session/support.ts'

const [account, peer] = ['a'.repeat(64) as Identity, 'b'.repeat(64) as Identity]

export interface TestWay {
  readonly outlet: Outlet
  /** Numbers of the messages that went this way, in their order. */
  readonly sent: number[]
  end(): void
}

export interface ChannelWorld {
  readonly channel: Channel
  readonly pair: Pair
  readonly store: Store
  readonly outbox: Outbox
  readonly book: SessionBook
  readonly time: { wallMs: number }
  readonly commits: {
    readonly waiting: number
    /** From the n-th write on, effects wait. */
    holdFrom(write: number): void
    letGo(): void
  }
  /** Adds mail for the contact; numbered from 0. */
  submit(count: number): Promise<void>
  way(kind: Outlet['kind'], after?: number): TestWay
  /** As after a crash: what was in memory is gone. */
  restart(): void
}

/** Effects of a write wait as they do while a real store makes it durable. */
function slowly(store: Store) {
  let [writes, from, waiting] = [0, Infinity, 0]
  let going = Promise.resolve()
  let letGo = (): void => {}
  const slow: Store = {
    ...store,
    write: async <T>(use: (tx: WriteTx) => T): Promise<T> => {
      writes += 1
      const isHeld = writes >= from
      if (!isHeld) return await store.write(use)
      const effects: (() => void)[] = []
      const result = await store.write((tx) => {
        tx.afterCommit = (effect) => void effects.push(effect)
        return use(tx)
      })
      waiting += 1
      await going
      waiting -= 1
      for (const effect of effects) effect()
      return result
    },
  }
  return {
    store: slow,
    get waiting() {
      return waiting
    },
    holdFrom(write: number) {
      ;[writes, from] = [0, write]
      going = new Promise((resolve) => (letGo = resolve))
    },
    letGo: () => {
      from = Infinity
      letGo()
    },
  }
}

export async function openChannelWorld(): Promise<ChannelWorld> {
  const time = { wallMs: Date.UTC(2026, 10, 30) }
  const ambient = {
    clock: { nowMs: () => time.wallMs, monotonicMs: () => time.wallMs },
    random: systemRandom,
    log: silentLog,
  }
  const { alice: ours } = sessionPair(seededRandom('channel'))
  const store = openMemoryStore()
  const commits = slowly(store)
  const book = new SessionBook(store, ambient)
  const pair: Pair = { account, device: ours.selfDevice, peer, peerDevice: ours.peerDevice }
  await store.write((tx) => book.replace(tx, takeOver(undefined, pair, ours, { nowMs: time.wallMs, reset: false })))
  let outbox = new Outbox()
  let submitted = 0
  const parts = { store: commits.store, book, ambient, mayMail: () => true }
  let channel = new Channel(pair, { ...parts, outbox })
  return {
    get channel() {
      return channel
    },
    restart() {
      channel.closed()
      outbox = new Outbox()
      channel = new Channel(pair, { ...parts, outbox })
    },
    pair,
    store,
    get outbox() {
      return outbox
    },
    book,
    time,
    commits,
    async submit(count) {
      const refs = Array.from({ length: count }, () => refTo(submitted++, time.wallMs))
      const queued = await store.write((tx) =>
        refs.flatMap((ref) => outbox.add(tx, ref.message, outgoing(ref.message), [ref])),
      )
      for (const one of queued) channel.offer(one)
    },
    way(kind, after = 0) {
      const sent: number[] = []
      const ended = new AbortController()
      const outlet: Outlet = {
        kind,
        link: undefined,
        closed: ended.signal,
        after,
        resends: kind === 'link',
        framesMax: limits.inFlightMax,
        takes: () => true,
        send: async ({ sent: messages }) => {
          await Promise.resolve()
          sent.push(...messages.map(({ queued }) => numberOf(queued.ref)))
        },
        close: () => ended.abort(),
        failed: () => {},
      }
      return { outlet, sent, end: () => ended.abort() }
    },
  }
}

const numberOf = ({ message }: Pick<OutboxRef, 'message'>): number => parseInt(message, 16)

const refTo = (number: number, nowMs: number): Omit<OutboxRef, 'alone'> => ({
  account,
  recipient: peer,
  message: number.toString(16).padStart(64, '0') as MessageId,
  address: 'somebody@example.org' as Address,
  notify: ['failure'],
  originalRecipient: undefined,
  submittedAtMs: nowMs,
  submittedRunMs: 0,
  expiresAtMs: nowMs + limits.messageExpiryMs,
  ackedBy: [],
  refusedBy: [],
  delayReported: false,
})

const outgoing = (message: MessageId) => ({
  encoded: Buffer.from(message),
  envelopeId: undefined,
  returned: 'headers' as const,
  root: undefined,
  head: new Uint8Array(),
})
