/**
 * ◆ The header fields that people search, folded, so that asking for a subject opens no message. Of each field: `ff`, the
 * octet of its name, its decoded value in UTF-8, which has neither.
 */
import type { HeaderField } from '../message/header.ts'
import { foldedValue } from '../message/searchable-text.ts'
import { limits } from '../limits.ts'
import { concat, fromUtf8 } from '../bytes.ts'
import type { Needle } from './search-signature.ts'

const mark = 0xff
const octetOfName: ReadonlyMap<string, number> = new Map([
  ['subject', 0xf5],
  ['from', 0xf6],
  ['to', 0xf7],
  ['cc', 0xf8],
  ['bcc', 0xf9],
  ['date', 0xfa],
  ['message-id', 0xfb],
  ['in-reply-to', 0xfc],
  ['references', 0xfd],
  ['reply-to', 0xfe],
  ['sender', 0xc0],
  ['list-id', 0xc1],
])

export const isKeptField = (name: string): boolean => octetOfName.has(name)

/** `undefined` when they are too long to be kept. */
export function keepFields(fields: readonly HeaderField[]): Uint8Array | undefined {
  const kept: Uint8Array[] = []
  let length = 0
  for (const header of fields) {
    const octet = octetOfName.get(header.name)
    if (octet === undefined) continue
    const field = concat(Uint8Array.of(mark, octet), fromUtf8(foldedValue(header)))
    kept.push(field)
    length += field.length
    if (length > limits.searchFieldsBytesMax) return undefined
  }
  return concat(...kept)
}

/** Does a kept field of this name hold the needle? An empty needle asks whether there is one. */
export function keptFieldIncludes(kept: Buffer, name: string, { octets }: Needle): boolean {
  const wanted = octetOfName.get(name)!
  let from = 0
  for (;;) {
    const start = startOfField(kept, wanted, from)
    if (start < 0) return false
    const next = kept.indexOf(mark, start)
    const end = next < 0 ? kept.length : next
    if (kept.subarray(start, end).includes(octets)) return true
    from = end
  }
}

/** Value of the first field of this name. */
export function keptField(kept: Buffer, name: string): string | undefined {
  const start = startOfField(kept, octetOfName.get(name)!, 0)
  if (start < 0) return undefined
  const end = kept.indexOf(mark, start)
  return kept.toString('utf8', start, end < 0 ? kept.length : end)
}

/** −1 when there is none from here on. */
function startOfField(kept: Buffer, octet: number, from: number): number {
  const at = kept.indexOf(octet, from) // stands nowhere but after a mark
  return at < 0 ? -1 : at + 1
}
