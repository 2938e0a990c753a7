/**
 * What is in memory of one account: its mailboxes and their counters, so that LIST and STATUS read nothing. It follows
 * commits only. A commit may be visible in the store a moment before its effects run here; the modseq tells whether a
 * state loaded in between has it already.
 */
import { toHex, toUtf8 } from '../bytes.ts'
import { decode } from '../codec.ts'
import type { Identity, MailboxId, ModSeq, Uid } from '../ids.ts'
import { accountKey } from '../store/content-rows.ts'
import type { ReadTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { AccountWork } from './account-work.ts'
import type { MailboxInfo, SpecialUse } from './mailbox.ts'
import { inbox } from './names.ts'
import {
  accountCodec,
  type AccountRow,
  countersCodec,
  metaCodec,
  type MailboxCounters,
  type MailboxMeta,
} from './rows.ts'

export interface MailboxState {
  readonly id: MailboxId
  readonly meta: MailboxMeta
  readonly counters: MailboxCounters
}

export class AccountCache {
  readonly key: Uint8Array
  row: AccountRow
  readonly #mailboxes: Map<MailboxId, MailboxState>
  #subscriptions: ReadonlySet<string>
  /** Made when asked; follows changes of messages, dropped when names or subscriptions change. */
  #infos: Map<MailboxId, MailboxInfo> | undefined
  #byName: ReadonlyMap<string, MailboxId> | undefined
  /** In the order of `#infos`; made when asked, dropped when anything changes. */
  #list: readonly MailboxInfo[] | undefined

  /** `undefined` for an account without mailboxes. */
  static load(tx: ReadTx, account: Identity): AccountCache | undefined {
    const key = accountKey(tx, account)
    const row = tx.get(tables.mailboxAccounts, key)
    return row === undefined ? undefined : new AccountCache(tx, key, decode(accountCodec, row))
  }

  private constructor(tx: ReadTx, key: Uint8Array, row: AccountRow) {
    this.key = key
    this.row = row
    const idOf = (rowKey: Uint8Array): MailboxId => toHex(rowKey.subarray(key.length)) as MailboxId
    const counters = new Map<MailboxId, MailboxCounters>()
    for (const { key: rowKey, value } of tx.range(tables.mailboxCounters, { prefix: key }))
      counters.set(idOf(rowKey), decode(countersCodec, value))
    this.#mailboxes = new Map()
    for (const { key: rowKey, value } of tx.range(tables.mailboxes, { prefix: key })) {
      const id = idOf(rowKey)
      this.#mailboxes.set(id, { id, meta: decode(metaCodec, value), counters: counters.get(id)! })
    }
    this.#subscriptions = readSubscriptions(tx, key)
  }

  get modSeq(): number {
    return this.row.modSeq
  }
  get subscriptions(): readonly string[] {
    return [...this.#subscriptions].sort()
  }

  state(id: MailboxId): MailboxState | undefined {
    return this.#mailboxes.get(id)
  }
  info(id: MailboxId): MailboxInfo | undefined {
    return this.#all().get(id)
  }
  infoByName(name: string): MailboxInfo | undefined {
    const infos = this.#all()
    this.#byName ??= new Map([...infos.values()].map((info) => [info.name, info.id]))
    const id = this.#byName.get(name)
    return id === undefined ? undefined : infos.get(id)
  }
  infoBySpecialUse(use: SpecialUse): MailboxInfo | undefined {
    return this.list().find(({ specialUse }) => specialUse === use)
  }
  list(): readonly MailboxInfo[] {
    this.#list ??= [...this.#all().values()]
    return this.#list
  }

  /** Takes over a committed transaction, unless the state was loaded after its commit. */
  apply(work: AccountWork, tx: ReadTx): void {
    if (work.row.modSeq <= this.row.modSeq) return
    this.row = work.row
    this.#list = undefined
    for (const { id, meta, counters, isRemoved } of work.changedMailboxes) {
      if (isRemoved) this.#mailboxes.delete(id)
      else this.#mailboxes.set(id, { id, meta, counters: { ...counters } })
    }
    if (work.isListChanged) {
      this.#subscriptions = readSubscriptions(tx, this.key)
      this.#infos = undefined
      this.#byName = undefined
    } else if (this.#infos !== undefined)
      for (const { id } of work.changedMailboxes) this.#infos.set(id, this.#infoOf(this.#mailboxes.get(id)!))
  }

  /** INBOX first, then by name. */
  #all(): Map<MailboxId, MailboxInfo> {
    this.#infos ??= new Map(
      [...this.#mailboxes.values()]
        .sort((a, b) => rank(a) - rank(b) || (a.meta.name < b.meta.name ? -1 : 1))
        .map((state) => [state.id, this.#infoOf(state)]),
    )
    return this.#infos
  }

  #infoOf({ id, meta, counters }: MailboxState): MailboxInfo {
    return {
      id,
      name: meta.name,
      specialUse: meta.specialUse,
      subscribed: this.#subscriptions.has(meta.name),
      uidValidity: meta.uidValidity,
      uidNext: counters.uidNext as Uid,
      highestModSeq: counters.highestModSeq as ModSeq,
      messages: counters.messages,
      unseen: counters.unseen,
      deleted: counters.deleted,
      size: counters.size,
    }
  }
}

const rank = ({ meta }: MailboxState): number => (meta.name === inbox ? 0 : 1)

function readSubscriptions(tx: ReadTx, account: Uint8Array): ReadonlySet<string> {
  const names = new Set<string>()
  for (const { value } of tx.range(tables.subscriptions, { prefix: account })) {
    const name = toUtf8(value)
    if (name !== undefined) names.add(name)
  }
  return names
}
