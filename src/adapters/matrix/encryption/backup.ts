/**
 * Backups of room keys (Client-Server API, "Server-side key backups"): sealed by the program, kept here by version, room
 * and session. Rooms here need none; programs keep them for what they encrypted elsewhere, and expect the place.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'

export const versionSchema = z.looseObject({
  algorithm: z.string().min(1).max(limits.matrixIdOctetsMax),
  auth_data: z.record(z.string(), z.unknown()),
  version: z.string().optional(),
})
export const sessionSchema = z.looseObject({
  first_message_index: z.int().min(0),
  forwarded_count: z.int().min(0),
  is_verified: z.boolean(),
  session_data: z.record(z.string(), z.unknown()),
})
export type Session = z.infer<typeof sessionSchema>

export interface Version {
  readonly version: string
  readonly algorithm: string
  readonly auth_data: Json
  readonly count: number
  /** Grows with each change of a session. */
  readonly etag: number
  /** Of its sessions as JSON. */
  readonly octets: number
  /** Its sessions go in slices; the latest stays as long as there is none after it, so that no number comes twice. */
  readonly isRemoved: boolean
}

export interface BackedUp {
  readonly room: string
  readonly session: string
  readonly value: Session
}

/** Rows of one transaction: others wait for it. */
const sliceRows = 1000
const octetsOf = (value: Session): number => Buffer.byteLength(JSON.stringify(value))

/** Which of two copies of one session is worth more (Client-Server API, "PUT room_keys/keys"). */
export function isBetter(one: Session, than: Session): boolean {
  if (one.is_verified !== than.is_verified) return one.is_verified
  if (one.first_message_index !== than.first_message_index) return one.first_message_index < than.first_message_index
  return one.forwarded_count < than.forwarded_count
}

export interface At {
  readonly version: string
  readonly room?: string | undefined
  readonly session?: string | undefined
}

const namesOf = ({ version, room, session }: At): readonly string[] =>
  [version, room, session].filter((name): name is string => name !== undefined)

export class Backups {
  readonly #store: Store
  readonly #kept: Kept

  constructor(store: Store, kept: Kept) {
    this.#store = store
    this.#kept = kept
  }

  /** @param version the latest by default. @throws MatrixError `M_NOT_FOUND` */
  version(tx: ReadTx, account: Identity, version?: string): Version {
    const found =
      version === undefined
        ? this.#versions(tx, account).findLast(({ isRemoved }) => !isRemoved)
        : this.#kept.get<Version>(tx, account, 'backup', version)?.value
    if (found === undefined || found.isRemoved) throw new MatrixError('M_NOT_FOUND', 'There is no such backup of keys')
    return found
  }

