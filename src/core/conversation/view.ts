/**
 * A message as it is now: its latest edit, who reacted how, whether it was taken back. What is said last in the order
 * of ranks counts, so gateways with the same messages show the same.
 */
import type { ContentId, ConversationId, Identity, MessageId } from '../ids.ts'
import { decodeMessage, type Relation } from '../message/message.ts'
import type { BodyPart, FilePart, Part } from '../message/part.ts'
import type { ReadTx } from '../store/store.ts'
import { aboutOf, type History } from './history.ts'
import { byRank } from './rank.ts'
import type { Fate, MessageRow } from './rows.ts'

export interface Reaction {
  readonly who: Identity
  readonly reactions: readonly string[]
}

export interface ShownMessage {
  readonly id: MessageId
  readonly conversation: ConversationId
  readonly author: Identity
  /** Place in the order of arrival. */
  readonly number: number
  readonly rank: number
  readonly sentAtMs: number
  readonly receivedAtMs: number
  readonly relations: readonly Relation[]
  /** The words as they are now. */
  readonly text: string | undefined
  readonly html: string | undefined
  readonly file: { readonly part: FilePart; readonly stored: ContentId | undefined } | undefined
  readonly call: Extract<Part, { readonly kind: 'call' }> | undefined
  /** When it was last edited, by its author's clock; `undefined` when it was not. */
  readonly editedAtMs: number | undefined
  readonly isRedacted: boolean
  readonly reactions: readonly Reaction[]
  /** Something that it answers was never here. */
  readonly hasGap: boolean
  readonly fate: Fate
}

/** `undefined` when there is no such message with a body, or its bytes are not here any more and nothing says whose it was. */
export function viewMessage(tx: ReadTx, history: History, account: Identity, id: MessageId): ShownMessage | undefined {
  const row = history.message(tx, account, id)
  if (row?.state !== 'shown' || row.encoded.length === 0) return undefined
  return viewRow(tx, history, account, id, row)
}

function viewRow(tx: ReadTx, history: History, account: Identity, id: MessageId, row: MessageRow): ShownMessage {
  const message = decodeMessage(row.encoded)
  const said = history
    .about(tx, account, id)
    .flatMap((one) => {
      const about = history.message(tx, account, one)
      return about === undefined || about.encoded.length === 0
        ? []
        : [{ id: one, rank: about.rank, message: decodeMessage(about.encoded) }]
    })
    .sort(byRank)
  const edits = said.flatMap(({ message: { parts, sentAtMs } }) =>
    parts.flatMap((part) => (part.kind === 'edit' ? [{ body: part.body, sentAtMs }] : [])),
  )
  const isRedacted = said.some(({ message: about }) => aboutOf(about)?.kind === 'redaction')
  const reactions = new Map<Identity, readonly string[]>()
  for (const { message: about } of said)
    for (const part of about.parts) if (part.kind === 'reaction') reactions.set(about.author, part.reactions)
  const edit = edits.at(-1)
  const body: readonly (BodyPart | Part)[] = isRedacted ? [] : (edit?.body ?? message.parts)
  const ofKind = <K extends Part['kind']>(kind: K, parts: readonly Part[] = body) =>
    parts.find((part): part is Extract<Part, { readonly kind: K }> => part.kind === kind)
  const file = isRedacted ? undefined : ofKind('file', message.parts)
  return {
    id,
    conversation: row.conversation,
    author: message.author,
    number: row.number,
    rank: row.rank,
    sentAtMs: message.sentAtMs,
    receivedAtMs: row.receivedAtMs,
    relations: message.relations,
    text: ofKind('text')?.text,
    html: ofKind('html')?.html,
    file: file === undefined ? undefined : { part: file, stored: row.file },
    call: isRedacted ? undefined : ofKind('call', message.parts),
    editedAtMs: isRedacted ? undefined : edit?.sentAtMs,
    isRedacted,
    reactions: [...reactions]
      .filter(([, given]) => given.length > 0)
      .map(([who, given]) => ({ who, reactions: given })),
    hasGap: row.hasGap,
    fate: row.fate,
  }
}
