/**
 * A submitted mail before it is stored: its header section read, its From checked, and the two forms made that leave
 * from here, the sender's own copy (as submitted) and what recipients get (without Bcc and fields only a receiving
 * gateway may write). The body is never touched.
 */
import { concat, fromUtf8, toHex, toLatin1 } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { limits } from '../limits.ts'
import { type Headers, parseHeaders } from '../message/header.ts'
import { mailDate, traceFields } from './compose.ts'
import { isPlain, onlyFrom } from './sender.ts'

export interface OutgoingMail {
  /** Header section of the sender's copy, its closing empty line included. */
  readonly ownHead: Uint8Array
  /** Header section for recipients. */
  readonly sentHead: Uint8Array
  /** As submitted, what was added here left out. */
  readonly headers: Headers
  /** Text inside the angle brackets of Message-ID. */
  readonly messageId: string
  /** What follows the header section. */
  readonly body: AsyncIterable<Uint8Array>
}

/** Fields that recipients must not see (RFC 5322 §3.6.3) or must not be told by a sender. */
const strippedFields: ReadonlySet<string> = new Set(['bcc', 'resent-bcc', ...traceFields])

/**
 * @param mayUse says whether an address is the submitting account's own
 * @throws `not-your-address` unless From is exactly one own mailbox; `malformed` for a header section that could be
 * read in more than one way; `too-large` for an endless one
 */
export async function readOutgoing(
  source: AsyncIterable<Uint8Array>,
  mayUse: (address: Address) => boolean,
  { nowMs, token }: { readonly nowMs: number; readonly token: Uint8Array },
): Promise<OutgoingMail> {
  const { head, rest } = await splitHead(source)
  const headers = parseHeaders(head)
  const { fields } = headers
  // recipients would get it wrapped in a warning
  if (!isPlain(head, headers)) throw new MyceliumError('malformed', { what: 'header' })
  const sender = onlyFrom(headers)
  if (sender === undefined || !mayUse(sender)) throw new MyceliumError('not-your-address')

  const known = fields.find((field) => field.name === 'message-id')?.value
  const messageId = known === undefined ? undefined : messageIdText(known)
  const madeId = `${toHex(token)}@${sender.slice(sender.lastIndexOf('@') + 1)}`
  // RFC 6409 §8.2, §8.3: a submission server may add what the client left out
  const added =
    (messageId === undefined ? `Message-ID: <${madeId}>\r\n` : '') +
    (fields.some((field) => field.name === 'date') ? '' : `Date: ${mailDate(nowMs)}\r\n`)
  const ownHead = added === '' ? head : concat(fromUtf8(added), head)
  const stripped = fields.filter((field) => strippedFields.has(field.name))
  const sentHead = stripped.length === 0 ? ownHead : concat(fromUtf8(added), ...without(head, stripped))
  return { ownHead, sentHead, headers, messageId: messageId ?? madeId, body: rest }
}

/** What stands between the angle brackets; `undefined` when nothing usable does. */
export function messageIdText(value: string): string | undefined {
  const text = /<([^<>\s]+)>/.exec(value)?.[1]
  return text !== undefined && text.length <= limits.messageIdOctetsMax ? text : undefined
}

function without(head: Uint8Array, gone: readonly { readonly start: number; readonly end: number }[]): Uint8Array[] {
  const kept: Uint8Array[] = []
  let at = 0
  for (const { start, end } of gone) {
    kept.push(head.subarray(at, start))
    at = end
  }
  kept.push(head.subarray(at))
  return kept
}

/** Reads up to and including the empty line that ends the header section, without losing what comes after it. */
async function splitHead(
  source: AsyncIterable<Uint8Array>,
): Promise<{ readonly head: Uint8Array; readonly rest: AsyncIterable<Uint8Array> }> {
  const iterator = source[Symbol.asyncIterator]()
  let held: Uint8Array = new Uint8Array()
  for (;;) {
    const end = headEnd(held)
    if (end !== undefined) return { head: held.subarray(0, end), rest: resume(held.subarray(end), iterator) }
    if (held.length > limits.mailHeaderBytesMax)
      throw new MyceliumError('too-large', { bytesMax: limits.mailHeaderBytesMax })
    const next = await iterator.next()
    if (next.done === true)
      return {
        head: concat(held, fromUtf8(toLatin1(held).endsWith('\r\n') || held.length === 0 ? '\r\n' : '\r\n\r\n')),
        rest: resume(new Uint8Array(), iterator),
      }
    held = held.length === 0 ? Uint8Array.from(next.value) : concat(held, next.value)
  }
}

function headEnd(bytes: Uint8Array): number | undefined {
  if (bytes[0] === 13 && bytes[1] === 10) return 2
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf('\r\n\r\n', 0, 'latin1')
  return at < 0 ? undefined : at + 4
}

async function* resume(first: Uint8Array, iterator: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (first.length > 0) yield first
    for (;;) {
      const next = await iterator.next()
      if (next.done === true) return
      yield next.value
    }
  } finally {
    await iterator.return?.()
  }
}
