/** Which clients are there now, by account and resource. */
import type { Identity } from '../../core/ids.ts'
import type { Client } from './client.ts'
import type { Element } from './element.ts'
import { fullOf, type Jid } from './jid.ts'
import { withAttrs } from './element.ts'

export class Hub {
  readonly #clients = new Map<Identity, Map<string, Client>>()

  /** Takes the place of one with the same resource, which is closed with `conflict`. */
  add(client: Client): void {
    const { account, jid } = client
    const there = this.#clients.get(account) ?? new Map<string, Client>()
    const before = there.get(jid.resource)
    there.set(jid.resource, client)
    this.#clients.set(account, there)
    before?.close('conflict')
  }

  /** @returns whether it was still there: not replaced */
  remove(client: Client): boolean {
    const there = this.#clients.get(client.account)
    if (there?.get(client.jid.resource) !== client) return false
    there.delete(client.jid.resource)
    if (there.size === 0) this.#clients.delete(client.account)
    return true
  }

  /** Of one account, in the order in which they came. */
  of(account: Identity): readonly Client[] {
    return [...(this.#clients.get(account)?.values() ?? [])]
  }

  find(account: Identity, { resource }: Jid): Client | undefined {
    return this.#clients.get(account)?.get(resource)
  }

  accounts(): Iterable<Identity> {
    return this.#clients.keys()
  }

  get size(): number {
    let size = 0
    for (const there of this.#clients.values()) size += there.size
    return size
  }

  /** To those of an account's clients that want it, each with its own JID in `to`. */
  toAll(account: Identity, stanza: Element, wants: (client: Client) => boolean = () => true): void {
    for (const client of this.of(account)) if (wants(client)) client.send(withAttrs(stanza, { to: fullOf(client.jid) }))
  }
}
