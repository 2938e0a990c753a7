/**
 * The groups of an account as its devices have them in common: every operation, an item each. Keys are not handed on:
 * another device is one more device of its member, and gets chains from the others as whoever joins does.
 */
import { toHex } from '../bytes.ts'
import { decode, encode, hexId, record, u64 } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import { readGroupOp, type SignedGroupOp, signedGroupOpCodec } from '../group/op.ts'
import type { GroupId, Identity } from '../ids.ts'
import {
  type ItemSlice,
  type MergeSource,
  type ReplicaItem,
  type Replicas,
  type Replicated,
  sliceOf,
} from '../replica/replicas.ts'
import type { ItemId } from '../replica/set-reconciliation.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { type GroupBook, type GroupState, groupStateCodec } from './group-book.ts'

interface OpState {
  readonly group: GroupId
  readonly op: SignedGroupOp
  readonly state: GroupState
  readonly addedBy: Identity
  readonly sinceMs: number
}
const opState = record<OpState>({
  group: hexId<GroupId>(32),
  op: signedGroupOpCodec,
  state: groupStateCodec,
  addedBy: hexId<Identity>(32),
  sinceMs: u64,
})

const itemOf = (id: string): ItemId => id.slice(0, 32)

export class SharedGroups implements Replicated {
  readonly kind = 6
  readonly #parts: { readonly book: GroupBook; readonly replicas: Replicas; readonly nowMs: () => number }

  constructor(parts: { readonly book: GroupBook; readonly replicas: Replicas; readonly nowMs: () => number }) {
    this.#parts = parts
    const { book, replicas } = parts
    book.whenAdded((tx, account, signed) => {
      if (replicas.follows(account))
        replicas.changed(tx, { account, kind: this.kind, ids: [itemOf(readGroupOp(signed).id)], from: undefined })
    })
  }

  /** The version says whether a person has accepted the group, beside what never changes. */
  items(tx: ReadTx, account: Identity, from: Uint8Array | undefined): ItemSlice {
    const { book } = this.#parts
    const isInvited = new Set(
      book.rows(tx, account).flatMap(({ group, state }) => (state === 'invited' ? [group] : [])),
    )
    return sliceOf(tx, tables.groupOps, { prefix: book.accountKey(tx, account), from }, (value): ReplicaItem => {
      const { id, op } = readGroupOp(decode(signedGroupOpCodec, value))
      const group = op.action.kind === 'create' ? (id as string as GroupId) : op.group
      const what = Buffer.concat([Buffer.from(id, 'hex'), Buffer.of(isInvited.has(group) ? 1 : 0)])
      const version = toHex(labelledHash('mycelium/group-op-version/1', what).subarray(0, 16))
      return { atMs: op.atMs, id: itemOf(id), version }
    })
  }

  state(tx: ReadTx, account: Identity, item: ItemId): Uint8Array | undefined {
    const { book } = this.#parts
    for (const { group, state, addedBy, sinceMs } of book.rows(tx, account)) {
      const prefix = Buffer.concat([book.key(tx, account, group), Buffer.from(item, 'hex')])
      for (const { value } of tx.range(tables.groupOps, { prefix, limit: 1 }))
        return encode(opState, { group, op: decode(signedGroupOpCodec, value), state, addedBy, sinceMs })
    }
    return undefined
  }

  /** What cannot be added yet, as its group's first operation is not here, is left out: it comes again. */
  merge(tx: WriteTx, { account, device }: MergeSource, states: readonly Uint8Array[]): void {
    const { book, replicas, nowMs } = this.#parts
    for (const encoded of states) {
      const { group: id, op, state, addedBy, sinceMs } = decode(opState, encoded)
      const signed = { body: Uint8Array.from(op.body), signature: Uint8Array.from(op.signature) }
      const read = readGroupOp(signed)
      const isFirst = read.op.action.kind === 'create'
      const known = book.group(tx, account, id)
      if (known === undefined && !isFirst) continue
      const group = known ?? book.open(tx, account, signed)
      if (group.id !== id) throw new MyceliumError('malformed', { reason: 'group' })
      if (!isFirst) book.add(tx, account, group, signed, nowMs())
      const row = book.row(tx, account, id)
      const isIn = group.state.members.has(account)
      const next: GroupState = !isIn ? 'left' : row?.state === 'joined' || state === 'joined' ? 'joined' : 'invited'
      if (row?.state === next) continue
      book.putRow(tx, account, { group: id, addedBy, sinceMs, ...row, state: next })
      replicas.changed(tx, { account, kind: this.kind, ids: [itemOf(read.id)], from: device })
    }
  }
}
