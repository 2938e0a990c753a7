/** Which mailboxes an ESEARCH looks into (RFC 7377 §2.2, RFC 5465 §6). */
import { requestsMailbox } from '../../../core/delivery/deliver.ts'
import { limits } from '../../../core/limits.ts'
import type { MailboxInfo } from '../../../core/mailbox/mailbox.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Session } from '../session.ts'

export interface Sources {
  readonly hasSelected: boolean
  /** Mailboxes are named beside the selected one. */
  readonly hasOthers: boolean
  /** Each mailbox once; what does not exist is left out. */
  mailboxes(): readonly MailboxInfo[]
}

type Filter = (session: Session, names: readonly string[]) => readonly MailboxInfo[]

const all: Filter = ({ mailboxes, account }) => mailboxes.list(account)

const plainFilters: Readonly<Record<string, Filter>> = {
  SELECTED: (session) => all(session, []).filter(({ id }) => id === session.view?.mailbox),
  INBOXES: (session) => all(session, []).filter(({ name }) => deliveredTo.has(name)),
  PERSONAL: all,
  SUBSCRIBED: (session) => all(session, []).filter(({ subscribed }) => subscribed),
}

/** Where the gateway puts mail by itself. */
const deliveredTo: ReadonlySet<string> = new Set(['INBOX', requestsMailbox])

const namingFilters: Readonly<Record<string, Filter>> = {
  MAILBOXES: (session, names) => all(session, []).filter(({ name }) => names.includes(name)),
  SUBTREE: (session, names) =>
    all(session, []).filter(({ name }) => names.some((top) => name === top || name.startsWith(`${top}/`))),
  'SUBTREE-ONE': (session, names) =>
    all(session, []).filter(({ name }) => names.some((top) => name === top || name === childOf(top, name))),
}

/** `name` if it is one level below `top`. */
function childOf(top: string, name: string): string | undefined {
  return name.startsWith(`${top}/`) && !name.includes('/', top.length + 1) ? name : undefined
}

/** `IN (…) ` where it is next; else the selected mailbox. */
export function readSources(session: Session, args: Arguments): Sources {
  const at = args.mark()
  if (args.isListNext() || args.isSetNext() || args.name() !== 'IN') {
    args.reset(at)
    return sourcesOf(session, [{ name: 'SELECTED', names: [] }])
  }
  args.sp()
  let named = 0
  const filters = args.list(() => {
    if (args.isListNext()) throw new BadSyntax('Unknown scope option')
    const name = args.name()
    if (Object.hasOwn(plainFilters, name)) return { name, names: [] }
    if (!Object.hasOwn(namingFilters, name)) throw new BadSyntax('Unknown kind of mailboxes')
    args.sp()
    const names = args.isListNext() ? args.list(() => session.readMailbox(args)) : [session.readMailbox(args)]
    named += names.length
    if (names.length === 0 || named > limits.imapSearchSourcesMax) throw new BadSyntax('No or too many mailboxes')
    return { name, names }
  })
  if (filters.length === 0 || filters.length > limits.imapSearchSourcesMax) throw new BadSyntax('No mailboxes named')
  args.sp()
  return sourcesOf(session, filters)
}

interface Given {
  readonly name: string
  readonly names: readonly string[]
}

const sourcesOf = (session: Session, given: readonly Given[]): Sources => ({
  hasSelected: given.some(({ name }) => name === 'SELECTED'),
  hasOthers: given.some(({ name }) => name !== 'SELECTED'),
  mailboxes: () => {
    const wanted = given.flatMap(({ name, names }) => (plainFilters[name] ?? namingFilters[name])!(session, names))
    return [...new Map(wanted.map((info) => [info.id, info])).values()]
  },
})
