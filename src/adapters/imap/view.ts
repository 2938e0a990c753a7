/**
 * One session's view of its selected mailbox: sequence numbers over a sorted list of UIDs, and what the client has
 * been told. The mailbox itself is live; differences are worked out when they may be sent, so nothing piles up.
 */
import type { Identity, MailboxId, ModSeq, Uid } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { Flag, MailboxColumns, Mailboxes } from '../../core/mailbox/mailbox.ts'
import { inRanges } from '../../core/mailbox/search.ts'
import type { Recents } from './recents.ts'
import { type NumberSet, resolveNumberSet } from './number-set.ts'

export interface Updates {
  /** Sequence numbers as the client must read them, one after the other, each already counting those before it. */
  readonly expunged: readonly { readonly seq: number; readonly uid: Uid }[]
  /** New number of messages, only if some came. */
  readonly exists: number | undefined
  /** Messages whose flags changed, ascending. */
  readonly flags: readonly Uid[]
  /** Flags that a FLAGS response must name before they are used. */
  readonly newKeywords: boolean
}

export class View {
  readonly account: Identity
  readonly mailbox: MailboxId
  readonly isReadOnly: boolean
  readonly #mailboxes: Mailboxes
  /** Shared with the mailbox: replaced, never written to. */
  #uids: Uint32Array
  /** Where the next UID to be looked up is expected. */
  #expected = 0
  /** Mod-sequences of this session's own changes: the client knows them already. */
  readonly #own = new Set<ModSeq>()
  /** Changes up to here were told. */
  #told: ModSeq
  #keywordsTold: number
  readonly #isDirty = { appended: false, expunged: false }
  /** UIDs whose flags changed, one list for each change; `undefined` when there are too many to keep. */
  #flagged: (readonly Uid[])[] | undefined = []
  #flaggedCount = 0
  readonly #flagTexts = new Map<number, string>()
  readonly #unwatch: () => void
  readonly recentRanges: { from: number; to: number }[] = []

