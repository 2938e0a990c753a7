/**
 * A message appended as literal8 (RFC 3516 §4.4) may hold NUL in parts of transfer encoding `binary`. BODY cannot say
 * NUL (RFC 9051 §9 CHAR8), so such parts are kept in base64; BINARY gives the octets back as they came.
 */
import { concat, fromLatin1, fromUtf8, toBase64, toLatin1 } from '../../core/bytes.ts'
import type { ContentId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import type { StoredContent } from '../../core/mailbox/mailbox.ts'
import { type ByteRange, readContent } from './content.ts'
import type { Session } from './session.ts'
import { imapSummariser, type PartRange, Summary } from './summary.ts'

/** With the lines that continue it. */
const encodingField = /^(content-transfer-encoding[ \t]*:)[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*/im

/** 57 octets make one line of base64 (RFC 2045 §6.8). */
const lineOctets = 57
const blockOctets = lineOctets * 1000

/** The same content where there is nothing to do. */
export async function withoutNul(session: Session, stored: StoredContent, bytesMax: number): Promise<StoredContent> {
  const { mailboxes, account } = session
  const parts = await partsWithNul(session, stored.content, (await summaryOf(session, stored)).binaryParts())
  if (parts.length === 0) return stored
  const rewritten = rewrite(session, stored, parts)
  return await mailboxes.store(account, rewritten, { bytesMax: bytesMax * 2 })
}

/** Of a message that is in no mailbox yet. */
async function summaryOf(session: Session, { content, size }: StoredContent): Promise<Summary> {
  const read = (from: number, to: number): Promise<Uint8Array> => readContent(session, content, { from, to })
  if (size >= limits.mimeWorkerBytesMin) return new Summary(await imapSummariser.summariseLarge({ size, read }))
  return new Summary(imapSummariser.summarise(await read(0, size)))
}

async function partsWithNul(session: Session, content: ContentId, parts: readonly PartRange[]): Promise<PartRange[]> {
  const found: PartRange[] = []
  for (const part of parts) {
    for await (const piece of octetsOf(session, content, { from: part.bodyStart, to: part.bodyEnd })) {
      if (!piece.includes(0)) continue
      found.push(part)
      break
    }
  }
  return found
}

async function* octetsOf(session: Session, content: ContentId, { from, to }: ByteRange): AsyncGenerator<Uint8Array> {
  if (to > from) yield* session.mailboxes.read(session.account, content, { from, to })
}

async function* rewrite(
  session: Session,
  { content, size }: StoredContent,
  parts: readonly PartRange[],
): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const { headerStart, bodyStart, bodyEnd } of parts) {
    yield* octetsOf(session, content, { from: at, to: headerStart })
    const header = toLatin1(await readContent(session, content, { from: headerStart, to: bodyStart }))
    yield fromLatin1(header.replace(encodingField, '$1 base64'))
    yield* encoded(octetsOf(session, content, { from: bodyStart, to: bodyEnd }))
    at = bodyEnd
  }
  yield* octetsOf(session, content, { from: at, to: size })
}

async function* encoded(octets: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest: Uint8Array = new Uint8Array()
  for await (const piece of octets) {
    rest = concat(rest, piece)
    const whole = rest.length - (rest.length % lineOctets)
    for (let at = 0; at < whole; at += blockOctets) yield lines(rest.subarray(at, Math.min(whole, at + blockOctets)))
    rest = rest.subarray(whole)
  }
  if (rest.length > 0) yield lines(rest)
}

const lines = (octets: Uint8Array): Uint8Array => fromUtf8(toBase64(octets).replaceAll(/.{1,76}/g, '$&\r\n'))
