/** Takes the literals of APPEND and REPLACE off the wire as they arrive, and what is left of the command when it fails. */
import { concat } from '../../core/bytes.ts'
import { limits } from '../../core/limits.ts'
import { type Arguments, BadSyntax } from './arguments.ts'
import type { LiteralMark } from './decoder.ts'
import { textOf } from './encoder.ts'
import { bad, Refusal } from './responses.ts'
import type { Session } from './session.ts'

export class AppendReader {
  readonly #session: Session
  /** Up to the next literal. */
  args: Arguments
  /** Stands at the end of `args` and is still unread. */
  #mark: LiteralMark | undefined
  #left = 0
  #isInLiteral = false

  constructor(session: Session, args: Arguments, mark: LiteralMark | undefined) {
    this.#session = session
    this.args = args
    this.#mark = mark
  }

  get hasMore(): boolean {
    return this.#mark !== undefined || !this.args.isOver
  }

  /** The literal that must come next. @throws BadSyntax */
  get announced(): LiteralMark {
    if (this.#mark === undefined || !this.args.atEnd) throw new BadSyntax('Expected a literal')
    return this.#mark
  }

  /** Its octets; afterwards `args` are what follows it. */
  async *literal(): AsyncGenerator<Uint8Array> {
    const { decoder, bounds } = this.#session
    const mark = this.announced
    this.#mark = undefined
    this.#isInLiteral = true
    this.#left = mark.size
    for await (const piece of decoder.message(mark)) {
      this.#left -= piece.length
      yield piece
    }
    const next = await decoder.afterMessage(bounds)
    this.#isInLiteral = false
    if ('kind' in next) throw new Refusal(bad(next.text, next.code))
    this.args = next.args
    this.#mark = next.message
  }

  /** An astring where the decoder takes any literal for a message. */
  async astring(): Promise<string> {
    if (this.#mark === undefined || !this.args.atEnd) return this.args.astring()
    if (this.#mark.size > limits.imapUrlOctetsMax) throw new BadSyntax('Too long')
    const pieces: Uint8Array[] = []
    for await (const piece of this.literal()) pieces.push(piece)
    return textOf(concat(...pieces))
  }

  /** Drops what the client sends of this command without waiting for us. */
  async abandon(): Promise<void> {
    const { decoder, bounds } = this.#session
    if (this.#left > 0) await decoder.discard({ size: this.#left, isNonSync: true, isBinary: false })
    if (this.#isInLiteral) await decoder.skipAfterMessage(bounds)
    else if (this.#mark !== undefined) await decoder.refuseMessage(this.#mark, bounds)
  }
}
