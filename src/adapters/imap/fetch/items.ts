/** The items of FETCH by name. */
import { type Arguments, BadSyntax } from '../arguments.ts'
import { readBinary, readBinarySize } from './binary.ts'
import { emailId, flags, internalDate, modSeq, saveDate, size, threadId, uid } from './columns.ts'
import type { FetchItem } from './item.ts'
import { readBodySection, rfc822, rfc822Header, rfc822Text } from './section.ts'
import { body, bodyStructure, envelope, preview } from './summary.ts'

const plain: Readonly<Record<string, FetchItem>> = {
  UID: uid,
  FLAGS: flags,
  INTERNALDATE: internalDate,
  'RFC822.SIZE': size,
  MODSEQ: modSeq,
  SAVEDATE: saveDate,
  EMAILID: emailId,
  THREADID: threadId,
  ENVELOPE: envelope,
  BODY: body,
  BODYSTRUCTURE: bodyStructure,
  PREVIEW: preview,
  RFC822: rfc822,
  'RFC822.HEADER': rfc822Header,
  'RFC822.TEXT': rfc822Text,
}

const macros: Readonly<Record<string, readonly FetchItem[]>> = {
  FAST: [flags, internalDate, size],
  ALL: [flags, internalDate, size, envelope],
  FULL: [flags, internalDate, size, envelope, body],
}

/** One name, a macro or a list, each item once, those that wait for the message last. */
export function readItems(args: Arguments): readonly FetchItem[] {
  if (args.isListNext()) return ordered(args.list(() => readItem(args)))
  const at = args.mark()
  const macro = args.word()
  if (Object.hasOwn(macros, macro)) return ordered(macros[macro]!)
  args.reset(at)
  return [readItem(args)]
}

function readItem(args: Arguments): FetchItem {
  const name = args.word()
  if (args.isNext('[')) {
    switch (name) {
      case 'BODY':
      case 'BODY.PEEK':
        return readBodySection(args, name === 'BODY.PEEK')
      case 'BINARY':
      case 'BINARY.PEEK':
        return readBinary(args, name === 'BINARY.PEEK')
      case 'BINARY.SIZE':
        return readBinarySize(args)
    }
  }
  const item = Object.hasOwn(plain, name) ? plain[name] : undefined
  if (item === undefined) throw new BadSyntax('Unknown fetch item')
  // RFC 8970 §3.2: our previews are ready, so LAZY changes nothing.
  if (name === 'PREVIEW' && args.skip(' ')) readLazy(args)
  return item
}

function readLazy(args: Arguments): void {
  if (!args.isListNext()) {
    args.unskip()
    return
  }
  args.openList()
  if (args.name() !== 'LAZY') throw new BadSyntax('Unknown modifier')
  args.closeList()
}

const rank: Readonly<Record<FetchItem['needs'], number>> = { columns: 1, summary: 2, content: 3 }
const rankOf = (item: FetchItem): number => (item === uid ? 0 : rank[item.needs])

export const ordered = (items: readonly FetchItem[]): readonly FetchItem[] =>
  [...new Set(items)].sort((a, b) => rankOf(a) - rankOf(b))
