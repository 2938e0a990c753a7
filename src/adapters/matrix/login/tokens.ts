/**
 * Access tokens: each for one program of one account, good while the app password is by which it was given. Only a keyed
 * hash of a token is kept.
 */
import type { Login, Logins } from '../../../core/account/logins.ts'
import type { Ambient } from '../../../core/ambient.ts'
import { concat, fromUtf8, toBase64Url } from '../../../core/bytes.ts'
import { array, bool, decode, encode, hexId, optional, record, text, u64 } from '../../../core/codec.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import type { Caller } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'

interface TokenRow extends Login {
  readonly device: string
  readonly usedAtMs: number
  /** Unix ms; 0: while it is used. */
  readonly expiresMs: number
  /** Good for another access token only (Client-Server API, "Refreshing access tokens"). */
  readonly isRefresh: boolean
}
const tokenCodec = record<TokenRow>({
  account: hexId<Identity>(32),
  passwordId: text(256),
  device: text(limits.matrixIdOctetsMax),
  usedAtMs: u64,
  expiresMs: u64,
  isRefresh: bool,
})

export interface Device {
  readonly id: string
  readonly name: string | undefined
  readonly seenAtMs: number
}
const tokensPerDevice = 4
interface DeviceRow extends Device {
  /** Keys of its tokens: those in use, and those before them, which are good until the new ones were used. */
  readonly tokens: readonly string[]
}
const deviceCodec = record<DeviceRow>({
  id: text(limits.matrixIdOctetsMax),
  name: optional(text(limits.matrixDeviceNameOctetsMax)),
  seenAtMs: u64,
  tokens: array(text(64), tokensPerDevice),
})

const knownMax = 10_000
/** What a program gets: one token for good, or one for a while and one to get another. */
export interface Given {
  readonly token: string
  readonly device: string
  readonly refresh: { readonly token: string; readonly expiresInMs: number } | undefined
}

/** A use is noted no more often than this. */
const seenEveryMs = 10 * 60_000

interface Known {
  readonly caller: Caller
  readonly login: Login
  readonly usedAtMs: number
  readonly expiresMs: number
}

export class Tokens {
  readonly #store: Store
  readonly #logins: Logins
  readonly #ambient: Ambient
  /** By token: every request asks. */
  readonly #known = new Map<string, Known>()
  readonly #ended = new Set<(tx: WriteTx, account: Identity, device: string) => void>()

  constructor(parts: { readonly store: Store; readonly logins: Logins; readonly ambient: Ambient }) {
    this.#store = parts.store
    this.#logins = parts.logins
    this.#ambient = parts.ambient
  }

  /** A device goes, in the transaction in which it does. */
  whenEnded(listener: (tx: WriteTx, account: Identity, device: string) => void): void {
    this.#ended.add(listener)
  }

