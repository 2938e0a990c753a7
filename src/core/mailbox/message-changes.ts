/** How messages come to mailboxes, move between them and go, inside one transaction: with quota and uses of contents. */
import type { Clock } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity, MailboxId, Uid } from '../ids.ts'
import type { Blobs } from '../store/blobs.ts'
import type { WriteTx } from '../store/store.ts'
import type { AccountWork } from './account-work.ts'
import type { AppendItem, AppendOptions, UidPair } from './mailbox.ts'
import type { MailboxWork } from './mailbox-work.ts'
import { ascending } from './uid-list.ts'

interface Transfer {
  readonly from: MailboxId
  readonly uids: readonly Uid[]
  readonly to: MailboxId
}

export class MessageChanges {
  readonly #blobs: Blobs
  readonly #clock: Clock
  readonly #quotaBytes: ((account: Identity) => number) | undefined

  constructor(parts: { blobs: Blobs; clock: Clock; quotaBytes: ((account: Identity) => number) | undefined }) {
    this.#blobs = parts.blobs
    this.#clock = parts.clock
    this.#quotaBytes = parts.quotaBytes
  }

  append(
    tx: WriteTx,
    work: AccountWork,
    mailbox: MailboxId,
    items: readonly AppendItem[],
    { beyondQuota = false }: AppendOptions = {},
  ): readonly Uid[] {
    const target = work.mailbox(mailbox)
    // Everything that may refuse comes before anything that changes.
    if (!beyondQuota)
      this.#checkQuota(
        work,
        items.reduce((sum, { size }) => sum + size, 0),
      )
    target.checkRoom(items.length)
    const flagSets = items.map(({ flags }) => target.flagSetOf(flags))
    this.#retainAll(tx, work, items)
    const savedMs = this.#clock.nowMs()
    return items.map((item, index) => target.append({ ...item, flagSet: flagSets[index]!, savedMs }))
  }

  copy(tx: WriteTx, work: AccountWork, { from, uids, to }: Transfer): readonly UidPair[] {
    const [source, target] = [work.mailbox(from), work.mailbox(to)]
    const found = ascending(uids).flatMap((uid) => source.find(uid) ?? [])
    this.#checkQuota(
      work,
      found.reduce((sum, { records, index }) => sum + records.sizeAt(index), 0),
    )
    for (const { records, index } of found) this.#blobs.retainOf(tx, work.account, records.contentAt(index))
    return this.#transfer({ source, target, uids, isMove: false })
  }

  move(work: AccountWork, { from, uids, to }: Transfer): readonly UidPair[] {
    return this.#transfer({ source: work.mailbox(from), target: work.mailbox(to), uids, isMove: true })
  }

  moveAll(work: AccountWork, { from, to }: Omit<Transfer, 'uids'>): void {
    const source = work.mailbox(from)
    const uids = [...source.all()].map(({ records, index }) => records.uidAt(index))
    this.#transfer({ source, target: work.mailbox(to), uids, isMove: true })
  }

  /** The uses of contents are the caller's: a move leaves them as they are. */
  #transfer({
    source,
    target,
    uids,
    isMove,
  }: {
    source: MailboxWork
    target: MailboxWork
    uids: readonly Uid[]
    isMove: boolean
  }): readonly UidPair[] {
    const records = ascending(uids).flatMap((uid) => {
      const found = source.find(uid)
      return found === undefined ? [] : [found.records.recordAt(found.index)]
    })
    target.checkRoom(records.length)
    const flagSets = new Map<number, number>()
    for (const { flagSet } of records)
      if (!flagSets.has(flagSet)) flagSets.set(flagSet, target.flagSetOf(source.flagsOf(flagSet)))
    const savedMs = this.#clock.nowMs()
    const pairs = records.map((record) => ({
      from: record.uid,
      to: target.append({
        ...record,
        flagSet: flagSets.get(record.flagSet)!,
        savedMs,
        origin: { mailbox: source.id, uid: record.uid },
      }),
    }))
    if (isMove) source.expunge(records.map(({ uid }) => uid))
    return pairs
  }

  /** Those flagged \Deleted, of all where no UIDs are given. */
  expunge(tx: WriteTx, work: AccountWork, mailbox: MailboxId, uids?: readonly Uid[]): readonly Uid[] {
    const target = work.mailbox(mailbox)
    if (target.counters.deleted === 0) return []
    const candidates = uids === undefined ? target.all() : ascending(uids).flatMap((uid) => target.find(uid) ?? [])
    const deleted: Uid[] = []
    for (const { records, index } of candidates)
      if (target.flagsOf(records.flagSetAt(index)).includes('\\Deleted')) deleted.push(records.uidAt(index))
    return this.#expunge(tx, work, target, deleted)
  }

  discard(tx: WriteTx, work: AccountWork, mailbox: MailboxId, uids: readonly Uid[]): void {
    this.#expunge(tx, work, work.mailbox(mailbox), ascending(uids))
  }

  #expunge(tx: WriteTx, { account }: AccountWork, target: MailboxWork, uids: readonly Uid[]): readonly Uid[] {
    const gone = target.expunge(uids)
    for (const { content } of gone) this.#blobs.release(tx, account, content)
    return gone.map(({ uid }) => uid)
  }

  #retainAll(tx: WriteTx, { account }: AccountWork, items: readonly { readonly content: ContentId }[]): void {
    let done = 0
    try {
      for (const { content } of items) {
        this.#blobs.retain(tx, account, content)
        done += 1
      }
    } catch (error) {
      for (const { content } of items.slice(0, done)) this.#blobs.release(tx, account, content)
      throw error
    }
  }

  #checkQuota(work: AccountWork, added: number): void {
    const quotaBytes = this.#quotaBytes?.(work.account)
    if (quotaBytes !== undefined && work.usedBytes + added > quotaBytes) throw new MyceliumError('mailbox-full')
  }
}
