/** What a client need not hear while nobody looks at it (XEP-0352): who is there, and who is writing. */
import { limits } from '../../core/limits.ts'
import { child, elements, type Element } from './element.ts'

const chatStatesNs = 'http://jabber.org/protocol/chatstates'
const besideChatStates: readonly string[] = ['urn:xmpp:hints', 'urn:xmpp:sid:0']

export class HeldBack {
  /** The last presence of each address. */
  readonly #presences = new Map<string, Element>()

  /** @returns whether it is not to be sent now: a presence is later, a chat state never */
  takes(stanza: Element): boolean {
    if (isChatState(stanza)) return true
    if (!isPresence(stanza)) return false
    const from = stanza.attrs.from ?? ''
    if (!this.#presences.has(from) && this.#presences.size >= limits.xmppHeldPresencesMax) return false
    this.#presences.delete(from)
    this.#presences.set(from, stanza)
    return true
  }

  release(): readonly Element[] {
    const held = [...this.#presences.values()]
    this.#presences.clear()
    return held
  }
}

/** Of somebody, not of an occupant of a room: a client waits for those when it joins. */
const isPresence = (stanza: Element): boolean =>
  stanza.name === 'presence' &&
  (stanza.attrs.type === undefined || stanza.attrs.type === 'unavailable') &&
  child(stanza, 'x http://jabber.org/protocol/muc#user') === undefined

const isChatState = (stanza: Element): boolean =>
  stanza.name === 'message' &&
  stanza.attrs.type !== 'error' &&
  elements(stanza).some(({ ns }) => ns === chatStatesNs) &&
  elements(stanza).every(({ ns }) => ns === chatStatesNs || besideChatStates.includes(ns))
