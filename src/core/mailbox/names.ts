/** Mailbox names: UTF-8, hierarchy by `/`, `INBOX` in any case at the top level (RFC 9051 §5.1). */
import { fromUtf8 } from '../bytes.ts'
import { limits } from '../limits.ts'

export const inbox = 'INBOX'

/** The canonical name; `undefined` for one that no mailbox may have. */
export function parseMailboxName(text: string): string | undefined {
  if (!text.isWellFormed() || /\p{Cc}/u.test(text)) return undefined
  if (fromUtf8(text).length > limits.mailboxNameOctetsMax) return undefined
  const levels = text.split('/')
  if (levels.length > limits.mailboxDepthMax || levels.includes('')) return undefined
  if (levels[0]!.toUpperCase() === inbox) levels[0] = inbox
  return levels.join('/')
}

/** `a/b/c` → `a`, `a/b`. */
export function parentsOf(name: string): string[] {
  const levels = name.split('/')
  return levels.slice(1).map((_, index) => levels.slice(0, index + 1).join('/'))
}
