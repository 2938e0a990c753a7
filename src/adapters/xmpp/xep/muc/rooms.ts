/** Groups as an account's rooms: their members as occupants, who are there whatever their programs do (XEP-0045 §5). */
import { toBase64Url } from '../../../../core/bytes.ts'
import type { GroupRow } from '../../../../core/conversation/group-book.ts'
import { labelledHash } from '../../../../core/crypto/kdf.ts'
import { isAdmin, type Roster } from '../../../../core/group/roster.ts'
import { compareWarrants } from '../../../../core/group/standing.ts'
import { readGroupOp } from '../../../../core/group/op.ts'
import type { GroupId, GroupOpId, Identity } from '../../../../core/ids.ts'
import { localPartOf } from '../../../../core/message/address.ts'
import type { Server } from '../../feature.ts'
import { bareOf, type Jid } from '../../jid.ts'
import { freeNick, type Called as NamedMember, nicksOf } from './nicks.ts'

/** All admins of a group may do the same, so that all are owners (XEP-0045 §5.2). */
export type Affiliation = 'owner' | 'member'
export type Role = 'moderator' | 'participant' | 'visitor'

export interface Occupant {
  readonly identity: Identity
  readonly nick: string
  readonly affiliation: Affiliation
  readonly role: Role
  /** Bare: rooms are not anonymous. */
  readonly jid: string
  /** XEP-0421. */
  readonly id: string
}

export type Occupants = ReadonlyMap<Identity, Occupant>

export interface Room {
  readonly group: GroupId
  readonly row: GroupRow
  readonly roster: Roster
  /** Operations that the roster is the result of. */
  readonly heads: readonly GroupOpId[]
}

interface Called extends NamedMember {
  readonly jid: string
}

/** Of an author too who is no member any more. */
export type Author = Pick<Occupant, 'nick' | 'id' | 'jid'>

export class Rooms {
  readonly #server: Server
  /** As made of a roster, until somebody is called differently. */
  #made = new WeakMap<Roster, Map<Identity, Occupants>>()
  /** What members were called, by who sees them. */
  readonly #called = new Map<string, Called>()
  readonly #listeners = new Set<(account: Identity) => void>()
  readonly #stop: readonly (() => void)[]

