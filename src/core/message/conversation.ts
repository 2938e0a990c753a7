/**
 * ◆ Conversations have the same id on every gateway: it is made of who talks, never of names that a person may change.
 * Format: docs/protocol/message.md.
 */
import { fromUtf8, toHex } from '../bytes.ts'
import { labelledHash } from '../crypto/kdf.ts'
import type { ConversationId, GroupId, Identity } from '../ids.ts'
import type { Place } from './message.ts'

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const idOf = (label: string, ...parts: readonly Uint8Array[]): ConversationId =>
  toHex(labelledHash(label, ...parts)) as ConversationId

/** Those asked for lately: a message asks for its own ten times. */
const known = new Map<string, ConversationId>()
const knownMax = 10_000

/** Of two people, whoever names the other; with oneself: notes. */
export function directConversation(one: Identity, other: Identity): ConversationId {
  const [first, second] = one < other ? [one, other] : [other, one]
  const name = first + second
  const before = known.get(name)
  if (before !== undefined) return before
  const id = idOf('mycelium/conversation/direct/1', raw(first), raw(second))
  if (known.size >= knownMax) known.clear()
  known.set(name, id)
  return id
}

export const groupConversation = (group: GroupId): ConversationId => idOf('mycelium/conversation/group/1', raw(group))

/**
 * A mail thread: the Message-ID that it began with and the set of those who take part, so that an author or a set
 * outside it starts a conversation of its own.
 * @param rootMessageId as in the header field, with its angle brackets
 */
export function threadConversation(rootMessageId: string, participants: ReadonlySet<Identity>): ConversationId {
  const members = [...participants].sort().map(raw)
  return idOf('mycelium/conversation/thread/1', fromUtf8(rootMessageId), ...members)
}

/** Where a message of `author` belongs. */
export const conversationOf = (author: Identity, place: Place): ConversationId =>
  place.kind === 'direct' ? directConversation(author, place.with) : groupConversation(place.group)
