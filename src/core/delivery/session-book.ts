/**
 * Sessions at rest and the way from an 8-byte channel tag to one of them. For each pair of an own device and a
 * contact's device there is one session that sends, and up to five older ones that may still receive.
 */
import type { Ambient } from '../ambient.ts'
import { array, bytes, decode, encode, hexId, record, u64 } from '../codec.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { TagTable } from '../session/items.ts'
import { Session } from '../session/session.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

export interface Pair {
  readonly account: Identity
  readonly device: DeviceId
  readonly peer: Identity
  readonly peerDevice: DeviceId
}

export interface SessionRow {
  readonly pair: Pair
  /** An encoded session: the one that sends. */
  readonly current: Uint8Array
  /** Retired ones that may still receive, newest first. */
  readonly archived: readonly Uint8Array[]
  /** When this pair last started anew, Unix milliseconds; 0 for never. */
  readonly resetAtMs: number
}

const pairCodec = record<Pair>({
  account: hexId<Identity>(32),
  device: hexId<DeviceId>(32),
  peer: hexId<Identity>(32),
  peerDevice: hexId<DeviceId>(32),
})
const sessionBytes = bytes(limits.sessionBytesMax)
const rowCodec = record<SessionRow>({
  pair: pairCodec,
  current: sessionBytes,
  archived: array(sessionBytes, limits.archivedSessionsMax),
  resetAtMs: u64,
})

/** A session whose first flight was left at a relay: nobody has answered in it yet. */
export interface Offered {
  readonly pair: Pair
  readonly session: Uint8Array
  /** The flight itself: left again it stays the same, so that whichever copy is answered, the answer is for this session. */
  readonly request: Uint8Array
  readonly madeAtMs: number
  /** When it was left last; 0 for never. */
  readonly atMs: number
}
const offeredCodec = record<Offered>({
  pair: pairCodec,
  session: sessionBytes,
  request: bytes(limits.askRequestBytesMax),
  madeAtMs: u64,
  atMs: u64,
})

/** What a tag says: which pair, and which of its sessions. */
export interface Tagged {
  readonly pair: Pair
  readonly sessionId: string
}

export const pairName = (pair: Pair): string => pair.device + pair.peerDevice

export class SessionBook {
  readonly #store: Store
  readonly #ambient: Ambient
  /** Grows by six tags a session until the next hour; a stale entry leads to a session that is gone. */
  readonly tags = new TagTable<Tagged>()
  readonly #pairs = new Map<string, Pair>()
  /** Pairs to which a session is offered: frames of all others need not be looked at for one. */
  readonly #offered = new Set<string>()
  readonly #keys = new Map<string, Uint8Array>()
  /** Pairs without sessions whose tags are still in the table. */
  #ended = 0

  constructor(store: Store, ambient: Ambient) {
    this.#store = store
    this.#ambient = ambient
    store.read((tx) => {
      for (const { value } of tx.range(tables.sessions, {})) this.#index(decode(rowCodec, value))
      for (const { value } of tx.range(tables.relayFlights, {})) {
        const offered = decode(offeredCodec, value)
        this.#offered.add(pairName(offered.pair))
        this.#indexOffered(offered)
      }
    })
  }

