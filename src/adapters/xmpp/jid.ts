/**
 * Addresses of XMPP (RFC 7622): `local@domain/resource`, in the form in which two that mean the same compare equal.
 * Local parts by the PRECIS profile UsernameCaseMapped, resources as OpaqueString, domains as A-labels in lower case.
 */
import { fromUtf8 } from '../../core/bytes.ts'
import { parseDomain } from '../../core/message/address.ts'
import { opaqueString, usernameCaseMapped } from './precis.ts'

export interface Jid {
  /** Empty for a domain. */
  readonly local: string
  readonly domain: string
  /** Empty for a bare one. */
  readonly resource: string
}

const partOctetsMax = 1023 // RFC 7622 §3.1

/** The few addresses that one gateway meets again and again. */
const parsed = new Map<string, Jid>()
const parsedMax = 1024
const parsedCharsMax = 256

/** `undefined` if it is not one. */
export function parseJid(text: string): Jid | undefined {
  const known = parsed.get(text)
  if (known !== undefined) return known
  const jid = parse(text)
  if (jid === undefined || text.length > parsedCharsMax) return jid
  if (parsed.size >= parsedMax) parsed.clear()
  parsed.set(text, jid)
  return jid
}

function parse(text: string): Jid | undefined {
  const slash = text.indexOf('/')
  const bare = slash < 0 ? text : text.slice(0, slash)
  const resource = slash < 0 ? '' : opaqueString(text.slice(slash + 1))
  const at = bare.indexOf('@')
  const local = at < 0 ? '' : usernameCaseMapped(bare.slice(0, at))
  if (resource === undefined || local === undefined || forbidden.test(local)) return undefined
  if (!fits(local) || !fits(resource)) return undefined
  // §3.2: a dot at the end says nothing
  const domain = parseDomain((at < 0 ? bare : bare.slice(at + 1)).replace(/\.$/, ''))
  return domain === undefined ? undefined : { local, domain, resource }
}

const fits = (part: string): boolean => fromUtf8(part).length <= partOctetsMax
/** RFC 7622 §3.3.1 forbids these beside what PRECIS does. */
const forbidden = /["&'/:<>@]/

export const bareOf = ({ local, domain }: Jid): string => (local === '' ? domain : `${local}@${domain}`)
export const fullOf = (jid: Jid): string => (jid.resource === '' ? bareOf(jid) : `${bareOf(jid)}/${jid.resource}`)
export const withResource = (jid: Jid, resource: string): Jid => ({ ...jid, resource })

/** XEP-0106: characters that a local part cannot hold. */
const escapes = new Map(
  Array.from(' "&\'/:<>@\\', (character) => [
    character,
    `\\${character.codePointAt(0)!.toString(16).padStart(2, '0')}`,
  ]),
)
export const escapeLocal = (text: string): string =>
  text.replaceAll(/[ "&'/:<>@]|\\(?=20|22|26|27|2f|3a|3c|3e|40|5c)/g, (one) => escapes.get(one)!)
export const unescapeLocal = (local: string): string =>
  local.replaceAll(/\\(20|22|26|27|2f|3a|3c|3e|40|5c)/g, (_, hex: string) => String.fromCodePoint(parseInt(hex, 16)))
