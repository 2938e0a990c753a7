/** The index of a mailbox in memory, loaded when asked for, following commits, dropped when memory is short. */
import { fromHex } from '../bytes.ts'
import type { ContentId, MailboxId, ModSeq, Uid } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { FlagSets } from './flag-sets.ts'
import type { Flag, MailboxColumns } from './mailbox.ts'
import type { MailboxWork } from './mailbox-work.ts'
import { Records } from './records.ts'

/** The message whose content id was given out last: whoever asks for its summary next means this one. */
export interface LastAsked {
  columns: Columns | undefined
  index: number
}

export class Columns implements MailboxColumns {
  readonly mailbox: MailboxId
  readonly #records: Records
  readonly #flagSets: () => FlagSets
  /** Every change up to this modseq is in. */
  #modSeq: number
  readonly #asked: LastAsked

  constructor(
    mailbox: MailboxId,
    parts: { records: Records; modSeq: number; flagSets: () => FlagSets; asked: LastAsked },
  ) {
    this.mailbox = mailbox
    this.#records = parts.records
    this.#modSeq = parts.modSeq
    this.#flagSets = parts.flagSets
    this.#asked = parts.asked
  }

  get count(): number {
    return this.#records.count
  }
  get heldBytes(): number {
    return this.#records.heldBytes
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
    this.#asked.columns = this
    this.#asked.index = index
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

  /** Takes over a committed transaction, unless the columns were loaded after its commit. */
  apply(work: MailboxWork): void {
    if (work.counters.highestModSeq <= this.#modSeq) return
    this.#modSeq = work.counters.highestModSeq
    const { appended, flagged, expunged } = work.touched
    if (expunged.size > 0) this.#records.remove(expunged)
    for (const uid of flagged) {
      const found = work.find(uid)!
      this.#records.setFlags(this.#records.indexOf(uid), {
        flagSet: found.records.flagSetAt(found.index),
        modSeq: found.records.modSeqAt(found.index),
      })
    }
    for (const uid of appended) {
      const found = work.find(uid)!
      this.#records.pushFrom(found.records, found.index)
    }
  }
}

/** Columns by mailbox, least recently used first out. */
export class ColumnsCache {
  readonly #held = new Map<MailboxId, Columns>()

  peek(mailbox: MailboxId): Columns | undefined {
    return this.#held.get(mailbox)
  }

  get(mailbox: MailboxId, load: () => Columns): Columns {
    const columns = this.#held.get(mailbox) ?? load()
    this.#held.delete(mailbox)
    this.#held.set(mailbox, columns)
    this.#evict()
    return columns
  }

  drop(mailbox: MailboxId): void {
    this.#held.delete(mailbox)
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

export function loadRecords(tx: ReadTx, mailbox: MailboxId): Records {
  const records = new Records()
  for (const { value } of tx.range(tables.mailboxBlocks, { prefix: fromHex(mailbox)! }))
    records.pushAll(new Records(value))
  return records
}