  /** The session offered to this pair's peer by way of a relay. */
  offered(tx: ReadTx, pair: Pair): Offered | undefined {
    const value = tx.get(tables.relayFlights, this.#key(tx, pair))
    return value === undefined ? undefined : decode(offeredCodec, value)
  }

  /** Its id, when nothing has taken its place. */
  offeredId(tx: ReadTx, pair: Pair): string | undefined {
    const offered = this.read(tx, pair) === undefined ? this.offered(tx, pair) : undefined
    return offered === undefined ? undefined : Session.decode(offered.session).id
  }

  offer(tx: WriteTx, offered: Offered): void {
    tx.put(tables.relayFlights, this.#key(tx, offered.pair), encode(offeredCodec, offered))
    tx.afterCommit(() => {
      this.#offered.add(pairName(offered.pair))
      this.#indexOffered(offered)
    })
  }

  /**
   * The peer has answered in the session that was offered: it becomes the pair's, or one that only receives where another
   * was made meanwhile. @param frames what came with its tag; one that is authentic decides
   */
  takeOffered(tx: WriteTx, pair: Pair, sessionId: string, frames: readonly Uint8Array[]): boolean {
    if (!this.#offered.has(pairName(pair))) return false
    const offered = this.offered(tx, pair)
    if (offered === undefined || Session.decode(offered.session).id !== sessionId) return false
    const nowMs = this.#ambient.clock.nowMs()
    const moment = { random: this.#ambient.random, nowMs }
    const isAnswered = frames.some((frame) => Session.decode(offered.session).open(frame, moment).kind !== 'refused')
    if (!isAnswered) return false
    tx.remove(tables.relayFlights, this.#key(tx, pair))
    tx.afterCommit(() => this.#offered.delete(pairName(pair)))
    const row = this.read(tx, pair)
    const session = Session.decode(offered.session)
    if (row === undefined) this.replace(tx, takeOver(undefined, pair, session, { nowMs, reset: false }))
    else {
      session.retire(nowMs)
      const archived = [session.encode(), ...row.archived].slice(0, limits.archivedSessionsMax)
      this.replace(tx, { ...row, archived })
    }
    return true
  }

  /** Every pair that has a session. */
  pairs(): Iterable<Pair> {
    return this.#pairs.values()
  }

  has(pair: Pair): boolean {
    return this.#pairs.has(pairName(pair))
  }

  /** Is there a session in which the peer has answered? */
  isUsable(pair: Pair): boolean {
    const row = this.#store.read((tx) => this.read(tx, pair))
    return row !== undefined && Session.decode(row.current).isConfirmed
  }

  read(tx: ReadTx, pair: Pair): SessionRow | undefined {
    const value = tx.get(tables.sessions, this.#key(tx, pair))
    return value === undefined ? undefined : decode(rowCodec, value)
  }

  /** Saves what a step changed; the tags stay as they are. */
  update(tx: WriteTx, row: SessionRow): void {
    tx.put(tables.sessions, this.#key(tx, row.pair), encode(rowCodec, row))
  }

  /** Saves a row whose set of sessions changed. */
  replace(tx: WriteTx, row: SessionRow): void {
    this.update(tx, row)
    tx.afterCommit(() => this.#index(row))
  }

  remove(tx: WriteTx, pair: Pair): void {
    tx.remove(tables.sessions, this.#key(tx, pair))
    tx.remove(tables.relayFlights, this.#key(tx, pair))
    tx.afterCommit(() => {
      this.#pairs.delete(pairName(pair))
      this.#keys.delete(pairName(pair))
      this.#ended += 1
      if (this.#ended >= limits.endedSessionsMax) this.refreshTags()
    })
  }

  /** Tags change weekly, and sessions end: called about once an hour. */
  refreshTags(): void {
    this.#ended = 0
    this.tags.clear()
    this.#store.read((tx) => {
      for (const pair of this.#pairs.values()) {
        const row = this.read(tx, pair)
        if (row !== undefined) this.#index(row)
      }
      for (const { value } of tx.range(tables.relayFlights, {})) this.#indexOffered(decode(offeredCodec, value))
    })
  }

  #indexOffered({ pair, session }: Offered): void {
    this.#indexTags(pair, Session.decode(session), this.#ambient.clock.nowMs())
  }

  /** Also those of weeks ago: that long a frame may have lain at a relay. */
  #indexTags(pair: Pair, session: Session, nowMs: number): void {
    for (const atMs of [nowMs - limits.messageExpiryMs, nowMs])
      for (const tag of session.receiveTags(atMs)) this.tags.set(tag, { pair, sessionId: session.id })
  }

  #index(row: SessionRow): void {
    const nowMs = this.#ambient.clock.nowMs()
    this.#pairs.set(pairName(row.pair), row.pair)
    for (const encoded of [row.current, ...row.archived]) {
      const session = Session.decode(encoded)
      if (!session.hasEnded(nowMs)) this.#indexTags(row.pair, session, nowMs)
    }
  }

  #key(tx: ReadTx, pair: Pair): Uint8Array {
    const name = pairName(pair)
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    const key = tx.opaque(Buffer.from(pair.device, 'hex'), Buffer.from(pair.peerDevice, 'hex'))
    this.#keys.set(name, key)
    return key
  }
}

/** Those of an account that is going; who holds a pair in memory finds nothing any more. */
export function forgetSessions(tx: WriteTx, account: Identity): void {
  for (const { key, value } of tx.range(tables.sessions, {}))
    if (decode(rowCodec, value).pair.account === account) tx.remove(tables.sessions, key)
  for (const { key, value } of tx.range(tables.relayFlights, {}))
    if (decode(offeredCodec, value).pair.account === account) tx.remove(tables.relayFlights, key)
}

/** The row after a new session takes over: the old one only receives from now on. */
export function takeOver(
  row: SessionRow | undefined,
  pair: Pair,
  session: Session,
  options: { readonly nowMs: number; readonly reset: boolean },
): SessionRow {
  if (row === undefined) return { pair, current: session.encode(), archived: [], resetAtMs: 0 }
  const old = Session.decode(row.current)
  old.retire(options.nowMs)
  const archived = [old.encode(), ...row.archived].slice(0, limits.archivedSessionsMax)
  return { pair, current: session.encode(), archived, resetAtMs: options.reset ? options.nowMs : row.resetAtMs }
}
