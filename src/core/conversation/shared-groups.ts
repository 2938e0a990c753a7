/**
 * The groups of an account as its devices have them in common: every operation, an item each. Keys are not handed on:
 * another device is one more device of its member, and gets chains from the others as whoever joins does.
 */
import { toHex } from '../bytes.ts'
import { decode, encode, hexId, record, u64 } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { headsCodec, readGroupOp, type SignedGroupOp, signedGroupOpCodec } from '../group/op.ts'
import type { GroupId, GroupOpId, Identity } from '../ids.ts'
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
  /** By which the group was founded: whatever comes first can be kept. */
  readonly first: SignedGroupOp
  readonly op: SignedGroupOp
  readonly state: GroupState
  readonly addedBy: Identity
  readonly sinceMs: number
  /** Where the group stands on the other device: without them it is not all here. */
  readonly heads: readonly GroupOpId[]
}
const opState = record<OpState>({
  first: signedGroupOpCodec,
  op: signedGroupOpCodec,
  state: groupStateCodec,
  addedBy: hexId<Identity>(32),
  sinceMs: u64,
  heads: headsCodec,
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
        return encode(opState, {
          first: book.group(tx, account, group)!.signed(group as string as GroupOpId)!,
          op: decode(signedGroupOpCodec, value),
          state,
          addedBy,
          sinceMs,
          heads: book.group(tx, account, group)!.heads,
        })
    }
    return undefined
  }

  /** The account is in the group here once all of it is: half of it would say that new keys are due. */
  merge(tx: WriteTx, { account, device }: MergeSource, states: readonly Uint8Array[]): void {
    const { book, replicas, nowMs } = this.#parts
    const whole = new Set<GroupId>()
    for (const encoded of states) {
      const { first, op, state, addedBy, sinceMs, heads } = decode(opState, encoded)
      const { id: founding } = readGroupOp(first)
      const id = founding as string as GroupId
      const group = book.group(tx, account, id) ?? book.open(tx, account, owned(first))
      const read = readGroupOp(op)
      if (read.id !== founding) book.add(tx, account, group, owned(op), nowMs())
      if (!heads.every((head) => group.has(head))) continue
      whole.add(id)
      const row = book.row(tx, account, id)
      const isIn = group.state.members.has(account)
      const next: GroupState = !isIn ? 'left' : row?.state === 'joined' || state === 'joined' ? 'joined' : 'invited'
      if (row?.state === next) continue
      book.putRow(tx, account, { group: id, addedBy, sinceMs, ...row, state: next })
      replicas.changed(tx, { account, kind: this.kind, ids: [itemOf(read.id)], from: device })
    }
    for (const id of whole) book.merged(tx, account, book.group(tx, account, id)!)
  }
}

/** Out of the buffer in which it came. */
const owned = ({ body, signature }: SignedGroupOp): SignedGroupOp => ({
  body: Uint8Array.from(body),
  signature: Uint8Array.from(signature),
})
