/**
 * Addresses of XMPP (RFC 7622): `local@domain/resource`, in the form in which two that mean the same compare equal.
 * Local parts by the PRECIS profile UsernameCaseMapped, as far as names here need it; domains as U- or A-labels, lower-case.
 */
import { fromUtf8 } from '../../core/bytes.ts'
import { parseDomain } from '../../core/message/address.ts'

export interface Jid {
  /** Empty for a domain. */
  readonly local: string
  readonly domain: string
  /** Empty for a bare one. */
  readonly resource: string
}

const partOctetsMax = 1023 // RFC 7622 §3.1

/** `undefined` if it is not one. */
export function parseJid(text: string): Jid | undefined {
  const slash = text.indexOf('/')
  const bare = slash < 0 ? text : text.slice(0, slash)
  const resource = slash < 0 ? '' : text.slice(slash + 1).normalize('NFC')
  if (slash >= 0 && !isResource(resource)) return undefined
  const at = bare.indexOf('@')
  const local = at < 0 ? '' : bare.slice(0, at).normalize('NFC').toLowerCase()
  if (at >= 0 && !isLocal(local)) return undefined
  const domain = parseDomain(at < 0 ? bare : bare.slice(at + 1))
  return domain === undefined ? undefined : { local, domain, resource }
}

const fits = (part: string): boolean => part !== '' && fromUtf8(part).length <= partOctetsMax
/** RFC 7622 §3.3.1 forbids these beside what PRECIS IdentifierClass does. */
const isLocal = (part: string): boolean => fits(part) && !/["&'/:<>@\s\p{C}]/u.test(part)
const isResource = (part: string): boolean => fits(part) && !/[\p{Cc}\p{Cs}]/u.test(part)

export const bareOf = ({ local, domain }: Jid): string => (local === '' ? domain : `${local}@${domain}`)
export const fullOf = (jid: Jid): string => (jid.resource === '' ? bareOf(jid) : `${bareOf(jid)}/${jid.resource}`)
export const withResource = (jid: Jid, resource: string): Jid => ({ ...jid, resource })

/** XEP-0106: characters that a local part cannot hold. */
const escapes = new Map(
  [...' "&\'/:<>@\\'].map((character) => [character, `\\${character.codePointAt(0)!.toString(16).padStart(2, '0')}`]),
)
export const escapeLocal = (text: string): string =>
  text.replaceAll(/[ "&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)/g, (one) => escapes.get(one)!)
export const unescapeLocal = (local: string): string =>
  local.replaceAll(/\\(20|22|26|27|2f|3a|3c|3e|40|5c)/g, (_, hex: string) => String.fromCodePoint(parseInt(hex, 16)))
