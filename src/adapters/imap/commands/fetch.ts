/** FETCH and UID FETCH: lookup and concatenation for lists of messages, streams for their bodies. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ContentId, ModSeq, Uid } from '../../../core/ids.ts'
import type { MailboxColumns } from '../../../core/mailbox/mailbox.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { flags as flagsItem, modSeq as modSeqItem, uid as uidItem } from '../fetch/columns.ts'
import type { FetchItem } from '../fetch/item.ts'
import { ordered, readItems } from '../fetch/items.ts'
import type { NumberSet } from '../number-set.ts'
import { ok, type Tagged } from '../responses.ts'
import type { Session } from '../session.ts'
import { Summary } from '../summary.ts'
import { inWindow, readWindow, type Window } from '../window.ts'
import { vanishedSince } from './select.ts'

const othersWaitMsMax = 10 // ours: how long one FETCH may keep the thread

interface Modifiers {
  readonly changedSince: ModSeq | undefined
  readonly vanished: boolean
  readonly partial: Window | undefined
}

const fetching = (kind: 'uid' | 'seq'): Command => ({
  when: 'selected',
  // 2026-11-21: UID FETCH may carry EXPUNGE (RFC 9051 §7.5.1), but need not. Held until IDLE or NOOP, where Thunderbird
  // was seen to act on it; what it makes of one inside the fetch of new messages' flags has not been established.
  holdsExpunge: true,
  async run(session, args) {
    args.sp()
    const set = args.set()
    const uids = session.resolve(set, kind)
    args.sp()
    const asked = readItems(args)
    const { changedSince, vanished, partial } = readModifiers(session, args, kind)
    args.end()
    const items = [...asked]
    if (kind === 'uid' && !session.isUidOnly) items.push(uidItem)
    if (changedSince !== undefined) items.push(modSeqItem)
    if (items.includes(modSeqItem)) session.enableModSeq()
    if (vanished && set !== '$') writeVanished(session, changedSince!, set)
    const fetcher = new Fetcher(session, ordered(items))
    return await fetcher.fetch(
      // RFC 9394 §3.4: first the window, then what changed in it.
      partial === undefined ? uids : inWindow(uids, partial),
      changedSince,
      asked.some(({ setsSeen }) => setsSeen === true),
    )
  },
})

export const fetch: Command = fetching('seq')
export const uidFetch: Command = fetching('uid')

function readModifiers(session: Session, args: Arguments, kind: 'uid' | 'seq'): Modifiers {
  let changedSince: ModSeq | undefined
  let vanished = false
  let partial: Window | undefined
  if (args.isNext(' ')) {
    args.sp()
    args.list(() => {
      const name = args.name()
      if (name === 'VANISHED') vanished = true
      else if (name === 'PARTIAL' && kind === 'uid' && partial === undefined) {
        args.sp()
        partial = readWindow(args)
      } else if (name === 'CHANGEDSINCE') {
        args.sp()
        changedSince = args.number(Number.MAX_SAFE_INTEGER) as ModSeq
      } else throw new BadSyntax('Unknown modifier')
    })
  }
  if (vanished && (kind === 'seq' || changedSince === undefined || !session.enabled.has('QRESYNC'))) {
    throw new BadSyntax('VANISHED needs UID FETCH, CHANGEDSINCE and QRESYNC')
  }
  return { changedSince, vanished, partial }
}

function writeVanished(session: Session, since: ModSeq, set: NumberSet): void {
  const gone = vanishedSince(session, session.selected, since, set)
  if (gone !== '') session.out.line(`* VANISHED (EARLIER) ${gone}`)
}

/** Outside a command: nothing is marked as seen. */
export async function fetchMessages(
  session: Session,
  items: readonly FetchItem[],
  uids: readonly Uid[],
): Promise<void> {
  const all = session.isUidOnly ? items : [...items, uidItem]
  await new Fetcher(session, ordered(all)).fetch(uids, undefined, false)
}

class Fetcher {
  readonly #session: Session
  readonly #items: readonly FetchItem[]
  readonly #needsSummary: boolean
  readonly #needsContent: boolean
  /** The same items with FLAGS, for messages that this FETCH has marked as seen. */
  readonly #itemsWithFlags: readonly FetchItem[]
  #markedSeen: ReadonlySet<Uid> = new Set()
  #missing = false
  #refused: Tagged | undefined

