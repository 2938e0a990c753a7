/**
 * Messages of an mbox file in order, in bounded memory. Rules, for each message: the three status fields at its very
 * beginning are ours, and it is mboxrd; with Thunderbird's status it is mboxo; with a Content-Length that ends exactly
 * before the next message nothing is quoted (mboxcl2); else it is mboxrd. A From_ line has a date and follows an empty
 * line. Line ends become CRLF; one empty line before the next From_ line belongs to the file.
 */
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Flag } from '../mailbox/mailbox.ts'
import { FileLines, type Line, type RandomAccess } from './file-lines.ts'
import { dateOfFromLine, type MboxHeader, type Quoting, readMboxHeader, unquoted } from './mbox-format.ts'

export interface MboxMessage {
  /** From 1. */
  readonly number: number
  readonly flags: readonly Flag[]
  /** Of its From_ line. */
  readonly dateMs: number
  readonly isExpunged: boolean
  /** Where reading stands: read the body before the next message is asked for. */
  readonly body: AsyncIterable<Uint8Array>
}

/** @throws `malformed` when the file does not begin with a From_ line, `store-corrupt` never */
export async function* readMbox(file: RandomAccess): AsyncGenerator<MboxMessage> {
  const reader = new MboxReader(file)
  for (let number = 1; await reader.next(); number += 1) {
    yield await reader.message(number)
    await reader.finish()
  }
}

const crlf = Buffer.from('\r\n')

class MboxReader {
  readonly #file: RandomAccess
  readonly #lines: FileLines
  #dateMs = 0
  #body: AsyncGenerator<Uint8Array> | undefined
  /** The From_ line of the next message has been read. */
  #isAtMessage = false
  #isFirst = true

  constructor(file: RandomAccess) {
    this.#file = file
    this.#lines = new FileLines(file)
  }

  /** Is there another message? */
  async next(): Promise<boolean> {
    if (this.#isFirst) {
      this.#isFirst = false
      let line = await this.#lines.next()
      while (line !== undefined && isEmpty(line)) line = await this.#lines.next()
      if (line !== undefined && !this.#isFrom(line)) throw new MyceliumError('malformed', { what: 'mbox' })
      if (line !== undefined) await this.#skipLine(line)
    }
    return this.#isAtMessage
  }

  async message(number: number): Promise<MboxMessage> {
    this.#isAtMessage = false
    const dateMs = this.#dateMs
    const { lines, isWhole, next } = await this.#header()
    const header = readMboxHeader(Buffer.concat(lines))
    const rest = isWhole ? await this.#bodyRule(header) : { quoting: 'mboxrd' as const, octets: undefined }
    // Only we quote in header sections: a `>From ` there is an old mail system's own line.
    const isQuoted = header.quoting === 'mboxrd'
    const own = isQuoted ? lines.map((line) => unquoted(line, 'mboxrd')) : lines
    this.#body = this.#message(own, header.ownOctets, { ...rest, next })
    return { number, flags: header.flags, dateMs, isExpunged: header.isExpunged, body: this.#body }
  }

  /** Reads what nobody wanted of the last message. */
  async finish(): Promise<void> {
    const body = this.#body!
    for (let step = await body.next(); step.done !== true; step = await body.next());
    // Whoever broke off reading has ended the generator: look for the next From_ line here.
    if (!this.#isAtMessage) for await (const _ of this.#untilFrom('none', undefined));
  }

  /** Lines up to the empty one, which is `next`; not whole when it is too long or another message follows. */
  async #header(): Promise<{ lines: Uint8Array[]; isWhole: boolean; next: Line | undefined }> {
    const lines: Uint8Array[] = []
    let octets = 0
    for (;;) {
      const line = await this.#lines.next()
      if (line === undefined || isEmpty(line) || octets > limits.importHeaderBytesMax)
        return { lines, isWhole: line !== undefined && isEmpty(line), next: line }
      lines.push(Uint8Array.from(line.bytes))
      octets += line.bytes.length
    }
  }

  async #bodyRule({ quoting, contentLength }: MboxHeader): Promise<{ quoting: Quoting; octets: number | undefined }> {
    if (quoting !== undefined || contentLength === undefined) return { quoting: quoting ?? 'mboxrd', octets: undefined }
    const isRight = await this.#endsMessage(this.#lines.offset + contentLength)
    return isRight ? { quoting: 'none', octets: contentLength } : { quoting: 'mboxrd', octets: undefined }
  }

  /** At the end of the file, or before a From_ line, empty lines apart. */
  async #endsMessage(offset: number): Promise<boolean> {
    if (offset > this.#file.size) return false
    const after = await this.#file.read(offset, Math.min(this.#file.size, offset + 256))
    const text = Buffer.from(after).toString('latin1')
    if (offset + after.length === this.#file.size && text.trim() === '') return true
    const line = /^(?:\r?\n){1,2}(From [^\r\n]*)/.exec(text)?.[1]
    return line !== undefined && dateOfFromLine(Buffer.from(line, 'latin1')) !== undefined
  }

  async *#message(
    header: readonly Uint8Array[],
    ownOctets: number,
    { quoting, octets, next }: { quoting: Quoting; octets: number | undefined; next: Line | undefined },
  ): AsyncGenerator<Uint8Array> {
    const joined = Buffer.concat(header).subarray(ownOctets)
    if (joined.length > 0) yield withCrlf(joined)
    if (octets !== undefined) {
      yield crlf
      yield* this.#counted(octets)
      yield* this.#untilFrom('none', undefined)
      return
    }
    yield* this.#untilFrom(quoting, next)
  }

  /** As many octets as the writer has counted. */
  async *#counted(octets: number): AsyncGenerator<Uint8Array> {
    const end = this.#lines.offset + octets
    while (this.#lines.offset < end) {
      const line = await this.#lines.next(end)
      if (line === undefined) return
      yield withLineEnd(line)
    }
  }

