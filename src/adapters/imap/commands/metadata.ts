/** GETMETADATA and SETMETADATA (RFC 5464): what programs note about mailboxes and about the account. */
import { hasCode } from '../../../core/errors.ts'
import type { MailboxId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { writeString } from '../content.ts'
import { no, ok, Refusal } from '../responses.ts'
import type { Session } from '../session.ts'

interface Options {
  /** Octets; longer values are passed over. */
  readonly sizeMax: number
  readonly depth: '0' | '1' | 'INFINITY'
}

interface Target {
  /** As LIST shows it; empty for the account as a whole. */
  readonly name: string
  readonly mailbox: MailboxId | undefined
}

const plain: Options = { sizeMax: Infinity, depth: '0' }

export const getMetadata: Command = {
  when: 'user',
  run(session, args) {
    args.sp()
    const options = args.isListNext() ? readOptions(args) : plain
    const target = readTarget(session, args)
    args.sp()
    const names = readNames(args)
    args.end()
    const longest = writeMetadata(session, target, names, options)
    return longest > 0 ? ok('Longer values were passed over', `METADATA LONGENTRIES ${longest}`) : ok('Listed')
  },
}

export const setMetadata: Command = {
  when: 'user',
  async run(session, args) {
    args.sp()
    const { mailbox } = readTarget(session, args)
    args.sp()
    const values = new Map<string, Uint8Array | undefined>()
    args.list(() => {
      const name = readName(args)
      args.sp()
      values.set(name, args.nstringOctets())
    })
    args.end()
    for (const value of values.values()) {
      if (value !== undefined && value.length > limits.annotationBytesMax) {
        return no('The value is too large', `METADATA MAXSIZE ${limits.annotationBytesMax}`)
      }
    }
    try {
      await session.context.services.annotations.set(session.account, mailbox, values)
    } catch (error) {
      if (hasCode(error, 'too-large')) return no('Too many entries', 'METADATA TOOMANY')
      throw error
    }
    return ok('Noted')
  },
}

function readOptions(args: Arguments): Options {
  const options = { ...plain }
  args.list(() => {
    const name = args.name()
    args.sp()
    if (name === 'MAXSIZE') options.sizeMax = args.number()
    else if (name === 'DEPTH') {
      const depth = args.name()
      if (depth !== '0' && depth !== '1' && depth !== 'INFINITY') throw new BadSyntax('Unknown depth')
      options.depth = depth
    } else throw new BadSyntax('Unknown option')
  })
  args.sp()
  return options
}

function readTarget(session: Session, args: Arguments): Target {
  const written = args.astring()
  if (written === '') return { name: '', mailbox: undefined }
  const info = session.mailboxes.byName(session.account, session.toMailboxName(written))
  if (info === undefined) throw new Refusal(no('No such mailbox', 'NONEXISTENT'))
  return { name: info.name, mailbox: info.id }
}

/** One name, or several in parentheses. */
export function readNames(args: Arguments): readonly string[] {
  const names = args.isListNext() ? args.list(() => readName(args)) : [readName(args)]
  if (names.length > limits.annotationsMax) throw new BadSyntax('Too many entries')
  return names
}

/** Section 3.2; in lower case. */
function readName(args: Arguments): string {
  const name = args.astring().toLowerCase()
  const isWellFormed = /^\/(?:private|shared)(?:\/[^*%/]+)+$/.test(name) && !/[^ -~]/.test(name)
  if (!isWellFormed || name.length > limits.annotationNameOctetsMax) throw new BadSyntax('Not the name of an entry')
  return name
}

/** @returns octets of the longest value that was passed over */
export function writeMetadata(
  session: Session,
  { name, mailbox }: Target,
  asked: readonly string[],
  { sizeMax, depth }: Options = plain,
): number {
  const entries = session.context.services.annotations.get(session.account, mailbox)
  const isBelow = (entry: string, parent: string): boolean =>
    depth !== '0' && entry.startsWith(`${parent}/`) && (depth === 'INFINITY' || !entry.includes('/', parent.length + 1))
  const found = new Map<string, Uint8Array | undefined>()
  for (const wanted of asked) {
    if (depth === '0' || entries.has(wanted)) found.set(wanted, entries.get(wanted))
    for (const [entry, value] of entries) if (isBelow(entry, wanted)) found.set(entry, value)
  }
  const lengths = [...found.values()].map((value) => value?.length ?? 0)
  const given = [...found].filter(([, value]) => (value?.length ?? 0) <= sizeMax)
  if (given.length > 0) {
    const { out } = session
    out.text(`* METADATA ${name === '' ? '""' : session.writeMailbox(name)} (`)
    for (const [index, [entry, value]] of given.entries()) {
      out.text(`${index === 0 ? '' : ' '}${entry} `)
      if (value === undefined) out.text('NIL')
      else writeString(session, value, value.includes(0))
    }
    out.text(')\r\n')
  }
  return Math.max(0, ...lengths.filter((length) => length > sizeMax))
}
