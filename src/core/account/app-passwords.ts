/** App passwords of every account: made, listed, revoked, and checked for the adapters (see logins.ts). */
import { setTimeout as delay } from 'node:timers/promises'
import { concat, equalConstantTime, fromHex, fromUtf8, toHex } from '../bytes.ts'
import type { Ambient } from '../ambient.ts'
import { blake2b, hmac } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import {
  type AppPassword,
  decodeAppPassword,
  encodeAppPassword,
  makePassword,
  saltBytes,
  scramIterations,
  scramVerifier,
} from './app-password.ts'
import type { Login, Logins, ScramChallenge, ScramHash } from './logins.ts'
import type { OwnAccount } from './own-account.ts'
import { Throttle } from './throttle.ts'

export interface AppPasswordInfo {
  readonly id: string
  readonly name: string
  readonly createdAtMs: number
  readonly lastUsedMs: number | undefined
}

/** What app passwords ask of accounts. */
export interface Users {
  byUser(user: string): OwnAccount | undefined
  has(identity: Identity): boolean
  get(identity: Identity): OwnAccount
  /** Called after each committed change of an account. */
  watch(listener: (identity: Identity) => void): () => void
}

interface Watched {
  readonly login: Login
  readonly ended: () => void
}

const secretKey = fromUtf8('login-secret')
const idBytes = 8
const usedNotedMs = 3600_000

/** Reads the secret that salts come from, made at the first opening. */
export async function openLogins(store: Store, ambient: Ambient, users: Users): Promise<AppPasswords> {
  const known = store.read((tx) => tx.get(tables.meta, secretKey))
  if (known !== undefined) return new AppPasswords(store, ambient, users, known)
  const secret = ambient.random.bytes(32)
  await store.write((tx) => tx.put(tables.meta, secretKey, secret))
  return new AppPasswords(store, ambient, users, secret)
}

type Held = readonly (AppPassword & { readonly id: string })[]

export class AppPasswords implements Logins {
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #users: Users
  readonly #secret: Uint8Array
  readonly #throttle: Throttle
  readonly #held = new Map<Identity, Held>()
  /** Derived keys by a keyed hash of salt and password, so that a mail client's every connection does not derive again. */
  readonly #rightKeys = new Map<string, Uint8Array>()
  readonly #memorySecret: Uint8Array
  readonly #watched = new Map<Identity, Set<Watched>>()

  constructor(store: Store, ambient: Ambient, users: Users, secret: Uint8Array) {
    this.#store = store
    this.#ambient = ambient
    this.#users = users
    this.#secret = secret
    this.#throttle = new Throttle(ambient.clock)
    this.#memorySecret = ambient.random.bytes(32)
    users.watch((account) => this.#recheck(account))
  }

  /** The password is shown this once. @throws `name-taken`, `too-large` */
  async create(
    account: Identity,
    name: string,
  ): Promise<{ readonly id: string; readonly name: string; readonly password: string }> {
    const { id, password, made } = this.#make(name)
    await this.#store.write((tx) => {
      const held = readAll(tx, account)
      if (held.length >= limits.appPasswordsMax) throw new MyceliumError('too-large', { passwords: held.length })
      if (held.some((other) => other.name === name)) throw new MyceliumError('name-taken')
      tx.put(tables.appPasswords, keyOf(tx, account, id), encodeAppPassword(made))
      tx.afterCommit(() => void this.#held.delete(account))
    })
    return { id, name, password }
  }

