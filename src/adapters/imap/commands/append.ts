/** APPEND, also of several messages at once (RFC 3502), of binary (RFC 3516) and of UTF-8 messages (RFC 6855 §4). */
import { MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import type { StoredContent } from '../../../core/mailbox/mailbox.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import { parseDateTime } from '../dates.ts'
import type { LiteralMark } from '../decoder.ts'
import { formatNumberSet } from '../number-set.ts'
import { bad, no, ok, Refusal, type Tagged } from '../responses.ts'
import type { AppendMessage } from '../services.ts'
import type { Session } from '../session.ts'
import { readFlags } from './store.ts'

interface Announced {
  readonly flags: readonly string[]
  readonly internalDateMs: number
  /** `UTF8 (` stands open until after the message. */
  readonly isUtf8: boolean
}

/** Runs with the message still on the wire; whatever happens, its octets are taken off it. */
export async function append(session: Session, first: Arguments, firstMark: LiteralMark): Promise<Tagged> {
  let args = first
  let mark: LiteralMark | undefined = firstMark
  try {
    args.sp()
    const name = session.readMailbox(args)
    const target = session.mailboxes.byName(session.account, name)
    if (target === undefined) throw new Refusal(no('No such mailbox', 'TRYCREATE'))
    const messages: AppendMessage[] = []
    while (mark !== undefined) {
      const announced = readAnnouncement(session, args)
      if (messages.length >= limits.imapMultiAppendMax) throw new Refusal(no('Too many messages at once', 'LIMIT'))
      checkSize(session, mark)
      const taken = mark
      mark = undefined
      const source = await take(session, taken)
      messages.push({ source, flags: announced.flags, internalDateMs: announced.internalDateMs })
      const next = await session.decoder.afterMessage(session.bounds)
      if ('kind' in next) return bad(next.text, next.code)
      args = next.args
      mark = next.message
      if (announced.isUtf8) args.expect(')')
    }
    args.end()
    const uids = await session.context.services.append(session.account, target.id, messages)
    if (session.view?.mailbox === target.id) session.view.touch('appended')
    return ok('Appended', `APPENDUID ${target.uidValidity} ${formatNumberSet(uids)}`)
  } catch (error) {
    if (mark !== undefined) await session.decoder.refuseMessage(mark, session.bounds)
    throw error
  }
}

function readAnnouncement(session: Session, args: Arguments): Announced {
  args.sp()
  const flags = args.isListNext() ? readFlags(args) : []
  if (flags.length > 0 || args.isNext(' ')) args.skip(' ')
  let internalDateMs = session.context.ambient.clock.nowMs()
  if (args.isNext('"')) {
    const date = parseDateTime(args.string())
    if (date === undefined) throw new BadSyntax('Invalid date')
    internalDateMs = date
    args.sp()
  }
  let isUtf8 = false
  if (args.skip('U')) {
    if (args.name() !== 'TF8') throw new BadSyntax('Expected a message')
    args.sp()
    args.expect('(')
    isUtf8 = true
  }
  args.end()
  return { flags, internalDateMs, isUtf8 }
}

function checkSize(session: Session, { size }: LiteralMark): void {
  const bytesMax = session.context.services.messageBytesMax ?? limits.mailBytesMax
  if (size > bytesMax) throw new Refusal(no('The message is too large', 'TOOBIG'))
  if (size === 0) throw new Refusal(no('An empty message'))
}

/** Streams into the store. When the store gives up, the rest of the octets is still read. */
async function take(session: Session, mark: LiteralMark): Promise<StoredContent> {
  let left = mark.size
  const pieces = session.decoder.message(mark)
  async function* counted(): AsyncGenerator<Uint8Array> {
    for (let step = await pieces.next(); step.done !== true; step = await pieces.next()) {
      left -= step.value.length
      yield step.value
    }
  }
  try {
    const stored = await session.mailboxes.store(session.account, counted(), { bytesMax: mark.size })
    if (left > 0) throw new MyceliumError('connection-closed')
    return stored
  } catch (error) {
    await session.decoder.discard({ ...mark, size: left, isNonSync: true })
    await session.decoder.skipAfterMessage(session.bounds)
    throw error
  }
}
