/**
 * Backups of room keys (Client-Server API, "Server-side key backups"): sealed by the program, kept here by version, room
 * and session. Rooms here need none; programs keep them for what they encrypted elsewhere, and expect the place.
 */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'

export const versionSchema = z.looseObject({
  algorithm: z.string().min(1).max(limits.matrixIdOctetsMax),
  auth_data: z.record(z.string(), z.unknown()),
  version: z.string().optional(),
})
export const sessionSchema = z.looseObject({
  first_message_index: z.number(),
  forwarded_count: z.number(),
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
}

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
  readonly #kept: Kept

  constructor(kept: Kept) {
    this.#kept = kept
  }

  versions(tx: ReadTx, account: Identity): readonly Version[] {
    return this.#kept
      .list<Version>(tx, account, 'backup')
      .map(({ value }) => value)
      .toSorted((a, b) => Number(a.version) - Number(b.version))
  }

  /** @param version the latest by default. @throws MatrixError `M_NOT_FOUND` */
  version(tx: ReadTx, account: Identity, version?: string): Version {
    const found =
      version === undefined
        ? this.versions(tx, account).at(-1)
        : this.#kept.get<Version>(tx, account, 'backup', version)?.value
    if (found === undefined) throw new MatrixError('M_NOT_FOUND', 'There is no such backup of keys')
    return found
  }

  create(tx: WriteTx, account: Identity, body: z.infer<typeof versionSchema>): string {
    const known = this.versions(tx, account)
    const version = String(Number(known.at(-1)?.version ?? 0) + 1)
    for (const old of known.slice(0, Math.max(0, known.length + 1 - limits.matrixBackupVersionsMax)))
      this.remove(tx, account, old.version)
    this.#put(tx, account, { version, algorithm: body.algorithm, auth_data: body.auth_data, count: 0, etag: 0 })
    return version
  }

  /** @throws MatrixError */
  update(tx: WriteTx, account: Identity, version: string, body: z.infer<typeof versionSchema>): void {
    const known = this.version(tx, account, version)
    if (body.algorithm !== known.algorithm || (body.version !== undefined && body.version !== version))
      throw new MatrixError('M_INVALID_PARAM', 'Algorithm and version of a backup stay as they are')
    this.#put(tx, account, { ...known, auth_data: body.auth_data })
  }

  remove(tx: WriteTx, account: Identity, version: string): void {
    this.#kept.remove(tx, account, 'backup', version)
    this.#kept.removeAll(tx, account, 'backedUp', version)
  }

  sessions(
    tx: ReadTx,
    account: Identity,
    at: At,
  ): readonly { readonly room: string; readonly session: string; readonly value: Session }[] {
    return this.#kept
      .list<Session>(tx, account, 'backedUp', ...namesOf(at))
      .map(({ names: [, room, session], value }) => ({ room: room!, session: session!, value }))
  }

  /** Into the latest version only; of a session that is there the better copy stays. @throws MatrixError */
  put(
    tx: WriteTx,
    account: Identity,
    version: string,
    sessions: readonly { readonly room: string; readonly session: string; readonly value: Session }[],
  ): Version {
    const latest = this.version(tx, account)
    if (latest.version !== version)
      throw new MatrixError('M_WRONG_ROOM_KEYS_VERSION', 'There is a later backup', {
        fields: { current_version: latest.version },
      })
    let { count, etag } = latest
    for (const { room, session, value } of sessions) {
      const known = this.#kept.get<Session>(tx, account, 'backedUp', version, room, session)?.value
      if (known !== undefined && !isBetter(value, known)) continue
      if (known === undefined) count += 1
      if (count > limits.matrixBackupSessionsMax)
        throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'So many keys are not kept: make a new backup')
      etag += 1
      this.#kept.put(tx, account, 'backedUp', [version, room, session], value, { max: Infinity })
    }
    return this.#put(tx, account, { ...latest, count, etag })
  }

  delete(tx: WriteTx, account: Identity, at: At): Version {
    const known = this.version(tx, account, at.version)
    const removed = this.#kept.removeAll(tx, account, 'backedUp', ...namesOf(at))
    return this.#put(tx, account, { ...known, count: known.count - removed, etag: known.etag + removed })
  }

  #put(tx: WriteTx, account: Identity, version: Version): Version {
    this.#kept.put(tx, account, 'backup', [version.version], version)
    return version
  }
}
