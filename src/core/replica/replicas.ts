/**
 * What the devices of one account have in common, kind by kind. A kind says which items there are and in which version,
 * gives the state of one, and merges states of other devices; everything else (finding differences, carrying states,
 * telling the others at once) is the same for all. Nothing is kept of accounts that live on one device only.
 */
import type { Clock } from '../ambient.ts'
import { concat } from '../bytes.ts'
import { encode, u8 } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, Store, Table, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { HybridClock } from './hlc.ts'
import type { ItemId, SetItem } from './set-reconciliation.ts'

export interface ReplicaItem extends SetItem {
  /** Its state is known, its content is still to be fetched. */
  readonly isLacking?: boolean
}

export interface ItemSlice {
  readonly items: readonly ReplicaItem[]
  /** Where to go on; none at the end. */
  readonly next: Uint8Array | undefined
}

/** Slices of a table whose keys begin with the account's: as `Replicated.items`. */
export function sliceOf(
  tx: ReadTx,
  table: Table,
  { prefix, from }: { readonly prefix: Uint8Array; readonly from: Uint8Array | undefined },
  itemOf: (value: Uint8Array) => ReplicaItem,
): ItemSlice {
  const rows = [...tx.range(table, { prefix, from: from ?? prefix, limit: limits.replicaSliceRows })]
  const last = rows.at(-1)
  return {
    items: rows.map(({ value }) => itemOf(value)),
    next: rows.length < limits.replicaSliceRows || last === undefined ? undefined : concat(last.key, Uint8Array.of(0)),
  }
}

/** Where states come from. */
export interface MergeSource {
  readonly account: Identity
  readonly device: DeviceId
}

export interface Replicated {
  /** ◆ Its number on the wire. */
  readonly kind: number
  /** A slice of the items, from the beginning or from where the slice before ended. */
  items(tx: ReadTx, account: Identity, from: Uint8Array | undefined): ItemSlice
  /** At most `limits.replicaStateBytesMax`; `undefined` when there is no such item. */
  state(tx: ReadTx, account: Identity, id: ItemId): Uint8Array | undefined
  /**
   * Brings what is here in line with these states, in any order and any number of times. Tells `Replicas.changed` of what
   * it changed. What cannot be merged now is left out: it comes again. @throws `malformed`
   */
  merge(tx: WriteTx, from: MergeSource, states: readonly Uint8Array[]): void
}

/** An item changed here. */
export interface ReplicaChange {
  readonly account: Identity
  readonly kind: number
  /** `many`: more than is worth naming. */
  readonly ids: readonly ItemId[] | 'many'
  /** The device from which it came; none for a change of our own. */
  readonly from: DeviceId | undefined
}

export interface ReplicasParts {
  readonly store: Store
  readonly clock: Clock
  /** The account's device on this gateway. */
  readonly deviceOf: (account: Identity) => DeviceId | undefined
}

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const keyOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(raw(account))

export class Replicas {
  readonly #parts: ReplicasParts
  readonly #kinds = new Map<number, Replicated>()
  readonly #clocks = new Map<DeviceId, HybridClock>()
  /** Devices of accounts whose first transaction is under way. */
  readonly #joining = new Map<Identity, DeviceId>()
  readonly #followed = new Map<Identity, boolean>()
  readonly #watchers = new Set<(change: ReplicaChange) => void>()

  constructor(parts: ReplicasParts) {
    this.#parts = parts
  }

  /** In the order in which kinds are brought in line: folders before what lies in them. */
  register(replicated: Replicated): void {
    if (this.#kinds.has(replicated.kind)) throw new TypeError(`kind ${replicated.kind} is there already`)
    this.#kinds.set(replicated.kind, replicated)
  }
  kinds(): Iterable<Replicated> {
    return this.#kinds.values()
  }
  kind(kind: number): Replicated | undefined {
    return this.#kinds.get(kind)
  }

  deviceOf(account: Identity): DeviceId {
    const device = this.#parts.deviceOf(account) ?? this.#joining.get(account)
    if (device === undefined) throw new MyceliumError('no-such-account')
    return device
  }
  clock(account: Identity): HybridClock {
    const device = this.deviceOf(account)
    const known = this.#clocks.get(device)
    if (known !== undefined) return known
    const made = new HybridClock(this.#parts.clock, device)
    this.#clocks.set(device, made)
    return made
  }

  /** Does the account live, or has it lived, on several devices? */
  follows(account: Identity): boolean {
    const known = this.#followed.get(account)
    if (known !== undefined) return known
    const isFollowed = this.#parts.store.read((tx) => tx.has(tables.replicas, keyOf(tx, account)))
    this.#followed.set(account, isFollowed)
    return isFollowed
  }
  /** From the commit of this transaction on. @param device where the account itself comes with this transaction */
  follow(tx: WriteTx, account: Identity, device?: DeviceId): void {
    if (device !== undefined) this.#joining.set(account, device)
    if (!tx.has(tables.replicas, keyOf(tx, account))) tx.put(tables.replicas, keyOf(tx, account), encode(u8, 0))
    tx.afterCommit(() => {
      this.#followed.set(account, true)
      this.#joining.delete(account)
    })
  }
  /** Has everything that was there before been given its ids? */
  isEnrolled(account: Identity): boolean {
    return this.#parts.store.read((tx) => tx.get(tables.replicas, keyOf(tx, account))?.[0] === 1)
  }
  enrolled(tx: WriteTx, account: Identity): void {
    tx.put(tables.replicas, keyOf(tx, account), encode(u8, 1))
  }

  changed(tx: WriteTx, change: ReplicaChange): void {
    if (change.ids.length === 0) return
    tx.afterCommit(() => {
      for (const watcher of this.#watchers) watcher(change)
    })
  }
  /** Called after each commit that changed something; returns how to stop. */
  watch(watcher: (change: ReplicaChange) => void): () => void {
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }
}
