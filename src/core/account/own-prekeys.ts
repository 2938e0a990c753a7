/**
 * The private halves of this gateway's prekeys: made weekly and ahead, kept 35 days after the last use, then forgotten.
 * (2026-11-20: an expired one is only marked at first and goes when it is still expired a day later, so that a clock
 * set forward by mistake destroys nothing before somebody can notice.)
 */
import { concat } from '../bytes.ts'
import { bytes, decode, encode, record, u64 } from '../codec.ts'
import type { Ambient } from '../ambient.ts'
import type { Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { DeviceSecrets } from '../identity/device.ts'
import {
  decodePrekeySecret,
  encodePrekeySecret,
  makePrekey,
  prekeyEndsMs,
  type PrekeyId,
  prekeyIdAt,
  type PrekeySecret,
  signPrekey,
  type SignedPrekey,
  signedPrekeyCodec,
} from '../identity/prekeys.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

interface Held {
  readonly secret: PrekeySecret
  readonly signed: SignedPrekey
  /** Unix milliseconds; 0 before the first use. */
  readonly lastUsedMs: number
  /** When it was first seen expired; 0 while it is not. */
  readonly doomedAtMs: number
}

const heldCodec = record<Omit<Held, 'secret'> & { readonly secret: Uint8Array }>({
  secret: bytes(256),
  signed: signedPrekeyCodec,
  lastUsedMs: u64,
  doomedAtMs: u64,
})
const encodeHeld = (held: Held): Uint8Array => encode(heldCodec, { ...held, secret: encodePrekeySecret(held.secret) })
function decodeHeld(encoded: Uint8Array): Held {
  const held = decode(heldCodec, encoded)
  return { ...held, secret: decodePrekeySecret(held.secret) }
}

const useNotedMs = 24 * 3600_000 // a later use within this changes nothing that matters against 35 days

export class OwnPrekeys {
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #byAccount = new Map<Identity, ReadonlyMap<PrekeyId, Held>>()

  constructor(store: Store, ambient: Ambient) {
    this.#store = store
    this.#ambient = ambient
  }

  /**
   * Makes what is missing from this week to 8 weeks ahead and forgets what nobody can use any more. Call it at start
   * and daily.
   */
  async rotate(account: Identity, device: DeviceSecrets, nowMs: number): Promise<void> {
    const held = this.#of(account)
    const made = weeksFrom(nowMs)
      .filter((id) => !held.has(id))
      .map((id) => this.#make(account, device, id))
    await this.#store.write((tx) => {
      const next = new Map(readAll(tx, account))
      for (const fresh of made) {
        if (!next.has(fresh.secret.id)) next.set(fresh.secret.id, this.#put(tx, account, fresh))
      }
      for (const known of Array.from(next.values())) {
        const kept = this.#age(tx, account, known, nowMs)
        if (kept === undefined) next.delete(known.secret.id)
        else next.set(known.secret.id, kept)
      }
      tx.afterCommit(() => this.#byAccount.set(account, next))
    })
  }

  /** All of them anew for another device, in the transaction that makes it the account's. */
  replace(tx: WriteTx, account: Identity, device: DeviceSecrets, nowMs: number): void {
    for (const id of readAll(tx, account).keys()) tx.remove(tables.prekeySecrets, keyOf(tx, account, id))
    const made = weeksFrom(nowMs).map((id) => this.#put(tx, account, this.#make(account, device, id)))
    tx.afterCommit(() => this.#byAccount.set(account, new Map(made.map((held) => [held.secret.id, held]))))
  }

  #make(account: Identity, device: DeviceSecrets, id: PrekeyId): Held {
    const secret = makePrekey(id, this.#ambient.random)
    return { secret, signed: signPrekey(account, device, secret), lastUsedMs: 0, doomedAtMs: 0 }
  }

  #put(tx: WriteTx, account: Identity, held: Held): Held {
    tx.put(tables.prekeySecrets, keyOf(tx, account, held.secret.id), encodeHeld(held))
    return held
  }

  /** Unchanged, marked, unmarked, or `undefined` when its time has come. */
  #age(tx: WriteTx, account: Identity, held: Held, nowMs: number): Held | undefined {
    const isExpired = Math.max(prekeyEndsMs(held.secret.id), held.lastUsedMs) + limits.prekeyKeepMs < nowMs
    if (!isExpired) return held.doomedAtMs === 0 ? held : this.#put(tx, account, { ...held, doomedAtMs: 0 })
    if (held.doomedAtMs === 0) return this.#put(tx, account, { ...held, doomedAtMs: nowMs })
    if (nowMs < held.doomedAtMs + limits.prekeyDoomMs) return held
    tx.remove(tables.prekeySecrets, keyOf(tx, account, held.secret.id))
    return undefined
  }

  /** The private halves, whatever the clock says, as long as they are held. */
  secret(account: Identity, id: PrekeyId): PrekeySecret | undefined {
    return this.#of(account).get(id)?.secret
  }

  /** Notes that a handshake used it, in the handshake's own transaction. */
  used(tx: WriteTx, account: Identity, id: PrekeyId, nowMs: number): void {
    const value = tx.get(tables.prekeySecrets, keyOf(tx, account, id))
    const held = value && decodeHeld(value)
    if (held === undefined || nowMs < held.lastUsedMs + useNotedMs) return
    const noted = this.#put(tx, account, { ...held, lastUsedMs: nowMs, doomedAtMs: 0 })
    tx.afterCommit(() => this.#byAccount.set(account, new Map(this.#of(account)).set(id, noted)))
  }

  /** Signed public halves of this week and the weeks after, in order. */
  published(account: Identity, nowMs: number): readonly SignedPrekey[] {
    const week = prekeyIdAt(nowMs)
    return [...this.#of(account).values()]
      .filter(({ secret }) => secret.id >= week && secret.id <= week + limits.prekeysAhead)
      .toSorted((a, b) => a.secret.id - b.secret.id)
      .map(({ signed }) => signed)
  }

  forget(account: Identity): void {
    this.#byAccount.delete(account)
  }

  #of(account: Identity): ReadonlyMap<PrekeyId, Held> {
    const known = this.#byAccount.get(account)
    if (known !== undefined) return known
    const loaded = this.#store.read((tx) => readAll(tx, account))
    this.#byAccount.set(account, loaded)
    return loaded
  }
}

/** This week and those that are published ahead. */
const weeksFrom = (nowMs: number): readonly PrekeyId[] =>
  Array.from({ length: limits.prekeysAhead + 1 }, (_, ahead) => prekeyIdAt(nowMs) + ahead)

function keyOf(tx: ReadTx, account: Identity, id: PrekeyId): Uint8Array {
  const number = new Uint8Array(4)
  new DataView(number.buffer).setUint32(0, id)
  return concat(tx.opaque(Buffer.from(account, 'hex')), number)
}

function readAll(tx: ReadTx, account: Identity): ReadonlyMap<PrekeyId, Held> {
  const held = new Map<PrekeyId, Held>()
  for (const { value } of tx.range(tables.prekeySecrets, { prefix: tx.opaque(Buffer.from(account, 'hex')) })) {
    const one = decodeHeld(value)
    held.set(one.secret.id, one)
  }
  return held
}