  constructor(session: Session, items: readonly FetchItem[]) {
    this.#session = session
    this.#items = items
    this.#itemsWithFlags = ordered([...items, flagsItem])
    this.#needsSummary = items.some(({ needs }) => needs !== 'columns')
    this.#needsContent = items.some(({ needs }) => needs === 'content')
  }

  async fetch(uids: readonly Uid[], changedSince: ModSeq | undefined, setsSeen: boolean): Promise<Tagged> {
    const session = this.#session
    const view = session.selected
    if (setsSeen && !view.isReadOnly) await this.#markSeen(uids)
    if (view.hasNewKeywords) session.writeKeywords()
    let columns = view.columns()
    let until = performance.now() + othersWaitMsMax
    for (let at = 0; at < uids.length; at += 1) {
      const uid = uids[at]!
      const index = columns.indexOf(uid)
      if (index >= 0 && changedSince !== undefined && columns.modSeqAt(index) <= changedSince) continue
      let waits = this.#write(columns, index, uid)
      if (waits === undefined && session.out.isFull) waits = session.out.ready()
      if (waits === undefined && at % 64 === 63 && performance.now() > until) waits = nextTurn()
      if (waits === undefined) continue
      await waits
      columns = view.columns()
      until = performance.now() + othersWaitMsMax
    }
    if (this.#refused !== undefined) return this.#refused
    // Not NO: to mail programs that is an error to show.
    return this.#missing ? ok('Some of the messages are gone', 'EXPUNGEISSUED') : ok('Fetched')
  }

  async #markSeen(uids: readonly Uid[]): Promise<void> {
    const { mailboxes, account, selected: view } = this.#session
    const columns = view.columns()
    const unseen = uids.filter((uid) => {
      const index = columns.indexOf(uid)
      return index >= 0 && !columns.flagsOf(columns.flagSetAt(index)).includes('\\Seen')
    })
    if (unseen.length === 0) return
    const change = { mode: 'add', flags: ['\\Seen'] } as const
    const { changed, modSeq } = await mailboxes.setFlags(account, view.mailbox, unseen, change)
    this.#markedSeen = new Set(changed)
    if (modSeq !== undefined) view.isOwn(modSeq)
  }

  #write(columns: MailboxColumns, index: number, uid: Uid): void | Promise<void> {
    if (index < 0) return this.#writeGone(uid)
    if (!this.#needsSummary) return this.#respond(columns, index, uid)
    const { mailboxes, account, selected: view } = this.#session
    const content = this.#needsContent ? columns.contentAt(index) : undefined
    const summary = mailboxes.summaryNow(account, view.mailbox, uid)
    if (summary !== undefined) return this.#respond(columns, index, uid, content, new Summary(summary))
    return mailboxes.summary(account, view.mailbox, uid).then((made) => {
      const now = view.columns()
      const at = now.indexOf(uid)
      return at < 0 ? this.#writeGone(uid) : this.#respond(now, at, uid, content, new Summary(made))
    })
  }

  /** A message that others expunged: its number stands until the client may be told, but only its UID is still known. */
  #writeGone(uid: Uid): void {
    if (this.#items.every((item) => item === uidItem)) {
      this.#session.openFetch(uid)
      this.#session.out.line(`UID ${uid})`)
    } else this.#missing = true
  }

  #respond(
    columns: MailboxColumns,
    index: number,
    uid: Uid,
    content?: ContentId,
    summary?: Summary,
  ): void | Promise<void> {
    const session = this.#session
    const { out } = session
    const items = this.#markedSeen.has(uid) ? this.#itemsWithFlags : this.#items
    if (summary !== undefined) {
      for (const item of items) {
        const refused = item.refuse?.(summary)
        if (refused === undefined) continue
        this.#refused = refused
        return
      }
    }
    session.openFetch(uid)
    const target = { session, columns, index, uid, content, summary }
    for (let at = 0; at < items.length; at += 1) {
      if (at > 0) out.text(' ')
      const waits = items[at]!.write(target)
      if (waits !== undefined) return waits.then(() => this.#finish(items, at + 1, target))
    }
    out.text(')\r\n')
  }

  async #finish(items: readonly FetchItem[], from: number, target: Parameters<FetchItem['write']>[0]): Promise<void> {
    for (let at = from; at < items.length; at += 1) {
      this.#session.out.text(' ')
      await items[at]!.write(target)
    }
    this.#session.out.text(')\r\n')
  }
}
