/**
 * What accounts show their contacts of themselves, and what contacts show: kept sealed on both sides. A list of digests goes
 * over each new way to a contact's device, and with each change; what the other side lacks it asks for. Only contacts that
 * both sides chose see anything.
 */
import type { Ambient } from '../ambient.ts'
import { concat, equalConstantTime, fromUtf8, toHex } from '../bytes.ts'
import { type Codec, decode, encode, hexId, record } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { Item } from './items.ts'
import type { Keyring } from './needs.ts'
import {
  digestBytes,
  itemsOfPieces,
  pieceCodec,
  pieceDigest,
  piecesOf,
  type ProfileItem,
  type ProfilePiece,
  type ProfileSaid,
} from './profile-items.ts'
import type { Pair } from './session-book.ts'

/** An item of a contact came, is another one now, or is gone. */
export interface ProfileChange {
  readonly account: Identity
  readonly contact: Identity
  readonly topic: string
  readonly id: string
}

export type ProfileListener = (change: ProfileChange) => void

interface ProfileParts {
  readonly store: Store
  readonly ambient: Ambient
  readonly keyring: Pick<Keyring, 'contact' | 'contacts'>
  /** To every device of a contact to which there is a way now. */
  readonly sayIfOpen: (account: Identity, contact: Identity, item: Item) => void
  readonly sayTo: (pair: Pair, item: Item) => void
}

interface Row {
  readonly owner: Identity
  readonly piece: ProfilePiece
}
const rowCodec: Codec<Row> = record<Row>({ owner: hexId<Identity>(32), piece: pieceCodec })

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
/** Where the account's own pieces are, whatever its device is called. */
const ownDevice = fromUtf8('own')
/** No piece has this digest: it says that the account has shown something once, so that nothing is said too. */
const mark = new Uint8Array(digestBytes)

