/**
 * Strangers who wait to be accepted: how many there may be, who makes room for whom, and how much they may send. What
 * one source (a network address, or a relay) can take is bounded, so that a flood crowds itself out before others.
 */
import type { Contacts } from '../account/contacts.ts'
import type { Ambient } from '../ambient.ts'
import { concat, equalConstantTime, fromUtf8, toHex } from '../bytes.ts'
import { array, type Codec, decode, encode, fixed, hexId, record, u32, u64 } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { MailboxInfo, Mailboxes } from '../mailbox/mailbox.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { requestsMailbox } from './deliver.ts'

export interface RequestRow {
  readonly identity: Identity
  /** Keyed hash of where it came from, 16 bytes. */
  readonly source: Uint8Array
  /** Unix milliseconds. */
  readonly sinceMs: number
  readonly mails: number
  /** Octets of them. */
  readonly bytes: number
  /** Cache keys of its latest flights, 32 bytes each: forgotten with it. */
  readonly flights: readonly Uint8Array[]
}

const rowCodec: Codec<RequestRow> = record<RequestRow>({
  identity: hexId<Identity>(32),
  source: fixed(16),
  sinceMs: u64,
  mails: u32,
  bytes: u64,
  flights: array(fixed(32), limits.requestFlightsMax),
})

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const keyOf = (tx: ReadTx, account: Identity, identity: Identity): Uint8Array =>
  concat(tx.opaque(raw(account)), tx.opaque(raw(identity)))

/** A stranger who has not been seen in the committed contacts for this long is gone, not on its way in. */
const settledMs = 60_000

export class Requests {
  readonly #store: Store
  readonly #contacts: Contacts
  readonly #mailboxes: Pick<Mailboxes, 'byName' | 'bySpecialUse'>
  readonly #ambient: Ambient

  constructor(parts: {
    readonly store: Store
    readonly contacts: Contacts
    readonly mailboxes: Pick<Mailboxes, 'byName' | 'bySpecialUse'>
    readonly ambient: Ambient
  }) {
    this.#store = parts.store
    this.#contacts = parts.contacts
    this.#mailboxes = parts.mailboxes
    this.#ambient = parts.ambient
  }

  /** How many wait. */
  count(account: Identity): number {
    return this.#contacts.requests(account).length
  }

  /** How many mails of a stranger were taken while it waits. */
  mailsOf(account: Identity, identity: Identity): number {
    return this.#store.read((tx) => this.#row(tx, account, identity))?.mails ?? 0
  }

