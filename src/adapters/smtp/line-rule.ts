/** Text in lines (RFC 5321 §2.3.8, RFC 2045 §2.8): CR and LF stand in CRLF only, and NUL nowhere. */
const nul = 0x00
const lf = 0x0a
const cr = 0x0d

export class LineRule {
  #isAfterCr = false
  #isBroken = false

  /** Stays true. */
  get isBroken(): boolean {
    return this.#isBroken
  }
  /** Nothing is broken, and no CR waits for its LF. */
  get isWhole(): boolean {
    return !this.#isBroken && !this.#isAfterCr
  }

  feed(piece: Uint8Array): void {
    let isAfterCr = this.#isAfterCr
    for (const byte of piece) {
      if (byte === nul || isAfterCr !== (byte === lf)) this.#isBroken = true
      isAfterCr = byte === cr
    }
    this.#isAfterCr = isAfterCr
  }
}