  /** @returns its version */
  async create(account: Identity, { algorithm, auth_data }: z.infer<typeof versionSchema>): Promise<string> {
    const made = await this.#store.write((tx) => {
      const known = this.#versions(tx, account)
      const version = String(Number(known.at(-1)?.version ?? 0) + 1)
      const live = known.filter(({ isRemoved }) => !isRemoved)
      for (const old of live.slice(0, Math.max(0, live.length + 1 - limits.matrixBackupVersionsMax)))
        this.#put(tx, account, { ...old, isRemoved: true })
      this.#put(tx, account, { version, algorithm, auth_data, count: 0, etag: 0, octets: 0, isRemoved: false })
      return version
    })
    await this.#sweep(account)
    return made
  }

  /** @throws MatrixError */
  async update(account: Identity, version: string, body: z.infer<typeof versionSchema>): Promise<void> {
    await this.#store.write((tx) => {
      const known = this.version(tx, account, version)
      if (body.algorithm !== known.algorithm || (body.version !== undefined && body.version !== version))
        throw new MatrixError('M_INVALID_PARAM', 'Algorithm and version of a backup stay as they are')
      this.#put(tx, account, { ...known, auth_data: body.auth_data })
    })
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  async remove(account: Identity, version: string): Promise<void> {
    await this.#store.write((tx) => {
      this.#put(tx, account, { ...this.version(tx, account, version), isRemoved: true })
    })
    await this.#sweep(account)
  }

  /** In slices, so that nobody waits for the whole. @throws MatrixError */
  async *sessions(account: Identity, at: At): AsyncGenerator<BackedUp> {
    let after: Uint8Array | undefined
    do {
      const page = this.#store.read((tx) => {
        this.version(tx, account, at.version)
        return this.#kept.page<Session>(tx, account, 'backedUp', { names: namesOf(at), after, limit: sliceRows })
      })
      for (const { names, value } of page.values) yield { room: names[1]!, session: names[2]!, value }
      after = page.next
      await nextTurn()
    } while (after !== undefined)
  }

  /** Into the latest version only; of a session that is there the better copy stays. @throws MatrixError */
  async put(account: Identity, version: string, sessions: readonly BackedUp[]): Promise<Version> {
    return await this.#store.write((tx) => {
      const known = this.version(tx, account, version)
      const latest = this.version(tx, account)
      if (latest.version !== version)
        throw new MatrixError('M_WRONG_ROOM_KEYS_VERSION', 'There is a later backup', {
          fields: { current_version: latest.version },
        })
      let { count, etag, octets } = known
      for (const { room, session, value } of sessions) {
        const before = this.#kept.get<Session>(tx, account, 'backedUp', version, room, session)?.value
        if (before !== undefined && !isBetter(value, before)) continue
        if (octetsOf(value) > limits.matrixBackedUpBytesMax)
          throw new MatrixError('M_TOO_LARGE', `A session has ${limits.matrixBackedUpBytesMax} octets at most`)
        if (before === undefined) count += 1
        octets += octetsOf(value) - (before === undefined ? 0 : octetsOf(before))
        etag += 1
        const max = limits.matrixBackupSessionsMax
        this.#kept.put(tx, account, 'backedUp', [version, room, session], value, { max })
      }
      if (octets > limits.matrixBackupBytesMax)
        throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'This backup is full: make a new one')
      return this.#put(tx, account, { ...known, count, etag, octets })
    })
  }

  /** @throws MatrixError `M_NOT_FOUND` */
  async delete(account: Identity, at: At): Promise<Version> {
    for (;;) {
      const { version, isDone } = await this.#store.write((tx) => {
        const known = this.version(tx, account, at.version)
        const names = namesOf(at)
        const { values, next } = this.#kept.page<Session>(tx, account, 'backedUp', { names, limit: sliceRows })
        for (const one of values) this.#kept.remove(tx, account, 'backedUp', ...one.names)
        const octets = values.reduce((left, { value }) => left - octetsOf(value), known.octets)
        const [count, etag] = [known.count - values.length, known.etag + values.length]
        return { version: this.#put(tx, account, { ...known, count, etag, octets }), isDone: next === undefined }
      })
      if (isDone) return version
    }
  }

  #versions(tx: ReadTx, account: Identity): readonly Version[] {
    return this.#kept
      .list<Version>(tx, account, 'backup')
      .map(({ value }) => value)
      .toSorted((a, b) => Number(a.version) - Number(b.version))
  }

  /** Sessions of what was removed, also before a crash. */
  async #sweep(account: Identity): Promise<void> {
    let isDone = false
    while (!isDone)
      isDone = await this.#store.write((tx) => {
        const known = this.#versions(tx, account)
        for (const { version, isRemoved } of known) {
          if (!isRemoved) continue
          if (this.#kept.removeSome(tx, account, 'backedUp', sliceRows, version) === sliceRows) return false
          if (version !== known.at(-1)!.version) this.#kept.remove(tx, account, 'backup', version)
        }
        return true
      })
  }

  #put(tx: WriteTx, account: Identity, version: Version): Version {
    this.#kept.put(tx, account, 'backup', [version.version], version)
    return version
  }
}
