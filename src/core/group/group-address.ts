/**
 * ◆ `label@<gid>.group.myc`: an address that certifies itself. `<gid>` is the group's id in lower-case base32 without padding,
 * 52 characters, so the address leads to this group and to no other; the label is only a name that people chose.
 */
import { toHex } from '../bytes.ts'
import { fromBase32, toBase32 } from '../identity/names.ts'
import type { Address, GroupId } from '../ids.ts'

const groupSuffix = '.group.myc'
const gidChars = 52 // 32 bytes in groups of five bits

export const groupDomain = (group: GroupId): string => toBase32(Buffer.from(group, 'hex')) + groupSuffix

/** The group that an address names; undefined for any other address. */
export function groupOfAddress(address: Address): GroupId | undefined {
  const domain = address.slice(address.lastIndexOf('@') + 1)
  if (!domain.endsWith(groupSuffix) || domain.length !== gidChars + groupSuffix.length) return undefined
  const bytes = fromBase32(domain.slice(0, gidChars))
  return bytes === undefined ? undefined : (toHex(bytes) as GroupId)
}

/** A local part made of the group's name: lower-case letters, digits, and hyphens between them. */
export function groupLabel(name: string): string {
  const words =
    name
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? []
  let label = ''
  for (const word of words) {
    const longer = label === '' ? word : `${label}-${word}`
    if (Buffer.byteLength(longer) > labelOctetsMax) break
    label = longer
  }
  return label === '' ? 'group' : label
}

const labelOctetsMax = 64 // RFC 5321 §4.5.3.1.1

export const groupAddress = (group: GroupId, name: string): Address =>
  `${groupLabel(name)}@${groupDomain(group)}` as Address
