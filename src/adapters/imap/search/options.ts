/** What a search returns (RFC 4731, 5182, 5267, 9394), and the charset of its strings. */
import { isKnownCharset } from '../../../core/message/mime-words.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import { no, Refusal } from '../responses.ts'
import { readWindow, type Window } from '../window.ts'

const flagNames = ['MIN', 'MAX', 'ALL', 'COUNT', 'SAVE', 'CONTEXT', 'UPDATE', 'RELEVANCY'] as const
type FlagName = (typeof flagNames)[number]

export interface ResultOptions {
  has(name: FlagName): boolean
  readonly partial: Window | undefined
}

export const allResults: ResultOptions = { has: (name) => name === 'ALL', partial: undefined }

/** `RETURN (…) ` where it is next; nothing in it stands for ALL. */
export function readResultOptions(args: Arguments): ResultOptions | undefined {
  if (!takeWord(args, 'RETURN')) return undefined
  const names = new Set<FlagName>()
  let partial: Window | undefined
  args.list(() => {
    const name = args.name()
    if (name === 'PARTIAL') {
      args.sp()
      if (partial !== undefined) throw new BadSyntax('PARTIAL only once')
      partial = readWindow(args)
      return
    }
    const known = flagNames.find((own) => own === name)
    if (known === undefined) throw new BadSyntax('Unknown result option')
    names.add(known)
  })
  args.sp()
  // RFC 9394 §3.1.
  if (partial !== undefined && names.has('ALL')) throw new BadSyntax('Either PARTIAL or ALL')
  if (names.size === 0 && partial === undefined) return allResults
  return { has: (name) => names.has(name), partial }
}

/** `CHARSET name ` where it is next. */
export function readCharsetOption(args: Arguments): string | undefined {
  return takeWord(args, 'CHARSET') ? readCharset(args) : undefined
}

/**
 * A charset and the space after it. `undefined` for those whose strings are read without being told: UTF-8, ASCII and
 * Latin-1. @throws Refusal when it is not known
 */
export function readCharset(args: Arguments): string | undefined {
  const charset = args.astring()
  args.sp()
  if (/^(?:us-ascii|utf-?8|iso-8859-1)$/i.test(charset)) return undefined
  if (!isKnownCharset(charset)) throw new Refusal(no('Unknown charset', 'BADCHARSET (US-ASCII UTF-8)'))
  return charset
}

function takeWord(args: Arguments, word: string): boolean {
  const at = args.mark()
  if (!args.isListNext() && !args.isSetNext() && args.name() === word) {
    args.sp()
    return true
  }
  args.reset(at)
  return false
}