  /** Lines up to the next From_ line; an empty one before it is held back. @param first read already */
  async *#untilFrom(quoting: Quoting, first: Line | undefined): AsyncGenerator<Uint8Array> {
    let hasEmpty = false
    for (let line = first ?? (await this.#lines.next()); line !== undefined; line = await this.#lines.next()) {
      if (hasEmpty && this.#isFrom(line)) {
        await this.#skipLine(line)
        return
      }
      if (hasEmpty) yield crlf
      hasEmpty = isEmpty(line)
      if (!hasEmpty) yield withLineEnd(line.isStart ? { ...line, bytes: unquoted(line.bytes, quoting) } : line)
    }
  }

  #isFrom(line: Line): boolean {
    if (!line.isStart || line.bytes[0] !== 0x46) return false
    const dateMs = dateOfFromLine(line.bytes)
    if (dateMs !== undefined) this.#dateMs = dateMs
    return dateMs !== undefined
  }

  async #skipLine(line: Line): Promise<void> {
    this.#isAtMessage = true
    for (let piece: Line | undefined = line; piece !== undefined && !piece.isEnd; piece = await this.#lines.next());
  }
}

const isEmpty = ({ bytes, isStart, isEnd }: Line): boolean =>
  isStart && isEnd && (bytes.length === 1 || (bytes.length === 2 && bytes[0] === 0x0d))

/** LF alone becomes CRLF. */
function withLineEnd({ bytes, isEnd }: Line): Uint8Array {
  if (!isEnd || bytes.at(-2) === 0x0d) return bytes
  return Buffer.concat([bytes.subarray(0, -1), crlf])
}

const withCrlf = (bytes: Uint8Array): Uint8Array =>
  Buffer.from(Buffer.from(bytes).toString('latin1').replaceAll(/\r?\n/g, '\r\n'), 'latin1')
