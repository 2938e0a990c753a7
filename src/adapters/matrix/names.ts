/**
 * User, room and event ids, and what they stand for. Accounts of this gateway are `@localName:domain`; contacts keep their
 * address, as DESIGN §4 says: `@bob:other.org`. A room's id is its conversation's and an event's its message's, so every
 * gateway of an account calls them the same.
 */
import { fromBase64Url, toBase64Url, toHex } from '../../core/bytes.ts'
import type { Address, ConversationId, Identity } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { parseAddress } from '../../core/message/address.ts'
import type { EventKey } from './stream/rows.ts'
import type { MatrixServices } from './services.ts'

/** Of people whose address leads nowhere: with their identity before it. */
const namelessDomain = 'identity.invalid'
/** Who speaks for the gateway itself: nobody's account is called so. */
const gatewayLocal = 'mycelium_gateway'

export class Names {
  readonly #services: MatrixServices

  constructor(services: MatrixServices) {
    this.#services = services
  }

  get server(): string {
    return this.#services.domain
  }
  get gateway(): string {
    return `@${gatewayLocal}:${this.server}`
  }

  own(account: Identity): string {
    return `@${escapeLocal(this.#services.accounts.get(account).localName)}:${this.server}`
  }

  /** Of anybody whom the account knows. An address that leads to somebody else, or to nobody for sure, names nobody here. */
  user(account: Identity, identity: Identity): string {
    const { accounts, contacts } = this.#services
    if (identity === account || accounts.has(identity)) return this.own(identity)
    for (const { address } of contacts.byIdentity(account, identity)?.addresses ?? []) {
      const id = userOfAddress(address)
      if (id !== undefined && this.identity(account, id) === identity) return id
    }
    return `@${identity}:${namelessDomain}`
  }

  /** @returns undefined for nobody known */
  identity(account: Identity, user: string): Identity | undefined {
    const parts = partsOfUser(user)
    if (parts === undefined) return undefined
    const { local, domain } = parts
    const { accounts, contacts } = this.#services
    if (domain === namelessDomain) return contacts.byIdentity(account, local as Identity)?.identity
    const address = parseAddress(`${local}@${domain}`)
    const here = domain === this.server ? accounts.byUser(local) : address && accounts.byUser(address)
    if (here !== undefined) return here.identity
    const found = address === undefined ? undefined : contacts.resolve(account, address)
    return found !== undefined && 'identity' in found ? found.identity : undefined
  }

  room = (conversation: ConversationId): string => `!${toBase64Url(Buffer.from(conversation, 'hex'))}:${this.server}`

  conversation(room: string): ConversationId | undefined {
    const found = /^!([\w-]{43})(?::(.+))?$/.exec(room)
    if (found === null || (found[2] !== undefined && found[2] !== this.server)) return undefined
    const bytes = fromBase64Url(found[1]!)
    return bytes?.length === 32 ? (toHex(bytes) as ConversationId) : undefined
  }
}

export const eventId = (key: EventKey): string => `$${toBase64Url(Buffer.from(key, 'hex'))}`

export function eventKeyOf(id: string): EventKey | undefined {
  const found = /^\$([\w-]{43})$/.exec(id)
  const bytes = found === null ? undefined : fromBase64Url(found[1]!)
  return bytes?.length === 32 ? (toHex(bytes) as EventKey) : undefined
}

/** The address that a user id stands for; `undefined` when it is no user id. */
export function addressOfUser(user: string): Address | undefined {
  const parts = partsOfUser(user)
  return parts === undefined ? undefined : parseAddress(`${parts.local}@${parts.domain}`)
}

function userOfAddress(address: Address): string | undefined {
  const at = address.lastIndexOf('@')
  const id = `@${escapeLocal(address.slice(0, at))}:${address.slice(at + 1)}`
  return Buffer.byteLength(id) <= limits.matrixIdOctetsMax ? id : undefined
}

function partsOfUser(user: string): { readonly local: string; readonly domain: string } | undefined {
  const found = /^@([^:]+):(.+)$/.exec(user)
  if (found === null || Buffer.byteLength(user) > limits.matrixIdOctetsMax) return undefined
  const local = unescapeLocal(found[1]!)
  return local === undefined ? undefined : { local, domain: found[2]! }
}

/** Appendices, "Mapping from other character sets". */
const escapeLocal = (local: string): string =>
  [...Buffer.from(local)]
    .map((octet) => {
      const character = String.fromCharCode(octet)
      return /[a-z0-9._\-/+]/.test(character) ? character : `=${octet.toString(16).padStart(2, '0')}`
    })
    .join('')

function unescapeLocal(escaped: string): string | undefined {
  const octets: number[] = []
  const text = Buffer.from(escaped).toString('latin1')
  for (let at = 0; at < text.length; at += 1) {
    const hex = text[at] === '=' ? /^[\da-f]{2}/i.exec(text.slice(at + 1))?.[0] : undefined
    if (hex === undefined) octets.push(text.charCodeAt(at))
    else {
      octets.push(Number.parseInt(hex, 16))
      at += 2
    }
  }
  const decoded = Buffer.from(octets).toString('utf8')
  return decoded.includes('\ufffd') ? undefined : decoded
}