  /** Revokes every app password, ends the sessions that used them, and makes one new one. @returns how many went, too */
  async replaceAll(
    account: Identity,
    name: string,
  ): Promise<{ readonly id: string; readonly name: string; readonly password: string; readonly revoked: number }> {
    const { id, password, made } = this.#make(name)
    const revoked = await this.#store.write((tx) => {
      const held = readAll(tx, account)
      for (const old of held) tx.remove(tables.appPasswords, keyOf(tx, account, old.id))
      tx.put(tables.appPasswords, keyOf(tx, account, id), encodeAppPassword(made))
      tx.afterCommit(() => this.forget(account))
      return held.length
    })
    return { id, name, password, revoked }
  }

  #make(name: string): { readonly id: string; readonly password: string; readonly made: AppPassword } {
    const password = makePassword(this.#ambient.random)
    const salt = this.#salt()
    return {
      id: toHex(this.#ambient.random.bytes(idBytes)),
      password,
      made: {
        name,
        createdAtMs: this.#ambient.clock.nowMs(),
        lastUsedMs: 0,
        sha1: scramVerifier('sha1', password, salt, scramIterations),
        sha256: scramVerifier('sha256', password, salt, scramIterations),
      },
    }
  }

  list(account: Identity): readonly AppPasswordInfo[] {
    return this.#of(account)
      .map(({ id, name, createdAtMs, lastUsedMs }) => ({ id, name, createdAtMs, lastUsedMs: lastUsedMs || undefined }))
      .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
  }

  /** By name or id. Ends the sessions that it was used for. @returns its id @throws `no-such-password` */
  async revoke(account: Identity, nameOrId: string): Promise<string> {
    return await this.#store.write((tx) => {
      const found = readAll(tx, account).find(({ id, name }) => name === nameOrId || id === nameOrId)
      if (found === undefined) throw new MyceliumError('no-such-password')
      tx.remove(tables.appPasswords, keyOf(tx, account, found.id))
      tx.afterCommit(() => this.forget(account))
      return found.id
    })
  }

  /** The account's passwords changed, or it was removed: looks at them anew, and ends sessions that are not good any more. */
  forget(account: Identity): void {
    this.#held.delete(account)
    this.#recheck(account)
  }

  watch(login: Login, ended: () => void): () => void {
    const watched: Watched = { login, ended }
    const others = this.#watched.get(login.account) ?? new Set()
    this.#watched.set(login.account, others.add(watched))
    // between the check of the password and now it may have been revoked
    queueMicrotask(() => this.#recheck(login.account))
    return () => this.#unwatch(watched)
  }

  #unwatch(watched: Watched): void {
    const { account } = watched.login
    const others = this.#watched.get(account)
    others?.delete(watched)
    if (others?.size === 0) this.#watched.delete(account)
  }

  #recheck(account: Identity): void {
    for (const watched of this.#watched.get(account) ?? []) {
      if (this.isGood(watched.login)) continue
      this.#unwatch(watched)
      watched.ended()
    }
  }

  isGood({ account, passwordId }: Login): boolean {
    if (!this.#users.has(account) || this.#users.get(account).disabled) return false
    return this.#of(account).some(({ id }) => id === passwordId)
  }

  async byPassword(user: string, password: string, source: string): Promise<Login | undefined> {
    const name = user.toLowerCase()
    const account = this.#accountOf(user)
    const memoryKey = toHex(blake2b(32, fromUtf8(password), this.#memorySecret))
    const remembered = this.#rightKeys.get(memoryKey)
    // What was right before costs nothing to check and is no guess: on loopback all programs are one source, and one
    // of them that guesses must not keep the others out.
    if (remembered === undefined && !this.#throttle.allows(source, name)) throw new MyceliumError('throttled')
    const storedKey = remembered ?? scramVerifier('sha256', password, this.#salt(), scramIterations).storedKey
    // every verifier is compared, so that neither their number in front of the right one nor the user shows in time
    const matching = (account === undefined ? [] : this.#of(account)).filter(({ sha256 }) =>
      equalConstantTime(sha256.storedKey, storedKey),
    )
    const found = matching[0]
    if (account === undefined || found === undefined) {
      await delay(this.#throttle.failed(source, name))
      return undefined
    }
    this.#throttle.succeeded(source, name)
    this.#rememberKey(memoryKey, storedKey)
    this.#noteUse(account, found)
    return { account, passwordId: found.id }
  }

  /** Of right passwords only: a wrong one always costs its derivation, and a revoked one matches no verifier. */
  #rememberKey(memoryKey: string, storedKey: Uint8Array): void {
    if (this.#rightKeys.size >= limits.rememberedLoginsMax) this.#rightKeys.clear()
    this.#rightKeys.set(memoryKey, storedKey)
  }

  scram(user: string, hash: ScramHash, source: string): ScramChallenge {
    const name = user.toLowerCase()
    if (!this.#throttle.allows(source, name)) throw new MyceliumError('throttled')
    const account = this.#accountOf(user)
    const verifiers =
      account === undefined
        ? []
        : this.#of(account).map((held) => ({ ...held[hash], login: { account, passwordId: held.id } }))
    return { salt: this.#salt(), iterations: scramIterations, verifiers }
  }

  scramEnded(user: string, source: string, success: boolean): void {
    const name = user.toLowerCase()
    if (success) this.#throttle.succeeded(source, name)
    else this.#throttle.failed(source, name)
  }

  #accountOf(user: string): Identity | undefined {
    const found = this.#users.byUser(user)
    return found === undefined || found.disabled ? undefined : found.identity
  }

  /**
   * One for the whole gateway. SCRAM shows the salt to anybody who asks, and only equal salts do not tell which names
   * belong to an account, or to the same one. It protects nothing else: 140 random bits are in no table.
   *
   * 2026-11: one per account and made-up ones for everybody else gave accounts away: `alice` and `alice@example.org`
   * had the same made-up salt where there was no alice, and two where there was.
   */
  #salt(): Uint8Array {
    return hmac('sha256', this.#secret, fromUtf8('salt')).subarray(0, saltBytes)
  }

  #of(account: Identity): Held {
    const known = this.#held.get(account)
    if (known !== undefined) return known
    const held = this.#store.read((tx) => readAll(tx, account))
    this.#held.set(account, held)
    return held
  }

  /** In the background: a login does not wait for a disk. */
  #noteUse(account: Identity, { id, lastUsedMs }: Held[number]): void {
    const nowMs = this.#ambient.clock.nowMs()
    if (nowMs < lastUsedMs + usedNotedMs) return
    const noted = this.#store.write((tx) => {
      const value = tx.get(tables.appPasswords, keyOf(tx, account, id))
      if (value === undefined) return
      tx.put(
        tables.appPasswords,
        keyOf(tx, account, id),
        encodeAppPassword({ ...decodeAppPassword(value), lastUsedMs: nowMs }),
      )
      tx.afterCommit(() => void this.#held.delete(account))
    })
    noted.catch((error: unknown) => {
      this.#ambient.log.warn('login.use-not-noted', { error: error instanceof Error ? error.message : 'unknown' })
    })
  }
}

const prefixOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(Buffer.from(account, 'hex'))
const keyOf = (tx: ReadTx, account: Identity, id: string): Uint8Array => concat(prefixOf(tx, account), fromHex(id)!)

function readAll(tx: ReadTx, account: Identity): Held {
  const prefix = prefixOf(tx, account)
  return Array.from(tx.range(tables.appPasswords, { prefix }), ({ key, value }) => ({
    ...decodeAppPassword(value),
    id: toHex(key.subarray(prefix.length)),
  }))
}
