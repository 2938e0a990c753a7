/**
 * Access tokens: each for one program of one account, good while the app password is by which it was given. Only a keyed
 * hash of a token is kept.
 */
import type { Login, Logins } from '../../../core/account/logins.ts'
import type { Ambient } from '../../../core/ambient.ts'
import { concat, fromUtf8, toBase64Url } from '../../../core/bytes.ts'
import { decode, encode, hexId, optional, record, text, u64 } from '../../../core/codec.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import type { Caller } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'

interface TokenRow extends Login {
  readonly device: string
  readonly usedAtMs: number
}
const tokenCodec = record<TokenRow>({
  account: hexId<Identity>(32),
  passwordId: text(256),
  device: text(limits.matrixIdOctetsMax),
  usedAtMs: u64,
})

export interface Device {
  readonly id: string
  readonly name: string | undefined
  readonly seenAtMs: number
}
interface DeviceRow extends Device {
  /** Key of its token. */
  readonly token: string
}
const deviceCodec = record<DeviceRow>({
  id: text(limits.matrixIdOctetsMax),
  name: optional(text(limits.matrixDeviceNameOctetsMax)),
  seenAtMs: u64,
  token: text(64),
})

const knownMax = 10_000
/** A use is noted no more often than this. */
const seenEveryMs = 10 * 60_000

export class Tokens {
  readonly #store: Store
  readonly #logins: Logins
  readonly #ambient: Ambient
  /** By token: every request asks. */
  readonly #known = new Map<string, { readonly caller: Caller; readonly login: Login; readonly usedAtMs: number }>()
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

  /** @param device asked for by the program; its token before ends */
  async make(
    login: Login,
    {
      device = this.#newDeviceId(),
      name,
    }: { readonly device?: string | undefined; readonly name?: string | undefined },
  ): Promise<{ readonly token: string; readonly device: string }> {
    const token = `myc_${toBase64Url(this.#ambient.random.bytes(32))}`
    const nowMs = this.#ambient.clock.nowMs()
    const gone = await this.#store.write((tx) => {
      const key = deviceKey(tx, login.account, device)
      const before = readDevice(tx, key)
      if (before !== undefined) tx.remove(tables.matrixTokens, Buffer.from(before.token, 'hex'))
      const many = before === undefined ? this.#makeRoom(tx, login.account) : undefined
      const tokenRow = tokenKey(tx, token)
      tx.put(tables.matrixTokens, tokenRow, encode(tokenCodec, { ...login, device, usedAtMs: nowMs }))
      const row: DeviceRow = {
        id: device,
        name: name ?? before?.name,
        seenAtMs: nowMs,
        token: Buffer.from(tokenRow).toString('hex'),
      }
      tx.put(tables.matrixDevices, key, encode(deviceCodec, row))
      return [...(before === undefined ? [] : [device]), ...(many === undefined ? [] : [many])]
    })
    for (const one of gone) this.#forget(login.account, one)
    return { token, device }
  }

  /** @throws MatrixError */
  callerOf(token: string | undefined): Caller {
    if (token === undefined || token === '') throw new MatrixError('M_MISSING_TOKEN', 'Missing access token')
    const found = this.#known.get(token) ?? this.#read(token)
    if (found === undefined || !this.#logins.isGood(found.login))
      throw new MatrixError('M_UNKNOWN_TOKEN', 'This access token is not good (any more): log in again', {
        fields: { soft_logout: false },
      })
    const nowMs = this.#ambient.clock.nowMs()
    if (nowMs - found.usedAtMs > seenEveryMs) this.#noteUse(token, nowMs)
    return found.caller
  }

  devices(account: Identity): readonly Device[] {
    return this.#store.read((tx) =>
      Array.from(tx.range(tables.matrixDevices, { prefix: accountKey(tx, account) }), ({ value }) =>
        decode(deviceCodec, value),
      ),
    )
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
    tx.remove(tables.matrixTokens, Buffer.from(row.token, 'hex'))
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

  #read(token: string): { readonly caller: Caller; readonly login: Login; readonly usedAtMs: number } | undefined {
    const row = this.#store.read((tx) => {
      const value = tx.get(tables.matrixTokens, tokenKey(tx, token))
      return value === undefined ? undefined : decode(tokenCodec, value)
    })
    if (row === undefined || this.#ambient.clock.nowMs() - row.usedAtMs > limits.matrixTokenMs) return undefined
    const { account, passwordId, device, usedAtMs } = row
    const found = { caller: { account, device, token }, login: { account, passwordId }, usedAtMs }
    if (this.#known.size >= knownMax) this.#known.clear()
    this.#known.set(token, found)
    return found
  }

  #noteUse(token: string, nowMs: number): void {
    const known = this.#known.get(token)
    if (known === undefined) return
    this.#known.set(token, { ...known, usedAtMs: nowMs })
    const { account, device } = known.caller
    void this.#store
      .write((tx) => {
        const key = tokenKey(tx, token)
        const row = tx.get(tables.matrixTokens, key)
        const deviceRow = readDevice(tx, deviceKey(tx, account, device))
        if (row === undefined || deviceRow === undefined) return
        tx.put(tables.matrixTokens, key, encode(tokenCodec, { ...decode(tokenCodec, row), usedAtMs: nowMs }))
        tx.put(
          tables.matrixDevices,
          deviceKey(tx, account, device),
          encode(deviceCodec, { ...deviceRow, seenAtMs: nowMs }),
        )
      })
      .catch(() => this.#ambient.log.warn('matrix.use-not-noted'))
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
