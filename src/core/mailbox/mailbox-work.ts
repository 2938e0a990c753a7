/**
 * One mailbox inside one write transaction: rows are read when first needed, changed here, and written once at the
 * end. Nothing outside the transaction changes until it has committed.
 */
import { fromHex } from '../bytes.ts'
import { decode, encode } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, MailboxId, ModSeq, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { FlagSetEditor } from './flag-sets.ts'
import type { AppendItem, Change, CopyMark, Flag, FlagChange, MailboxChange } from './mailbox.ts'
import { blockOf, type IndexRecord, Records } from './records.ts'
import {
  asModSeq,
  blockKey,
  blockNumberOf,
  countersCodec,
  mailboxKey,
  metaCodec,
  type MailboxCounters,
  type MailboxMeta,
  seqKey,
  seqOf,
  uidsCodec,
} from './rows.ts'
import { removeSummaries } from './summary-packs.ts'
import { ascending } from './uid-list.ts'

/** UID 2³²−1 is never given out, so that UIDNEXT stays a UID. */
const uidMax = 0xffff_fffe

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

export interface Place {
  readonly mailbox: MailboxId
  readonly uid: Uid
}

interface Block {
  readonly number: number
  readonly records: Records
  isChanged: boolean
}

export interface MailboxServices {
  readonly tx: WriteTx
  readonly accountKey: Uint8Array
  /** The modseq of this transaction; the first call takes it. */
  readonly modSeq: () => ModSeq
  /** A row of the index from memory, where that is as new as what this transaction finds in the store. */
  readonly row: (mailbox: MailboxId, number: number) => Uint8Array | undefined
}

export class MailboxWork {
  readonly id: MailboxId
  readonly key: Uint8Array
  readonly counters: Mutable<MailboxCounters>
  readonly #services: MailboxServices
  readonly #flags: FlagSetEditor
  #meta: MailboxMeta
  #isMetaChanged: boolean
  readonly #blocks = new Map<number, Block>()
  /** The one used last. */
  #last: Block | undefined
  /** What a message with these flags counts as. */
  readonly #counted = new Map<number, { readonly unseen: number; readonly deleted: number }>()
  readonly #appended = new Set<Uid>()
  readonly #flagged = new Set<Uid>()
  readonly #expunged = new Set<Uid>()
  readonly #origins = new Map<Uid, Place>()
  readonly #copies = new Map<Uid, CopyMark>()
  isRemoved = false

  constructor(
    id: MailboxId,
    services: MailboxServices,
    state: { readonly meta: MailboxMeta; readonly counters: MailboxCounters; readonly isNew: boolean },
  ) {
    this.id = id
    this.key = fromHex(id)!
    this.#services = services
    this.#meta = state.meta
    this.#isMetaChanged = state.isNew
    this.counters = { ...state.counters }
    this.#flags = new FlagSetEditor(state.meta.flagSets)
  }

  /** `undefined` when the account has no such mailbox. */
  static load(id: MailboxId, services: MailboxServices): MailboxWork | undefined {
    const key = mailboxKey(services.accountKey, fromHex(id)!)
    const meta = services.tx.get(tables.mailboxes, key)
    const counters = services.tx.get(tables.mailboxCounters, key)
    if (meta === undefined || counters === undefined) return undefined
    const state = { meta: decode(metaCodec, meta), counters: decode(countersCodec, counters), isNew: false }
    return new MailboxWork(id, services, state)
  }

  get meta(): MailboxMeta {
    return this.#meta
  }
  setMeta(change: Partial<Pick<MailboxMeta, 'name' | 'uidValidity'>>): void {
    this.#meta = { ...this.#meta, ...change }
    this.#isMetaChanged = true
    this.counters.highestModSeq = this.#services.modSeq()
  }
  get touched(): {
    readonly appended: ReadonlySet<Uid>
    readonly flagged: ReadonlySet<Uid>
    readonly expunged: ReadonlySet<Uid>
  } {
    return { appended: this.#appended, flagged: this.#flagged, expunged: this.#expunged }
  }

  /** The record of a UID as this transaction sees it. */
  find(uid: Uid): { readonly records: Records; readonly index: number } | undefined {
    const { records } = this.#block(blockOf(uid))
    const index = records.indexOf(uid)
    return index < 0 ? undefined : { records, index }
  }

  message(uid: Uid): { readonly flags: readonly Flag[]; readonly internalDateMs: number } | undefined {
    const found = this.find(uid)
    if (found === undefined) return undefined
    const { records, index } = found
    return { flags: this.flagsOf(records.flagSetAt(index)), internalDateMs: records.internalDateAt(index) }
  }

  /** What this transaction has done to it, for a follower. */
  change(): MailboxChange {
    const stateOf = (uid: Uid): NonNullable<ReturnType<MailboxWork['message']>> => this.message(uid)!
    if (this.isRemoved) return { id: this.id, isRemoved: true, appended: [], flagged: [], expunged: new Set() }
    return {
      id: this.id,
      isRemoved: false,
      appended: Array.from(this.#appended, (uid) => ({
        uid,
        ...stateOf(uid),
        copy: this.#copies.get(uid),
        origin: this.#origins.get(uid),
      })),
      flagged: Array.from(this.#flagged, (uid) => ({ uid, ...stateOf(uid) })),
      expunged: this.#expunged,
    }
  }

