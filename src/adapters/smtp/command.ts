/** SMTP command lines (RFC 5321 §4.1, RFC 3030 §2, RFC 6531 §3.3), parsed on bytes: one line in, one command or one refusal out. */
import { toUtf8 } from '../../core/bytes.ts'

export interface Parameter {
  /** Upper case. */
  readonly name: string
  readonly value: string | undefined
}

export type Command =
  | { readonly verb: 'HELO' | 'EHLO' }
  | { readonly verb: 'MAIL' | 'RCPT'; readonly path: Path; readonly parameters: readonly Parameter[] }
  | { readonly verb: 'AUTH'; readonly mechanism: string; readonly initial: string | undefined }
  | { readonly verb: 'BDAT'; readonly chunk: Chunk }
  /** Nobody knows where the next command begins after this one. */
  | { readonly verb: 'bad-chunk' }
  | { readonly verb: 'DATA' | 'RSET' | 'NOOP' | 'QUIT' | 'STARTTLS' | 'VRFY' | 'EXPN' | 'HELP' }
  /** A verb that we know and do not do, as RFC 5321 §4.2.4 distinguishes. */
  | { readonly verb: 'not-implemented' }
  | { readonly verb: 'unknown' }
  | { readonly verb: 'bad-arguments'; readonly of: string }

/** What a BDAT command announces. */
export interface Chunk {
  readonly octets: number
  readonly isLast: boolean
}

export type Path =
  | { readonly kind: 'null' }
  /** Between the brackets, without a source route (RFC 5321 appendix C) and, where they were idle, without quotes. */
  | { readonly kind: 'mailbox'; readonly text: string }

const withoutArguments = ['DATA', 'RSET', 'QUIT', 'STARTTLS'] as const
const withOptionalText = ['NOOP', 'HELP', 'VRFY', 'EXPN'] as const
const notImplemented = new Set(['TURN', 'ATRN', 'ETRN', 'SEND', 'SOML', 'SAML', 'BURL', 'XCLIENT', 'XFORWARD'])
const parametersMax = 16 // more than all extensions define
const domainOctetsMax = 255 // RFC 5321 §4.5.3.1.2

/** @param line without CRLF. Control characters and ill-formed UTF-8 have no place in any command. */
export function parseCommand(line: Uint8Array): Command {
  const text = toUtf8(line)
  if (text === undefined || /\p{Cc}/u.test(text)) return { verb: 'unknown' }
  const space = text.indexOf(' ')
  const verb = (space < 0 ? text : text.slice(0, space)).toUpperCase()
  const rest = space < 0 ? '' : text.slice(space + 1).trim()
  for (const known of withoutArguments) {
    if (verb === known) return rest === '' ? { verb: known } : { verb: 'bad-arguments', of: known }
  }
  for (const known of withOptionalText) if (verb === known) return { verb: known }
  switch (verb) {
    case 'HELO':
    case 'EHLO':
      return rest === '' || rest.length > domainOctetsMax ? { verb: 'bad-arguments', of: verb } : { verb }
    case 'MAIL':
      return parseMailOrRcpt('MAIL', /^FROM: */i, rest)
    case 'RCPT':
      return parseMailOrRcpt('RCPT', /^TO: */i, rest)
    case 'AUTH':
      return parseAuth(rest)
    case 'BDAT':
      return parseChunk(rest)
    default:
      return { verb: notImplemented.has(verb) ? 'not-implemented' : 'unknown' }
  }
}

function parseAuth(rest: string): Command {
  const [mechanism, initial, ...more] = rest.split(/ +/)
  if (mechanism === undefined || mechanism === '' || more.length > 0) return { verb: 'bad-arguments', of: 'AUTH' }
  return { verb: 'AUTH', mechanism, initial }
}

/** Up to 15 digits: more is no number of octets that anybody sends, and would not be exact here. */
function parseChunk(rest: string): Command {
  const found = /^(\d{1,15})( +LAST)?$/i.exec(rest)
  if (found === null) return { verb: 'bad-chunk' }
  return { verb: 'BDAT', chunk: { octets: Number(found[1]), isLast: found[2] !== undefined } }
}

function parseMailOrRcpt(verb: 'MAIL' | 'RCPT', lead: RegExp, rest: string): Command {
  const bad: Command = { verb: 'bad-arguments', of: verb }
  const start = lead.exec(rest)
  if (start === null) return bad
  const bracketed = rest.slice(start[0].length)
  const end = endOfPath(bracketed)
  if (end === undefined) return bad
  const path = parsePath(bracketed.slice(1, end))
  const parameters = parseParameters(bracketed.slice(end + 1))
  return path === undefined || parameters === undefined ? bad : { verb, path, parameters }
}

/** Where the `>` is that closes a leading `<`, minding quoted local parts. */
function endOfPath(text: string): number | undefined {
  if (!text.startsWith('<')) return undefined
  let quoted = false
  for (let at = 1; at < text.length; at += 1) {
    const character = text[at]
    if (quoted && character === '\\') at += 1
    else if (character === '"') quoted = !quoted
    else if (!quoted && character === '>') return at
    else if (!quoted && (character === '<' || character === ' ')) return undefined
  }
  return undefined
}

function parsePath(inside: string): Path | undefined {
  if (inside === '') return { kind: 'null' }
  const text = inside.replace(/^@[^:"]+:/, '')
  const quoted = /^"((?:[^"\\]|\\.)*)"(@.+)?$/su.exec(text)
  if (quoted === null) return text.includes('"') || text === '' ? undefined : { kind: 'mailbox', text }
  const local = quoted[1]!.replaceAll(/\\(.)/gsu, '$1')
  // A name that needs its quotes (spaces, @, …) names nobody here; keeping them makes it an invalid address.
  const unquoted = /^[^\s"@\\<>()[\],;:]+$/.test(local) ? local : `"${quoted[1]!}"`
  return { kind: 'mailbox', text: unquoted + (quoted[2] ?? '') }
}

/** ` KEY=value KEY …` after the path; `undefined` when malformed, too many, or one twice. */
function parseParameters(text: string): readonly Parameter[] | undefined {
  if (text === '') return []
  if (!text.startsWith(' ')) return undefined
  const parameters: Parameter[] = []
  for (const word of text.trim().split(/ +/)) {
    const found = /^([A-Za-z\d][A-Za-z\d-]*)(?:=([^=]+))?$/.exec(word)
    if (found === null || parameters.length === parametersMax) return undefined
    const name = found[1]!.toUpperCase()
    if (parameters.some((other) => other.name === name)) return undefined
    parameters.push({ name, value: found[2] })
  }
  return parameters
}

/**
 * RFC 3461 §4: `+3D` for `=`. Only printable ASCII may come out, since the value ends up in the header of a report.
 * `undefined` for anything else.
 */
export function decodeXtext(text: string, octetsMax: number): string | undefined {
  if (text.length > octetsMax * 3 || !/^(?:[!-*,-<>-~]|\+[\dA-F]{2})*$/.test(text)) return undefined
  const decoded = text.replaceAll(/\+([\dA-F]{2})/g, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16)))
  return decoded.length <= octetsMax && /^[ -~]*$/.test(decoded) ? decoded : undefined
}
