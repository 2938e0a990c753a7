/** APPEND, also of several messages at once (RFC 3502), of binary (RFC 3516), of UTF-8 (RFC 6855 §4) and of pieces (RFC 4469). */
import { hasCode, MyceliumError } from '../../../core/errors.ts'
import { limits } from '../../../core/limits.ts'
import type { StoredContent } from '../../../core/mailbox/mailbox.ts'
import { AppendReader } from '../append-reader.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import { withoutNul } from '../binary-parts.ts'
import { parseDateTime } from '../dates.ts'
import type { LiteralMark } from '../decoder.ts'
import { contentOfUrl } from '../imap-url.ts'
import { formatNumberSet } from '../number-set.ts'
import { no, ok, Refusal, type Tagged } from '../responses.ts'
import type { AppendMessage } from '../services.ts'
import type { Session } from '../session.ts'
import { readFlags } from './store.ts'

/** Runs with the message still on the wire; whatever happens, its octets are taken off it. */
export async function append(session: Session, args: Arguments, mark: LiteralMark | undefined): Promise<Tagged> {
  return await reading(session, args, mark, async (reader) => {
    reader.args.sp()
    const name = session.toMailboxName(reader.args.astring())
    const target = session.mailboxes.byName(session.account, name)
    if (target === undefined) throw new Refusal(no('No such mailbox', 'TRYCREATE'))
    const messages: AppendMessage[] = []
    let octets = 0
    do {
      if (messages.length >= limits.imapMultiAppendMax) throw new Refusal(no('Too many messages at once', 'LIMIT'))
      const message = await readMessage(session, reader, octets)
      octets += message.source.size
      messages.push(message)
    } while (reader.hasMore)
    const uids = await session.context.services.append(session.account, target.id, messages)
    if (session.view?.mailbox === target.id) session.view.touch('appended')
    return ok('Appended', `APPENDUID ${target.uidValidity} ${formatNumberSet(uids)}`)
  })
}

export async function reading(
  session: Session,
  args: Arguments,
  mark: LiteralMark | undefined,
  run: (reader: AppendReader) => Promise<Tagged>,
): Promise<Tagged> {
  const reader = new AppendReader(session, args, mark)
  try {
    return await run(reader)
  } catch (error) {
    if (!hasCode(error, 'connection-closed')) await reader.abandon()
    throw error
  }
}

/**
 * Flags and date where they are given, then the message in one of its forms.
 * @param octetsBefore that the same command adds to the account besides
 */
export async function readMessage(
  session: Session,
  reader: AppendReader,
  octetsBefore: number,
): Promise<AppendMessage> {
  reader.args.sp()
  const { flags, internalDateMs } = readOptions(session, reader.args)
  const source = await readSource(session, reader, octetsBefore)
  if (source.size === 0) throw new Refusal(no('An empty message'))
  return { source, flags, internalDateMs }
}

function readOptions(
  session: Session,
  args: Arguments,
): { readonly flags: readonly string[]; readonly internalDateMs: number } {
  const flags = args.isListNext() ? readFlags(args) : []
  if (flags.length > 0 || args.isNext(' ')) args.skip(' ')
  let internalDateMs = session.context.ambient.clock.nowMs()
  if (args.isNext('"')) {
    const date = parseDateTime(args.string())
    if (date === undefined) throw new BadSyntax('Invalid date')
    internalDateMs = date
    args.sp()
  }
  return { flags, internalDateMs }
}

async function readSource(session: Session, reader: AppendReader, octetsBefore: number): Promise<StoredContent> {
  const { args } = reader
  const bytesMax = session.context.services.messageBytesMax ?? limits.mailBytesMax
  const store = (source: AsyncIterable<Uint8Array>): Promise<StoredContent> =>
    session.mailboxes.store(session.account, withinQuota(session, source, octetsBefore), { bytesMax })
  if (args.atEnd) {
    const { isBinary, size } = checked(reader, bytesMax)
    refuseFull(session, octetsBefore + size)
    const stored = await store(reader.literal())
    return isBinary ? await withoutNul(session, stored, bytesMax) : stored
  }
  const form = args.name()
  args.sp()
  args.expect('(')
  if (form === 'CATENATE') return await store(catenated(session, reader, bytesMax))
  if (form !== 'UTF8') throw new BadSyntax('Expected a message')
  checked(reader, bytesMax)
  const stored = await store(reader.literal())
  reader.args.expect(')')
  return stored
}

function checked(reader: AppendReader, bytesMax: number): LiteralMark {
  const { announced } = reader
  if (announced.size > bytesMax) throw new Refusal(no('The message is too large', 'TOOBIG'))
  if (announced.size === 0) throw new Refusal(no('An empty message'))
  return announced
}

/** What would not fit is not stored first: on disk it would stay a while. @throws `mailbox-full` */
function refuseFull({ mailboxes, account }: Session, octets: number): void {
  if (mailboxes.isFull(account, octets)) throw new MyceliumError('mailbox-full')
}

async function* withinQuota(
  session: Session,
  source: AsyncIterable<Uint8Array>,
  octetsBefore: number,
): AsyncGenerator<Uint8Array> {
  let octets = octetsBefore
  for await (const piece of source) {
    octets += piece.length
    refuseFull(session, octets)
    yield piece
  }
}

/** Texts from the client and parts of its messages, one after the other. */
async function* catenated(session: Session, reader: AppendReader, bytesMax: number): AsyncGenerator<Uint8Array> {
  let parts = 0
  do {
    parts += 1
    if (parts > limits.imapCatenateMax) throw new Refusal(no('Too many parts', 'LIMIT'))
    const kind = reader.args.name()
    reader.args.sp()
    if (kind === 'TEXT') {
      if (reader.announced.size > bytesMax) throw new Refusal(no('The message is too large', 'TOOBIG'))
      yield* reader.literal()
    } else if (kind === 'URL') yield* contentOfUrl(session, await reader.astring())
    else throw new BadSyntax('Expected TEXT or URL')
  } while (reader.args.skip(' '))
  reader.args.expect(')')
}
