/** Whether words stand in an event as it reads now, and how closely it fits. What cannot fit is told from without showing it. */
import { foldText } from '../../../core/message/searchable-text.ts'
import type { BodyPart, Part } from '../../../core/message/part.ts'
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import type { TimelineEntry } from '../stream/rows.ts'
import type { Numbered } from '../stream/stream.ts'
import { type ClientEvent, messageOf, viewEvent, type Viewer, type ViewParts } from './event-view.ts'

export const searchedKeys = ['content.body', 'content.name', 'content.topic'] as const
type SearchedKey = (typeof searchedKeys)[number]

export interface Sought {
  /** Folded; all of them are to be there. */
  readonly words: readonly string[]
  readonly keys: readonly SearchedKey[]
}

export interface Found {
  readonly event: ClientEvent
  /** How much of the text are words that were looked for, from 0 to 1. */
  readonly rank: number
}

export const wordsOf = (term: string): readonly string[] => [
  ...new Set(
    foldText(term)
      .split(/\s+/)
      .filter((word) => word !== ''),
  ),
]

/** What was edited is found by its new words, and an edit by none of its own. */
export function findIn(
  parts: ViewParts,
  tx: ReadTx,
  viewer: Viewer,
  numbered: Numbered<TimelineEntry>,
  { words, keys }: Sought,
): Found | undefined {
  if (!mayHold(parts, tx, viewer.account, numbered.entry, words)) return undefined
  const event = viewEvent(parts, tx, viewer, numbered)
  const isEdit = (event?.content['m.relates_to'] as Json | undefined)?.['rel_type'] === 'm.replace'
  if (event === undefined || isEdit) return undefined
  const edit = (event.unsigned?.['m.relations'] as Json | undefined)?.['m.replace'] as ClientEvent | undefined
  const now = (edit?.content['m.new_content'] as Json | undefined) ?? event.content
  const text = foldText(
    keys
      .map((key) => now[key.slice('content.'.length)])
      .filter((value) => typeof value === 'string')
      .join('\n'),
  )
  return words.every((word) => text.includes(word)) ? { event, rank: shareOf(text, words) } : undefined
}

function shareOf(text: string, words: readonly string[]): number {
  let letters = 0
  for (const word of words)
    for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) letters += word.length
  return Math.min(1, letters / text.length)
}

/** Whether it could have the words: most do not, and to show them would cost the most. */
function mayHold(
  parts: ViewParts,
  tx: ReadTx,
  account: Identity,
  entry: TimelineEntry,
  words: readonly string[],
): boolean {
  const { source, key } = entry
  if (source.kind === 'state') return true
  const message = source.kind === 'message' ? messageOf(parts.services, tx, account, source.message) : undefined
  if (message === undefined || message.parts.some(({ kind }) => kind === 'edit')) return false
  // fields of programs' own may stand in the place of words
  if (message.parts.some(({ kind }) => kind === 'extension')) return true
  const [edit] = parts.relations.of(tx, account, key, { type: 'm.replace', reverse: true, limit: 1 })
  const by = edit && parts.stream.entry(tx, account, edit.number)
  const edited =
    by?.kind === 'event' && by.source.kind === 'message'
      ? messageOf(parts.services, tx, account, by.source.message)?.parts
      : undefined
  const text = foldText([...textsOf(message.parts), ...textsOf(edited ?? [])].join('\n'))
  return words.every((word) => text.includes(word))
}

const textsOf = (parts: readonly (Part | BodyPart)[]): readonly string[] =>
  parts.flatMap((part) => {
    if (part.kind === 'text') return [part.text]
    if (part.kind === 'file') return [part.name]
    return part.kind === 'edit' ? textsOf(part.body) : []
  })
