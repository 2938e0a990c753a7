/** A program's message to one person, on its way into the conversation with them. */
import { fromUtf8 } from '../../../core/bytes.ts'
import { labelledHash } from '../../../core/crypto/kdf.ts'
import { idOfPartner } from '../../../core/conversation/conversations.ts'
import { hasCode } from '../../../core/errors.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { PreparedFile } from '../../../core/delivery/files.ts'
import { asStanzaError, unknownAddress } from '../core-errors.ts'
import { child, clientNs, type Element, elements, serialise } from '../element.ts'
import type { Client } from '../client.ts'
import type { Server, Stanza } from '../feature.ts'
import type { Again, ClientIds } from './client-ids.ts'
import { hasHint } from './fallback.ts'
import { ns } from './namespaces.ts'
import type { Origin, Origins } from './origins.ts'
import { type Meaning, toCanonical, uploadUrlOf } from './to-canonical.ts'

export interface SayParts {
  readonly server: Server
  readonly ids: ClientIds
  readonly origins: Origins
}

/** @param recipient the one program of another account of this gateway that is meant. @throws StanzaError */
export async function sayTo(parts: SayParts, stanza: Stanza, peer: Identity, recipient?: Client): Promise<void> {
  const { client, element } = stanza
  const { account } = client
  const conversation = idOfPartner(account, { kind: 'direct', peer })
  const { type = 'normal' } = element.attrs
  const states = elements(element).filter((one) => one.ns === ns.chatStates)
  const origin: Origin = { client, isPrivate: isPrivate(element), type, states, ...(recipient && { recipient }) }
  try {
    const meaning = isSignal(element)
      ? meant(parts, stanza, peer, conversation)
      : await say(parts, stanza, { peer, conversation, origin })
    if (meaning?.isTyping !== undefined) parts.server.services.signals.typing(account, conversation, meaning.isTyping)
    const { displayed } = meaning ?? {}
    if (displayed === undefined) return
    using _ = parts.origins.reading(account, displayed, origin)
    await parts.server.services.chats.markRead(account, conversation, displayed)
  } catch (error) {
    if (hasCode(error, 'no-such-contact')) throw unknownAddress()
    throw asStanzaError(error)
  }
}

const signalNs: ReadonlySet<string> = new Set([ns.chatStates, ns.markers, ns.receipts, ns.hints, ns.sid])

/** It says nothing that is kept: who types, what was read, what arrived. */
export const isSignal = (message: Element): boolean =>
  elements(message).every((one) => signalNs.has(one.ns) || (one.ns === clientNs && one.name === 'thread'))

/** Only who types (XEP-0085 §4): nothing to be read or answered. */
export const isState = (message: Element): boolean =>
  isSignal(message) &&
  elements(message).some((one) => one.ns === ns.chatStates) &&
  elements(message).every((one) => one.ns !== ns.markers && one.ns !== ns.receipts)

const isPrivate = (message: Element): boolean =>
  child(message, `private ${ns.carbons}`) !== undefined || hasHint(message, 'no-copy')

function meant(
  { server, ids }: SayParts,
  { client: { account }, element }: Stanza,
  peer: Identity,
  conversation: ConversationId,
): Meaning {
  const here = neighbours(server, peer)
  return server.services.store.read((tx) =>
    toCanonical(element, { resolve: (id) => ids.resolve(tx, account, conversation, id, here) }),
  )
}

/** Whose programs' ids are known here beside the account's own. */
const neighbours = ({ services }: Server, peer: Identity): readonly Identity[] =>
  services.accounts.has(peer) ? [peer] : []

/** @returns undefined when it was said before */
async function say(
  { server, ids, origins }: SayParts,
  { client, element, handled }: Stanza,
  {
    peer,
    conversation,
    origin,
  }: { readonly peer: Identity; readonly conversation: ConversationId; readonly origin: Origin },
): Promise<Meaning | undefined> {
  const { services, ambient } = server
  const { account } = client
  const url = uploadUrlOf(element)
  const again = againOf(element, ambient.clock.nowMs(), client.jid.resource)
  const isAgain = () => services.store.read((tx) => ids.saidBefore(tx, account, again)) !== undefined
  using prepared = url === undefined || isAgain() ? undefined : await fileBehind(server, account, url)
  const here = neighbours(server, peer)
  using saying = origins.saying(account, origin)
  const done = await services.store.write((tx) => {
    handled(tx)
    if (ids.saidBefore(tx, account, again) !== undefined) return undefined
    const resolve = (id: string) => ids.resolve(tx, account, conversation, id, here)
    const meaning = toCanonical(element, { resolve, file: prepared?.part })
    if (meaning.draft === undefined) return { meaning, id: undefined }
    const { id } = services.chats.sayIn(tx, account, peer, meaning.draft, (arriving) => {
      saying.says(arriving.id)
      ids.remember(tx, account, arriving.id, again)
    })
    return { meaning, id }
  })
  if (url !== undefined && prepared !== undefined && done?.id !== undefined)
    await services.uploads.said(account, url, done.id)
  return done?.meaning
}

/** An upload of this account as a file that can be said. @returns undefined for a link to anywhere else */
export async function fileBehind(server: Server, account: Identity, url: string): Promise<PreparedFile | undefined> {
  const { uploads, files } = server.services
  const found = await uploads.takeUpload(account, url)
  if (found === undefined) return undefined
  const { name, mediaType, size, source } = found
  const signal = AbortSignal.timeout(limits.xmppFileMs)
  return await files.prepare(account, source, { name, mediaType, bytes: size, signal })
}

/** What tells a message that is sent again: its ids, and all that it says. @param resource of the program */
export function againOf(message: Element, nowMs: number, resource?: string): Again {
  const { id, to = '' } = message.attrs
  const said = elements(message).filter((one) => one.ns !== ns.delay)
  const digest = labelledHash('mycelium/xmpp-said/1', fromUtf8([to, ...said.map((one) => serialise(one))].join('\n')))
  return {
    spoken: {
      id,
      originId: child(message, `origin-id ${ns.sid}`)?.attrs.id,
      wantsReceipt: child(message, `request ${ns.receipts}`) !== undefined,
      resource,
    },
    digest: digest.subarray(0, 16),
    nowMs,
  }
}
