/**
 * Events that a client asked for with NOTIFY (RFC 5465): gathered as they are committed, each mailbox once, and told
 * between commands. What cannot be kept in bounds is given up with NOTIFICATIONOVERFLOW (§5.8).
 */
import type { MailboxId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { AnnotationChange } from '../../../core/mailbox/annotations.ts'
import type { Change, MailboxInfo } from '../../../core/mailbox/mailbox.ts'
import { fetchMessages } from '../commands/fetch.ts'
import { byMailboxName } from '../commands/list.ts'
import { writeStatus } from '../commands/status.ts'
import type { Session } from '../session.ts'
import type { View } from '../view.ts'
import type { EventName, Group } from './groups.ts'
import { MailboxNames } from './mailbox-names.ts'

const messageEvent = { appended: 'MessageNew', expunged: 'MessageExpunge', flags: 'FlagChange' } as const

export class Notify {
  readonly #session: Session
  readonly #groups: readonly Group[]
  readonly #selected: Group | undefined
  readonly #names: MailboxNames
  readonly #unwatch: readonly (() => void)[]
  /** Mailboxes whose messages changed. */
  readonly #changed = new Set<MailboxId>()
  readonly #noted = new Map<MailboxId | undefined, Set<string>>()
  /** In all of them; once it is over its bound, no further one is kept. */
  #notedNames = 0
  #view: View | undefined
  /** Of the selected mailbox: messages up to here were told. */
  #toldUid = 0

  constructor(session: Session, groups: readonly Group[]) {
    this.#session = session
    this.#groups = groups
    this.#selected = groups.find(({ selected }) => selected !== undefined)
    this.#names = new MailboxNames(session, (event, mailbox) => this.#wants(event, mailbox))
    const { account, mailboxes, context } = session
    this.#unwatch = [
      mailboxes.watch(account, ({ event }) => this.#hear(event)),
      context.services.annotations.watch(account, (change) => this.#hearNote(change)),
    ]
    this.#followView()
  }

  close(): void {
    for (const unwatch of this.#unwatch) unwatch()
  }

  /** The selected mailbox is told of without being asked. */
  get pushesSelected(): boolean {
    return this.#selected !== undefined && this.#selected.events.size > 0
  }
  /** Sequence numbers stay as they are until a command allows otherwise. */
  get delaysExpunge(): boolean {
    return this.#selected?.selected === 'delayed'
  }

  /** How things stand, for the client to begin with (§3.1). */
  writeAllStatus(): void {
    const { mailboxes, account } = this.#session
    const wanted = mailboxes.list(account).filter((info) => this.#wants('MessageNew', info))
    for (const info of wanted.toSorted((a, b) => byMailboxName(a.name, b.name))) this.#writeStatus(info)
  }

  /** Tells what was gathered. */
  async write(): Promise<void> {
    const session = this.#session
    const names = this.#names.takeLines()
    if (this.#changed.size + names.length + this.#notedNames > limits.imapNotifyPendingMax) {
      session.out.line('* OK [NOTIFICATIONOVERFLOW] Too much has changed at once')
      session.endNotify()
      return
    }
    for (const line of names) session.out.line(line)
    this.#writeChanged()
    this.#writeNoted()
    await this.#writeNewMessages()
  }

  #wants(event: EventName, mailbox: { readonly name: string; readonly subscribed: boolean }): boolean {
    return this.#groups.find((group) => group.matches(mailbox))?.events.has(event) === true
  }

  #hear(event: Change['event']): void {
    const session = this.#session
    if (event.kind === 'mailboxes') this.#names.changed()
    else {
      const info = session.mailboxes.byId(session.account, event.mailbox)
      if (event.mailbox === session.view?.mailbox || info === undefined) return
      if (!this.#wants(messageEvent[event.kind], info)) return
      this.#changed.add(event.mailbox)
    }
    session.pusher.changed()
  }

  #hearNote({ mailbox, names }: AnnotationChange): void {
    const { mailboxes, account } = this.#session
    const info = mailbox === undefined ? undefined : mailboxes.byId(account, mailbox)
    const isWanted =
      mailbox === undefined
        ? this.#groups.some(({ events }) => events.has('ServerMetadataChange'))
        : info !== undefined && this.#wants('MailboxMetadataChange', info)
    if (!isWanted) return
    const noted = this.#noted.get(mailbox) ?? new Set()
    this.#noted.set(mailbox, noted)
    for (const name of names) {
      if (this.#notedNames > limits.imapNotifyPendingMax) break
      this.#notedNames += noted.has(name) ? 0 : 1
      noted.add(name)
    }
    this.#session.pusher.changed()
  }

  #writeStatus(info: MailboxInfo): void {
    if (info.id === this.#session.view?.mailbox) return
    const items = ['MESSAGES', 'UIDNEXT', 'UIDVALIDITY']
    if (this.#wants('FlagChange', info)) items.push('HIGHESTMODSEQ')
    writeStatus(this.#session, info, items)
  }

  #writeChanged(): void {
    const { mailboxes, account } = this.#session
    for (const id of this.#changed) {
      const info = mailboxes.byId(account, id)
      if (info !== undefined) this.#writeStatus(info)
    }
    this.#changed.clear()
  }

  #writeNoted(): void {
    const session = this.#session
    for (const [mailbox, names] of this.#noted) {
      const info = mailbox === undefined ? undefined : session.mailboxes.byId(session.account, mailbox)
      if (mailbox !== undefined && info === undefined) continue
      const name = info === undefined ? '""' : session.writeMailbox(info.name)
      session.out.line(`* METADATA ${name} ${[...names].join(' ')}`)
    }
    this.#noted.clear()
    this.#notedNames = 0
  }

  /** §5.2: with each new message come the items that the client asked for. */
  async #writeNewMessages(): Promise<void> {
    this.#followView()
    const view = this.#view
    if (view === undefined || view.highestUid <= this.#toldUid) return
    const from = this.#toldUid
    this.#toldUid = view.highestUid
    const items = this.#selected?.newMessageItems ?? []
    if (items.length === 0) return
    const uids = view.resolve([{ from: from + 1, to: this.#toldUid }], 'uid')
    await fetchMessages(this.#session, items, uids ?? [])
  }

  #followView(): void {
    const { view } = this.#session
    if (view === this.#view) return
    this.#view = view
    this.#toldUid = view?.highestUid ?? 0
  }
}
