/**
 * The groups of every account as the store keeps them: signed operations, keys, what waits for keys, and envelopes to
 * hand on. A group in memory is what its rows say; when a transaction that changed it did not commit, it is read anew.
 */
import { compare, concat } from '../bytes.ts'
import { bytes, type Codec, decode, encode, hexId, optional, record, u64, versionByte } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import { judgeEnvelope } from '../group/acceptance.ts'
import { readEnvelope, type ReadEnvelope, type SignedEnvelope, signedEnvelopeCodec } from '../group/envelope.ts'
import { GroupPlaces, type Places } from './group-places.ts'
import { type AddResult, Group, type GroupServices } from '../group/group.ts'
import { readGroupOp, type SignedGroupOp, signedGroupOpCodec } from '../group/op.ts'
import type { DeviceId, GroupEnvelopeId, GroupId, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'

/** `invited`: added by somebody who is no contact; nothing is shown until a person accepts. */
export const groupStates = ['joined', 'invited', 'left'] as const
export type GroupState = (typeof groupStates)[number]

export interface GroupRow {
  readonly group: GroupId
  readonly state: GroupState
  /** Who added this account; itself where it founded the group. */
  readonly addedBy: Identity
  readonly sinceMs: number
}

/** An envelope for which keys are missing. */
export interface WaitingEnvelope {
  readonly from: Identity
  readonly sinceMs: number
  readonly envelope: SignedEnvelope
  /** What is in it, as whoever was asked for that says. */
  readonly asked: MessageId | undefined
}

/** A statement about a group that names an operation which is not here. */
export interface EarlyStatement {
  readonly from: Identity
  readonly sinceMs: number
  readonly statement: Uint8Array
}

const identity = hexId<Identity>(32)
const groupId = hexId<GroupId>(32)
export const groupStateCodec: Codec<GroupState> = {
  write: (out, value) => out.u8(groupStates.indexOf(value)),
  read: (from) => groupStates[from.u8()]!,
}
const rowCodec = record<GroupRow & { readonly version: 1 }>({
  version: versionByte(1),
  group: groupId,
  state: groupStateCodec,
  addedBy: identity,
  sinceMs: u64,
})
const waitingCodec = record<WaitingEnvelope>({
  from: identity,
  sinceMs: u64,
  envelope: signedEnvelopeCodec,
  asked: optional(hexId<MessageId>(32)),
})

const earlyLabel = 'mycelium/group-early/1'
const earlyCodec = record<EarlyStatement>({
  from: identity,
  sinceMs: u64,
  statement: bytes(limits.groupPartBytesMax),
})

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

/** An operation was kept, in the transaction that keeps it. */
export type OpListener = (tx: WriteTx, account: Identity, signed: SignedGroupOp) => void

/** In the transaction in which a group has come from another device of the account. */
export type MergeListener = (tx: WriteTx, account: Identity, group: Group) => void

/** Every device that an identity's log names, as far as an account knows it in a transaction. */
export type DevicesOf = (tx: ReadTx, account: Identity, identity: Identity) => ReadonlySet<DeviceId>

interface Loaded {
  group: Group
  /** The transaction that changed it last, until that has committed. */
  changedBy: WriteTx | undefined
}

export class GroupBook {
  readonly #store: Store
  readonly #devicesOf: DevicesOf
  /** The transaction in which a group looks for devices now. */
  #tx: ReadTx | undefined
  readonly #loaded = new Map<string, Loaded>()
  readonly #prefixes = new Map<Identity, Uint8Array>()
  readonly #added = new Set<OpListener>()
  readonly #merged = new Set<MergeListener>()
  readonly places = new GroupPlaces((tx, account, group) => this.key(tx, account, group))

  constructor(parts: { readonly store: Store; readonly devicesOf: DevicesOf }) {
    this.#store = parts.store
    this.#devicesOf = parts.devicesOf
  }

  whenAdded(listener: OpListener): void {
    this.#added.add(listener)
  }

  whenMerged(listener: MergeListener): void {
    this.#merged.add(listener)
  }

  /** Another device of the account has told of operations, and all of the group is here. */
  merged(tx: WriteTx, account: Identity, group: Group): void {
    for (const listener of this.#merged) listener(tx, account, group)
  }

  rows(tx: ReadTx, account: Identity): readonly GroupRow[] {
    return [...tx.range(tables.groups, { prefix: this.#account(tx, account) })].map(({ value }) =>
      decode(rowCodec, value),
    )
  }

  row(tx: ReadTx, account: Identity, group: GroupId): GroupRow | undefined {
    const value = tx.get(tables.groups, this.key(tx, account, group))
    return value === undefined ? undefined : decode(rowCodec, value)
  }

  putRow(tx: WriteTx, account: Identity, row: GroupRow): void {
    tx.put(tables.groups, this.key(tx, account, row.group), encode(rowCodec, { version: 1, ...row }))
  }

  /** As it is now; `undefined` when this account knows nothing of it. */
  group(tx: ReadTx, account: Identity, id: GroupId): Group | undefined {
    this.#tx = tx
    const name = account + id
    const known = this.#loaded.get(name)
    if (known !== undefined && (known.changedBy === undefined || known.changedBy === tx)) return known.group
    const group = this.#load(tx, account, id)
    // what a reader sees beside a writer is not what will be
    if (known !== undefined && !('put' in tx)) return group
    if (group === undefined) this.#loaded.delete(name)
    else this.#loaded.set(name, { group, changedBy: undefined })
    return group
  }

  /** As committed. */
  groupNow(account: Identity, id: GroupId): Group | undefined {
    return this.#store.read((tx) => this.group(tx, account, id))
  }

  /** For showing: as it is in memory, also while what changed it is being committed. */
  groupSeen(account: Identity, id: GroupId): Group | undefined {
    return this.#loaded.get(account + id)?.group ?? this.groupNow(account, id)
  }

  /** Begins a group with its first operation. @throws what `Group.open` throws */
  open(tx: WriteTx, account: Identity, first: SignedGroupOp): Group {
    this.#tx = tx
    const group = Group.open(first, this.#services(account))
    this.#putOp(tx, account, group.id, first)
    this.#changed(tx, account, group)
    return group
  }

  /** Keeps what is new, also what waits: it was taken from whoever sent it. */
  add(tx: WriteTx, account: Identity, group: Group, signed: SignedGroupOp, nowMs: number): AddResult {
    this.#tx = tx
    const result = group.add(signed, nowMs)
    if (result.kind === 'added' || result.kind === 'waiting') {
      this.#putOp(tx, account, group.id, signed)
      this.#changed(tx, account, group)
    }
    return result
  }

  /** Account logs have grown. */
  retry(tx: WriteTx, account: Identity, group: Group): Extract<AddResult, { readonly kind: 'added' }> {
    this.#tx = tx
    const result = group.retry()
    if (result.ids.length > 0) this.#changed(tx, account, group)
    return result
  }

  /** Is there anything of a group that waits for something else? */
  waits(tx: ReadTx, account: Identity, group: GroupId): boolean {
    const prefix = this.key(tx, account, group)
    const waiting = [tables.groupWaiting, tables.groupUnsealed, tables.groupEarly]
    return waiting.some((table) => [...tx.keys(table, { prefix, limit: 1 })].length > 0)
  }

  /** Messages of this account that wait for new keys, in their order. */
  unsealed(tx: ReadTx, account: Identity, group: GroupId): readonly MessageId[] {
    return [...tx.range(tables.groupUnsealed, { prefix: this.key(tx, account, group) })].map(
      ({ value }) => Buffer.from(value).toString('hex') as MessageId,
    )
  }

  /** @param number its place in the account's order */
  putUnsealed(tx: WriteTx, account: Identity, group: GroupId, number: number, message: MessageId): void {
    tx.put(tables.groupUnsealed, concat(this.key(tx, account, group), encode(u64, number)), raw(message))
  }

  clearUnsealed(tx: WriteTx, account: Identity, group: GroupId): void {
    const keys = [...tx.keys(tables.groupUnsealed, { prefix: this.key(tx, account, group) })]
    for (const key of keys) tx.remove(tables.groupUnsealed, key)
  }

  waiting(tx: ReadTx, account: Identity, group: GroupId): readonly (WaitingEnvelope & { readonly key: Uint8Array })[] {
    return [...tx.range(tables.groupWaiting, { prefix: this.key(tx, account, group) })].map(({ key, value }) => ({
      key,
      ...decode(waitingCodec, value),
    }))
  }

  /** One that waits already waits since then. @param id of the envelope @throws `too-large` when too many wait */
  putWaiting(tx: WriteTx, account: Identity, group: GroupId, id: GroupEnvelopeId, waiting: WaitingEnvelope): void {
    const prefix = this.key(tx, account, group)
    const known = tx.get(tables.groupWaiting, concat(prefix, raw(id)))
    if (known !== undefined) {
      const { sinceMs, asked = waiting.asked } = decode(waitingCodec, known)
      tx.put(tables.groupWaiting, concat(prefix, raw(id)), encode(waitingCodec, { ...waiting, sinceMs, asked }))
      return
    }
    let count = 0
    for (const _ of tx.keys(tables.groupWaiting, { prefix })) count += 1
    if (count >= limits.groupWaitingEnvelopesMax) throw new MyceliumError('too-large', { count })
    tx.put(tables.groupWaiting, concat(prefix, raw(id)), encode(waitingCodec, waiting))
  }

  removeWaiting(tx: WriteTx, key: Uint8Array): void {
    tx.remove(tables.groupWaiting, key)
  }

  /** A message as it travels: for members who lack it. */
  envelope(tx: ReadTx, account: Identity, message: MessageId): SignedEnvelope | undefined {
    const value = tx.get(tables.groupEnvelopes, concat(this.#account(tx, account), raw(message)))
    return value === undefined ? undefined : decode(signedEnvelopeCodec, value)
  }

  putEnvelope(tx: WriteTx, account: Identity, message: MessageId, envelope: ReadEnvelope): void {
    if (this.envelope(tx, account, message) !== undefined) return
    const { header, signed } = envelope
    const { group, device, sequence } = header
    tx.put(tables.groupEnvelopes, concat(this.#account(tx, account), raw(message)), encode(signedEnvelopeCodec, signed))
    tx.put(tables.groupEnvelopesAt, this.places.keyOf(tx, account, group, device, sequence), raw(message))
    this.places.note(tx, account, envelope)
  }

  /** Is it here already, from wherever it came? */
  has(tx: ReadTx, account: Identity, signed: SignedEnvelope): boolean {
    const { id, header } = readEnvelope(signed)
    const { group, device, sequence } = header
    const [message] = this.messagesAt(tx, account, group, { device, first: sequence, end: sequence + 1 })
    const taken = message === undefined ? undefined : this.envelope(tx, account, message)
    return taken !== undefined && readEnvelope(taken).id === id
  }

  /** Does a message that was looked at when it was taken still stand, now that more operations are known? */
  stands(tx: ReadTx, account: Identity, group: Group, signed: SignedEnvelope): boolean {
    const judged = judgeEnvelope(group, readEnvelope(signed), {
      nowMs: Infinity,
      named: (device, sequence) => this.places.named(tx, account, group.id, device, sequence),
      isSigned: () => true,
    })
    return judged.kind !== 'refused'
  }

  /** Messages of a device from `first` on and before `end`, the last one first, as far as they are here. */
  messagesAt(tx: ReadTx, account: Identity, group: GroupId, { device, first, end }: Places): readonly MessageId[] {
    const from = this.places.keyOf(tx, account, group, device, first)
    const to = this.places.keyOf(tx, account, group, device, end)
    const found = tx.range(tables.groupEnvelopesAt, { from, to, reverse: true, limit: limits.messagesAskedMax })
    return [...found].map(({ value }) => Buffer.from(value).toString('hex') as MessageId)
  }

  /** Statements of a group whose operation is still on its way, in any order. */
  early(tx: ReadTx, account: Identity, group: GroupId): readonly (EarlyStatement & { readonly key: Uint8Array })[] {
    const prefix = this.key(tx, account, group)
    return [...tx.range(tables.groupEarly, { prefix })].map(({ key, value }) => ({ key, ...decode(earlyCodec, value) }))
  }

  /** @throws `too-large` when too many wait of those whom the same person told, of all groups */
  putEarly(tx: WriteTx, account: Identity, group: GroupId, early: EarlyStatement): void {
    const prefix = this.key(tx, account, group)
    const from = tx.opaque(raw(early.from))
    const ofThem = [...tx.keys(tables.groupEarly, { prefix: this.#account(tx, account) })].filter(
      (key) => compare(key.subarray(prefix.length, prefix.length + from.length), from) === 0,
    )
    if (ofThem.length >= limits.groupEarlyMax) throw new MyceliumError('too-large', { reason: 'early' })
    const hash = labelledHash(earlyLabel, early.statement)
    tx.put(tables.groupEarly, concat(prefix, from, hash), encode(earlyCodec, early))
  }

  removeEarly(tx: WriteTx, key: Uint8Array): void {
    tx.remove(tables.groupEarly, key)
  }

  /** Of all groups, those that came before `beforeMs`. */
  earlySince(tx: ReadTx, account: Identity, beforeMs: number): readonly Uint8Array[] {
    return [...tx.range(tables.groupEarly, { prefix: this.#account(tx, account) })]
      .filter(({ value }) => decode(earlyCodec, value).sinceMs < beforeMs)
      .map(({ key }) => key)
  }

  /** The own message that an envelope carries. */
  saidIn(tx: ReadTx, account: Identity, envelope: GroupEnvelopeId): MessageId | undefined {
    const value = tx.get(tables.groupSaid, concat(this.#account(tx, account), raw(envelope)))
    return value === undefined ? undefined : (Buffer.from(value).toString('hex') as MessageId)
  }

  putSaid(tx: WriteTx, account: Identity, envelope: GroupEnvelopeId, message: MessageId): void {
    tx.put(tables.groupSaid, concat(this.#account(tx, account), raw(envelope)), raw(message))
  }

  removeAccount(tx: WriteTx, account: Identity): void {
    const prefix = this.#account(tx, account)
    for (const table of accountTables) {
      const keys = [...tx.keys(table, { prefix })]
      for (const key of keys) tx.remove(table, key)
    }
    tx.afterCommit(() => {
      for (const name of this.#loaded.keys()) if (name.startsWith(account)) this.#loaded.delete(name)
    })
  }

  /** Operations come in any order: those whose parents are not here wait, as they did when they came. */
  #load(tx: ReadTx, account: Identity, id: GroupId): Group | undefined {
    const ops = [...tx.range(tables.groupOps, { prefix: this.key(tx, account, id) })].map(({ value }) =>
      readGroupOp(decode(signedGroupOpCodec, value)),
    )
    const first = ops.find(({ op }) => op.action.kind === 'create')
    if (first === undefined) return undefined
    // they were checked before they were kept
    const group = Group.open(first.signed, { ...this.#services(account), isSigned: () => true })
    for (const { signed } of ops.toSorted((a, b) => a.op.atMs - b.op.atMs)) group.add(signed, Infinity)
    return group
  }

  #services(account: Identity): GroupServices {
    return { hasDevice: (identity, device) => this.#devicesOf(this.#tx!, account, identity).has(device) }
  }

  #putOp(tx: WriteTx, account: Identity, group: GroupId, signed: SignedGroupOp): void {
    const key = concat(this.key(tx, account, group), raw(readGroupOp(signed).id))
    tx.put(tables.groupOps, key, encode(signedGroupOpCodec, signed))
    for (const listener of this.#added) listener(tx, account, signed)
  }

  #changed(tx: WriteTx, account: Identity, group: Group): void {
    const loaded: Loaded = { group, changedBy: tx }
    this.#loaded.set(account + group.id, loaded)
    tx.afterCommit(() => {
      loaded.changedBy = undefined
    })
  }

  #account(tx: ReadTx, account: Identity): Uint8Array {
    const known = this.#prefixes.get(account)
    if (known !== undefined) return known
    const made = tx.opaque(raw(account))
    this.#prefixes.set(account, made)
    return made
  }

  /** What all keys of an account's groups begin with. */
  accountKey(tx: ReadTx, account: Identity): Uint8Array {
    return this.#account(tx, account)
  }

  /** What all keys of a group begin with. */
  key(tx: ReadTx, account: Identity, group: GroupId): Uint8Array {
    return concat(this.#account(tx, account), raw(group))
  }
}

const accountTables = [
  tables.groups,
  tables.groupOps,
  tables.groupChains,
  tables.groupPlaces,
  tables.groupNamed,
  tables.groupUnsealed,
  tables.groupWaiting,
  tables.groupSaid,
  tables.groupEnvelopes,
  tables.groupEnvelopesAt,
  tables.groupEarly,
]
