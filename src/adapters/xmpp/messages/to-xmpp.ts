/**
 * A message of a conversation as a stanza, as the programs of one account see it: in a chat between two or in a room.
 * Edits, reactions and retractions are stanzas of their own, so a message stands as it was first said.
 */
import type { MessageRow } from '../../../core/conversation/rows.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { sizeOfContent } from '../../../core/message/content.ts'
import type { Message } from '../../../core/message/message.ts'
import type { FilePart, Part } from '../../../core/message/part.ts'
import { clientNs, type Element, el, type Node } from '../element.ts'
import type { Spoken } from './client-ids.ts'
import { payloadsOf } from './extension.ts'
import { fallbackFor, quoted } from './fallback.ts'
import { ns, stampOf } from './namespaces.ts'

/** As it is kept. */
export interface Stored {
  readonly id: MessageId
  readonly row: MessageRow
  readonly message: Message
  /** What took it back, where its words are gone. */
  readonly retraction: { readonly id: MessageId; readonly atMs: number } | undefined
}

/** How the programs of one account see one conversation. */
export interface Sight {
  readonly account: Identity
  readonly type: 'chat' | 'groupchat'
  /** Who gives the stanza-ids: the own bare JID, or the room (XEP-0359 §5). */
  readonly by: string
  /** The address of somebody who says something here; of the program that said one message, where that is known. */
  readonly from: (author: Identity, id?: MessageId) => string
  /** To whom a message of this author goes, where it is said. */
  readonly to: (author: Identity) => string | undefined
  /** How a program has said it, of this account or another one of this gateway. */
  readonly spoken: (id: MessageId) => Spoken | undefined
  /** Another message of the conversation: whose it is, and its words. */
  readonly cited: (id: MessageId) => { readonly author: Identity; readonly text: string } | undefined
  readonly urlOf: (id: MessageId, name: string) => string | undefined
}

/** The `id` attribute by which programs of this account have it. */
export const idIn = ({ spoken }: Sight, id: MessageId): string => spoken(id)?.id ?? id

/** What reactions, replies, retractions and markers name: the stanza-id in rooms (XEP-0444 §3, XEP-0461 §3), else the `id`. */
const referenceIn = (sight: Sight, id: MessageId): string => (sight.type === 'groupchat' ? id : idIn(sight, id))

/** @returns undefined for what is no stanza, such as a call */
export function toXmpp(stored: Stored, sight: Sight): Element | undefined {
  const content = contentOf(stored, sight)
  if (content === undefined) return undefined
  const { id, message } = stored
  const { author } = message
  const originId = author === sight.account ? sight.spoken(id)?.originId : undefined
  return el(
    'message',
    { type: sight.type, id: idIn(sight, id), from: sight.from(author, id), to: sight.to(author) },
    content,
    originId === undefined ? undefined : el(`origin-id ${ns.sid}`, { id: originId }),
    // a message that was never shown is in no archive
    stored.row.state === 'shown' ? el(`stanza-id ${ns.sid}`, { id, by: sight.by }) : undefined,
  )
}

function contentOf({ id, row, message, retraction }: Stored, sight: Sight): readonly Node[] | undefined {
  const { parts } = message
  for (const part of parts) {
    if (part.kind === 'reaction') return [reactionsOf(part, sight), el(`store ${ns.hints}`)]
    if (part.kind === 'redaction') return retractOf(referenceIn(sight, part.target))
    if (part.kind === 'edit') return [...editOf(part, sight), ...beside(parts)]
  }
  if (retraction !== undefined) return [retractedBy(retraction, sight)]
  const text = parts.find((part) => part.kind === 'text')?.text
  const file = parts.find((part) => part.kind === 'file')
  if (row.state === 'quiet') {
    const passing = payloadsOf(parts, (one) => one.ns === clientNs && one.name === 'body')
    return passing.length === 0 ? undefined : [...passing, el(`no-store ${ns.hints}`)]
  }
  if (text === undefined && file === undefined) return undefined
  return [
    ...bodyOf({ id, message, text, file }, sight),
    ...beside(parts),
    ...(message.author === sight.account ? [] : [el(`markable ${ns.markers}`)]),
  ]
}

