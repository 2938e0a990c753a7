/**
 * Rooms under names that programs chose. A program that makes a room goes on calling it by the JID that it entered
 * (XEP-0045 §10.1), so the group gets that local part here, for everybody who uses this gateway, until nobody of them is in
 * the group any more. Every room has the JID of its group id besides.
 */
import { decode, encode, hexId, record, text, versionByte } from '../../core/codec.ts'
import { fromUtf8 } from '../../core/bytes.ts'
import type { GroupId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { ReadTx, Store, WriteTx } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'

interface RoomName {
  readonly group: GroupId
  readonly local: string
}

const rowCodec = record<RoomName & { readonly version: 1 }>({
  version: versionByte(1),
  group: hexId<GroupId>(32),
  local: text(limits.xmppRoomLocalOctetsMax),
})

const keyOf = (tx: ReadTx, local: string): Uint8Array => tx.opaque(fromUtf8(local))

export class RoomNames {
  readonly #groups = new Map<string, GroupId>()
  readonly #locals = new Map<GroupId, string>()

  constructor(store: Store) {
    const rows = store.read((tx) => [...tx.range(tables.xmppRoomNames, {})].map(({ value }) => decode(rowCodec, value)))
    for (const row of rows) this.#remember(row)
  }

  groupOf = (local: string): GroupId | undefined => this.#groups.get(local)

  /** The same, as a transaction sees it. */
  groupIn(tx: ReadTx, local: string): GroupId | undefined {
    const value = tx.get(tables.xmppRoomNames, keyOf(tx, local))
    return value === undefined ? undefined : decode(rowCodec, value).group
  }

  /** The local part of a room's JID. */
  localOf = (group: GroupId): string => this.#locals.get(group) ?? group

  /** In the transaction that founds the group; takes the name from one that had it before. */
  give(tx: WriteTx, local: string, group: GroupId): void {
    tx.put(tables.xmppRoomNames, keyOf(tx, local), encode(rowCodec, { version: 1, group, local }))
    tx.afterCommit(() => this.#remember({ group, local }))
  }

  #remember({ group, local }: RoomName): void {
    const before = this.#groups.get(local)
    if (before !== undefined) this.#locals.delete(before)
    this.#groups.set(local, group)
    this.#locals.set(group, local)
  }
}

/** What a program may call a room: no other room's own id, and not too long. */
export const isRoomName = (local: string): boolean =>
  !/^[\da-f]{64}$/.test(local) && fromUtf8(local).length <= limits.xmppRoomLocalOctetsMax
