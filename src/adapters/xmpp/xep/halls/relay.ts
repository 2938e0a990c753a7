/**
 * What programs ask of each other through a hall (XEP-0045 §6.6 and its note on IQs): the hall stands between, so that neither learns
 * the other's JID by it. An occupant's vCard and whether one is still in are answered by the hall itself.
 */
import { limits } from '../../../../core/limits.ts'
import type { Client } from '../../client.ts'
import { elements, withAttrs } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { fullOf } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { inside } from './hall.ts'
import { hallAt, type HallParts } from './parts.ts'

interface Asked {
  readonly asker: Client
  readonly answerer: Client
  readonly id: string
  /** The occupant that was asked. */
  readonly place: string
}

const infoNs = 'http://jabber.org/protocol/disco#info'
const itemsNs = 'http://jabber.org/protocol/disco#items'

export class Relay {
  /** By the id under which it was passed on. */
  readonly #asked = new Map<string, Asked>()
  #count = 0

  /** A get or a set. @throws StanzaError */
  pass(parts: HallParts, { client, element, to, toNamed }: Stanza): 'done' | 'next' {
    if (toNamed.kind !== 'hall' || to.resource === '') return 'next'
    const [payload] = elements(element)
    const hall = hallAt(parts, to)
    const isOwn = hall.of(client) !== undefined && hall.of(client) === hall.byNick(to.resource)
    if (payload?.ns === 'vcard-temp' || (payload?.ns === 'urn:xmpp:ping' && isOwn)) return 'next'
    const isDisco = payload?.ns === infoNs || payload?.ns === itemsNs
    // §6.6
    if (isDisco && hall.of(client) === undefined)
      throw new StanzaError('bad-request', 'only who is in a room asks those in it')
    const from = inside(hall, client)
    const other = hall.byNick(to.resource)
    const [answerer] = other?.clients ?? []
    if (answerer === undefined) throw new StanzaError('item-not-found', 'nobody in the room is called so')
    this.#count += 1
    const id = `hall-${this.#count}`
    this.#asked.set(id, { asker: client, answerer, id: element.attrs.id!, place: fullOf(to) })
    if (this.#asked.size > limits.xmppHallAsksMax) this.#asked.delete(this.#asked.keys().next().value!)
    answerer.send(withAttrs(element, { id, from: fullOf(hall.place(from.nick)), to: fullOf(answerer.jid) }))
    return 'done'
  }

  /** A result or an error. */
  passBack({ client, element, toNamed }: Stanza): 'done' | 'next' {
    if (toNamed.kind !== 'hall') return 'next'
    const key = element.attrs.id ?? ''
    const asked = this.#asked.get(key)
    if (asked?.answerer !== client) return 'done'
    this.#asked.delete(key)
    asked.asker.send(withAttrs(element, { id: asked.id, from: asked.place, to: fullOf(asked.asker.jid) }))
    return 'done'
  }

  /** It answers nothing any more, and waits for nothing. */
  forget(client: Client): void {
    for (const [key, { asker, answerer }] of this.#asked)
      if (asker === client || answerer === client) this.#asked.delete(key)
  }
}
