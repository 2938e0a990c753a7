/**
 * Takes commands off the wire: lines joined by literals (RFC 9051 §4.3, RFC 7888, RFC 3516), bounded by what the
 * client has proved so far. The message of an APPEND is not read here but handed on as a stream.
 */
import { hasCode, MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { isHttpRequestLine } from '../wire/foreign.ts'
import type { LineReader } from '../wire/line-reader.ts'
import { Arguments, BadSyntax, type Piece } from './arguments.ts'

export interface DecoderBounds {
  readonly lineOctetsMax: number
  /** Of all literals of one command together. */
  readonly literalBytesMax: number
  /** Milliseconds a client may stay silent between commands. */
  readonly idleMs: number
}

export interface LiteralMark {
  readonly size: number
  /** Announced with `+`: the client does not wait for our consent. */
  readonly isNonSync: boolean
  readonly isBinary: boolean
}

export type Incoming =
  | { readonly kind: 'end' }
  /** The first line is not IMAP but HTTP: nothing of it may be answered. */
  | { readonly kind: 'foreign' }
  | {
      readonly kind: 'command'
      readonly tag: string
      readonly name: string
      readonly args: Arguments
    }
  /** `args` ends where the message begins. */
  | {
      readonly kind: 'append'
      readonly tag: string
      readonly name: string
      readonly args: Arguments
      /** None where CATENATE takes everything from URLs. */
      readonly message: LiteralMark | undefined
    }
  | { readonly kind: 'bad'; readonly tag: string; readonly code?: string; readonly text: string }

type Whole = { readonly kind: 'whole'; readonly pieces: readonly Piece[]; readonly message?: LiteralMark }
type Refused = { readonly kind: 'bad'; readonly code?: string; readonly text: string }

export class Decoder {
  readonly #reader: LineReader
  readonly #consent: () => Promise<void>
  #isFirst = true

  /** @param consent sends `+ ` for a synchronising literal; it leaves when the reader next waits */
  constructor(reader: LineReader, consent: () => Promise<void>) {
    this.#reader = reader
    this.#consent = consent
  }

  /** The next command; blank lines are skipped. @throws `timeout`, `shutting-down`, `too-large` (nothing sensible can follow) */
  async next(bounds: DecoderBounds): Promise<Incoming> {
    for (;;) {
      const line = await this.#line(bounds, bounds.idleMs)
      if (line === undefined) return { kind: 'end' }
      if (!(line instanceof Uint8Array)) return { ...line, tag: '*' }
      if (this.#isFirst && isHttpRequestLine(line)) return { kind: 'foreign' }
      this.#isFirst = false
      if (line.length === 0) continue
      const head = headOf(line)
      if (head === undefined) return await this.#refuseLine(line)
      const appends = appendCommands.has(head.name)
      const whole = await this.#complete(line, bounds, appends ? mailboxStart(head, line) : undefined)
      if (whole.kind === 'bad') return { ...whole, tag: head.tag }
      const [first, ...rest] = whole.pieces
      const args = new Arguments([{ kind: 'line', octets: first!.octets.subarray(head.argsStart) }, ...rest])
      if (appends) return { kind: 'append', tag: head.tag, name: head.name, args, message: whole.message }
      return { kind: 'command', tag: head.tag, name: head.name, args }
    }
  }

  /** What follows a streamed message: the end of the command, or the next message's announcement. */
  async afterMessage(bounds: DecoderBounds): Promise<{ args: Arguments; message?: LiteralMark } | Refused> {
    const line = await this.#line(bounds, limits.imapStalledMs)
    if (line === undefined) throw new MyceliumError('connection-closed')
    if (!(line instanceof Uint8Array)) return line
    const whole = await this.#complete(line, bounds, -1)
    if (whole.kind === 'bad') return whole
    const args = new Arguments(whole.pieces)
    return whole.message === undefined ? { args } : { args, message: whole.message }
  }

  /** The announced octets, as they arrive. Consent first where the client waits for it. */
  async *message(mark: LiteralMark): AsyncGenerator<Uint8Array> {
    if (!mark.isNonSync) await this.#consent()
    yield* this.#reader.pieces(mark.size, { waitMsMax: limits.imapStalledMs })
  }

  /** Reads and drops octets that the client sends without waiting. @throws `too-large` */
  async discard({ size, isNonSync }: LiteralMark): Promise<void> {
    if (!isNonSync) return
    if (size > 2 * limits.mailBytesMax) throw new MyceliumError('too-large', { size })
    let left = size
    for await (const piece of this.#reader.pieces(size, { waitMsMax: limits.imapStalledMs })) left -= piece.length
    if (left !== 0) throw new MyceliumError('connection-closed')
  }

  /** A message that is not wanted, but may be sent without waiting: drops it and the rest of its command. @throws `too-large` */
  async refuseMessage(mark: LiteralMark, bounds: DecoderBounds): Promise<void> {
    if (!mark.isNonSync) return
    await this.discard(mark)
    await this.#skipRest(bounds)
  }

  /** Drops what follows a message that was refused. @throws `too-large` */
  async skipAfterMessage(bounds: DecoderBounds): Promise<void> {
    await this.#skipRest(bounds)
  }

  async #line(bounds: DecoderBounds, waitMsMax: number): Promise<Uint8Array | undefined | Refused> {
    try {
      return await this.#reader.line({ octetsMax: bounds.lineOctetsMax, waitMsMax })
    } catch (error) {
      if (hasCode(error, 'malformed')) return { kind: 'bad', text: 'A CR or LF that is not a line end' }
      if (!hasCode(error, 'line-too-long')) throw error
      if (this.#isFirst) return undefined // an HTTP request line may be that long, a first command never is
      const more = await this.#reader.skipLine({
        octetsMax: limits.imapLineOctetsMax * 4,
        waitMsMax: limits.imapStalledMs,
      })
      return more ? { kind: 'bad', text: 'Line too long' } : undefined
    }
  }

  /** Reads on while lines end in a literal. @param appendArgs where APPEND's arguments begin in the first line, space included */
  async #complete(first: Uint8Array, bounds: DecoderBounds, appendArgs: number | undefined): Promise<Whole | Refused> {
    const pieces: Piece[] = []
    let line = first
    let budget = bounds.literalBytesMax
    for (;;) {
      const literal = literalMark(line)
      if (literal === undefined) return { kind: 'whole', pieces: [...pieces, { kind: 'line', octets: line }] }
      const octets = line.subarray(0, literal.start)
      pieces.push({ kind: 'line', octets })
      // APPEND's first argument may be a literal too: the message is the one that something stands before.
      if (appendArgs !== undefined && (pieces.length > 1 || octets.length > appendArgs + 1)) {
        return { kind: 'whole', pieces, message: literal.mark }
      }
      budget -= literal.mark.size
      if (budget < 0 || pieces.length > limits.imapSearchKeysMax) {
        await this.discard(literal.mark)
        const rest = literal.mark.isNonSync ? await this.#skipRest(bounds) : undefined
        return rest ?? { kind: 'bad', code: 'TOOBIG', text: 'Literal too large' }
      }
      if (!literal.mark.isNonSync) await this.#consent()
      const content = await this.#reader.exactly(literal.mark.size, { waitMsMax: limits.imapStalledMs })
      pieces.push({ kind: 'literal', octets: content, isBinary: literal.mark.isBinary })
      const next = await this.#line(bounds, limits.imapStalledMs)
      if (next === undefined) throw new MyceliumError('connection-closed')
      if (!(next instanceof Uint8Array)) return next
      line = next
    }
  }

  /** After a refused non-synchronising literal the client goes on; so the rest of its command is dropped too. */
  async #skipRest(bounds: DecoderBounds): Promise<Refused | undefined> {
    for (let literals = 0; literals < limits.imapSearchKeysMax; literals += 1) {
      const line = await this.#line(bounds, limits.imapStalledMs)
      if (line === undefined) throw new MyceliumError('connection-closed')
      if (!(line instanceof Uint8Array)) return line
      const literal = literalMark(line)
      if (literal === undefined || !literal.mark.isNonSync) return undefined
      await this.discard(literal.mark)
    }
    throw new MyceliumError('too-large')
  }

  async #refuseLine(line: Uint8Array): Promise<Incoming> {
    const literal = literalMark(line)
    if (literal !== undefined) await this.discard(literal.mark)
    return { kind: 'bad', tag: '*', text: 'Not a command' }
  }
}

