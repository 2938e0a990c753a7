/** Messages as an mbox file, in mboxrd. Line ends become LF; an unterminated last line gets one. */
import type { Flag } from '../mailbox/mailbox.ts'
import { fromLine, quoted, statusBlock } from './mbox-format.ts'

const LF = 0x0a
const CR = 0x0d
const lineHeadMax = 1024

export async function* mboxMessage(
  { flags, dateMs }: { readonly flags: readonly Flag[]; readonly dateMs: number },
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield Buffer.from(fromLine(dateMs) + statusBlock(flags), 'latin1')
  let pending = Buffer.alloc(0)
  let isStart = true
  let last = LF
  const give = (piece: Buffer): Buffer => {
    const written = isStart ? quoted(piece) : piece
    last = piece.at(-1)!
    isStart = last === LF
    return Buffer.from(written.buffer, written.byteOffset, written.length)
  }
  for await (const chunk of body) {
    pending = Buffer.concat([pending, chunk])
    const pieces: Buffer[] = []
    let from = 0
    for (let lf = pending.indexOf(LF); lf >= 0; lf = pending.indexOf(LF, from)) {
      pieces.push(give(withLf(pending.subarray(from, lf + 1))))
      from = lf + 1
    }
    pending = pending.subarray(from)
    // The head of a long line decides; its last octet may be half of a line end.
    if (pending.length > lineHeadMax) {
      pieces.push(give(pending.subarray(0, -1)))
      pending = pending.subarray(-1)
    }
    if (pieces.length > 0) yield Buffer.concat(pieces)
  }
  if (pending.length > 0) yield give(pending)
  yield Buffer.from(last === LF ? '\n' : '\n\n')
}

const withLf = (line: Buffer): Buffer => {
  if (line.at(-2) !== CR) return line
  return Buffer.concat([line.subarray(0, -2), Buffer.from('\n')])
}
