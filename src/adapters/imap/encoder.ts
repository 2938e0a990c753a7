/** How values are written to the client: quoted strings, literals, dates, mailbox names; and the buffered output itself. */
import { fromLatin1, fromUtf8, toLatin1, toUtf8 } from '../../core/bytes.ts'
import { encodeUtf7 } from '../../core/mailbox/utf7.ts'

const quotable = /^[\x20-\x7e]*$/
const atomic = /^[A-Za-z\d!#$&'+,./:;<=>?@^_`|~[\]-]+$/
const quotedOctetsMax = 1000 // ours: longer strings travel as literals

const quote = (text: string): string => `"${text.replaceAll(/["\\]/g, '\\$&')}"`

/** An IMAP string of any octets but NUL, which never travels: quoted where allowed, else a literal. One character per octet. */
export function imapString(octets: string): string {
  if (octets.length <= quotedOctetsMax && quotable.test(octets)) return quote(octets)
  const allowed = octets.replaceAll('\0', '')
  return `{${allowed.length}}\r\n${allowed}`
}

/** The same for Unicode text: its UTF-8 octets, one character each. */
export const imapText = (text: string): string => imapString(toLatin1(fromUtf8(text)))

export const imapNString = (text: string | undefined): string => (text === undefined ? 'NIL' : imapText(text))

export const astring = (text: string): string => (atomic.test(text) && !/^nil$/i.test(text) ? text : imapText(text))

/** As the client reads names: UTF-8 once it enabled that (RFC 6855, IMAP4rev2), else modified UTF-7. */
export function mailboxName(name: string, { utf8 }: { readonly utf8: boolean }): string {
  if (!utf8) return astring(encodeUtf7(name))
  // RFC 6855 §3: such a client takes UTF-8 in quoted strings.
  return quotable.test(name) ? astring(name) : toLatin1(fromUtf8(quote(name)))
}

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const two = (value: number): string => (value < 10 ? `0${value}` : String(value))

/** `"17-Jul-1996 02:44:25 +0000"` (RFC 9051 §9 date-time), always in UTC. */
export function dateTime(ms: number): string {
  const at = new Date(ms)
  const day = at.getUTCDate()
  const date = `${day < 10 ? ` ${day}` : day}-${months[at.getUTCMonth()]}-${String(at.getUTCFullYear()).padStart(4, '0')}`
  return `"${date} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000"`
}

/** UTF-8 octets of quoted or literal strings back to text. */
export const textOf = (octets: Uint8Array): string => toUtf8(octets) ?? toLatin1(octets)

export interface Sink {
  send(bytes: Uint8Array): void
  readonly isCongested: boolean
  flush(): Promise<void>
}

const chunkBytes = 32 * 1024
const shortOctets = 40 // up to here, octet by octet is faster than a call into the runtime
const decimalsMax = 10 // of a 32-bit number

/**
 * Collects responses into large writes. Text is one character per octet. Nothing waits in `text` and `bytes`;
 * `ready()` does, and belongs between responses and inside long literals.
 */
export class Output {
  readonly #sink: Sink
  #chunk: Buffer = Buffer.alloc(0)
  #used = 0

  constructor(sink: Sink) {
    this.#sink = sink
  }

  text(octets: string): void {
    const { length } = octets
    if (!this.#makeRoom(length)) this.#sink.send(fromLatin1(octets))
    else if (length > shortOctets) this.#used += this.#chunk.write(octets, this.#used, 'latin1')
    else {
      const chunk = this.#chunk
      let at = this.#used
      for (let index = 0; index < length; index += 1) chunk[at++] = octets.charCodeAt(index)
      this.#used = at
    }
  }

  /** A whole number from 0 to below 2⁵³, in decimal. */
  number(value: number): void {
    if (value > 0xffff_ffff || !this.#makeRoom(decimalsMax)) {
      this.text(String(value))
      return
    }
    this.#used = putNumber(this.#chunk, this.#used, value)
  }

  /** `* `, a number, text, a number, text: what is written for each of many messages. The numbers are of 32 bits. */
  numbered(first: number, between: Uint8Array, second: number, after: Uint8Array): void {
    if (!this.#makeRoom(2 + 2 * decimalsMax + between.length + after.length)) {
      this.text(`* ${first}${toLatin1(between)}${second}`)
      this.bytes(after)
      return
    }
    const chunk = this.#chunk
    let at = this.#used
    chunk[at++] = 0x2a
    chunk[at++] = 0x20
    at = putNumber(chunk, at, first)
    for (let index = 0; index < between.length; index += 1) chunk[at++] = between[index]!
    at = putNumber(chunk, at, second)
    for (let index = 0; index < after.length; index += 1) chunk[at++] = after[index]!
    this.#used = at
  }

  /** Copied, unless large: then the caller must not change them. */
  bytes(bytes: Uint8Array): void {
    if (!this.#makeRoom(bytes.length)) this.#sink.send(bytes)
    else {
      const { length } = bytes
      if (length > shortOctets) this.#chunk.set(bytes, this.#used)
      else for (let index = 0; index < length; index += 1) this.#chunk[this.#used + index] = bytes[index]!
      this.#used += length
    }
  }

  line(octets: string): void {
    this.text(`${octets}\r\n`)
  }

  /** True when the client lags: await `ready()` before producing more. */
  get isFull(): boolean {
    return this.#sink.isCongested
  }

  /** Hands everything to the connection, and waits while the client does not read. @throws `timeout`, `connection-closed` */
  async ready(): Promise<void> {
    this.push()
    await this.#sink.flush()
  }

  /** Hands everything to the connection without waiting. */
  push(): void {
    if (this.#used === 0) return
    this.#sink.send(this.#chunk.subarray(0, this.#used))
    this.#chunk = this.#chunk.subarray(this.#used)
    this.#used = 0
  }

  /** False when it would not fit even an empty chunk; everything before it has then left. */
  #makeRoom(length: number): boolean {
    if (this.#used + length <= this.#chunk.length) return true
    this.push()
    if (length > chunkBytes) return false
    this.#chunk = Buffer.allocUnsafeSlow(chunkBytes)
    return true
  }
}

/** A number of 32 bits in decimal; where it ends. */
function putNumber(chunk: Uint8Array, at: number, value: number): number {
  let end = at + 1
  for (let power = 10; power <= value; power *= 10) end += 1
  let left = value
  for (let digit = end - 1; digit >= at; digit -= 1) {
    const tenth = Math.floor(left / 10)
    chunk[digit] = 0x30 + left - tenth * 10
    left = tenth
  }
  return end
}
