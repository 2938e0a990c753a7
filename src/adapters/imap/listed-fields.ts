/**
 * The header fields that mail programs fetch for their lists, kept with each summary: which fields these are and where
 * each begins, so that those asked for are copied and nothing is parsed again.
 */
import type { HeaderField } from '../../core/message/header.ts'

/** What Thunderbird, K-9, Apple Mail and mutt ask for; lower case. ◆ A field is kept under its place in this list: only its end may grow. */
const names: readonly string[] = (
  'from to cc bcc subject date message-id priority x-priority references newsgroups in-reply-to content-type reply-to ' +
  'sender list-unsubscribe list-unsubscribe-post list-id list-post x-k9mail-identity importance x-label lines ' +
  'delivered-to return-path mime-version chat-version autocrypt-setup-message disposition-notification-to mycelium-trust ' +
  'content-transfer-encoding x-uniform-type-identifier x-universally-unique-identifier received-spf'
).split(' ')
const places: ReadonlyMap<string, number> = new Map(names.map((name, place) => [name, place]))

const octetsMax = 16 * 1024 // ours: above it, header fields are read from the message

// ◆ u16 number of fields, for each u8 place in `names` and u16 octets, then the fields as they stand in the message, in order.
const headBytes = 2
const entryBytes = 3

/** `undefined` when there is too much to keep. */
export function packListedFields(message: Uint8Array, fields: readonly HeaderField[]): Uint8Array | undefined {
  const listed = fields.filter(({ name }) => places.has(name))
  const octets = listed.reduce((sum, { start, end }) => sum + end - start, 0)
  if (octets > octetsMax) return undefined
  const packed = Buffer.alloc(headBytes + listed.length * entryBytes + octets)
  packed.writeUInt16BE(listed.length)
  let entry = headBytes
  let at = headBytes + listed.length * entryBytes
  for (const { name, start, end } of listed) {
    packed[entry] = places.get(name)!
    packed.writeUInt16BE(end - start, entry + 1)
    packed.set(message.subarray(start, end), at)
    entry += entryBytes
    at += end - start
  }
  return packed
}

/** Some of the listed fields, for comparing with packed ones. */
export type FieldChoice = Uint8Array

/** @param wanted lower case @returns `undefined` when any of them is not kept */
export function chooseFields(wanted: Iterable<string>): FieldChoice | undefined {
  const choice = new Uint8Array(names.length)
  for (const name of wanted) {
    const place = places.get(name)
    if (place === undefined) return undefined
    choice[place] = 1
  }
  return choice
}

/** The chosen fields in the order of the message: pieces of `packed`, neighbours in one. */
export function chosenFields(packed: Buffer, choice: FieldChoice): readonly Buffer[] {
  const pieces: Buffer[] = []
  const entriesEnd = headBytes + packed.readUInt16BE() * entryBytes
  let at = entriesEnd
  let from = at
  for (let entry = headBytes; entry < entriesEnd; entry += entryBytes) {
    const next = at + (packed[entry + 1]! << 8) + packed[entry + 2]!
    if (choice[packed[entry]!] !== 1) {
      if (at > from) pieces.push(packed.subarray(from, at))
      from = next
    }
    at = next
  }
  if (at > from) pieces.push(packed.subarray(from, at))
  return pieces
}
