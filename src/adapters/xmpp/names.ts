/**
 * JIDs and what they stand for. Accounts of this gateway are `localName@domain`; contacts keep their address as JID, as
 * DESIGN §4 says; groups are rooms `<group id>@groups.domain`, so that a room never depends on a name, or are called as the
 * program wanted that made them (room-names.ts).
 */
import { fromUtf8 } from '../../core/bytes.ts'
import { limits } from '../../core/limits.ts'
import type { Address, GroupId, Identity } from '../../core/ids.ts'
import { parseAddress } from '../../core/message/address.ts'
import { bareOf, escapeLocal, type Jid, parseJid, unescapeLocal } from './jid.ts'
import { isRoomName, RoomNames } from './room-names.ts'
import type { XmppServices } from './services.ts'

/** What a JID names, as an account sees it. The resource is not looked at. */
export type Named =
  | { readonly kind: 'server' }
  /** The domain of all rooms. */
  | { readonly kind: 'rooms' }
  | { readonly kind: 'uploads' }
  | { readonly kind: 'self' }
  /** Somebody else's identity: a contact, or another account of this gateway. */
  | { readonly kind: 'person'; readonly identity: Identity }
  | { readonly kind: 'room'; readonly group: GroupId }
  /** What no room is called yet. */
  | { readonly kind: 'vacant'; readonly local: string }
  /** The domain of rooms that are this gateway's alone (xep/halls). */
  | { readonly kind: 'halls' }
  /** One of them, whether or not it is there. */
  | { readonly kind: 'hall' }
  /** The domain of nodes that accounts here have for each other (xep/pubsub). */
  | { readonly kind: 'pubsub' }
  | { readonly kind: 'unknown' }

/** Of people whose address leads nowhere: with their identity before it. */
const namelessDomain = 'identity.invalid'

/** Resource of the presence that the gateway shows for a contact. */
export const contactResource = 'mycelium'

export class Names {
  readonly roomNames: RoomNames
  readonly #services: XmppServices

  constructor(services: XmppServices) {
    this.#services = services
    this.roomNames = new RoomNames(services.store)
  }

  get server(): string {
    return this.#services.domain
  }
  get rooms(): string {
    return `groups.${this.#services.domain}`
  }
  get halls(): string {
    return `rooms.${this.#services.domain}`
  }
  get pubsub(): string {
    return `pubsub.${this.#services.domain}`
  }
  get uploads(): string {
    return `upload.${this.#services.domain}`
  }

  own(account: Identity): Jid {
    const { localName } = this.#services.accounts.get(account)
    return { local: escapeLocal(localName), domain: this.server, resource: '' }
  }

  /**
   * Of anybody whom the account knows. An address that leads to somebody else, or to nobody for sure, names nobody here; nor
   * does one that stands for something of this server, such as a room, which anybody may claim.
   */
  person(account: Identity, identity: Identity): Jid {
    const { accounts, contacts } = this.#services
    if (identity === account || accounts.has(identity)) return this.own(identity)
    for (const { address } of contacts.byIdentity(account, identity)?.addresses ?? []) {
      const jid = parseJid(bareOf(jidOfAddress(address)))
      const named = jid && this.named(account, jid)
      if (jid !== undefined && named?.kind === 'person' && named.identity === identity) return jid
    }
    return { local: identity, domain: namelessDomain, resource: '' }
  }

  room = (group: GroupId): Jid => ({ local: this.roomNames.localOf(group), domain: this.rooms, resource: '' })

  named(account: Identity, { local, domain }: Jid): Named {
    if (domain === this.server && local === '') return { kind: 'server' }
    if (domain === this.uploads && local === '') return { kind: 'uploads' }
    if (domain === this.pubsub) return local === '' ? { kind: 'pubsub' } : { kind: 'unknown' }
    if (domain === this.rooms) {
      if (local === '') return { kind: 'rooms' }
      const group = /^[\da-f]{64}$/.test(local) ? (local as GroupId) : this.roomNames.groupOf(local)
      if (group !== undefined) return { kind: 'room', group }
      return isRoomName(local) ? { kind: 'vacant', local } : { kind: 'unknown' }
    }
    if (domain === this.halls) {
      if (local === '') return { kind: 'halls' }
      return fromUtf8(local).length <= limits.xmppRoomLocalOctetsMax ? { kind: 'hall' } : { kind: 'unknown' }
    }
    const { accounts, contacts } = this.#services
    if (domain === namelessDomain) {
      const nameless = contacts.byIdentity(account, local as Identity)
      return nameless === undefined ? { kind: 'unknown' } : { kind: 'person', identity: nameless.identity }
    }
    const address = parseAddress(`${unescapeLocal(local)}@${domain}`)
    const user = domain === this.server ? unescapeLocal(local) : address
    const here = user === undefined ? undefined : accounts.byUser(user)
    if (here !== undefined)
      return here.identity === account ? { kind: 'self' } : { kind: 'person', identity: here.identity }
    const found = address === undefined ? undefined : contacts.resolve(account, address)
    return found !== undefined && 'identity' in found
      ? { kind: 'person', identity: found.identity }
      : { kind: 'unknown' }
  }
}

function jidOfAddress(address: Address): Jid {
  const at = address.lastIndexOf('@')
  return { local: escapeLocal(address.slice(0, at)), domain: address.slice(at + 1), resource: '' }
}