export class Profiles implements Disposable {
  readonly #parts: ProfileParts
  readonly #listeners = new Set<ProfileListener>()
  /** Accounts whose contacts are to hear of a change, with the new pieces. */
  readonly #pending = new Map<Identity, ProfilePiece[]>()
  /** Contacts who were told what is shown, since this process began: one who becomes a contact over a way that is open is told then. */
  readonly #told = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor(parts: ProfileParts) {
    this.#parts = parts
  }

  watch(listener: ProfileListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** All that the account shows under a topic from now on. @throws `too-large` when it would show too much */
  show(tx: WriteTx, account: Identity, topic: string, items: readonly Omit<ProfileItem, 'topic'>[]): void {
    const prefix = ownPrefix(tx, account)
    const others = rowsUnder(tx, prefix).filter(({ row }) => row.piece.topic !== topic)
    const pieces = items.flatMap((item) => piecesOf({ ...item, topic }))
    if (others.length + pieces.length > limits.profilePiecesMax)
      throw new MyceliumError('too-large', { pieces: others.length + pieces.length })
    const fresh = new Map(pieces.map((piece) => [toHex(pieceDigest(piece)), piece]))
    for (const { key, digest, row } of rowsUnder(tx, prefix))
      if (row.piece.topic === topic && !fresh.delete(toHex(digest))) tx.remove(tables.profiles, key)
    for (const [digest, piece] of fresh)
      tx.put(tables.profiles, concat(prefix, raw(digest)), encode(rowCodec, { owner: account, piece }))
    tx.put(tables.profiles, concat(prefix, mark), new Uint8Array())
    tx.afterCommit(() => this.#changed(account, [...fresh.values()]))
  }

  /** What a contact shows; of several devices the latest. */
  of(account: Identity, contact: Identity, topic?: string): readonly ProfileItem[] {
    const pieces = this.#parts.store.read((tx) =>
      rowsUnder(tx, concat(tx.opaque(raw(account)), tx.opaque(raw(contact)))).map(({ row }) => row.piece),
    )
    return itemsOfPieces(topic === undefined ? pieces : pieces.filter((piece) => piece.topic === topic))
  }

  /** What all contacts show under some topics. */
  ofAll(account: Identity, isWanted: (topic: string) => boolean): ReadonlyMap<Identity, readonly ProfileItem[]> {
    const rows = this.#parts.store.read((tx) =>
      rowsUnder(tx, tx.opaque(raw(account)))
        .map(({ row }) => row)
        .filter(({ owner, piece }) => owner !== account && isWanted(piece.topic)),
    )
    const owners = Map.groupBy(rows, ({ owner }) => owner)
    return new Map([...owners].map(([owner, own]) => [owner, itemsOfPieces(own.map(({ piece }) => piece))]))
  }

  /** What to say over a new way; nothing to whom nothing is shown. */
  listFor({ account, peer }: Pair): Item | undefined {
    return this.#listFor(account, peer)
  }

  #listFor(account: Identity, contact: Identity): Item | undefined {
    if (!this.#sees(account, contact)) return undefined
    this.#told.add(account + contact)
    const digests = this.#parts.store.read((tx) => {
      const prefix = ownPrefix(tx, account)
      return tx.has(tables.profiles, concat(prefix, mark))
        ? rowsUnder(tx, prefix).map(({ digest }) => digest)
        : undefined
    })
    return digests === undefined ? undefined : { kind: 'profile', said: { kind: 'list', digests } }
  }

  /** Came inside a session. */
  received(tx: WriteTx, pair: Pair, said: ProfileSaid): void {
    if (!this.#sees(pair.account, pair.peer)) return
    if (said.kind === 'piece') this.#take(tx, pair, said.piece)
    else if (said.kind === 'list') this.#compare(tx, pair, said.digests)
    else this.#answer(tx, pair, said.digests)
  }

  /** Somebody who becomes a contact is told; of somebody who is none any more nothing is kept. */
  contactChanged(account: Identity, contact: Identity): void {
    if (contact === account) return
    if (this.#sees(account, contact)) {
      const list = this.#told.has(account + contact) ? undefined : this.#listFor(account, contact)
      if (list !== undefined) this.#parts.sayIfOpen(account, contact, list)
      return
    }
    this.#told.delete(account + contact)
    const isKept = this.#parts.store.read(
      (tx) => rowsUnder(tx, concat(tx.opaque(raw(account)), tx.opaque(raw(contact)))).length > 0,
    )
    if (!isKept) return
    void this.#parts.store
      .write((tx) => {
        const prefix = concat(tx.opaque(raw(account)), tx.opaque(raw(contact)))
        for (const { key } of rowsUnder(tx, prefix)) tx.remove(tables.profiles, key)
      })
      .catch(() => this.#parts.ambient.log.warn('profile.not-forgotten'))
  }

  /** Everything of an account that is going. */
  static removeAccount(tx: WriteTx, account: Identity): void {
    for (const key of [...tx.keys(tables.profiles, { prefix: tx.opaque(raw(account)) })])
      tx.remove(tables.profiles, key)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }

  #sees(account: Identity, contact: Identity): boolean {
    return contact !== account && this.#parts.keyring.contact(account, contact)?.state === 'active'
  }

  /** Several changes in a row are told together. */
  #changed(account: Identity, pieces: readonly ProfilePiece[]): void {
    this.#pending.set(account, [...(this.#pending.get(account) ?? []), ...pieces].slice(-limits.profilePiecesMax))
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      this.#tell()
    }, limits.profileTellMs)
    this.#timer.unref()
  }

  #tell(): void {
    for (const [account, pieces] of this.#pending) {
      const own = this.#parts.store.read((tx) => rowsUnder(tx, ownPrefix(tx, account)))
      const digests = own.map(({ digest }) => digest)
      const isStill = (piece: ProfilePiece): boolean =>
        digests.some((digest) => equalConstantTime(digest, pieceDigest(piece)))
      const said: readonly ProfileSaid[] = [
        ...pieces.filter(isStill).map((piece) => ({ kind: 'piece', piece }) as const),
        { kind: 'list', digests },
      ]
      for (const { identity, state } of this.#parts.keyring.contacts(account))
        if (state === 'active' && identity !== account)
          for (const one of said) this.#parts.sayIfOpen(account, identity, { kind: 'profile', said: one })
    }
    this.#pending.clear()
  }

  #take(tx: WriteTx, pair: Pair, given: ProfilePiece): void {
    const piece = { ...given, bytes: Uint8Array.from(given.bytes) }
    const prefix = devicePrefix(tx, pair)
    const key = concat(prefix, pieceDigest(piece))
    if (tx.has(tables.profiles, key)) return
    // twice as many as it can show: the old ones go with its list
    if ([...tx.keys(tables.profiles, { prefix })].length >= 2 * limits.profilePiecesMax) return
    tx.put(tables.profiles, key, encode(rowCodec, { owner: pair.peer, piece }))
    tx.afterCommit(() => this.#heard(pair, piece))
  }

  #compare(tx: WriteTx, pair: Pair, digests: readonly Uint8Array[]): void {
    const missing = new Map(digests.map((digest) => [toHex(digest), Uint8Array.from(digest)]))
    for (const { key, digest, row } of rowsUnder(tx, devicePrefix(tx, pair))) {
      if (missing.delete(toHex(digest))) continue
      tx.remove(tables.profiles, key)
      tx.afterCommit(() => this.#heard(pair, row.piece))
    }
    if (missing.size === 0) return
    const ask: Item = { kind: 'profile', said: { kind: 'ask', digests: [...missing.values()] } }
    tx.afterCommit(() => this.#parts.sayTo(pair, ask))
  }

  #answer(tx: WriteTx, pair: Pair, digests: readonly Uint8Array[]): void {
    const prefix = ownPrefix(tx, pair.account)
    for (const digest of digests) {
      const value = tx.get(tables.profiles, concat(prefix, digest))
      if (value === undefined || value.length === 0) continue
      const { piece } = decode(rowCodec, value)
      tx.afterCommit(() => this.#parts.sayTo(pair, { kind: 'profile', said: { kind: 'piece', piece } }))
    }
  }

  #heard({ account, peer }: Pair, { topic, id }: ProfilePiece): void {
    for (const listener of this.#listeners) listener({ account, contact: peer, topic, id })
  }
}

const ownPrefix = (tx: ReadTx, account: Identity): Uint8Array =>
  concat(tx.opaque(raw(account)), tx.opaque(raw(account)), tx.opaque(ownDevice))
const devicePrefix = (tx: ReadTx, { account, peer, peerDevice }: Pair): Uint8Array =>
  concat(tx.opaque(raw(account)), tx.opaque(raw(peer)), tx.opaque(raw(peerDevice)))

function rowsUnder(
  tx: ReadTx,
  prefix: Uint8Array,
): readonly { readonly key: Uint8Array; readonly digest: Uint8Array; readonly row: Row }[] {
  return Array.from(tx.range(tables.profiles, { prefix }), ({ key, value }) => ({ key, value }))
    .filter(({ value }) => value.length > 0)
    .map(({ key, value }) => ({ key, digest: key.subarray(-digestBytes), row: decode(rowCodec, value) }))
}
