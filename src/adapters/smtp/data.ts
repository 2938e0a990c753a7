/**
 * The text of a message as it travels after DATA (RFC 5321 §4.5.2): dots removed, and an end that cannot be argued
 * about. Only CRLF.CRLF ends it. Every published smuggling trick needs a CR or LF of its own, or a NUL that another
 * parser skips; RFC 5321 §2.3.8 and RFC 2045 §2.8 forbid all three, so a message with one is refused whole: read to
 * its true end and never passed on, and nothing inside it is taken for a command.
 *
 * 2023-12-18 postfix and others chose between normalising and refusing; normalising would change signed bytes.
 */

/** What stands before the next byte. */
const lineStart = 0
const inLine = 1
/** After CR. */
const afterCr = 2
/** After a dot at the start of a line, which is dropped. */
const afterDot = 3
/** After CRLF.CR */
const afterDotCr = 4

const nul = 0x00
const lf = 0x0a
const cr = 0x0d
const dot = 0x2e

export class DataDecoder {
  #state = lineStart
  #isMalformed = false
  #isDone = false

  /** A bare CR, a bare LF or a NUL was seen; stays true. */
  get isMalformed(): boolean {
    return this.#isMalformed
  }
  /** The final dot was read. */
  get isDone(): boolean {
    return this.#isDone
  }

  /**
   * Decodes in place: `piece` is overwritten. `text` is the message's part of it and `rest` what follows the final
   * dot; both are views of `piece`.
   */
  feed(piece: Uint8Array): { readonly text: Uint8Array; readonly rest: Uint8Array } {
    let state = this.#state
    let isMalformed = this.#isMalformed
    let isDone = this.#isDone
    let written = 0
    let at = 0
    while (at < piece.length && !isDone) {
      const byte = piece[at]!
      at += 1
      switch (state) {
        case inLine:
        case lineStart:
          if (byte === dot && state === lineStart) {
            state = afterDot
            continue
          }
          state = byte === cr ? afterCr : inLine
          break
        case afterCr:
          if (byte !== lf) isMalformed = true
          state = byte === lf ? lineStart : byte === cr ? afterCr : inLine
          piece[written++] = byte
          continue
        case afterDot:
          if (byte === cr) {
            state = afterDotCr
            continue
          }
          state = inLine
          break
        case afterDotCr:
          if (byte === lf) {
            isDone = true
            continue
          }
          isMalformed = true
          state = byte === cr ? afterCr : inLine
          break
      }
      if (byte === lf || byte === nul) isMalformed = true
      piece[written++] = byte
      if (state !== inLine) continue
      // nearly every byte of a mail is one of these
      for (; at < piece.length && piece[at]! > cr; at += 1) piece[written++] = piece[at]!
    }
    this.#state = state
    this.#isMalformed = isMalformed
    this.#isDone = isDone
    return { text: piece.subarray(0, written), rest: piece.subarray(at) }
  }
}
