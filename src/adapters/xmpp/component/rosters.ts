/**
 * Contacts in the rosters of the server's users: put there where the server lets us (XEP-0356 §4), with the names that they have
 * here; elsewhere each contact asks once, and the user agrees.
 */
import { type Contact, isChosen } from '../../../core/account/contact.ts'
import { hasCode } from '../../../core/errors.ts'
import type { Identity } from '../../../core/ids.ts'
import { el } from '../element.ts'
import type { Server } from '../feature.ts'
import { bareOf } from '../jid.ts'
import type { ComponentLink } from './link.ts'
import { outward } from './names.ts'
import { type Privileges, readRoster, rosterGet, rosterSet } from './privileges.ts'
import type { ComponentUser, ComponentUsers } from './users.ts'

interface RosterParts {
  readonly server: Server
  readonly users: ComponentUsers
  readonly domain: string
  readonly link: () => ComponentLink
  readonly privilegesOf: (jid: string) => Privileges
}

export class Rosters {
  readonly #parts: RosterParts
  readonly #busy = new Map<string, Promise<void>>()
  readonly #again = new Set<string>()

  constructor(parts: RosterParts) {
    this.#parts = parts
  }

  /** Brings the roster of one user up to what is known here. */
  compare(jid: string): void {
    if (this.#busy.has(jid)) {
      this.#again.add(jid)
      return
    }
    const work = this.#compare(jid).catch((error: unknown) => {
      if (!hasCode(error, 'shutting-down')) this.#parts.server.ambient.log.warn('xmpp.component-roster-failed')
    })
    this.#busy.set(jid, work)
    void work.finally(() => {
      this.#busy.delete(jid)
      if (this.#again.delete(jid)) this.compare(jid)
    })
  }

  /** A contact was added, changed or removed. */
  changed(jid: string): void {
    if (this.#parts.link().isUp) this.compare(jid)
  }

  async idle(): Promise<void> {
    this.#again.clear()
    await Promise.all(this.#busy.values())
  }

  /** The user is none any more. */
  removeAll(jid: string, account: Identity): void {
    for (const [person] of this.#people(account)) this.#remove(jid, person)
  }

  async #compare(jid: string): Promise<void> {
    const user = this.#parts.users.get(jid)
    const { link, privilegesOf } = this.#parts
    const serverDomain = jid.slice(jid.indexOf('@') + 1)
    if (user === undefined || !(await link().isGreeted(serverDomain))) return
    // ejabberd 23.01 grants it and then fails
    if (!privilegesOf(jid).maySetRoster || !(await this.#set(user))) return await this.#ask(user)
    // Whether the user is there, their server tells those who may know it. Prosody takes the question of anybody else for
    // the end of what they asked.
    const [anybody] = this.#people(user.account).keys()
    if (anybody !== undefined) link().send(el('presence', { type: 'probe', from: anybody, to: jid }))
  }

  /** @returns whether the server did so */
  async #set({ jid, account }: ComponentUser): Promise<boolean> {
    const { link, domain, privilegesOf } = this.#parts
    const people = this.#people(account)
    const known = privilegesOf(jid).mayReadRoster ? readRoster(await link().ask(rosterGet(jid, domain))) : undefined
    const there = new Map((known ?? []).map((item) => [item.jid, item]))
    for (const [person, name] of people) {
      const before = there.get(person)
      if (before?.subscription === 'both') continue
      // a name that the user gave stays
      const item = { jid: person, name: before?.name ?? name, subscription: 'both' }
      const answer = await link().ask(rosterSet(jid, domain, item))
      if (answer?.attrs.type !== 'result') return false
    }
    for (const person of there.keys())
      if (person.endsWith(`@${domain}`) && !people.has(person)) this.#remove(jid, person)
    return true
  }

  #remove(jid: string, person: string): void {
    const { link, domain, privilegesOf } = this.#parts
    if (privilegesOf(jid).maySetRoster)
      return void link().ask(rosterSet(jid, domain, { jid: person, name: '', subscription: 'remove' }))
    for (const type of ['unsubscribe', 'unsubscribed']) link().send(el('presence', { type, from: person, to: jid }))
  }

  async #ask({ jid, account }: ComponentUser): Promise<void> {
    const { link, users, server, domain } = this.#parts
    const asked = new Set(users.get(jid)?.asked)
    const fresh = this.#chosen(account).filter(({ identity }) => !asked.has(identity))
    for (const { identity } of fresh)
      link().send(
        el('presence', {
          type: 'subscribe',
          from: bareOf(outward(server.names.person(account, identity), domain)),
          to: jid,
        }),
      )
    if (fresh.length > 0) await users.asks(jid, [...asked, ...fresh.map(({ identity }) => identity)])
  }

  #chosen(account: Identity): readonly Contact[] {
    return this.#parts.server.services.contacts
      .list(account)
      .filter((contact) => isChosen(contact) && !contact.blocked && contact.addresses.length > 0)
  }

  /** By the JIDs that they have there, with their names. */
  #people(account: Identity): ReadonlyMap<string, string> {
    const { server, domain } = this.#parts
    return new Map(
      this.#chosen(account).map(({ identity, displayName }) => [
        bareOf(outward(server.names.person(account, identity), domain)),
        displayName,
      ]),
    )
  }
}
