/** Mail addresses: one canonical form, parsed once at the edge (RFC 5321 §4.1.2, RFC 6531; domains lower-case). */
import { domainToASCII } from 'node:url'
import { fromUtf8 } from '../bytes.ts'
import type { Address } from '../ids.ts'
import { limits } from '../limits.ts'

const localPartOctetsMax = 64 // RFC 5321 §4.5.3.1.1
const atom = /^[\p{L}\p{N}\p{M}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{N}\p{M}!#$%&'*+/=?^_`{|}~-]+)*$/u

/**
 * Canonical `local@domain`: NFC, lower-case on both sides, the domain as A-labels so that two spellings of one name
 * compare equal. Quoted local parts and domain literals do not exist on the overlay. `undefined` if it is not one.
 */
export function parseAddress(text: string): Address | undefined {
  const known = parsed.get(text)
  if (known !== undefined) return known
  const address = parse(text)
  if (address === undefined) return undefined
  if (parsed.size >= parsedMax) parsed.clear()
  parsed.set(text, address)
  return address
}

/** The few addresses that one gateway meets again and again; IDNA makes each parse cost microseconds. */
const parsed = new Map<string, Address>()
const parsedMax = 1024

function parse(text: string): Address | undefined {
  const at = text.lastIndexOf('@')
  if (at <= 0 || fromUtf8(text).length > limits.addressOctetsMax) return undefined
  const local = text.slice(0, at).normalize('NFC').toLowerCase()
  if (fromUtf8(local).length > localPartOctetsMax || !atom.test(local)) return undefined
  const domain = parseDomain(text.slice(at + 1))
  return domain === undefined ? undefined : (`${local}@${domain}` as Address)
}

/** Lower-case A-label form of a host name of one or more labels; `undefined` if it is not one. */
export function parseDomain(text: string): string | undefined {
  if (!/^[^\s@/?#:[\]\\%]+$/.test(text) || text.endsWith('.')) return undefined
  const ascii = domainToASCII(text.normalize('NFC'))
  if (ascii === '' || ascii.length > 253) return undefined
  const labels = ascii.split('.')
  return labels.every((label) => /^(?!-)[a-z\d-]{1,63}(?<!-)$/.test(label)) && !/^\d+$/.test(labels.at(-1)!)
    ? ascii
    : undefined
}

export const localPartOf = (address: Address): string => address.slice(0, address.lastIndexOf('@'))
export const domainOf = (address: Address): string => address.slice(address.lastIndexOf('@') + 1)
