/**
 * Lines of mbox files: the From_ line between messages, quoting of lines that look like one, and the fields in which mail
 * programs keep flags. What a file follows is seen from the file (mbox-reader.ts).
 */
import { toLatin1 } from '../bytes.ts'
import type { Flag } from '../mailbox/mailbox.ts'
import { type HeaderField, parseHeaders } from '../message/header.ts'

/** mboxrd: any number of `>` before `From `; mboxo: only one; none: where Content-Length says how long a message is. */
export type Quoting = 'mboxrd' | 'mboxo' | 'none'

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const
const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const
const two = (value: number): string => String(value).padStart(2, '0')

/** With an asctime date in UTC. */
export function fromLine(dateMs: number): string {
  const date = new Date(Number.isFinite(dateMs) ? Math.min(Math.max(dateMs, 0), 253_402_300_799_000) : 0)
  const clock = [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()].map(two).join(':')
  const day = String(date.getUTCDate()).padStart(2, ' ')
  return `From MAILER-DAEMON ${days[date.getUTCDay()]} ${months[date.getUTCMonth()]} ${day} ${clock} ${date.getUTCFullYear()}\n`
}

const fromPattern =
  /^From .*?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +([A-Z][a-z]{2}) +(\d{1,2}) +(\d{1,2}):(\d{2})(?::(\d{2}))?(?: +[A-Z]{1,5})? +(\d{4})(?: +([+-]\d{4}))?/

/** Unix milliseconds of a From_ line; `undefined` for a line that is none, as one in a message may begin `From `. */
export function dateOfFromLine(line: Uint8Array): number | undefined {
  const match = fromPattern.exec(toLatin1(line.subarray(0, 512)))
  if (match === null) return undefined
  const month = months.indexOf(match[1] as (typeof months)[number])
  if (month < 0) return undefined
  const [day, hour, minute, second, year] = [2, 3, 4, 5, 6].map((group) => Number(match[group] ?? 0))
  const zone = match[7] === undefined ? 0 : Number(match[7].slice(0, 3)) * 60 + Number(match[7][0]! + match[7].slice(3))
  return Date.UTC(year!, month, day, hour, minute, second) - zone * 60_000
}

const isQuotable = /^>*From /
const quotedByRule: Readonly<Record<Quoting, RegExp>> = { mboxrd: /^>+From /, mboxo: /^>From /, none: /^(?!)/ }
const lineHead = (line: Uint8Array): string => toLatin1(line.subarray(0, lineHeadOctets))
const lineHeadOctets = 1024

/** mboxrd. @param line from its beginning */
export const quoted = (line: Uint8Array): Uint8Array =>
  (line[0] === 0x3e || line[0] === 0x46) && isQuotable.test(lineHead(line))
    ? Buffer.concat([Buffer.from('>'), line])
    : line

export const unquoted = (line: Uint8Array, quoting: Quoting): Uint8Array =>
  line[0] === 0x3e && quotedByRule[quoting].test(lineHead(line)) ? line.subarray(1) : line

const statusLetters: readonly (readonly [letter: string, flag: Flag])[] = [
  ['A', '\\Answered'],
  ['F', '\\Flagged'],
  ['T', '\\Draft'],
  ['D', '\\Deleted'],
]

/** The block before a message of ours: three fields, always all of them, so that a reader knows where it ends. */
export function statusBlock(flags: readonly Flag[]): string {
  const letters = statusLetters.filter(([, flag]) => flags.includes(flag)).map(([letter]) => letter)
  const keywords = flags.filter((flag) => !flag.startsWith('\\'))
  return `Status: ${flags.includes('\\Seen') ? 'RO' : 'O'}\nX-Status: ${letters.join('')}\nX-Keywords: ${keywords.join(' ')}\n`
}

export interface MboxHeader {
  readonly flags: readonly Flag[]
  readonly quoting: Quoting | undefined
  /** Octets at the beginning that belong to the file, not to the message. */
  readonly ownOctets: number
  /** Octets of the body, as a writer of mboxcl or mboxcl2 has put it down; not yet believed. */
  readonly contentLength: number | undefined
  /** Thunderbird has deleted it, and not yet compacted its folder. */
  readonly isExpunged: boolean
}

const ourBlock = ['status', 'x-status', 'x-keywords']
const mozillaBlock = ['x-account-key', 'x-uidl', 'x-mozilla-status', 'x-mozilla-status2', 'x-mozilla-keys']
const mozillaFlags: readonly (readonly [bit: number, flag: Flag])[] = [
  [0x0001, '\\Seen'],
  [0x0002, '\\Answered'],
  [0x0004, '\\Flagged'],
  [0x1000, '$Forwarded'],
]
const mozillaExpunged = 0x0008

/** What a message's header section says about it in this file. Flags are read wherever they stand. */
export function readMboxHeader(header: Uint8Array): MboxHeader {
  const ours = ourBlockIn(header)
  const isOurs = ours !== undefined
  const { fields } = parseHeaders(ours ?? header)
  const valueOf = (name: string): string | undefined => fields.find((field) => field.name === name)?.value
  const mozilla = parseInt(valueOf('x-mozilla-status') ?? '', 16)
  const isMozilla = !isOurs && Number.isInteger(mozilla)
  const flags = isMozilla
    ? mozillaFlags.filter(([bit]) => (mozilla & bit) !== 0).map(([, flag]) => flag)
    : flagsOfStatus(valueOf('status') ?? '', valueOf('x-status') ?? '')
  const keywords = (isMozilla ? valueOf('x-mozilla-keys') : valueOf('x-keywords')) ?? ''
  const length = /^\d{1,10}$/.exec(valueOf('content-length') ?? '')?.[0]
  return {
    flags: [...flags, ...keywords.split(/\s+/).filter((word) => word !== '')],
    quoting: isOurs ? 'mboxrd' : isMozilla ? 'mboxo' : undefined,
    ownOctets: isOurs ? ours.length : isMozilla ? leading(fields, mozillaBlock) : leading(fields, ourBlock),
    contentLength: isOurs || length === undefined ? undefined : Number(length),
    isExpunged: isMozilla && (mozilla & mozillaExpunged) !== 0,
  }
}

/** Three lines, whatever the message begins with. */
function ourBlockIn(header: Uint8Array): Uint8Array | undefined {
  let end = 0
  for (const name of ourBlock) {
    if (toLatin1(header.subarray(end, end + name.length + 1)).toLowerCase() !== `${name}:`) return undefined
    const lf = header.indexOf(0x0a, end)
    if (lf < 0) return undefined
    end = lf + 1
  }
  return header.subarray(0, end)
}

function flagsOfStatus(status: string, more: string): readonly Flag[] {
  const flags = statusLetters.filter(([letter]) => more.includes(letter)).map(([, flag]) => flag)
  return status.includes('R') ? ['\\Seen', ...flags] : flags
}

/** The end of these fields at the beginning of the section, in this order, each at most once. */
function leading(fields: readonly HeaderField[], names: readonly string[]): number {
  let end = 0
  let from = 0
  for (const field of fields) {
    const at = names.indexOf(field.name, from)
    if (at < 0 || field.start !== end) break
    end = field.end
    from = at + 1
  }
  return end
}
