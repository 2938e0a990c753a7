/**
 * Which copy the mail of a chat is, in the mailboxes that an account's devices have in common: each device makes that
 * mail itself, and of the same words it is the same one.
 */
import { fromUtf8 } from '../../bytes.ts'
import type { Conversations } from '../../conversation/conversations.ts'
import type { History } from '../../conversation/history.ts'
import type { Identity, MessageId } from '../../ids.ts'
import type { CopyMark } from '../../mailbox/mailbox.ts'
import { decodeMessage } from '../../message/message.ts'
import { copyOfChat, type NamedCopies } from '../../replica/copies.ts'
import type { ReadTx } from '../../store/store.ts'

export interface Rendered {
  readonly id: MessageId
  /** With a file that the message itself does not hold. */
  readonly isWithFile: boolean
}

/** What was said about a message only grows: no revision comes back. `undefined` when the message is not here. */
export function copyOfRendering(
  tx: ReadTx,
  history: History,
  account: Identity,
  { id, isWithFile }: Rendered,
): CopyMark | undefined {
  const row = history.message(tx, account, id)
  if (row === undefined || row.encoded.length === 0) return undefined
  const about = history.about(tx, account, id).toSorted((a, b) => (a < b ? -1 : 1))
  const revision = fromUtf8([...about, row.fate === 'failed', isWithFile].join())
  return copyOfChat(account, id, decodeMessage(row.encoded).sentAtMs, revision)
}

/** The copies that mails of conversations are which were made before the account had a second device. */
export const renderedCopies =
  (conversations: Conversations): NamedCopies =>
  (tx, account, from) => {
    const { renderings, next } = conversations.renderings(tx, account, from)
    const copies = renderings.flatMap(({ id, mailbox, uid }) => {
      const isWithFile = conversations.history.message(tx, account, id)?.file !== undefined
      const mark = copyOfRendering(tx, conversations.history, account, { id, isWithFile })
      return mark === undefined ? [] : [{ mark, mailbox, uid }]
    })
    return { copies, next }
  }
