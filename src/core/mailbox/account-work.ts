/** One account's mailboxes inside one write transaction: modseq, quota, names, and the change feed. */
import type { Clock, Random } from '../ambient.ts'
import { concat, fromHex, fromUtf8, toHex, toUtf8 } from '../bytes.ts'
import { decode, encode } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity, MailboxId, ModSeq } from '../ids.ts'
import { limits } from '../limits.ts'
import { accountKey } from '../store/content-rows.ts'
import type { WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { noFlagSets } from './flag-sets.ts'
import type { Change, MailboxChanges, MailboxInfo, SpecialUse } from './mailbox.ts'
import { MailboxWork, newCounters } from './mailbox-work.ts'
import { parentsOf } from './names.ts'
import {
  accountCodec,
  type AccountRow,
  asModSeq,
  eventCodec,
  mailboxKey,
  metaCodec,
  newAccount,
  seqKey,
} from './rows.ts'

const mailboxIdBytes = 16
const changeTrimRows = 1000

/** What is in memory of an account, after some commit. */
export interface Committed {
  readonly modSeq: number
  list(): readonly MailboxInfo[]
  /** `undefined` for a mailbox that is not in memory. */
  row(mailbox: MailboxId, number: number): Uint8Array | undefined
}

export class AccountWork {
  readonly account: Identity
  readonly key: Uint8Array
  readonly #tx: WriteTx
  readonly #before: AccountRow
  readonly #committed: Committed | undefined
  #modSeq: ModSeq | undefined
  #uidValidity: number
  readonly #mailboxes = new Map<MailboxId, MailboxWork>()
  #sizeBefore = 0
  #isRemoved = false
  /** Mailboxes came, went, or changed their names or subscriptions. */
  isListChanged = false
  /** The events of this transaction; filled by `finish`. */
  changes: readonly Change[] = []
  /** As written by `finish`. */
  row: AccountRow

  /** @param committed what is in memory of the account: read instead of its rows while it is as new as they are */
  constructor(tx: WriteTx, account: Identity, committed?: Committed) {
    this.#tx = tx
    this.#committed = committed
    this.account = account
    this.key = accountKey(tx, account)
    const stored = tx.get(tables.mailboxAccounts, this.key)
    this.#before = stored === undefined ? newAccount : decode(accountCodec, stored)
    this.#uidValidity = this.#before.uidValidity
    this.row = this.#before
  }

  /** The account itself has gone. */
  get isRemoved(): boolean {
    return this.#isRemoved
  }

  /** The modseq that everything in this transaction gets. */
  modSeq(): ModSeq {
    this.#modSeq ??= asModSeq(this.#before.modSeq + 1)
    return this.#modSeq
  }

  get changedMailboxes(): Iterable<MailboxWork> {
    return this.#mailboxes.values()
  }

  /** Octets over all mailboxes, as this transaction sees them. */
  get usedBytes(): number {
    let size = this.#before.usedBytes - this.#sizeBefore
    for (const { counters, isRemoved } of this.#mailboxes.values()) if (!isRemoved) size += counters.size
    return size
  }

  has(id: MailboxId): boolean {
    const known = this.#mailboxes.get(id)
    if (known !== undefined) return !known.isRemoved
    return this.#tx.has(tables.mailboxes, mailboxKey(this.key, fromHex(id)!))
  }

  /** @throws `no-such-mailbox` */
  mailbox(id: MailboxId): MailboxWork {
    const known = this.#mailboxes.get(id)
    if (known?.isRemoved === true) throw new MyceliumError('no-such-mailbox')
    if (known !== undefined) return known
    const loaded = MailboxWork.load(id, this.#services())
    if (loaded === undefined) throw new MyceliumError('no-such-mailbox')
    this.#sizeBefore += loaded.counters.size
    this.#mailboxes.set(id, loaded)
    return loaded
  }

  #services(): ConstructorParameters<typeof MailboxWork>[1] {
    return {
      tx: this.#tx,
      accountKey: this.key,
      modSeq: () => this.modSeq(),
      row: (mailbox, number) => (this.#isMemoryCurrent ? this.#committed?.row(mailbox, number) : undefined),
    }
  }

  /** Every mailbox of the account by name. */
  names(): Map<string, MailboxId> {
    const names = this.#namesBefore()
    for (const { id, meta, isRemoved } of this.#mailboxes.values()) {
      if (isRemoved) names.delete(id)
      else names.set(id, meta.name)
    }
    return new Map([...names].map(([id, name]) => [name, id]))
  }

  /** Every mailbox of the account with what other devices have of it too. */
  list(): ReturnType<MailboxChanges['list']> {
    const subscribed = new Set(
      Array.from(this.#tx.range(tables.subscriptions, { prefix: this.key }), ({ value }) => toUtf8(value)),
    )
    return Array.from(this.names(), ([name, id]) => ({
      id,
      name,
      specialUse: this.#specialUseOf(id),
      subscribed: subscribed.has(name),
    }))
  }

  #specialUseOf(id: MailboxId): SpecialUse | undefined {
    const known = this.#mailboxes.get(id)
    if (known !== undefined) return known.meta.specialUse
    const stored = this.#tx.get(tables.mailboxes, concat(this.key, fromHex(id)!))
    return stored === undefined ? undefined : decode(metaCodec, stored).specialUse
  }

  /** What this transaction has done, once `finish` has written it. */
  followed(): MailboxChanges {
    return {
      mailboxes: Array.from(this.#mailboxes.values(), (mailbox) => mailbox.change()),
      isListChanged: this.isListChanged,
      list: () => this.list(),
    }
  }

  /** Whatever changes a mailbox or its messages takes a modseq, so the same modseq means the same of everything. */
  get #isMemoryCurrent(): boolean {
    return this.#committed?.modSeq === this.#before.modSeq
  }

  #namesBefore(): Map<MailboxId, string> {
    if (this.#isMemoryCurrent && this.#committed !== undefined)
      return new Map(this.#committed.list().map(({ name, id }) => [id, name]))
    const names = new Map<MailboxId, string>()
    for (const { key, value } of this.#tx.range(tables.mailboxes, { prefix: this.key }))
      names.set(toHex(key.subarray(this.key.length)) as MailboxId, decode(metaCodec, value).name)
    return names
  }

  /** Makes a mailbox and the parents that are missing. @throws `mailbox-exists`, `too-large` */
  create(
    name: string,
    { specialUse, random, nowMs }: { specialUse?: SpecialUse | undefined; random: Random; nowMs: number },
  ): MailboxWork {
    const names = this.names()
    if (names.has(name)) throw new MyceliumError('mailbox-exists')
    for (const parent of parentsOf(name)) if (!names.has(parent)) this.#make(parent, { random, nowMs })
    if (names.size >= limits.mailboxesMax) throw new MyceliumError('too-large', { mailboxesMax: limits.mailboxesMax })
    return this.#make(name, { specialUse, random, nowMs })
  }

  /** For a name that a mailbox has been given: `a/b/c` → `a`, `a/b`. */
  createParents(name: string, { random, clock }: { random: Random; clock: Clock }): void {
    const names = this.names()
    for (const parent of parentsOf(name)) if (!names.has(parent)) this.#make(parent, { random, nowMs: clock.nowMs() })
  }

  #make(
    name: string,
    { specialUse, random, nowMs }: { specialUse?: SpecialUse | undefined; random: Random; nowMs: number },
  ): MailboxWork {
    const id = toHex(random.bytes(mailboxIdBytes)) as MailboxId
    const meta = { name, specialUse, uidValidity: this.nextUidValidity(nowMs), flagSets: noFlagSets }
    const counters = { ...newCounters, highestModSeq: this.modSeq() }
    const made = new MailboxWork(id, this.#services(), { meta, counters, isNew: true })
    this.#mailboxes.set(id, made)
    this.isListChanged = true
    return made
  }

  /** Above every one given out before: seconds of the clock, unless that was set back. */
  nextUidValidity(nowMs: number): number {
    this.#uidValidity = Math.max(Math.floor(nowMs / 1000) % 0xffff_ffff, this.#uidValidity + 1)
    return this.#uidValidity
  }

  subscribe(name: string, isSubscribed: boolean): void {
    const key = concat(this.key, this.#tx.opaque(fromUtf8('subscription'), this.key, fromUtf8(name)))
    if (isSubscribed) this.#tx.put(tables.subscriptions, key, fromUtf8(name))
    else this.#tx.remove(tables.subscriptions, key)
    this.modSeq()
    this.isListChanged = true
  }

  /** The rows of the account itself, when its mailboxes are gone: `finish` then writes nothing. */
  removeAccount(): void {
    for (const table of [tables.changes, tables.subscriptions, tables.searchIndex, tables.annotations])
      for (const key of this.#tx.keys(table, { prefix: this.key })) this.#tx.remove(table, key)
    this.#tx.remove(tables.mailboxAccounts, this.key)
    this.#isRemoved = true
  }

  /** Writes everything that changed, once. */
  finish(): void {
    if (this.#isRemoved) return
    const events = [...this.#mailboxes.values()].flatMap((mailbox) => mailbox.finish())
    if (this.isListChanged) events.unshift({ kind: 'mailboxes' })
    if (this.#modSeq === undefined) return
    let { changeSeq } = this.#before
    this.changes = events.map((event) => {
      changeSeq += 1
      this.#tx.put(tables.changes, seqKey(this.key, changeSeq), encode(eventCodec, event))
      return { seq: changeSeq, account: this.account, event }
    })
    this.row = {
      modSeq: this.#modSeq,
      changeSeq,
      changeFloor: this.#trimChanges(changeSeq),
      uidValidity: this.#uidValidity,
      usedBytes: this.usedBytes,
    }
    this.#tx.put(tables.mailboxAccounts, this.key, encode(accountCodec, this.row))
  }

  /** Drops the oldest changes, many at a time. @returns the last one that is gone */
  #trimChanges(changeSeq: number): number {
    const { changeFloor } = this.#before
    if (changeSeq - changeFloor <= limits.changeRowsMax + changeTrimRows) return changeFloor
    for (let seq = changeFloor + 1; seq <= changeFloor + changeTrimRows; seq += 1)
      this.#tx.remove(tables.changes, seqKey(this.key, seq))
    return changeFloor + changeTrimRows
  }
}
