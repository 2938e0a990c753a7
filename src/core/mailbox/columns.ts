/** The index of a mailbox in memory, loaded when asked for, following commits, dropped when memory is short. */
import { fromHex } from '../bytes.ts'
import type { ContentId, MailboxId, ModSeq, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { FlagSets } from './flag-sets.ts'
import type { Flag, MailboxColumns } from './mailbox.ts'
import type { MailboxWork } from './mailbox-work.ts'
import { blockRecords, Records } from './records.ts'
import { UidList } from './uid-list.ts'

export class Columns implements MailboxColumns {
  readonly mailbox: MailboxId
  readonly #records: Records
  readonly #flagSets: () => FlagSets
  /** Every change up to this modseq is in. */
  #modSeq: number
  readonly #uids: UidList
  /** Every message before this one is known to have been seen. */
  #unseenFrom = 0
  readonly #isSeen = new Map<number, boolean>()

  constructor(mailbox: MailboxId, parts: { records: Records; modSeq: number; flagSets: () => FlagSets }) {
    this.mailbox = mailbox
    this.#records = parts.records
    this.#modSeq = parts.modSeq
    this.#flagSets = parts.flagSets
    this.#uids = new UidList(parts.records)
  }

  get count(): number {
    return this.#records.count
  }
  get heldBytes(): number {
    return this.#records.heldBytes + this.#uids.heldBytes
  }
  uids(): Uint32Array {
    return this.#uids.all()
  }
  uidAt(index: number): Uid {
    return this.#records.uidAt(index)
  }
  indexOf(uid: Uid): number {
    return this.#records.indexOf(uid)
  }
  modSeqAt(index: number): ModSeq {
    return this.#records.modSeqAt(index)
  }
  sizeAt(index: number): number {
    return this.#records.sizeAt(index)
  }
  internalDateAt(index: number): number {
    return this.#records.internalDateAt(index)
  }
  savedAt(index: number): number {
    return this.#records.savedAt(index)
  }
  contentAt(index: number): ContentId {
    return this.#records.contentAt(index)
  }
  flagSetAt(index: number): number {
    return this.#records.flagSetAt(index)
  }
  flagsOf(flagSet: number): readonly Flag[] {
    return this.#flagSets().sets.get(flagSet) ?? []
  }
  keywords(): readonly Flag[] {
    return this.#flagSets().keywords
  }
  firstUnseen(): number {
    let index = this.#unseenFrom
    while (index < this.count && this.#isSeenAt(index)) index += 1
    this.#unseenFrom = index
    return index < this.count ? index : -1
  }

  #isSeenAt(index: number): boolean {
    const flagSet = this.#records.flagSetAt(index)
    let isSeen = this.#isSeen.get(flagSet)
    if (isSeen === undefined) {
      isSeen = this.flagsOf(flagSet).includes('\\Seen')
      this.#isSeen.set(flagSet, isSeen)
    }
    return isSeen
  }

  /** A copy of one row of the index, as it was committed last. */
  row(number: number): Uint8Array {
    return this.#records.row(number)
  }

  /** Takes over a committed transaction, unless the columns were loaded after its commit. */
  apply(work: MailboxWork): void {
    if (work.counters.highestModSeq <= this.#modSeq) return
    this.#modSeq = work.counters.highestModSeq
    const { appended, flagged, expunged } = work.touched
    if (expunged.size > 0) {
      this.#records.remove(expunged)
      this.#uids.drop()
      this.#unseenFrom = Math.max(0, this.#unseenFrom - expunged.size)
    }
    for (const uid of flagged) {
      const found = work.find(uid)!
      const index = this.#records.indexOf(uid)
      this.#records.setFlags(index, found.records.flagSetAt(found.index), found.records.modSeqAt(found.index))
      if (index < this.#unseenFrom) this.#unseenFrom = index
    }
    for (const uid of appended) {
      const found = work.find(uid)!
      this.#records.pushFrom(found.records, found.index)
      this.#uids.push(uid)
    }
  }
}

/** Columns by mailbox, least recently used first out. */
export class ColumnsCache {
  readonly #held = new Map<MailboxId, Columns>()
  /** The one used last; the last of `#held`. */
  #last: Columns | undefined

  peek(mailbox: MailboxId): Columns | undefined {
    return this.#held.get(mailbox)
  }

  get(mailbox: MailboxId, load: () => Columns): Columns {
    if (this.#last?.mailbox === mailbox) return this.#last
    const columns = this.#held.get(mailbox) ?? load()
    this.#held.delete(mailbox)
    this.#held.set(mailbox, columns)
    this.#last = columns
    this.#evict()
    return columns
  }

  drop(mailbox: MailboxId): void {
    this.#held.delete(mailbox)
    if (this.#last?.mailbox === mailbox) this.#last = undefined
  }

  #evict(): void {
    let bytes = 0
    for (const columns of this.#held.values()) bytes += columns.heldBytes
    for (const [mailbox, columns] of this.#held) {
      if (bytes <= limits.mailboxColumnsBytesMax || this.#held.size === 1) return
      bytes -= columns.heldBytes
      this.#held.delete(mailbox)
    }
  }
}

/** @param count how many there are */
export function loadRecords(tx: ReadTx, mailbox: MailboxId, count: number): Records {
  const records = new Records()
  records.reserve(count + blockRecords)
  const keys = [...tx.keys(tables.mailboxBlocks, { prefix: fromHex(mailbox)! })]
  for (const key of keys) records.pushRow((room) => tx.getInto(tables.mailboxBlocks, key, room)!)
  return records
}
