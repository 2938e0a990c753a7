/** MailboxName and SubscriptionChange (RFC 5465 §5.4, §5.5): the difference between what the client knows and what is. */
import type { MailboxInfo } from '../../../core/mailbox/mailbox.ts'
import { parentsOf } from '../../../core/mailbox/names.ts'
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
  /** Shared with everybody who asked for it in the same state. */
  #known: readonly MailboxInfo[]
  #isDirty = false

  constructor(session: Session, wants: (event: EventName, mailbox: Known) => boolean) {
    this.#session = session
    this.#wants = wants
    this.#known = session.mailboxes.list(session.account)
  }

  changed(): void {
    this.#isDirty = true
  }

  /** LIST responses, one for each mailbox that differs. */
  takeLines(): readonly string[] {
    if (!this.#isDirty) return []
    this.#isDirty = false
    const { mailboxes, account } = this.#session
    const [before, now] = [this.#known, mailboxes.list(account)]
    this.#known = now
    const ids = new Set(now.map(({ id }) => id))
    const knownById = new Map(before.map((info) => [info.id, info]))
    const parents = new Set(now.flatMap(({ name }) => parentsOf(name)))
    const lines: string[] = []
    for (const info of before)
      if (!ids.has(info.id) && this.#wants('MailboxName', info)) lines.push(this.#line(info, ['\\NonExistent']))
    for (const info of now) {
      const known = knownById.get(info.id)
      const isNew = known?.name !== info.name && this.#wants('MailboxName', info)
      const isOther = known?.subscribed !== info.subscribed && this.#wants('SubscriptionChange', info)
      if (!isNew && !isOther) continue
      const attributes = attributesOf(info, parents.has(info.name), true)
      lines.push(this.#line(info, attributes, isNew ? known?.name : undefined))
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
}
