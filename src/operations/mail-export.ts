/** Everything that is in an account's mailboxes, message by message. */
import { MyceliumError } from '../core/errors.ts'
import type { ContentId, Identity } from '../core/ids.ts'
import type { MailboxInfo } from '../core/mailbox/mailbox.ts'
import { GivenUp, type MailEvent } from '../core/transfer/mail-stream.ts'
import type { Knowledge } from '../node.ts'

/** @param counts what has been given so far @throws `no-such-mailbox` */
export async function* exportedMail(
  { mailboxes }: Pick<Knowledge, 'mailboxes'>,
  account: Identity,
  under: string | undefined,
  counts: { messages: number },
): AsyncGenerator<MailEvent> {
  const root = under === undefined ? undefined : mailboxes.byName(account, under)
  if (under !== undefined && root === undefined) throw new MyceliumError('no-such-mailbox')
  const chosen = mailboxes
    .list(account)
    .filter(({ name }) => root === undefined || name === root.name || name.startsWith(`${root.name}/`))
  const sum = (of: (info: MailboxInfo) => number): number => chosen.reduce((total, info) => total + of(info), 0)
  yield { kind: 'total', messages: sum(({ messages }) => messages), bytes: sum(({ size }) => size) }

  async function* body(content: ContentId): AsyncGenerator<Uint8Array> {
    try {
      yield* mailboxes.read(account, content)
    } catch (error) {
      if (!(error instanceof MyceliumError)) throw error
      throw new GivenUp(error.code === 'store-corrupt' ? 'damaged in the store' : error.code, { cause: error })
    }
  }

  for (const { id, name, uidValidity } of chosen) {
    if (mailboxes.byId(account, id) === undefined) continue // removed since
    yield { kind: 'mailbox', mailbox: name }
    const before = mailboxes.columns(account, id)
    const uids = Array.from({ length: before.count }, (_, index) => before.uidAt(index))
    for (const uid of uids) {
      if (mailboxes.byId(account, id) === undefined) break
      const columns = mailboxes.columns(account, id)
      const index = columns.indexOf(uid)
      if (index < 0) continue // expunged since
      const head = {
        mailbox: name,
        flags: [...columns.flagsOf(columns.flagSetAt(index))],
        dateMs: columns.internalDateAt(index),
        name: `${uidValidity}.${uid}`,
      }
      yield { kind: 'message', head, body: body(columns.contentAt(index)) }
      counts.messages += 1
    }
  }
}
