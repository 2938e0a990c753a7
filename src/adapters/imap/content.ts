/** Reading messages for a client: in one piece, or straight into its output at its own pace. */
import { concat } from '../../core/bytes.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { ContentId } from '../../core/ids.ts'
import type { Session } from './session.ts'

export interface ByteRange {
  readonly from: number
  /** Exclusive. */
  readonly to: number
}

/** Bounded by the size of one message. */
export async function readContent(session: Session, content: ContentId, range?: ByteRange): Promise<Uint8Array> {
  const { mailboxes, account } = session
  const inline = mailboxes.readInline(account, content)
  if (inline !== undefined) return range === undefined ? inline : inline.subarray(range.from, range.to)
  const pieces: Uint8Array[] = []
  for await (const piece of mailboxes.read(account, content, range)) pieces.push(piece)
  return concat(...pieces)
}

/** An IMAP string of octets in hand. Nothing is `""`: iOS waits for more after `{0}`. */
export function writeString(session: Session, octets: Uint8Array, isBinary = false): void {
  if (octets.length === 0) session.out.text('""')
  else {
    session.out.text(`${isBinary ? '~' : ''}{${octets.length}}\r\n`)
    session.out.bytes(octets)
  }
}

/**
 * Part of a message as an IMAP string. Large ones stream, at the client's pace.
 * @throws `connection-closed` when the store fails after the length has been announced: the client cannot be told otherwise
 */
export function writeContent(session: Session, content: ContentId, { from, to }: ByteRange): void | Promise<void> {
  if (to <= from) return writeString(session, new Uint8Array())
  const inline = session.mailboxes.readInline(session.account, content)
  if (inline !== undefined) return writeString(session, inline.subarray(from, to))
  return stream(session, content, { from, to })
}

async function stream(session: Session, content: ContentId, range: ByteRange): Promise<void> {
  const { out, mailboxes, account } = session
  const length = range.to - range.from
  out.text(`{${length}}\r\n`)
  let written = 0
  try {
    for await (const piece of mailboxes.read(account, content, range)) {
      written += piece.length
      out.bytes(piece)
      if (out.isFull) await out.ready()
    }
  } catch (cause) {
    throw new MyceliumError('connection-closed', { written }, { cause })
  }
  if (written !== length) throw new MyceliumError('connection-closed', { written, length })
}