  /** For one stranger more from there; another one may have to give way. @throws `too-large` */
  makeRoom(tx: WriteTx, account: Identity, source: string): void {
    const room = roomFor(this.#waiting(tx, account), {
      source: sourceKey(tx, source),
      nowMs: this.#ambient.clock.nowMs(),
      mayLeaveMail: this.#mailboxRoom(account) > 0,
    })
    if (room.kind === 'full') throw new MyceliumError('too-large', { requests: limits.requestsMax })
    if (room.kind === 'instead') this.#remove(tx, account, room.of)
  }

  /** Notes a handshake of a stranger who waits; of its oldest flights a copy is not known any more. */
  cameBy(tx: WriteTx, account: Identity, identity: Identity, from: { source: string; flight: Uint8Array }): void {
    const known = this.#row(tx, account, identity)
    const nowMs = this.#ambient.clock.nowMs()
    const fresh = { identity, source: sourceKey(tx, from.source), sinceMs: nowMs, mails: 0, bytes: 0, flights: [] }
    const row: RequestRow = known ?? fresh
    const flights = [from.flight, ...row.flights]
    for (const old of flights.slice(limits.requestFlightsMax)) tx.remove(tables.handshakes, old)
    this.#put(tx, account, { ...row, flights: flights.slice(0, limits.requestFlightsMax) })
  }

  /** May a stranger who waits send so many octets more? Counts what it lets through. Others are not its affair. */
  takes(tx: WriteTx, account: Identity, identity: Identity, size: number): boolean {
    if (this.#contacts.byIdentity(account, identity)?.state !== 'request') return true
    const row = this.#row(tx, account, identity)
    if (row === undefined) return true // it waits since before there were rows: the day's bound is all
    const room = this.#mailboxRoom(account)
    const share = Math.max(limits.strangerShareBytesMin, room / 8)
    const isCrowded = room === 0 && row.mails > 0
    if (isCrowded || row.mails >= limits.strangerMailsMax || row.bytes + size > share) return false
    this.#put(tx, account, { ...row, mails: row.mails + 1, bytes: row.bytes + size })
    return true
  }

  /** Octets that Requests has room for; 0 also when it holds too many messages. */
  #mailboxRoom(account: Identity): number {
    const info: MailboxInfo | undefined =
      this.#mailboxes.byName(account, requestsMailbox) ?? this.#mailboxes.bySpecialUse(account, '\\Junk')
    if (info === undefined) return limits.requestsBytesMax
    return info.messages >= limits.requestsMessagesMax ? 0 : Math.max(0, limits.requestsBytesMax - info.size)
  }

  /** Forgets those who wait no longer on the way. */
  #waiting(tx: WriteTx, account: Identity): readonly RequestRow[] {
    const rows = Array.from(tx.range(tables.requests, { prefix: tx.opaque(raw(account)) }), ({ value }) =>
      decode(rowCodec, value),
    )
    const nowMs = this.#ambient.clock.nowMs()
    return rows.filter(({ identity, sinceMs }) => {
      const contact = this.#contacts.byIdentity(account, identity)
      const waits =
        contact === undefined ? nowMs - sinceMs < settledMs : contact.state === 'request' && !contact.blocked
      if (!waits) tx.remove(tables.requests, keyOf(tx, account, identity))
      return waits
    })
  }

  /** Its mail stays where it is. */
  #remove(tx: WriteTx, account: Identity, { identity, flights, mails }: RequestRow): void {
    this.#ambient.log.info('request.gave-way', { contact: identity.slice(0, 8), mails })
    for (const flight of flights) tx.remove(tables.handshakes, flight)
    tx.remove(tables.requests, keyOf(tx, account, identity))
    this.#contacts.using(tx).remove(account, identity)
  }

  #row(tx: ReadTx, account: Identity, identity: Identity): RequestRow | undefined {
    const value = tx.get(tables.requests, keyOf(tx, account, identity))
    return value && decode(rowCodec, value)
  }

  #put(tx: WriteTx, account: Identity, row: RequestRow): void {
    tx.put(tables.requests, keyOf(tx, account, row.identity), encode(rowCodec, row))
  }
}

const sourceKey = (tx: ReadTx, source: string): Uint8Array => tx.opaque(fromUtf8('request-source'), fromUtf8(source))

export type Room =
  | { readonly kind: 'free' }
  /** This one gives way. */
  | { readonly kind: 'instead'; readonly of: RequestRow }
  | { readonly kind: 'full' }

/**
 * Who makes room for a newcomer: first whoever came long enough ago and has sent nothing, from the most crowded source;
 * then, for a newcomer from a source that is less crowded by two, the oldest of the most crowded one.
 * @param mayLeaveMail there is room for the mail of one that gives way, which stays
 */
export function roomFor(
  waiting: readonly RequestRow[],
  {
    source,
    nowMs,
    mayLeaveMail,
  }: { readonly source: Uint8Array; readonly nowMs: number; readonly mayLeaveMail: boolean },
): Room {
  const own = waiting.filter((row) => equalConstantTime(row.source, source))
  const isIdle = ({ mails, sinceMs }: RequestRow): boolean => mails === 0 && nowMs - sinceMs >= limits.requestGraceMs
  if (own.length >= limits.requestsPerSourceMax) return insteadOf(oldest(own.filter(isIdle)))
  if (waiting.length < limits.requestsMax) return { kind: 'free' }
  const crowds = [...Map.groupBy(waiting, (row) => toHex(row.source)).values()].toSorted((a, b) => b.length - a.length)
  const idle = crowds.map((crowd) => oldest(crowd.filter(isIdle))).find((row) => row !== undefined)
  if (idle !== undefined) return insteadOf(idle)
  const largest = crowds[0] ?? []
  if (largest.length < own.length + 2) return { kind: 'full' }
  return insteadOf(oldest(largest.filter(({ mails }) => mails === 0 || mayLeaveMail)))
}

const insteadOf = (row: RequestRow | undefined): Room =>
  row === undefined ? { kind: 'full' } : { kind: 'instead', of: row }

const oldest = (rows: readonly RequestRow[]): RequestRow | undefined =>
  rows.reduce<RequestRow | undefined>(
    (first, row) => (first === undefined || row.sinceMs < first.sinceMs ? row : first),
    undefined,
  )
