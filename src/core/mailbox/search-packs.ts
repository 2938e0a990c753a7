/**
 * ◆ The search index at rest: for each 64 neighbouring content ids one row of kept fields and one of signatures, so that
 * a search opens few rows. A copy of a message shares its content, and with it the entry. What is missing, or of
 * another version, is read from the message itself.
 *
 * A row: u8 version, u8 entries, of each u8 last octet of its content id, u8 whether known, u32 length; then the entries.
 */
import { concat, fromHex } from '../bytes.ts'
import { hasCode } from '../errors.ts'
import type { ContentId } from '../ids.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

/** Goes up when texts are decoded or folded differently: what is there is then made anew. */
export const searchIndexVersion = 1

/** Of one message; what is `undefined` could not be kept. */
export interface IndexedText {
  readonly fields: Uint8Array | undefined
  readonly signature: Uint8Array | undefined
}

const kinds = { fields: 0, signature: 1 } as const
type Kind = keyof typeof kinds
const kindNames = Object.keys(kinds) as Kind[]

const headBytes = 2
const entryHeadBytes = 6
const idsPerPack = 64
const absent = -1

export class SearchPack {
  readonly #bytes: Buffer
  readonly #heads = new Int8Array(idsPerPack).fill(absent)
  readonly #starts: number[] = []

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const count = this.#bytes[0] === searchIndexVersion ? this.#bytes[1]! : 0
    let at = headBytes + count * entryHeadBytes
    for (let index = 0; index < count; index += 1) {
      const head = headBytes + index * entryHeadBytes
      this.#heads[this.#bytes[head]! % idsPerPack] = index
      this.#starts.push(at)
      at += this.#bytes.readUInt32BE(head + 2)
    }
    this.#starts.push(at)
  }

  has(content: ContentId): boolean {
    return this.#heads[lastOctet(content) % idsPerPack] !== absent
  }

  /** `undefined` when there is no entry, or none that is known. */
  get(content: ContentId): Buffer | undefined {
    return this.#get(lastOctet(content))
  }

  #get(octet: number): Buffer | undefined {
    const index = this.#heads[octet % idsPerPack]!
    if (index === absent || this.#bytes[headBytes + index * entryHeadBytes + 1] === 0) return undefined
    return this.#bytes.subarray(this.#starts[index], this.#starts[index + 1])
  }

  /** Is this anywhere in the pack? */
  includes(octets: Buffer): boolean {
    return this.#bytes.indexOf(octets, this.#starts[0]) >= 0
  }

  /** By the last octet of each content id. */
  *entries(): Generator<[octet: number, entry: Uint8Array | undefined]> {
    for (let head = headBytes; head < this.#starts[0]!; head += entryHeadBytes) {
      const octet = this.#bytes[head]!
      yield [octet, this.#get(octet)]
    }
  }
}

function encodePack(entries: ReadonlyMap<number, Uint8Array | undefined>): Uint8Array {
  const head = Buffer.alloc(headBytes + entries.size * entryHeadBytes)
  head[0] = searchIndexVersion
  head[1] = entries.size
  let at = headBytes
  for (const [octet, entry] of entries) {
    head[at] = octet
    head[at + 1] = entry === undefined ? 0 : 1
    head.writeUInt32BE(entry?.length ?? 0, at + 2)
    at += entryHeadBytes
  }
  return concat(head, ...[...entries.values()].flatMap((entry) => entry ?? []))
}

const lastOctet = (content: ContentId): number => Number.parseInt(content.slice(-2), 16)

/** All but the last octet of a content id, and which quarter that one is in; hex. */
export function packOf(content: ContentId): string {
  const quarter = lastOctet(content) >> 6
  return `${content.slice(0, -2)}0${quarter}`
}

const rowKey = (accountKey: Uint8Array, pack: string, kind: Kind): Uint8Array =>
  concat(accountKey, Uint8Array.of(kinds[kind]), fromHex(pack)!)

export function readSearchPack(
  tx: ReadTx,
  accountKey: Uint8Array,
  { pack, kind }: { readonly pack: string; readonly kind: Kind },
): SearchPack | undefined {
  const stored = tx.get(tables.searchIndex, rowKey(accountKey, pack, kind))
  return stored === undefined ? undefined : new SearchPack(stored)
}

/** The same where a damaged row is as good as none. */
export function readSoundPack(
  tx: ReadTx,
  accountKey: Uint8Array,
  row: { readonly pack: string; readonly kind: Kind },
): SearchPack | undefined {
  return unlessDamaged(() => readSearchPack(tx, accountKey, row))
}

export function unlessDamaged<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (hasCode(error, 'store-corrupt')) return undefined
    throw error
  }
}

/** Adds entries; those of content that is gone go with this. */
export function addToIndex(tx: WriteTx, accountKey: Uint8Array, added: ReadonlyMap<ContentId, IndexedText>): void {
  const byPack = Map.groupBy(added, ([content]) => packOf(content))
  for (const [pack, entries] of byPack)
    rewrite(tx, accountKey, pack, {
      added: new Map(entries.map(([content, entry]) => [lastOctet(content), entry])),
      keeps: (octet) => tx.has(tables.contents, contentKey(accountKey, pack, octet)),
    })
}

const contentKey = (accountKey: Uint8Array, pack: string, octet: number): Uint8Array =>
  concat(accountKey, fromHex(pack)!.subarray(0, -1), Uint8Array.of(octet))

function rewrite(
  tx: WriteTx,
  accountKey: Uint8Array,
  pack: string,
  { added, keeps }: { added: ReadonlyMap<number, IndexedText>; keeps: (octet: number) => boolean },
): void {
  for (const kind of kindNames) {
    const key = rowKey(accountKey, pack, kind)
    const entries = new Map(readSoundPack(tx, accountKey, { pack, kind })?.entries())
    for (const [octet, entry] of added) entries.set(octet, entry[kind])
    for (const octet of entries.keys()) if (!keeps(octet)) entries.delete(octet)
    if (entries.size > 0) tx.put(tables.searchIndex, key, encodePack(entries))
    else if (tx.has(tables.searchIndex, key)) tx.remove(tables.searchIndex, key)
  }
}

/** What goes with content that is swept: gathered, so that each row is written once. */
export class Forgetting {
  readonly #gone = new WeakMap<WriteTx, Map<string, Uint8Array[]>>()

  /** @param key account and content id, as the content's row */
  forget(tx: WriteTx, key: Uint8Array): void {
    const known = this.#gone.get(tx)
    const gone = known ?? new Map<string, Uint8Array[]>()
    if (known === undefined) {
      this.#gone.set(tx, gone)
      tx.beforeCommit(() => {
        this.#gone.delete(tx)
        for (const keys of gone.values()) this.#forget(tx, keys)
      })
    }
    const name = packOf(Buffer.from(key).toString('hex') as ContentId)
    const keys = gone.get(name)
    if (keys === undefined) gone.set(name, [key])
    else keys.push(key)
  }

  #forget(tx: WriteTx, keys: readonly Uint8Array[]): void {
    const [accountKey, content] = [keys[0]!.subarray(0, -idOctets), keys[0]!.subarray(-idOctets)]
    const octets = new Set(keys.map((key) => key.at(-1)!))
    const pack = packOf(Buffer.from(content).toString('hex') as ContentId)
    if (!tx.has(tables.searchIndex, rowKey(accountKey, pack, 'fields'))) return
    rewrite(tx, accountKey, pack, { added: new Map(), keeps: (octet) => !octets.has(octet) })
  }
}

const idOctets = 32
