/**
 * What a program's `<message/>` means, for one person or for a room alike: what is to be said, what was read, whether
 * somebody types. What means nothing here goes along as written (extension.ts).
 */
import { fromUtf8 } from '../../../core/bytes.ts'
import type { Draft } from '../../../core/delivery/chat-post.ts'
import type { MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { FilePart, Part } from '../../../core/message/part.ts'
import { child, childrenNamed, childText, clientNs, type Element, elements, textOf } from '../element.ts'
import { StanzaError } from '../stanza-error.ts'
import { extensionOf, mayPass } from './extension.ts'
import { hasHint, withoutFallback } from './fallback.ts'
import { ns } from './namespaces.ts'

export interface Reading {
  /** The message of this conversation that the account's programs call so, by its `id` or its stanza-id. */
  readonly resolve: (id: string) => MessageId | undefined
  /** Behind the URL that `uploadUrlOf` finds, where it is an upload of this account. */
  readonly file?: FilePart | undefined
}

export interface Meaning {
  readonly draft: Draft | undefined
  /** Read up to there (XEP-0333). */
  readonly displayed: MessageId | undefined
  /** XEP-0085; undefined where nothing is said of it. */
  readonly isTyping: boolean | undefined
}

/** XEP-0066 §3, or XEP-0447: a link that may be to a file of ours. */
export function uploadUrlOf(message: Element): string | undefined {
  const oob = child(message, `x ${ns.oob}`)
  const url = oob && childText(oob, 'url')
  if (url !== undefined) return url
  const sources = child(message, `file-sharing ${ns.fileSharing}`)
  const source = sources && child(sources, 'sources')
  return source && child(source, `url-data ${ns.urlData}`)?.attrs.target
}

/** @throws StanzaError for what cannot be said so */
export function toCanonical(message: Element, reading: Reading): Meaning {
  const displayed = child(message, `displayed ${ns.markers}`)?.attrs.id
  return {
    draft: draftOf(message, reading),
    displayed: displayed === undefined ? undefined : reading.resolve(displayed),
    isTyping: typingOf(message),
  }
}

function typingOf(message: Element): boolean | undefined {
  const states = elements(message).filter((one) => one.ns === ns.chatStates)
  return states.length === 0 ? undefined : states.some(({ name }) => name === 'composing')
}

function draftOf(message: Element, { resolve, file }: Reading): Draft | undefined {
  const target = (id: string | undefined): MessageId => {
    const found = id === undefined ? undefined : resolve(id)
    if (found === undefined) throw new StanzaError('item-not-found', 'the message that this is about is not here')
    return found
  }
  const reactions = child(message, `reactions ${ns.reactions}`)
  if (reactions !== undefined)
    return { parts: [{ kind: 'reaction', target: target(reactions.attrs.id), reactions: given(reactions) }] }
  const retracted = retractedId(message)
  if (retracted !== undefined) return { parts: [{ kind: 'redaction', target: target(retracted.id) }] }

  const { text, relations } = wordsOf(message, resolve)
  const shown = shownOf(message, file === undefined ? text : withoutLink(message, text))
  const payloads = payloadsBeside(message, file)
  const corrected = child(message, `replace ${ns.correct}`)
  if (corrected !== undefined) {
    if (shown === '') throw new StanzaError('bad-request', 'a correction has a body')
    return {
      parts: withPayloads([{ kind: 'edit', target: target(corrected.attrs.id), body: [bounded(shown)] }], payloads),
    }
  }
  if (file === undefined && (shown === '' || hasHint(message, 'no-store'))) return passing(message, payloads)
  const parts: Part[] = [...(shown === '' ? [] : [bounded(shown)]), ...(file === undefined ? [] : [file])]
  return { parts: withPayloads(parts, payloads), ...(relations.length === 0 ? {} : { relations }) }
}

/** XEP-0444 §4: each once. @throws StanzaError */
function given(reactions: Element): readonly string[] {
  const said = [...new Set(childrenNamed(reactions, 'reaction').map((one) => textOf(one).trim()))]
  const isShort = said.every((one) => one !== '' && fromUtf8(one).length <= limits.reactionOctetsMax)
  if (!isShort || said.length > limits.reactionsMax)
    throw new StanzaError('policy-violation', `at most ${limits.reactionsMax} reactions, each an emoji`)
  return said
}

function retractedId(message: Element): { readonly id: string | undefined } | undefined {
  const retract = child(message, `retract ${ns.retract}`)
  if (retract !== undefined) return { id: retract.attrs.id }
  const apply = child(message, `apply-to ${ns.apply}`)
  return apply !== undefined && child(apply, `retract ${ns.retractOld}`) !== undefined
    ? { id: apply.attrs.id }
    : undefined
}

/** The text without the quote of what it answers (XEP-0461), where that is here. */
function wordsOf(
  message: Element,
  resolve: Reading['resolve'],
): { readonly text: string; readonly relations: NonNullable<Draft['relations']> } {
  const body = bodyOf(message)
  const answered = child(message, `reply ${ns.reply}`)?.attrs.id
  const to = answered === undefined ? undefined : resolve(answered)
  if (to === undefined) return { text: body, relations: [] }
  return { text: withoutFallback(message, body, ns.reply), relations: [{ kind: 'reply', to }] }
}

/** A file's link is another one at each gateway: words beside it stay. */
const withoutLink = (message: Element, text: string): string =>
  withoutFallback(message, text, ns.fileSharing)
    .replaceAll(uploadUrlOf(message) ?? '', '')
    .trim()

/** RFC 6121 §5.2.3: of several languages the one that is not named. */
function bodyOf(message: Element): string {
  const bodies = childrenNamed(message, `body ${clientNs}`)
  const plain = bodies.find(({ attrs }) => attrs['xml:lang'] === undefined) ?? bodies[0]
  return plain === undefined ? '' : textOf(plain)
}

/** @throws StanzaError */
function bounded(text: string): Extract<Part, { readonly kind: 'text' }> {
  if (fromUtf8(text).length > limits.messageInlineBytesMax)
    throw new StanzaError(
      'policy-violation',
      `a message has at most ${limits.messageInlineBytesMax} octets: send what is longer as a file`,
    )
  return { kind: 'text', text }
}

const encryptions: Readonly<Record<string, string>> = {
  'eu.siacs.conversations.axolotl': 'OMEMO',
  'urn:xmpp:omemo:2': 'OMEMO',
  'urn:xmpp:openpgp:0': 'OpenPGP',
  'jabber:x:encrypted': 'OpenPGP',
}

/**
 * What mail and Matrix show: in the place of what the sender's program encrypted (XEP-0380, XEP-0384, XEP-0373,
 * XEP-0027), that it did. Empty where it holds keys and no words.
 */
function shownOf(message: Element, text: string): string {
  const told = child(message, `encryption ${ns.eme}`)
  const namespace = told?.attrs.namespace
  const sealed = elements(message).find((one) => one.ns === namespace || encryptions[one.ns] !== undefined)
  if (sealed === undefined) return text
  const name = encryptions[sealed.ns] ?? 'a method unknown here'
  const hasWords = name !== 'OMEMO' || elements(sealed).some((one) => one.name === 'payload')
  if (!hasWords && text === '') return ''
  return `[Encrypted by the sender's program (${name}): only programs that hold its keys can read this message.]`
}

/** What goes along as written. */
function payloadsBeside(message: Element, file: FilePart | undefined): readonly Element[] {
  const isOfFile = (one: Element): boolean => one.ns === ns.oob || one.ns === ns.fileSharing
  return elements(message).filter((one) => mayPass(one) && !(file !== undefined && isOfFile(one)))
}

const withPayloads = (parts: readonly Part[], payloads: readonly Element[]): readonly Part[] =>
  payloads.length === 0 ? parts : [...parts, extensionOf(payloads)]

/** For programs that are there, and kept nowhere that is shown: XEP-0334 §4.2, and what has no words. */
function passing(message: Element, payloads: readonly Element[]): Draft | undefined {
  const bodies = childrenNamed(message, `body ${clientNs}`)
  const isNothing = bodies.length === 0 && payloads.every(({ name, ns: of }) => of === clientNs && name === 'thread')
  return isNothing ? undefined : { parts: [extensionOf([...bodies, ...payloads])] }
}
