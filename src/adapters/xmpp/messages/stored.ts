/** Messages of an account as they are kept, and how its programs see them: what stanzas are made of. */
import type { ConversationRow } from '../../../core/conversation/rows.ts'
import { aboutOf } from '../../../core/conversation/history.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { decodeMessage, type Message } from '../../../core/message/message.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { type Element, withChildren } from '../element.ts'
import type { Server } from '../feature.ts'
import { bareOf } from '../jid.ts'
import type { ClientIds } from './client-ids.ts'
import { delayOf, saidAtMs, type Sight, type Stored } from './to-xmpp.ts'

/** @returns undefined for what is not here, waits, or has nothing left of it */
export function readStored(tx: ReadTx, { services }: Server, account: Identity, id: MessageId): Stored | undefined {
  const { history } = services.conversations
  const row = history.message(tx, account, id)
  if (row === undefined || row.encoded.length === 0 || (row.state !== 'shown' && row.state !== 'quiet'))
    return undefined
  const message = decodeMessage(row.encoded)
  const isStripped = row.state === 'shown' && message.parts.length === 0
  return { id, row, message, retraction: isStripped ? retractionOf(tx, services, account, id) : undefined }
}

function retractionOf(
  tx: ReadTx,
  { conversations: { history } }: Server['services'],
  account: Identity,
  target: MessageId,
): Stored['retraction'] {
  for (const id of history.about(tx, account, target)) {
    const row = history.message(tx, account, id)
    const said = row === undefined || row.encoded.length === 0 ? undefined : decodeMessage(row.encoded)
    if (said !== undefined && aboutOf(said)?.kind === 'redaction') return { id, atMs: said.sentAtMs }
  }
  return undefined
}

/** What a person wrote in it, as first said. */
const textOfMessage = ({ parts }: Message): string =>
  parts
    .map((part) => (part.kind === 'text' ? part.text : part.kind === 'file' ? part.name : ''))
    .find((one) => one !== '') ?? ''

/** What every sight of an account's conversations has in common. */
export function sightBase(
  tx: ReadTx,
  server: Server,
  ids: ClientIds,
  account: Identity,
): Pick<Sight, 'account' | 'spoken' | 'cited' | 'urlOf'> {
  const { conversations, uploads } = server.services
  return {
    account,
    spoken: (id) => ids.spoken(tx, account, id),
    cited(id) {
      const row = conversations.history.message(tx, account, id)
      if (row?.state !== 'shown' || row.encoded.length === 0) return undefined
      const message = decodeMessage(row.encoded)
      return { author: message.author, text: textOfMessage(message) }
    },
    urlOf: (id, name) => uploads.urlOf(account, id, name),
  }
}

/** Between the account and one other. */
export function directSight(tx: ReadTx, server: Server, ids: ClientIds, account: Identity, peer: Identity): Sight {
  const own = bareOf(server.names.own(account))
  const theirs = bareOf(server.names.person(account, peer))
  const base = sightBase(tx, server, ids, account)
  const isHere = server.services.accounts.has(peer)
  return {
    ...base,
    // RFC 6120 §8.1.3: between accounts of one gateway an id stays what it was
    spoken: (id) => base.spoken(id) ?? (isHere ? ids.spoken(tx, peer, id) : undefined),
    type: 'chat',
    by: own,
    from(author, id) {
      const resource = id !== undefined && isHere && author === peer ? ids.spoken(tx, peer, id)?.resource : undefined
      return author === account ? own : resource === undefined ? theirs : `${theirs}/${resource}`
    },
    to: (author) => (author === account ? theirs : own),
  }
}

export const peerOf = (row: Pick<ConversationRow, 'partner'> | undefined): Identity | undefined =>
  row?.partner.kind === 'direct' ? row.partner.peer : undefined

/** With when it was said, where it came later than that (XEP-0203). */
export const dated = ({ names }: Server, stored: Stored, stanza: Element): Element =>
  stored.row.receivedAtMs - saidAtMs(stored) > limits.xmppLateMs
    ? withChildren(stanza, delayOf(saidAtMs(stored), names.server))
    : stanza
