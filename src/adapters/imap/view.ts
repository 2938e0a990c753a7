/**
 * One session's view of its selected mailbox: sequence numbers over a sorted list of UIDs, and what the client has
 * been told. The mailbox itself is live; differences are worked out when they may be sent, so nothing piles up.
 */
import type { Identity, MailboxId, ModSeq, Uid } from '../../core/ids.ts'
import type { Flag, MailboxColumns, Mailboxes } from '../../core/mailbox/mailbox.ts'
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
  #uids: Uint32Array
  #count: number
  /** Mod-sequences of this session's own changes: the client knows them already. */
  readonly #own = new Set<ModSeq>()
  /** Changes up to here were told. */
  #told: ModSeq
  #keywordsTold: number
  #isDirty = { appended: false, flags: false, expunged: false }
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
    this.#count = columns.count
    this.#uids = new Uint32Array(Math.max(16, columns.count + 16))
    for (let index = 0; index < columns.count; index += 1) this.#uids[index] = columns.uidAt(index)
    this.#told = mailboxes.byId(account, mailbox)!.highestModSeq
    this.#keywordsTold = columns.keywords().length
    this.#unwatch = mailboxes.watch(account, ({ event }) => {
      if (event.kind === 'mailboxes' || event.mailbox !== mailbox) return
      this.#isDirty[event.kind] = true
      options.onChange()
    })
  }

  close(): void {
    this.#unwatch()
  }

  get count(): number {
    return this.#count
  }
  get highestUid(): number {
    return this.#count === 0 ? 0 : this.#uids[this.#count - 1]!
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
    const index = lowerBound(this.#uids, this.#count, uid)
    return index < this.#count && this.#uids[index] === uid ? index + 1 : 0
  }
  uids(): Uint32Array {
    return this.#uids.subarray(0, this.#count)
  }

  /** UIDs in the view that a set of UIDs or sequence numbers names, ascending; `undefined` when a sequence number does not exist. */
  resolve(set: NumberSet, kind: 'uid' | 'seq'): Uid[] | undefined {
    const found: Uid[] = []
    if (kind === 'seq') {
      for (const { from, to } of resolveNumberSet(set, this.#count)) {
        if (to > this.#count) return undefined
        for (let seq = from; seq <= to; seq += 1) found.push(this.uidOf(seq))
      }
      return found
    }
    for (const { from, to } of resolveNumberSet(set, this.highestUid)) {
      for (let index = lowerBound(this.#uids, this.#count, from); index < this.#count; index += 1) {
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
    const from = recents.from(this.mailbox, uidNext)
    if (!this.isReadOnly) recents.claim(this.mailbox, uidNext)
    if (from < uidNext) this.recentRanges.push({ from, to: uidNext - 1 })
  }
  isRecent(uid: number): boolean {
    return this.recentRanges.some(({ from, to }) => uid >= from && uid <= to)
  }
  get recentCount(): number {
    let recent = 0
    for (const { from, to } of this.recentRanges) {
      recent += lowerBound(this.#uids, this.#count, to + 1) - lowerBound(this.#uids, this.#count, from)
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

  /** What to tell now. Expunges only where the protocol allows: until then their numbers stay taken. */
  takeUpdates(allowExpunge: boolean): Updates {
    const columns = this.columns()
    const dirty = this.#isDirty
    const highest = this.highestUid
    const expunged = allowExpunge && dirty.expunged ? this.#takeExpunged(columns) : []
    const exists = dirty.appended ? this.#takeAppended(columns) : undefined
    const flags = dirty.flags ? this.#takeFlags(columns, highest) : []
    // Changes show in the columns in the same tick in which they are announced: nothing can lie between.
    this.#told = this.highestModSeq as ModSeq
    this.#own.clear()
    this.#isDirty = { appended: false, flags: false, expunged: dirty.expunged && !allowExpunge }
    return { expunged, exists, flags, newKeywords: this.hasNewKeywords && flags.length > 0 }
  }

  #takeExpunged(columns: MailboxColumns): { seq: number; uid: Uid }[] {
    const expunged: { seq: number; uid: Uid }[] = []
    let kept = 0
    for (let index = 0; index < this.#count; index += 1) {
      const uid = this.#uids[index]!
      if (columns.indexOf(uid as Uid) < 0) expunged.push({ seq: kept + 1, uid: uid as Uid })
      else {
        this.#uids[kept] = uid
        kept += 1
      }
    }
    this.#count = kept
    return expunged
  }

  #takeAppended(columns: MailboxColumns): number | undefined {
    const before = this.#count
    const highest = this.highestUid
    let index = columns.count
    while (index > 0 && columns.uidAt(index - 1) > highest) index -= 1
    const added = columns.count - index
    if (added === 0) return undefined
    if (before + added > this.#uids.length) {
      const larger = new Uint32Array((before + added) * 2)
      larger.set(this.uids())
      this.#uids = larger
    }
    for (; index < columns.count; index += 1) {
      this.#uids[this.#count] = columns.uidAt(index)
      this.#count += 1
    }
    return this.#count
  }

  /** Not of messages above `highest`: the client learns of those only now and fetches their flags itself. */
  #takeFlags(columns: MailboxColumns, highest: number): Uid[] {
    const changed: Uid[] = []
    for (let index = 0; index < columns.count; index += 1) {
      const modSeq = columns.modSeqAt(index)
      if (modSeq <= this.#told) continue
      const uid = columns.uidAt(index)
      if (uid <= highest && !this.#own.has(modSeq) && this.seqOf(uid) > 0) changed.push(uid)
    }
    return changed
  }
}

function lowerBound(uids: Uint32Array, count: number, uid: number): number {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (uids[middle]! < uid) low = middle + 1
    else high = middle
  }
  return low
}
