/** MailboxName and SubscriptionChange (RFC 5465 §5.4, §5.5): the difference between what the client knows and what is. */
import type { MailboxId } from '../../../core/ids.ts'
import { attributesOf } from '../commands/list.ts'
import type { Session } from '../session.ts'
import type { EventName } from './groups.ts'

interface Known {
  readonly name: string
  readonly subscribed: boolean
}

export class MailboxNames {
  readonly #session: Session
  readonly #wants: (event: EventName, mailbox: Known) => boolean
  #known: ReadonlyMap<MailboxId, Known>
  #isDirty = false

  constructor(session: Session, wants: (event: EventName, mailbox: Known) => boolean) {
    this.#session = session
    this.#wants = wants
    this.#known = this.#now()
  }

  changed(): void {
    this.#isDirty = true
  }

  /** LIST responses, one for each mailbox that differs. */
  takeLines(): readonly string[] {
    if (!this.#isDirty) return []
    this.#isDirty = false
    const before = this.#known
    const now = this.#now()
    this.#known = now
    const lines: string[] = []
    for (const [id, mailbox] of before) {
      if (!now.has(id) && this.#wants('MailboxName', mailbox)) lines.push(this.#line(mailbox, ['\\NonExistent']))
    }
    for (const [id, mailbox] of now) {
      const known = before.get(id)
      const isNew = known?.name !== mailbox.name && this.#wants('MailboxName', mailbox)
      const isOther = known?.subscribed !== mailbox.subscribed && this.#wants('SubscriptionChange', mailbox)
      if (!isNew && !isOther) continue
      const hasChildren = [...now.values()].some(({ name }) => name.startsWith(`${mailbox.name}/`))
      const info = this.#session.mailboxes.byId(this.#session.account, id)
      lines.push(this.#line(mailbox, attributesOf(info, hasChildren, true), isNew ? known?.name : undefined))
    }
    return lines
  }

  #line({ name, subscribed }: Known, attributes: readonly string[], oldName?: string): string {
    const session = this.#session
    const all = subscribed ? [...attributes, '\\Subscribed'] : attributes
    // RFC 9051 §7.3.1: a renamed mailbox is told with its old name.
    const extended = oldName === undefined ? '' : ` ("OLDNAME" (${session.writeMailbox(oldName)}))`
    return `* LIST (${all.join(' ')}) "/" ${session.writeMailbox(name)}${extended}`
  }

  #now(): ReadonlyMap<MailboxId, Known> {
    const { mailboxes, account } = this.#session
    return new Map(mailboxes.list(account).map(({ id, name, subscribed }) => [id, { name, subscribed }]))
  }
}
