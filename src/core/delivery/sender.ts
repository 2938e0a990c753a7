/**
 * Who a mail says it is from, where every reader must see the same: exactly one From mailbox in a header section that
 * can be read in one way only. What another parser could take for another field, a second sender or another end of the
 * section gives no sender at all.
 */
import type { Address } from '../ids.ts'
import { parseAddress } from '../message/address.ts'
import { type Headers, parseAddressEntries, parseHeaders } from '../message/header.ts'
import { traceFields } from './compose.ts'

const NUL = 0
const LF = 10
const CR = 13

/** @param head the header section with its closing empty line; what follows is not looked at */
export function soleSender(head: Uint8Array): Address | undefined {
  const headers = parseHeaders(head)
  if (!isPlain(head, headers) || headers.fields.some(({ name }) => traceFields.has(name))) return undefined
  return onlyFrom(headers)
}

/** One mailbox, not in a group, without a source route. */
export function onlyFrom({ fields }: Headers): Address | undefined {
  const values = fields.filter(({ name }) => name === 'from').map(({ value }) => value)
  return values.length === 1 ? remembered(values[0]!) : mailboxOf(values)
}

/** What was read from the last few values: the same people write again and again. */
const known = new Map<string, Address | undefined>()
const knownMax = 64
const knownLengthMax = 500

function remembered(value: string): Address | undefined {
  if (value.length > knownLengthMax) return mailboxOf([value])
  if (known.has(value)) return known.get(value)
  if (known.size === knownMax) known.clear()
  const address = mailboxOf([value])
  known.set(value, address)
  return address
}

function mailboxOf(values: readonly string[]): Address | undefined {
  const entries = values.flatMap(parseAddressEntries)
  const [only] = entries
  if (entries.length !== 1 || only?.kind !== 'mailbox' || only.route !== undefined || only.domain === undefined)
    return undefined
  return parseAddress(`${only.local}@${only.domain}`)
}

/** Fields one after the other without a gap, an empty line, and no CR, LF or NUL but in line ends. */
export function isPlain(head: Uint8Array, { fields, bodyStart, truncated }: Headers): boolean {
  if (truncated) return false
  let at = 0
  for (const { start, end } of fields) {
    if (start !== at) return false
    at = end
  }
  return at + 2 === bodyStart && hasPlainLines(head, bodyStart)
}

function hasPlainLines(bytes: Uint8Array, to: number): boolean {
  for (let at = 0; at < to; at += 1) {
    const byte = bytes[at]
    if (byte === NUL || byte === LF) return false
    if (byte !== CR) continue
    at += 1
    if (at >= to || bytes[at] !== LF) return false
  }
  return true
}
