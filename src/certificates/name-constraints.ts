/** DER of the Name Constraints extension (RFC 5280 §4.2.1.10) that permits some names and addresses, and nothing else. */
import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { concat, fromLatin1 } from '../core/bytes.ts'

export const nameConstraintsOid = '2.5.29.30'

/**
 * At least one host name (which covers its subdomains too) and one IP address (exactly): a form of which there is none
 * would be unconstrained.
 */
export function encodeNameConstraints(names: readonly string[]): Uint8Array {
  assert(names.some((name) => isIP(name) === 0) && names.some((name) => isIP(name) !== 0))
  const subtrees = names.map((name) =>
    der(0x30, isIP(name) === 0 ? der(0x82, fromLatin1(name)) : der(0x87, single(name))),
  )
  return der(0x30, der(0xa0, ...subtrees))
}

/** Address and full mask: 8 octets for IPv4, 32 for IPv6. */
function single(address: string): Uint8Array {
  const octets = isIP(address) === 4 ? Uint8Array.from(address.split('.'), Number) : ipv6Octets(address)
  return concat(octets, new Uint8Array(octets.length).fill(0xff))
}

function ipv6Octets(address: string): Uint8Array {
  // The URL parser gives the canonical form: hexadecimal groups only, `::` at most once.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail] = canonical.split('::')
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [left, right] = [groups(head), groups(tail ?? '')]
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

function der(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const content = concat(...contents)
  const length =
    content.length < 0x80
      ? [content.length]
      : content.length < 0x100
        ? [0x81, content.length]
        : [0x82, content.length >> 8, content.length & 0xff]
  return concat(Uint8Array.of(tag, ...length), content)
}