  /** @param device asked for by the program; its tokens before end */
  async make(
    login: Login,
    {
      device = this.#newDeviceId(),
      name,
      refreshes,
    }: {
      readonly device?: string | undefined
      readonly name?: string | undefined
      readonly refreshes?: boolean | undefined
    },
  ): Promise<Given> {
    const given = this.#draw(device, refreshes === true)
    const gone = await this.#store.write((tx) => {
      const before = readDevice(tx, deviceKey(tx, login.account, device))
      for (const token of before?.tokens ?? []) tx.remove(tables.matrixTokens, Buffer.from(token, 'hex'))
      const many = before === undefined ? this.#makeRoom(tx, login.account) : undefined
      this.#put(tx, login, given, { name: name ?? before?.name, before: [] })
      return [...(before === undefined ? [] : [device]), ...(many === undefined ? [] : [many])]
    })
    for (const one of gone) this.#forget(login.account, one)
    return given
  }

  /**
   * Another access token. The tokens before stay good until these are shown: a program that did not hear the answer asks
   * again.
   * @throws MatrixError `M_UNKNOWN_TOKEN`
   */
  async refresh(token: string): Promise<Given> {
    const nowMs = this.#ambient.clock.nowMs()
    return await this.#store.write((tx) => {
      const key = tokenKey(tx, token)
      const row = readToken(tx, key)
      if (row?.isRefresh !== true || !this.#logins.isGood(row) || nowMs - row.usedAtMs > limits.matrixTokenMs)
        throw new MatrixError('M_UNKNOWN_TOKEN', 'This refresh token is not good (any more): log in again')
      const device = readDevice(tx, deviceKey(tx, row.account, row.device))
      const given = this.#draw(row.device, true)
      // of tokens that were never shown none is good beside these
      const inUse = Buffer.from(key).toString('hex')
      const others = device?.tokens ?? []
      const pair = others.slice(2 * Math.floor(others.indexOf(inUse) / 2)).slice(0, 2)
      for (const one of others) if (!pair.includes(one)) tx.remove(tables.matrixTokens, Buffer.from(one, 'hex'))
      this.#put(tx, row, given, { name: device?.name, before: pair })
      return given
    })
  }

  #draw(device: string, refreshes: boolean): Given {
    const draw = (): string => toBase64Url(this.#ambient.random.bytes(32))
    const refresh = refreshes ? { token: `mycr_${draw()}`, expiresInMs: limits.matrixShortTokenMs } : undefined
    return { token: `myc_${draw()}`, device, refresh }
  }

  #put(
    tx: WriteTx,
    { account, passwordId }: Login,
    { token, device, refresh }: Given,
    { name, before }: { readonly name: string | undefined; readonly before: readonly string[] },
  ): void {
    const nowMs = this.#ambient.clock.nowMs()
    const row = { account, passwordId, device, usedAtMs: nowMs }
    const put = (of: string, more: Pick<TokenRow, 'expiresMs' | 'isRefresh'>): string => {
      const key = tokenKey(tx, of)
      tx.put(tables.matrixTokens, key, encode(tokenCodec, { ...row, ...more }))
      return Buffer.from(key).toString('hex')
    }
    const expiresMs = refresh === undefined ? 0 : nowMs + refresh.expiresInMs
    const tokens = [
      put(token, { expiresMs, isRefresh: false }),
      ...(refresh === undefined ? [] : [put(refresh.token, { expiresMs: 0, isRefresh: true })]),
    ]
    const deviceRow: DeviceRow = { id: device, name, seenAtMs: nowMs, tokens: [...tokens, ...before] }
    tx.put(tables.matrixDevices, deviceKey(tx, account, device), encode(deviceCodec, deviceRow))
  }

  /** @throws MatrixError */
  callerOf(token: string | undefined): Caller {
    if (token === undefined || token === '') throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
    const found = this.#known.get(token) ?? this.#read(token)
    const nowMs = this.#ambient.clock.nowMs()
    const isOver = found !== undefined && found.expiresMs !== 0 && found.expiresMs <= nowMs
    if (found === undefined || isOver || !this.#logins.isGood(found.login))
      throw new MatrixError('M_UNKNOWN_TOKEN', 'This access token is not good (any more): log in again', {
        fields: { soft_logout: isOver },
      })
    if (nowMs - found.usedAtMs > seenEveryMs) this.#noteUse(token, nowMs)
    return found.caller
  }

  devices(account: Identity): readonly Device[] {
    return this.#store.read((tx) => this.devicesIn(tx, account))
  }

  devicesIn(tx: ReadTx, account: Identity): readonly Device[] {
    return Array.from(tx.range(tables.matrixDevices, { prefix: accountKey(tx, account) }), ({ value }) =>
      decode(deviceCodec, value),
    )
  }

  /** Also of one that went while it was asking. */
  has(tx: ReadTx, account: Identity, device: string): boolean {
    return tx.has(tables.matrixDevices, deviceKey(tx, account, device))
  }

  /** Accounts that have a program which has logged in. */
  accounts(among: readonly Identity[]): readonly Identity[] {
    return this.#store.read((tx) =>
      among.filter(
        (account) => [...tx.keys(tables.matrixDevices, { prefix: accountKey(tx, account), limit: 1 })].length > 0,
      ),
    )
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  async rename(account: Identity, device: string, name: string): Promise<void> {
    await this.#store.write((tx) => {
      const key = deviceKey(tx, account, device)
      const row = readDevice(tx, key)
      if (row === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such device')
      tx.put(tables.matrixDevices, key, encode(deviceCodec, { ...row, name }))
    })
  }

  async end(account: Identity, devices: readonly string[]): Promise<void> {
    await this.#store.write((tx) => {
      for (const device of devices) this.#remove(tx, account, device)
    })
    for (const device of devices) this.#forget(account, device)
  }

  #remove(tx: WriteTx, account: Identity, device: string): void {
    const key = deviceKey(tx, account, device)
    const row = readDevice(tx, key)
    if (row === undefined) return
    for (const token of row.tokens) tx.remove(tables.matrixTokens, Buffer.from(token, 'hex'))
    tx.remove(tables.matrixDevices, key)
    for (const listener of this.#ended) listener(tx, account, device)
  }

  #makeRoom(tx: WriteTx, account: Identity): string | undefined {
    const rows = Array.from(tx.range(tables.matrixDevices, { prefix: accountKey(tx, account) }), ({ value }) =>
      decode(deviceCodec, value),
    )
    if (rows.length < limits.matrixDevicesMax) return undefined
    const oldest = rows.toSorted((a, b) => a.seenAtMs - b.seenAtMs)[0]!.id
    this.#remove(tx, account, oldest)
    return oldest
  }

  #read(token: string): Known | undefined {
    const row = this.#store.read((tx) => readToken(tx, tokenKey(tx, token)))
    if (row === undefined || row.isRefresh) return undefined
    if (this.#ambient.clock.nowMs() - row.usedAtMs > limits.matrixTokenMs) return undefined
    const { account, passwordId, device, usedAtMs, expiresMs } = row
    const found: Known = { caller: { account, device, token }, login: { account, passwordId }, usedAtMs, expiresMs }
    if (this.#known.size >= knownMax) this.#known.clear()
    this.#known.set(token, found)
    if (expiresMs !== 0) this.#shown(account, device, token)
    return found
  }

  /** New tokens that were shown have come: those before them end. */
  #shown(account: Identity, device: string, token: string): void {
    this.#inBackground((tx) => {
      const key = deviceKey(tx, account, device)
      const row = readDevice(tx, key)
      const at = row?.tokens.indexOf(Buffer.from(tokenKey(tx, token)).toString('hex'))
      if (row === undefined || at !== 0 || row.tokens.length <= 2) return
      for (const old of row.tokens.slice(2)) tx.remove(tables.matrixTokens, Buffer.from(old, 'hex'))
      tx.put(tables.matrixDevices, key, encode(deviceCodec, { ...row, tokens: row.tokens.slice(0, 2) }))
      tx.afterCommit(() => {
        for (const [one, known] of this.#known)
          if (known.caller.account === account && known.caller.device === device && one !== token)
            this.#known.delete(one)
      })
    })
  }

  #noteUse(token: string, nowMs: number): void {
    const known = this.#known.get(token)
    if (known === undefined) return
    this.#known.set(token, { ...known, usedAtMs: nowMs })
    const { account, device } = known.caller
    this.#inBackground((tx) => {
      const key = tokenKey(tx, token)
      const row = readToken(tx, key)
      const deviceRow = readDevice(tx, deviceKey(tx, account, device))
      if (row === undefined || deviceRow === undefined) return
      tx.put(tables.matrixTokens, key, encode(tokenCodec, { ...row, usedAtMs: nowMs }))
      const seen = encode(deviceCodec, { ...deviceRow, seenAtMs: nowMs })
      tx.put(tables.matrixDevices, deviceKey(tx, account, device), seen)
    })
  }

  #inBackground(use: (tx: WriteTx) => void): void {
    this.#store.write(use).catch(() => this.#ambient.log.warn('matrix.use-not-noted'))
  }

  #forget(account: Identity, device: string): void {
    for (const [token, { caller }] of this.#known)
      if (caller.account === account && caller.device === device) this.#known.delete(token)
  }

  #newDeviceId(): string {
    return Buffer.from(this.#ambient.random.bytes(5)).toString('hex').toUpperCase()
  }
}

const accountKey = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(Buffer.from(account, 'hex'))
const deviceKey = (tx: ReadTx, account: Identity, device: string): Uint8Array =>
  concat(accountKey(tx, account), tx.opaque(fromUtf8(device)))
const tokenKey = (tx: ReadTx, token: string): Uint8Array => tx.opaque(fromUtf8('matrix-token'), fromUtf8(token))

function readDevice(tx: ReadTx, key: Uint8Array): DeviceRow | undefined {
  const value = tx.get(tables.matrixDevices, key)
  return value === undefined ? undefined : decode(deviceCodec, value)
}

function readToken(tx: ReadTx, key: Uint8Array): TokenRow | undefined {
  const value = tx.get(tables.matrixTokens, key)
  return value === undefined ? undefined : decode(tokenCodec, value)
}
