/**
 * What programs can do and want to hear of (XEP-0115): learnt from the capabilities in their presence. What a hash stands for is
 * asked once of one program and believed only if it fits.
 */
import type { Client } from '../client.ts'
import { child, type Element, el, elements } from '../element.ts'
import type { Feature, Server } from '../feature.ts'
import { bareOf, fullOf } from '../jid.ts'
import { capsNs, queryNs, readInfo, verificationOf } from './disco.ts'
import { limits } from '../../../core/limits.ts'

type Features = ReadonlySet<string>
type Listener = (client: Client, before: Features, now: Features) => void

const none: Features = new Set()

export class Interests {
  readonly #byHash = new Map<string, Features>()
  readonly #ofClients = new WeakMap<Client, Features>()
  /** Questions on their way: their id, and what the program said it would answer. */
  readonly #asked = new WeakMap<Client, { readonly id: string; readonly ver: string }>()
  readonly #listeners = new Set<Listener>()
  #questions = 0

  of(client: Client): Features {
    return this.#ofClients.get(client) ?? none
  }

  watch(listener: Listener): void {
    this.#listeners.add(listener)
  }

  /** A program has said that it is there; what it says of itself may come later. */
  heard(client: Client, presence: Element): void {
    const { hash, node, ver } = child(presence, `c ${capsNs}`)?.attrs ?? {}
    if (hash !== 'sha-1' || node === undefined || ver === undefined) return
    const known = this.#byHash.get(ver)
    if (known !== undefined) return this.#set(client, known)
    if (this.#asked.get(client)?.ver === ver) return
    this.#questions += 1
    const id = `caps-${this.#questions}`
    this.#asked.set(client, { id, ver })
    const query = el(`query ${queryNs.info}`, { node: `${node}#${ver}` })
    client.send(el('iq', { type: 'get', id, from: bareOf(client.jid), to: fullOf(client.jid) }, query))
  }

  answered(client: Client, { attrs, ...answer }: Element): 'done' | 'next' {
    const asked = this.#asked.get(client)
    if (asked === undefined || attrs.id !== asked.id) return 'next'
    this.#asked.delete(client)
    const [query] = elements({ attrs, ...answer })
    if (attrs.type !== 'result' || query?.ns !== queryNs.info) return 'done'
    const said = readInfo(query)
    const features: Features = new Set((said.features ?? []).slice(0, limits.xmppNodeItemsMax))
    if (verificationOf(said) === asked.ver) {
      if (this.#byHash.size >= limits.xmppCapsKept) this.#byHash.clear()
      this.#byHash.set(asked.ver, features)
    }
    this.#set(client, features)
    return 'done'
  }

  #set(client: Client, now: Features): void {
    const before = this.of(client)
    this.#ofClients.set(client, now)
    for (const listener of this.#listeners) listener(client, before, now)
  }

  /** Of a program that went away and came again nothing is known. */
  forget(client: Client): void {
    this.#ofClients.delete(client)
    this.#asked.delete(client)
  }
}

const known = new WeakMap<Server['hub'], Interests>()

/** One for each server. */
export function interestsOf({ hub }: Server): Interests {
  const made = known.get(hub) ?? new Interests()
  known.set(hub, made)
  return made
}

export const interests = (server: Server): Feature => ({
  result: ({ client, element }) => interestsOf(server).answered(client, element),
})
