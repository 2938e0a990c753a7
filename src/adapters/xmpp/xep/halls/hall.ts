/**
 * One hall: a room of this gateway alone, with who is in it, who may do what, and how that is shown (XEP-0045 §5, §7, §9).
 * Nothing of it is kept: it is there as long as somebody is in it.
 */
import { toBase64Url } from '../../../../core/bytes.ts'
import { labelledHash } from '../../../../core/crypto/kdf.ts'
import type { Identity } from '../../../../core/ids.ts'
import type { Client } from '../../client.ts'
import { el, type Element } from '../../element.ts'
import { bareOf, fullOf, type Jid, withResource } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { mucUser, occupantIdNs } from '../muc/namespaces.ts'
import { type Settings, settingsAtFirst } from './settings.ts'

export const affiliations = ['owner', 'admin', 'member', 'none', 'outcast'] as const
export type Affiliation = (typeof affiliations)[number]
export const roles = ['moderator', 'participant', 'visitor', 'none'] as const
export type Role = (typeof roles)[number]

const ranks: Readonly<Record<Affiliation, number>> = { owner: 3, admin: 2, member: 1, none: 0, outcast: 0 }
export const isAbove = (one: Affiliation, other: Affiliation): boolean => ranks[one] > ranks[other]
export const isAdmin = (affiliation: Affiliation): boolean => affiliation === 'owner' || affiliation === 'admin'

/** XEP-0045 §15.6.2. */
export const status = {
  nonAnonymous: 100,
  configurationChanged: 104,
  self: 110,
  nowNonAnonymous: 172,
  nowSemiAnonymous: 173,
  created: 201,
  banned: 301,
  nickChanged: 303,
  kicked: 307,
  affiliationLost: 321,
  membersOnly: 322,
  shutDown: 332,
} as const

/** Of one account, under one nick, with one program or several. */
export interface Occupant {
  nick: string
  role: Role
  readonly account: Identity
  /** Bare. */
  readonly jid: string
  readonly clients: Set<Client>
  /** What its program's presence says beside the room's own words. */
  shown: readonly Element[]
}

/** What happened, beside what the occupant is now. */
export interface Told {
  readonly statuses?: readonly number[]
  /** Nick of who did it. */
  readonly actor?: string | undefined
  readonly reason?: string | undefined
  /** New nick of who is called differently from now on. */
  readonly nick?: string
  readonly more?: Element | undefined
  /** What a program says with its good-bye. */
  readonly beside?: readonly Element[]
}

export interface Standing {
  readonly affiliation: Affiliation
  /** Under which only this one enters. */
  readonly nick?: string
}

export class Hall {
  readonly jid: Jid
  /** Nobody but the founder enters until it is set up (XEP-0045 §10.1.1). */
  isLocked = true
  settings: Settings
  subject: { readonly text: string; readonly nick: string; readonly atMs: number } | undefined
  vcard: Element | undefined
  readonly #occupants = new Map<string, Occupant>()
  readonly #clients = new Map<Client, Occupant>()
  /** By bare JID; others are of affiliation `none`. */
  readonly #standings = new Map<string, Standing>()
  /** Occupant ids are its own (XEP-0421): those of two halls cannot be compared. */
  readonly #salt: Uint8Array

  constructor(jid: Jid, salt: Uint8Array) {
    this.jid = jid
    this.#salt = salt
    this.settings = settingsAtFirst(jid.local)
  }

  get size(): number {
    return this.#occupants.size
  }
  get standings(): number {
    return this.#standings.size
  }