  constructor(
    mailboxes: Mailboxes,
    account: Identity,
    mailbox: MailboxId,
    options: { readonly isReadOnly: boolean; readonly onChange: () => void },
  ) {
    this.#mailboxes = mailboxes
    this.account = account
    this.mailbox = mailbox
    this.isReadOnly = options.isReadOnly
    const columns = this.columns()
    this.#uids = columns.uids()
    this.#told = mailboxes.byId(account, mailbox)!.highestModSeq
    this.#keywordsTold = columns.keywords().length
    this.#unwatch = mailboxes.watch(account, ({ event }) => {
      if (event.kind === 'mailboxes' || event.mailbox !== mailbox) return
      if (event.kind === 'flags') this.#addFlagged(event.uids)
      else this.#isDirty[event.kind] = true
      options.onChange()
    })
  }

  close(): void {
    this.#unwatch()
  }

  get count(): number {
    return this.#uids.length
  }
  get highestUid(): number {
    return this.#uids.length === 0 ? 0 : this.#uids[this.#uids.length - 1]!
  }
  /** Live: nothing of it may be kept across an await. */
  columns(): MailboxColumns {
    return this.#mailboxes.columns(this.account, this.mailbox)
  }
  /** 0 while the mailbox still exists nowhere but here. */
  get highestModSeq(): number {
    return this.#mailboxes.byId(this.account, this.mailbox)?.highestModSeq ?? 0
  }

  uidOf(seq: number): Uid {
    return this.#uids[seq - 1] as Uid
  }
  /** 0 when the client has not been told of the UID, or was told that it is gone. */
  seqOf(uid: number): number {
    const index = this.#uids[this.#expected] === uid ? this.#expected : lowerBound(this.#uids, uid)
    if (this.#uids[index] !== uid) return 0
    this.#expected = index + 1
    return this.#expected
  }
  /** Nobody writes to it. */
  uids(): Uint32Array {
    return this.#uids
  }

  /** UIDs in the view that a set of UIDs or sequence numbers names, ascending; `undefined` when a sequence number does not exist. */
  resolve(set: NumberSet, kind: 'uid' | 'seq'): Uid[] | undefined {
    const found: Uid[] = []
    if (kind === 'seq') {
      for (const { from, to } of resolveNumberSet(set, this.count)) {
        if (to > this.count) return undefined
        for (let seq = from; seq <= to; seq += 1) found.push(this.uidOf(seq))
      }
      return found
    }
    for (const { from, to } of resolveNumberSet(set, this.highestUid)) {
      for (let index = lowerBound(this.#uids, from); index < this.count; index += 1) {
        const uid = this.#uids[index]!
        if (uid > to) break
        found.push(uid as Uid)
      }
    }
    return found
  }

  /** Claims what arrived since any session looked (RFC 3501 §2.3.2): this one shows it as \Recent. */
  claimRecent(recents: Recents): void {
    const uidNext = this.#mailboxes.byId(this.account, this.mailbox)?.uidNext
    if (uidNext === undefined) return
    const from = recents.from(this.mailbox)
    if (!this.isReadOnly) recents.claim(this.mailbox, uidNext)
    if (from >= uidNext) return
    // Replaced, not changed: a search may hold the one that was there.
    const last = this.recentRanges.at(-1)?.to === from - 1 ? this.recentRanges.pop() : undefined
    this.recentRanges.push({ from: last?.from ?? from, to: uidNext - 1 })
  }
  isRecent(uid: number): boolean {
    return inRanges(this.recentRanges, uid)
  }
  get recentCount(): number {
    let recent = 0
    for (const { from, to } of this.recentRanges) {
      recent += lowerBound(this.#uids, to + 1) - lowerBound(this.#uids, from)
    }
    return recent
  }

  /** `\Seen $Forwarded`, kept per combination of flags. */
  flagText(columns: MailboxColumns, flagSet: number): string {
    let text = this.#flagTexts.get(flagSet)
    if (text === undefined) {
      text = columns.flagsOf(flagSet).join(' ')
      this.#flagTexts.set(flagSet, text)
    }
    return text
  }

  get hasNewKeywords(): boolean {
    return this.columns().keywords().length > this.#keywordsTold
  }
  /** The keywords in use, from now on known to the client. */
  takeKeywords(): readonly Flag[] {
    const keywords = this.columns().keywords()
    this.#keywordsTold = keywords.length
    return keywords
  }

  /** The client is told of this change in another way. */
  isOwn(modSeq: ModSeq): void {
    this.#own.add(modSeq)
  }

  /** This session changed the mailbox: look, even before the change has been announced. */
  touch(kind: 'appended' | 'expunged'): void {
    this.#isDirty[kind] = true
  }

  /** Messages are gone of which the client has not been told. */
  get hasExpunged(): boolean {
    return this.#isDirty.expunged
  }

  /** What to tell now. Expunges only where the protocol allows: until then their numbers stay taken. */
  takeUpdates(allowExpunge: boolean): Updates {
    if (!this.#isDirty.appended && !this.#isDirty.expunged && this.#flagged?.length === 0) {
      this.#own.clear()
      return nothing
    }
    const columns = this.columns()
    const dirty = this.#isDirty
    const highest = this.highestUid
    const expunged = allowExpunge && dirty.expunged ? this.#takeExpunged(columns) : []
    const exists = dirty.appended ? this.#takeAppended(columns) : undefined
    const flags = this.#takeFlags(columns, highest)
    // Changes show in the columns in the same tick in which they are announced: nothing can lie between.
    this.#told = this.highestModSeq as ModSeq
    this.#own.clear()
    dirty.appended = false
    dirty.expunged &&= !allowExpunge
    return { expunged, exists, flags, newKeywords: this.hasNewKeywords && flags.length > 0 }
  }

  /** Up to the highest UID told, what the mailbox has is what this view must become. */
  #takeExpunged(columns: MailboxColumns): { seq: number; uid: Uid }[] {
    const all = columns.uids()
    const left = all.subarray(0, lowerBound(all, this.highestUid + 1))
    const expunged: { seq: number; uid: Uid }[] = []
    let kept = 0
    for (const uid of this.#uids) {
      if (left[kept] === uid) kept += 1
      else expunged.push({ seq: kept + 1, uid: uid as Uid })
    }
    this.#uids = left
    return expunged
  }

  #takeAppended(columns: MailboxColumns): number | undefined {
    const all = columns.uids()
    const before = this.#uids
    const from = lowerBound(all, this.highestUid + 1)
    if (from === all.length) return undefined
    if (from === before.length) this.#uids = all
    else {
      // Messages are gone of which the client may not be told yet: they keep their numbers.
      this.#uids = new Uint32Array(before.length + all.length - from)
      this.#uids.set(before)
      this.#uids.set(all.subarray(from), before.length)
    }
    return this.count
  }

  #addFlagged(uids: readonly Uid[]): void {
    this.#flaggedCount += uids.length
    if (this.#flaggedCount > limits.imapChangesHeldMax) this.#flagged = undefined
    else this.#flagged?.push(uids)
  }

  /** Not of messages above `highest`: the client learns of those only now and fetches their flags itself. */
  #takeFlags(columns: MailboxColumns, highest: number): readonly Uid[] {
    const lists = this.#flagged
    this.#flagged = []
    this.#flaggedCount = 0
    if (lists?.length === 0) return []
    const changed: Uid[] = []
    const look = (index: number): void => {
      const modSeq = columns.modSeqAt(index)
      if (modSeq <= this.#told || this.#own.has(modSeq)) return
      const uid = columns.uidAt(index)
      if (uid <= highest && this.seqOf(uid) > 0) changed.push(uid)
    }
    if (lists === undefined) for (let index = 0; index < columns.count; index += 1) look(index)
    else
      for (const uid of Uint32Array.from(new Set(lists.flat())).sort()) {
        const index = columns.indexOf(uid as Uid)
        if (index >= 0) look(index)
      }
    return changed
  }
}

const nothing: Updates = { expunged: [], exists: undefined, flags: [], newKeywords: false }

/** Index of the first UID that is not below `uid`. */
function lowerBound(uids: Uint32Array, uid: number): number {
  let low = 0
  let high = uids.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (uids[middle]! < uid) low = middle + 1
    else high = middle
  }
  return low
}
