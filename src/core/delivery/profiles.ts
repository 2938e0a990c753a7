/**
 * What accounts show their contacts of themselves, and what contacts show: kept sealed on both sides. A list of digests goes
 * over each new way to a contact's device, and with each change; what the other side lacks it asks for. Only contacts that
 * both sides chose see anything, and the account's own other devices.
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
import { type Pair, pairName } from './session-book.ts'

/** An item of a contact, or of another device of the account itself, came, is another one now, or is gone. */
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

/** What is on its way from one device of a contact. */
interface Coming {
  /** Digests in hex of its last list that are not here yet; `undefined` before a list has come. */
  missing: Set<string> | undefined
  /** What came or went since listeners last heard, by topic and id. */
  readonly changes: Map<string, ProfilePiece>
}

interface Row {
  readonly owner: Identity
  readonly piece: ProfilePiece
}
const rowCodec: Codec<Row> = record<Row>({ owner: hexId<Identity>(32), piece: pieceCodec })

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
/** Where the account's own pieces are, whatever its device is called. */
const ownDevice = fromUtf8('own')
const ownDeviceKeyBytes = 16
/** No piece has this digest: it says that the account has shown something once, so that nothing is said too. */
const mark = new Uint8Array(digestBytes)

export class Profiles implements Disposable {
  readonly #parts: ProfileParts
  readonly #listeners = new Set<ProfileListener>()
  /** Accounts whose contacts are to hear of a change, with the new pieces. */
  readonly #pending = new Map<Identity, ProfilePiece[]>()
  /** Contacts who were told what is shown, since this process began: one who becomes a contact over a way that is open is told then. */
  readonly #told = new Set<string>()
  /** The list that each device was told last over a new way. */
  readonly #left = new Map<string, string>()
  /** By pair. */
  readonly #coming = new Map<string, Coming>()
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

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

  /** What the account's other devices show; of several the latest. */
  ofSiblings(account: Identity, topic: string): readonly ProfileItem[] {
    const rows = this.#parts.store.read((tx) => {
      const own = ownPrefix(tx, account)
      return rowsUnder(tx, own.subarray(0, own.length - ownDeviceKeyBytes)).filter(
        ({ key }) => !equalConstantTime(key.subarray(0, own.length), own),
      )
    })
    return itemsOfPieces(rows.map(({ row }) => row.piece).filter((piece) => piece.topic === topic))
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
  listFor(pair: Pair): Item | undefined {
    const list = this.#listFor(pair.account, pair.peer)
    if (list !== undefined) this.#left.set(pairName(pair), nameOfList(list))
    return list
  }

  /** The same, unless it is what that device was told last over a new way since this process began. */
  newListFor(pair: Pair): Item | undefined {
    const before = this.#left.get(pairName(pair))
    const list = this.listFor(pair)
    return list === undefined || nameOfList(list) === before ? undefined : list
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
    const keys = [...tx.keys(tables.profiles, { prefix: tx.opaque(raw(account)) })]
    for (const key of keys) tx.remove(tables.profiles, key)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #sees(account: Identity, contact: Identity): boolean {
    return this.#parts.keyring.contact(account, contact)?.state === 'active'
  }

  /** Several changes in a row are told together. */
  #changed(account: Identity, pieces: readonly ProfilePiece[]): void {
    // the next list says it
    if (this.#isClosed) return
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
        if (state === 'active')
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
    tx.afterCommit(() => {
      const coming = this.#comingFrom(pair)
      coming.missing?.delete(toHex(pieceDigest(piece)))
      this.#heard(pair, coming, [piece])
    })
  }

  #compare(tx: WriteTx, pair: Pair, digests: readonly Uint8Array[]): void {
    const missing = new Map(digests.map((digest) => [toHex(digest), Uint8Array.from(digest)]))
    const gone = rowsUnder(tx, devicePrefix(tx, pair)).filter(({ digest }) => !missing.delete(toHex(digest)))
    for (const { key } of gone) tx.remove(tables.profiles, key)
    tx.afterCommit(() => {
      const coming = this.#comingFrom(pair)
      coming.missing = new Set(missing.keys())
      if (missing.size > 0)
        this.#parts.sayTo(pair, { kind: 'profile', said: { kind: 'ask', digests: [...missing.values()] } })
      this.#heard(
        pair,
        coming,
        gone.map(({ row }) => row.piece),
      )
    })
  }

  #comingFrom(pair: Pair): Coming {
    const name = pairName(pair)
    const known = this.#coming.get(name) ?? { missing: undefined, changes: new Map() }
    this.#coming.set(name, known)
    return known
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

  /** Listeners hear once all is here that belongs together: a list of keys is worth nothing without the keys. */
  #heard(pair: Pair, { missing, changes }: Coming, pieces: readonly ProfilePiece[]): void {
    for (const piece of pieces) changes.set(JSON.stringify([piece.topic, piece.id]), piece)
    if (missing === undefined || missing.size > 0) return
    this.#coming.delete(pairName(pair))
    for (const { topic, id } of changes.values())
      for (const listener of this.#listeners) listener({ account: pair.account, contact: pair.peer, topic, id })
  }
}

const nameOfList = (item: Item): string =>
  item.kind === 'profile' && item.said.kind === 'list' ? item.said.digests.map(toHex).join() : ''

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