  occupants(): readonly Occupant[] {
    return [...this.#occupants.values()]
  }

  byNick = (nick: string): Occupant | undefined => this.#occupants.get(nick)

  of = (client: Client): Occupant | undefined => this.#clients.get(client)

  /** Under whatever nicks. */
  byJid(jid: string): readonly Occupant[] {
    return this.occupants().filter((one) => one.jid === jid)
  }

  standingOf = (jid: string): Standing => this.#standings.get(jid) ?? { affiliation: 'none' }
  affiliationOf = (jid: string): Affiliation => this.standingOf(jid).affiliation

  affiliated(affiliation: Affiliation): readonly (readonly [jid: string, standing: Standing])[] {
    return [...this.#standings].filter(([, standing]) => standing.affiliation === affiliation)
  }

  /** Whether a nick is for somebody else. */
  isReserved(nick: string, jid: string): boolean {
    return [...this.#standings].some(([whose, standing]) => standing.nick === nick && whose !== jid)
  }

  stand(jid: string, standing: Standing): void {
    if (standing.affiliation === 'none' && standing.nick === undefined) this.#standings.delete(jid)
    else this.#standings.set(jid, standing)
  }

  /** XEP-0045 §5.1.2. */
  roleAtFirst(affiliation: Affiliation): Role {
    if (isAdmin(affiliation)) return 'moderator'
    return affiliation === 'member' || !this.settings.isModerated ? 'participant' : 'visitor'
  }

  occupantId = (account: Identity): string =>
    toBase64Url(labelledHash('mycelium/xmpp/hall-occupant/1', this.#salt, Buffer.from(account, 'hex')).subarray(0, 24))

  seat(occupant: Occupant, client: Client): void {
    occupant.clients.add(client)
    this.#occupants.set(occupant.nick, occupant)
    this.#clients.set(client, occupant)
  }

  /** One of its programs is not in any more. */
  part({ clients }: Occupant, client: Client): void {
    clients.delete(client)
    this.#clients.delete(client)
  }

  unseat({ nick, clients }: Occupant): void {
    this.#occupants.delete(nick)
    for (const client of clients) this.#clients.delete(client)
  }

  rename(occupant: Occupant, nick: string): void {
    this.#occupants.delete(occupant.nick)
    occupant.nick = nick
    this.#occupants.set(nick, occupant)
  }

  place = (nick = ''): Jid => withResource(this.jid, nick)

  /** To every program of everybody in it. */
  toAll(make: (viewer: Occupant, client: Client) => Element): void {
    for (const viewer of this.#occupants.values())
      for (const client of viewer.clients) client.send(make(viewer, client))
  }

  /** That an occupant is here, and as what. */
  show(occupant: Occupant, told: Told = {}): void {
    this.toAll((viewer, client) => this.hereOf(occupant, viewer, client, told))
  }

  hereOf(occupant: Occupant, viewer: Occupant, client: Client, told: Told = {}): Element {
    const item = { affiliation: this.affiliationOf(occupant.jid), role: occupant.role }
    return this.#presence(occupant, viewer, client, { item, told, type: undefined, beside: occupant.shown })
  }

  goneOf(occupant: Occupant, viewer: Occupant, client: Client, told: Told = {}): Element {
    const item = {
      affiliation: this.affiliationOf(occupant.jid),
      // who is called differently is still there
      role: told.nick === undefined ? 'none' : occupant.role,
    }
    return this.#presence(occupant, viewer, client, { item, told, type: 'unavailable', beside: told.beside ?? [] })
  }

  #presence(
    occupant: Occupant,
    viewer: Occupant,
    client: Client,
    {
      item,
      told: { statuses = [], actor, reason, nick, more },
      type,
      beside,
    }: {
      readonly item: { readonly affiliation: string; readonly role: string }
      readonly told: Told
      readonly type: 'unavailable' | undefined
      readonly beside: readonly Element[]
    },
  ): Element {
    const isSelf = viewer === occupant
    return el(
      'presence',
      { type, from: fullOf(this.place(occupant.nick)), to: fullOf(client.jid) },
      beside,
      el(`occupant-id ${occupantIdNs}`, { id: this.occupantId(occupant.account) }),
      el(
        `x ${mucUser}`,
        {},
        el(
          `item ${mucUser}`,
          { ...item, jid: isSelf ? fullOf(client.jid) : this.#jidFor(viewer, occupant), nick },
          actor === undefined ? undefined : el(`actor ${mucUser}`, { nick: actor }),
          reason === undefined ? undefined : el(`reason ${mucUser}`, {}, reason),
        ),
        more,
        [...statuses, ...(isSelf ? [status.self] : [])].map((code) => el(`status ${mucUser}`, { code })),
      ),
    )
  }

  /** XEP-0045 §7.2.3, §7.2.4: full, of one of the programs. */
  #jidFor(viewer: Occupant, { clients, jid, account }: Occupant): string | undefined {
    const isShown = this.settings.whois === 'anyone' || viewer.role === 'moderator' || viewer.account === account
    const [first] = clients
    return isShown ? (first === undefined ? jid : fullOf(first.jid)) : undefined
  }

  /** Something about the hall itself is different (XEP-0045 §10.2.1). */
  tellStatuses(...codes: readonly number[]): void {
    this.toAll((_, client) =>
      el(
        'message',
        { type: 'groupchat', from: bareOf(this.jid), to: fullOf(client.jid) },
        el(
          `x ${mucUser}`,
          {},
          codes.map((code) => el(`status ${mucUser}`, { code })),
        ),
      ),
    )
  }
}

/** @throws StanzaError `not-acceptable` (XEP-0045 §7.4) */
export function inside(hall: Hall, client: Client): Occupant {
  const occupant = hall.of(client)
  if (occupant === undefined) throw new StanzaError('not-acceptable', 'enter the room first')
  return occupant
}