  /** Where this transaction has copied a message from. */
  originOf(uid: Uid): Place | undefined {
    return this.#origins.get(uid)
  }

  flagsOf(flagSet: number): readonly Flag[] {
    return this.#flags.flagsOf(flagSet)
  }

  /** Numbers for the flags of new messages: before anything else changes, because it may refuse. */
  flagSetOf(flags: readonly Flag[]): number {
    return this.#flags.idOf(flags, () => this.#flagSetsInUse())
  }

  /** @throws `mailbox-full` when UIDs run out */
  checkRoom(messages: number): void {
    if (this.counters.uidNext + messages - 1 > uidMax) throw new MyceliumError('mailbox-full', { what: 'uids' })
  }

  append(
    item: Omit<AppendItem, 'flags'> & {
      readonly flagSet: number
      readonly savedMs: number
      /** Of which message it is a copy. */
      readonly origin?: Place
    },
  ): Uid {
    const uid = this.counters.uidNext as Uid
    this.counters.uidNext += 1
    const block = this.#block(blockOf(uid))
    const { flagSet, size, internalDateMs, savedMs, content } = item
    block.records.push({ uid, flagSet, modSeq: this.#services.modSeq(), size, internalDateMs, savedMs, content })
    block.isChanged = true
    this.#count(flagSet, size, 1)
    this.#appended.add(uid)
    if (item.origin !== undefined) this.#origins.set(uid, item.origin)
    if (item.copy !== undefined) this.#copies.set(uid, item.copy)
    return uid
  }

  /**
   * UIDs that are not there are skipped; the others, ascending, are `changed`, or stay as they are, or `failed` because
   * they changed after `unchangedSince`.
   */
  changeFlags(
    uids: readonly Uid[],
    change: FlagChange,
    unchangedSince: number,
  ): { readonly changed: Uid[]; readonly failed: Uid[] } {
    const changed: Uid[] = []
    const failed: Uid[] = []
    /** Few combinations stand before the change: what each becomes is worked out once. */
    const after = new Map<number, { readonly flagSet: number; times: number }>()
    for (const uid of uids) {
      const block = this.#block(blockOf(uid))
      const { records } = block
      const index = records.indexOf(uid)
      if (index < 0) continue
      if (records.modSeqAt(index) > unchangedSince) {
        failed.push(uid)
        continue
      }
      const before = records.flagSetAt(index)
      let becomes = after.get(before)
      if (becomes === undefined) {
        this.#count(before, 0, 0) // learns what it counts as, while these flags are surely known
        becomes = { flagSet: this.#flags.changed(before, change, () => this.#flagSetsInUse()), times: 0 }
        after.set(before, becomes)
      }
      if (becomes.flagSet === before) continue
      becomes.times += 1
      records.setFlags(index, becomes.flagSet, this.#services.modSeq())
      block.isChanged = true
      if (this.#appended.size === 0 || !this.#appended.has(uid)) this.#flagged.add(uid)
      changed.push(uid)
    }
    for (const [before, { flagSet, times }] of after) {
      this.#count(before, 0, -times)
      this.#count(flagSet, 0, times)
    }
    return { changed, failed }
  }

  /** Takes records out; UIDs that are not there are skipped. @returns the contents that lost a use */
  expunge(uids: Iterable<Uid>): readonly IndexRecord[] {
    const gone: IndexRecord[] = []
    const byBlock = Map.groupBy(uids, blockOf)
    for (const [number, wanted] of byBlock) {
      const block = this.#block(number)
      const found = new Set(wanted.filter((uid) => block.records.indexOf(uid) >= 0))
      if (found.size === 0) continue
      for (const uid of found) {
        const record = block.records.recordAt(block.records.indexOf(uid))
        this.#count(record.flagSet, record.size, -1)
        this.#forget(uid)
        gone.push(record)
      }
      block.records.remove(found)
      block.isChanged = true
    }
    if (gone.length > 0) this.#services.modSeq()
    return gone
  }

  #forget(uid: Uid): void {
    this.#flagged.delete(uid)
    if (!this.#appended.delete(uid)) this.#expunged.add(uid)
  }

  /** Every record as this transaction sees it, ascending. */
  *all(): Generator<{ readonly records: Records; readonly index: number }> {
    for (const number of this.#blockNumbers()) {
      const { records } = this.#block(number)
      for (let index = 0; index < records.count; index += 1) yield { records, index }
    }
  }

  /** @returns contents that lost a use */
  removeAll(): readonly ContentId[] {
    const contents = [...this.all()].map(({ records, index }) => records.contentAt(index))
    const { tx, accountKey } = this.#services
    for (const table of [tables.mailboxBlocks, tables.mailboxTombstones, tables.summaries])
      for (const key of tx.keys(table, { prefix: this.key })) tx.remove(table, key)
    const own = mailboxKey(accountKey, this.key)
    for (const key of tx.keys(tables.annotations, { prefix: own })) tx.remove(tables.annotations, key)
    tx.remove(tables.mailboxes, own)
    tx.remove(tables.mailboxCounters, own)
    tx.remove(tables.searchProgress, own)
    this.isRemoved = true
    return contents
  }

  /** Writes what changed. @returns the events, in the order in which clients must hear of them */
  finish(): readonly Change['event'][] {
    if (this.isRemoved) return []
    const events: Change['event'][] = []
    for (const [kind, touched] of [
      ['appended', this.#appended],
      ['flags', this.#flagged],
      ['expunged', this.#expunged],
    ] as const)
      if (touched.size > 0) events.push({ kind, mailbox: this.id, uids: sorted(touched) })
    if (events.length === 0 && !this.#isMetaChanged) return events
    const { tx, accountKey } = this.#services
    this.counters.highestModSeq = this.#services.modSeq()
    for (const [number, block] of this.#blocks) if (block.isChanged) this.#writeBlock(number, block.records)
    if (this.#expunged.size > 0) this.#bury()
    const key = mailboxKey(accountKey, this.key)
    tx.put(tables.mailboxCounters, key, encode(countersCodec, this.counters))
    if (this.#flags.isChanged || this.#isMetaChanged) {
      this.#meta = { ...this.#meta, flagSets: this.#flags.value }
      tx.put(tables.mailboxes, key, encode(metaCodec, this.#meta))
    }
    return events
  }

  #writeBlock(number: number, records: Records): void {
    const { tx } = this.#services
    if (records.count > 0) tx.put(tables.mailboxBlocks, blockKey(this.key, number), records.packed)
    else {
      tx.remove(tables.mailboxBlocks, blockKey(this.key, number))
      removeSummaries(tx, this.key, number)
    }
  }

  /** Tombstones of this transaction's expunges; the older half goes when there are too many. */
  #bury(): void {
    const { tx } = this.#services
    const { counters } = this
    tx.put(
      tables.mailboxTombstones,
      seqKey(this.key, counters.highestModSeq),
      encode(uidsCodec, sorted(this.#expunged)),
    )
    counters.tombstoneRows += 1
    if (counters.tombstoneRows <= limits.mailboxTombstoneRowsMax) return
    const oldest = { prefix: this.key, limit: Math.floor(limits.mailboxTombstoneRowsMax / 2) }
    for (const key of tx.keys(tables.mailboxTombstones, oldest)) {
      tx.remove(tables.mailboxTombstones, key)
      counters.tombstoneFloor = seqOf(key)
      counters.tombstoneRows -= 1
    }
  }

  /** @param messages how many more of these flags, with `size` octets each */
  #count(flagSet: number, size: number, messages: number): void {
    let counted = this.#counted.get(flagSet)
    if (counted === undefined) {
      const flags = this.#flags.flagsOf(flagSet)
      counted = { unseen: flags.includes('\\Seen') ? 0 : 1, deleted: flags.includes('\\Deleted') ? 1 : 0 }
      this.#counted.set(flagSet, counted)
    }
    this.counters.messages += messages
    this.counters.size += messages * size
    this.counters.unseen += messages * counted.unseen
    this.counters.deleted += messages * counted.deleted
  }

  #block(number: number): Block {
    if (this.#last?.number === number) return this.#last
    let block = this.#blocks.get(number)
    if (block === undefined) {
      const { tx, row } = this.#services
      const stored = row(this.id, number) ?? tx.get(tables.mailboxBlocks, blockKey(this.key, number))
      block = { number, records: new Records(stored), isChanged: false }
      this.#blocks.set(number, block)
    }
    this.#last = block
    return block
  }

  #blockNumbers(): number[] {
    const stored = [...this.#services.tx.keys(tables.mailboxBlocks, { prefix: this.key })].map(blockNumberOf)
    return [...new Set([...stored, ...this.#blocks.keys()])].sort((a, b) => a - b)
  }

  #flagSetsInUse(): ReadonlySet<number> {
    return new Set([...this.all()].map(({ records, index }) => records.flagSetAt(index)))
  }
}

export const newCounters: MailboxCounters = {
  uidNext: 1,
  highestModSeq: asModSeq(1),
  messages: 0,
  unseen: 0,
  deleted: 0,
  size: 0,
  tombstoneFloor: 0,
  tombstoneRows: 0,
}

const sorted = (uids: Iterable<Uid>): readonly Uid[] => ascending([...uids])
