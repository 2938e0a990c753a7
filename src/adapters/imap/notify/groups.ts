/** What NOTIFY SET asks for (RFC 5465 §8): groups of mailboxes, each with the events that it is about. */
import { requestsMailbox } from '../../../core/delivery/deliver.ts'
import { limits } from '../../../core/limits.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { FetchItem } from '../fetch/item.ts'
import { readItems } from '../fetch/items.ts'
import { no, Refusal } from '../responses.ts'
import type { Session } from '../session.ts'

const messageEvents = ['MessageNew', 'MessageExpunge', 'FlagChange'] as const
const otherEvents = ['MailboxName', 'SubscriptionChange', 'MailboxMetadataChange', 'ServerMetadataChange'] as const
const supported = [...messageEvents, ...otherEvents]
export type EventName = (typeof supported)[number]

interface Named {
  readonly name: string
  readonly subscribed: boolean
}

export interface Group {
  readonly selected: 'at-once' | 'delayed' | undefined
  matches(mailbox: Named): boolean
  readonly events: ReadonlySet<EventName>
  /** Of each new message in the selected mailbox. */
  readonly newMessageItems: readonly FetchItem[]
}

const plainFilters: Readonly<Record<string, (mailbox: Named) => boolean>> = {
  SELECTED: () => false,
  'SELECTED-DELAYED': () => false,
  INBOXES: ({ name }) => name === 'INBOX' || name === requestsMailbox,
  PERSONAL: () => true,
  SUBSCRIBED: ({ subscribed }) => subscribed,
}

const namingFilters: Readonly<Record<string, (names: readonly string[]) => (mailbox: Named) => boolean>> = {
  MAILBOXES: (names) => {
    const set = new Set(names)
    return ({ name }) => set.has(name)
  },
  SUBTREE:
    (names) =>
    ({ name }) =>
      names.some((top) => name === top || name.startsWith(`${top}/`)),
}

/** `(filter events) (filter events) …` @throws BadSyntax, Refusal */
export function readGroups(session: Session, args: Arguments): readonly Group[] {
  const groups: Group[] = []
  const room = { left: limits.imapNotifyMailboxesMax }
  do {
    if (groups.length >= limits.imapNotifyGroupsMax) throw new BadSyntax('Too many groups')
    args.openList()
    groups.push(readGroup(session, args, room))
    args.closeList()
  } while (args.skip(' '))
  if (groups.filter(({ selected }) => selected !== undefined).length > 1) throw new BadSyntax('SELECTED stands twice')
  return groups
}

/** How many mailboxes may still be named. */
interface Room {
  left: number
}

function readGroup(session: Session, args: Arguments, room: Room): Group {
  const name = args.name()
  const matches = readFilter(session, args, { name, room })
  args.sp()
  const selected = name === 'SELECTED' ? 'at-once' : name === 'SELECTED-DELAYED' ? 'delayed' : undefined
  return { selected, matches, ...readEvents(args, selected !== undefined) }
}

function readFilter(
  session: Session,
  args: Arguments,
  { name, room }: { readonly name: string; readonly room: Room },
): Group['matches'] {
  if (Object.hasOwn(plainFilters, name)) return plainFilters[name]!
  if (!Object.hasOwn(namingFilters, name)) throw new BadSyntax('Unknown kind of mailboxes')
  args.sp()
  const names = args.isListNext() ? args.list(() => session.readMailbox(args)) : [session.readMailbox(args)]
  room.left -= names.length
  if (names.length === 0 || room.left < 0) throw new BadSyntax('No or too many mailboxes')
  return namingFilters[name]!(names)
}

function readEvents(args: Arguments, isSelected: boolean): Pick<Group, 'events' | 'newMessageItems'> {
  const events = new Set<EventName>()
  let newMessageItems: readonly FetchItem[] = []
  if (!args.isListNext()) {
    if (args.name() !== 'NONE') throw new BadSyntax('Expected events')
    return { events, newMessageItems }
  }
  args.list(() => {
    const event = readEvent(args)
    events.add(event)
    if (event !== 'MessageNew' || !args.skip(' ')) return
    if (!args.isListNext()) args.unskip()
    else if (isSelected) newMessageItems = readItems(args)
    else throw new BadSyntax('Only messages of the selected mailbox can be fetched')
  })
  if (events.has('MessageNew') !== events.has('MessageExpunge')) {
    throw new BadSyntax('MessageNew and MessageExpunge belong together')
  }
  if (events.has('FlagChange') && !events.has('MessageNew')) throw new BadSyntax('FlagChange needs MessageNew')
  if (isSelected && otherEvents.some((event) => events.has(event))) {
    throw new BadSyntax('The selected mailbox has events of messages only')
  }
  return { events, newMessageItems }
}

function readEvent(args: Arguments): EventName {
  const written = args.name()
  const event = supported.find((name) => name.toUpperCase() === written)
  if (event === undefined) throw new Refusal(no('Not an event here', `BADEVENT (${supported.join(' ')})`))
  return event
}
