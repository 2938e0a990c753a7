/** Who may say what about earlier messages: their authors, and in a group its admins, who may take back what others said. */
import { isAdmin } from '../group/roster.ts'
import type { GroupBook } from './group-book.ts'
import { aboutOf, type Judge, onlyOwn } from './history.ts'

export const groupJudge =
  (book: GroupBook): Judge =>
  (tx, account, message, targetAuthor) => {
    if (onlyOwn(tx, account, message, targetAuthor)) return true
    if (message.place?.kind !== 'group' || aboutOf(message)?.kind !== 'redaction') return false
    const group = book.group(tx, account, message.place.group)
    return group !== undefined && isAdmin(group.state, message.author)
  }
