/**
 * Mail on its way between the gateway and the command line, which has the files: a stream of records, each
 * `u8 kind | u32 length | payload`. Both ends belong to one program; nothing of it is kept.
 */
import * as z from 'zod'
import { concat, fromUtf8 } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import { records, recordOf } from './records.ts'

const headSchema = z.strictObject({
  /** UTF-8, hierarchy separator `/`. */
  mailbox: z.string().max(limits.mailboxNameOctetsMax),
  flags: z.array(z.string().max(limits.keywordOctetsMax)).max(limits.keywordsMax),
  /** Internal date, Unix milliseconds. */
  dateMs: z.number(),
  /** How a person finds it: a file's name, or UIDVALIDITY and UID. */
  name: z.string().max(limits.transferNameCharsMax),
})
export type MessageHead = z.output<typeof headSchema>

const totalSchema = z.strictObject({ messages: z.number(), bytes: z.number() })
const mailboxSchema = z.strictObject({ mailbox: z.string().max(limits.mailboxNameOctetsMax) })

export type MailEvent =
  | { readonly kind: 'total'; readonly messages: number; readonly bytes: number }
  /** It exists, with messages or without. */
  | { readonly kind: 'mailbox'; readonly mailbox: string }
  /** The body is read before the next event is asked for. It throws `GivenUp` when its source failed. */
  | { readonly kind: 'message'; readonly head: MessageHead; readonly body: AsyncIterable<Uint8Array> }

/** A message that could not be read to its end: the others come whole. */
export class GivenUp extends Error {
  override readonly name = 'GivenUp'
}

const kinds = { message: 1, bytes: 2, messageEnd: 3, givenUp: 4, mailbox: 5, total: 6, end: 7 } as const

/** The stream of these events, in pieces of about `limits.transferPieceBytes`. */
export async function* encodeMail(events: AsyncIterable<MailEvent>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array[] = []
  let held = 0
  for await (const record of recordsOf(events)) {
    pending.push(record)
    held += record.length
    if (held < limits.transferPieceBytes) continue
    yield concat(...pending)
    pending = []
    held = 0
  }
  yield concat(...pending, recordOf(kinds.end))
}

async function* recordsOf(events: AsyncIterable<MailEvent>): AsyncGenerator<Uint8Array> {
  for await (const event of events) {
    if (event.kind === 'total') yield recordOf(kinds.total, json({ messages: event.messages, bytes: event.bytes }))
    else if (event.kind === 'mailbox') yield recordOf(kinds.mailbox, json({ mailbox: event.mailbox }))
    else yield* messageRecords(event.head, event.body)
  }
}

async function* messageRecords(head: MessageHead, body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield recordOf(kinds.message, json(head))
  try {
    for await (const piece of body) {
      for (let at = 0; at < piece.length; at += limits.transferPieceBytes)
        yield recordOf(kinds.bytes, piece.subarray(at, at + limits.transferPieceBytes))
    }
  } catch (error) {
    if (!(error instanceof GivenUp)) throw error
    yield recordOf(kinds.givenUp, fromUtf8(error.message.slice(0, 256)))
    return
  }
  yield recordOf(kinds.messageEnd)
}

const json = (value: unknown): Uint8Array => fromUtf8(JSON.stringify(value))

/** @throws `malformed`, also for a stream without its end */
export async function* decodeMail(source: AsyncIterable<Uint8Array>): AsyncGenerator<MailEvent> {
  const all = records(source)
  for (;;) {
    const next = await all.next()
    if (next.done === true) throw malformed()
    const { kind, payload } = next.value
    switch (kind) {
      case kinds.end:
        return
      case kinds.total:
        yield { kind: 'total', ...parsed(totalSchema, payload) }
        break
      case kinds.mailbox:
        yield { kind: 'mailbox', ...parsed(mailboxSchema, payload) }
        break
      case kinds.message: {
        const body = bodyOf(all)
        yield { kind: 'message', head: parsed(headSchema, payload), body }
        await drain(body) // whoever looked at the message may have seen enough
        break
      }
      default:
        throw malformed()
    }
  }
}

async function* bodyOf(all: AsyncGenerator<{ kind: number; payload: Uint8Array }>): AsyncGenerator<Uint8Array> {
  let isOver = false
  try {
    for (;;) {
      const next = await all.next()
      if (next.done === true) throw malformed()
      const { kind, payload } = next.value
      isOver = kind !== kinds.bytes
      if (kind === kinds.bytes) yield payload
      else if (kind === kinds.messageEnd) return
      else if (kind === kinds.givenUp) throw new GivenUp(Buffer.from(payload).toString('utf8'))
      else throw malformed()
    }
  } finally {
    while (!isOver) {
      const next = await all.next()
      isOver = next.done === true || next.value.kind !== kinds.bytes
    }
  }
}

async function drain(body: AsyncGenerator<Uint8Array>): Promise<void> {
  try {
    for (let step = await body.next(); step.done !== true; step = await body.next());
  } catch (error) {
    if (!(error instanceof GivenUp)) throw error
  }
}

function parsed<T>(schema: z.ZodType<T>, payload: Uint8Array): T {
  try {
    return schema.parse(JSON.parse(Buffer.from(payload).toString('utf8')))
  } catch (cause) {
    throw malformed(cause)
  }
}

const malformed = (cause?: unknown): MyceliumError => new MyceliumError('malformed', { what: 'mail-stream' }, { cause })