  constructor(server: Server) {
    this.#server = server
    const { accounts, contacts } = server.services
    this.#stop = [
      contacts.watch((account, contact) => this.#renamed([account], contact)),
      accounts.watch((identity) =>
        this.#renamed(
          accounts.list().map((one) => one.identity),
          identity,
        ),
      ),
    ]
  }

  /** Hears when an account sees somebody under another name or address. */
  watchNames(listener: (account: Identity) => void): void {
    this.#listeners.add(listener)
  }

  #renamed(accounts: readonly Identity[], identity: Identity): void {
    for (const account of accounts) {
      const before = this.#called.get(account + identity)
      if (before === undefined || !this.#server.services.accounts.has(account)) continue
      const now = this.#call(account, identity)
      if (now.name === before.name && now.jid === before.jid) continue
      this.#made = new WeakMap()
      for (const listener of this.#listeners) listener(account)
    }
  }

  #call(account: Identity, identity: Identity): Called {
    const name = this.#nameOf(account, identity)
    const called = { identity, name, jid: bareOf(this.#server.names.person(account, identity)) }
    this.#called.set(account + identity, called)
    return called
  }

  /** One that the account is in, is asked into, or was in. */
  find(account: Identity, group: GroupId): Room | undefined {
    const { groups, groupBook } = this.#server.services
    const row = groups.row(account, group)
    const known = row === undefined ? undefined : groupBook.groupNow(account, group)
    return row === undefined || known === undefined
      ? undefined
      : { group, row, roster: known.state, heads: known.heads }
  }

  /** As it was with these operations; undefined where one of them is not here. */
  asOf(account: Identity, group: GroupId, heads: readonly GroupOpId[]): Room | undefined {
    const now = this.find(account, group)
    const roster = this.#server.services.groupBook.groupNow(account, group)?.stateAt(heads)
    return now === undefined || roster === undefined ? undefined : { ...now, roster, heads }
  }

  /** Those in which an account takes part or is asked to. */
  list(account: Identity): readonly Room[] {
    const { store, groupBook } = this.#server.services
    const rows = store.read((tx) => groupBook.rows(tx, account))
    return rows.flatMap((row) => (row.state === 'left' ? [] : (this.find(account, row.group) ?? [])))
  }

  /** Is anybody who uses this gateway in it, or asked? */
  isHeld(group: GroupId): boolean {
    const { accounts, groups } = this.#server.services
    return accounts.list().some(({ identity }) => {
      const row = groups.row(identity, group)
      return row !== undefined && row.state !== 'left'
    })
  }

  occupants(account: Identity, { group, roster }: Pick<Room, 'group' | 'roster'>): Occupants {
    const byAccount = this.#made.get(roster) ?? new Map<Identity, Occupants>()
    this.#made.set(roster, byAccount)
    const known = byAccount.get(account)
    if (known !== undefined) return known
    const members = [...roster.members]
      .toSorted(([, a], [, b]) => compareWarrants(a.adds[0]!, b.adds[0]!))
      .map(([identity]) => this.#call(account, identity))
    const nicks = nicksOf(members)
    const occupants = new Map(
      members.map(({ identity, jid }): [Identity, Occupant] => {
        const affiliation = isAdmin(roster, identity) ? 'owner' : 'member'
        const voiced = roster.policy.post === 'admins' ? 'visitor' : 'participant'
        return [
          identity,
          {
            identity,
            nick: nicks.get(identity)!,
            affiliation,
            role: affiliation === 'owner' ? 'moderator' : voiced,
            jid,
            id: occupantId(group, identity),
          },
        ]
      }),
    )
    byAccount.set(account, occupants)
    return occupants
  }

  byNick(account: Identity, room: Room, nick: string): Occupant | undefined {
    return [...this.occupants(account, room).values()].find((one) => one.nick === nick)
  }

  author(account: Identity, room: Room, identity: Identity): Author {
    const occupants = this.occupants(account, room)
    const there = occupants.get(identity)
    if (there !== undefined) return there
    const nicks = new Set([...occupants.values()].map(({ nick }) => nick))
    const { name, jid } = this.#call(account, identity)
    return { nick: freeNick(name, identity, (nick) => nicks.has(nick)), id: occupantId(room.group, identity), jid }
  }

  /** Why somebody is no member any more; undefined for one who never was. */
  whyGone(account: Identity, { group, roster }: Room, identity: Identity): 'left' | 'removed' | undefined {
    const last = roster.removals.get(identity)?.findLast(({ device }) => device === undefined)
    const signed = last && this.#server.services.groupBook.groupNow(account, group)?.signed(last.op)
    if (signed === undefined) return undefined
    return readGroupOp(signed).op.action.kind === 'leave' ? 'left' : 'removed'
  }

  #nameOf(account: Identity, identity: Identity): string {
    const { people } = this.#server.services
    const name = people.nameOf(account, identity)
    if (name !== undefined) return name
    const address = people.addressOf(account, identity)
    // of a stranger in the group there may be no address here
    return address.endsWith('@identity.invalid') ? '' : localPartOf(address)
  }

  [Symbol.dispose](): void {
    for (const stop of this.#stop) stop()
  }
}

/** The same on every gateway, another in every room: whoever does not know the group learns nothing by it. */
const occupantId = (group: GroupId, identity: Identity): string =>
  toBase64Url(labelledHash('mycelium/xmpp/occupant/1', raw(group), raw(identity)).subarray(0, 24))

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')

/** Of an occupant, or of the room where there is no nick. */
export const inRoom = (room: Jid, nick = ''): Jid => ({ ...room, resource: nick })