const beside = (parts: readonly Part[]): readonly Element[] => payloadsOf(parts)

const reactionsOf = ({ target, reactions }: Extract<Part, { readonly kind: 'reaction' }>, sight: Sight): Element =>
  el(
    `reactions ${ns.reactions}`,
    { id: referenceIn(sight, target) },
    reactions.map((one) => el(`reaction ${ns.reactions}`, {}, one)),
  )

/** XEP-0424 §3, with the body that it asks for. */
const retractOf = (id: string): readonly Node[] => [
  el(`retract ${ns.retract}`, { id }),
  fallbackFor(ns.retract),
  el('body', {}, '/me took back an earlier message, which this program goes on showing.'),
  el(`store ${ns.hints}`),
]

/** XEP-0424 §5: what stands in the archive in its place. */
const retractedBy = ({ id, atMs }: { readonly id: MessageId; readonly atMs: number }, sight: Sight): Element =>
  el(`retracted ${ns.retract}`, { id: idIn(sight, id), stamp: stampOf(atMs) })

const editOf = ({ target, body }: Extract<Part, { readonly kind: 'edit' }>, sight: Sight): readonly Element[] => [
  el('body', {}, body.find((part) => part.kind === 'text')?.text ?? ''),
  el(`replace ${ns.correct}`, { id: idIn(sight, target) }),
]

function bodyOf(
  {
    id,
    message,
    text,
    file,
  }: {
    readonly id: MessageId
    readonly message: Message
    readonly text: string | undefined
    readonly file: FilePart | undefined
  },
  sight: Sight,
): readonly Element[] {
  const url = file && sight.urlOf(id, file.name)
  const stated = file && (url ?? `[${file.name}, ${sizeOfContent(file.content)} bytes]`)
  const words = [text, stated].filter((one) => one !== undefined).join('\n')
  const answered = message.relations.find((relation) => relation.kind === 'reply')?.to
  const cited = answered === undefined ? undefined : sight.cited(answered)
  const reply =
    answered === undefined || cited === undefined
      ? undefined
      : el(`reply ${ns.reply}`, { to: sight.from(cited.author), id: referenceIn(sight, answered) })
  const quote = reply === undefined || cited === undefined || cited.text === '' ? '' : quoted(cited.text)
  return [
    el('body', {}, quote + words),
    ...(reply === undefined ? [] : [reply]),
    ...(quote === '' ? [] : [fallbackFor(ns.reply, Array.from(quote).length)]),
    ...(file === undefined || url === undefined ? [] : fileBeside(file, url, text === undefined && quote === '')),
  ]
}

/** XEP-0066 for what the body says alone (§3.3), XEP-0447 with XEP-0446 for all that is known of it. */
function fileBeside(file: FilePart, url: string, isAlone: boolean): readonly Element[] {
  const { name, mediaType, content } = file
  const metadata = el(
    `file ${ns.file}`,
    {},
    el(`media-type ${ns.file}`, {}, mediaType),
    el(`name ${ns.file}`, {}, name),
    el(`size ${ns.file}`, {}, String(sizeOfContent(content))),
  )
  const sources = el(`sources ${ns.fileSharing}`, {}, el(`url-data ${ns.urlData}`, { target: url }))
  return [
    el(`x ${ns.oob}`, {}, el(`url ${ns.oob}`, {}, url)),
    ...(isAlone
      ? [
          el(`file-sharing ${ns.fileSharing}`, { disposition: 'inline' }, metadata, sources),
          fallbackFor(ns.fileSharing),
        ]
      : []),
  ]
}

/** XEP-0203. @param by the domain that kept it */
export const delayOf = (ms: number, by: string): Element => el(`delay ${ns.delay}`, { from: by, stamp: stampOf(ms) })

/** When it was said, and not later than it came. */
export const saidAtMs = ({ row, message }: Stored): number => Math.min(message.sentAtMs, row.receivedAtMs)

/** XEP-0297 §4, as XEP-0280 and XEP-0313 wrap it. */
export const forwarded = (stanza: Element, delay?: Element): Element => el(`forwarded ${ns.forward}`, {}, delay, stanza)