const space = 0x20

/** Commands whose literal is a message, which is not held but read as it comes. */
const appendCommands: ReadonlySet<string> = new Set(['APPEND', 'REPLACE', 'UID REPLACE'])

/** The space before the mailbox's name: REPLACE names a message first. */
function mailboxStart({ name, argsStart }: { name: string; argsStart: number }, line: Uint8Array): number {
  return name === 'APPEND' ? argsStart : Math.max(argsStart, line.indexOf(space, argsStart + 1))
}

/** Tag and name, in upper case with `UID` joined to what it qualifies. */
function headOf(line: Uint8Array): { tag: string; name: string; argsStart: number } | undefined {
  try {
    const args = new Arguments([{ kind: 'line', octets: line }])
    const tag = args.tag()
    args.sp()
    const name = args.name()
    let argsStart = tag.length + 1 + name.length
    if (name !== 'UID') return { tag, name, argsStart }
    args.sp()
    const qualified = args.name()
    argsStart += 1 + qualified.length
    return {
      tag,
      name: `UID ${qualified}`,
      argsStart: line[argsStart] === space ? argsStart : Math.min(argsStart, line.length),
    }
  } catch (error) {
    if (error instanceof BadSyntax) return undefined
    throw error
  }
}

/** `{123}`, `{123+}`, `~{123}` or `~{123+}` at the end of a line. */
export function literalMark(line: Uint8Array): { readonly start: number; readonly mark: LiteralMark } | undefined {
  let at = line.length - 1
  if (line[at] !== 0x7d) return undefined
  at -= 1
  const isNonSync = line[at] === 0x2b
  if (isNonSync) at -= 1
  let size = 0
  let scale = 1
  let digits = 0
  for (; at >= 0 && line[at]! >= 0x30 && line[at]! <= 0x39 && digits <= 10; at -= 1) {
    size += (line[at]! - 0x30) * scale
    scale *= 10
    digits += 1
  }
  if (digits === 0 || digits > 10 || line[at] !== 0x7b) return undefined
  const isBinary = line[at - 1] === 0x7e
  return { start: isBinary ? at - 1 : at, mark: { size, isNonSync, isBinary } }
}
