/** LIST with selection and return options (RFC 5258, 5819, 6154). */
import { setImmediate as turn } from 'node:timers/promises'
import { limits } from '../../../core/limits.ts'
import type { MailboxInfo } from '../../../core/mailbox/mailbox.ts'
import { type Arguments, BadSyntax } from '../arguments.ts'
import type { Command } from '../command.ts'
import { matchesPattern } from '../list-pattern.ts'
import { no, ok } from '../responses.ts'
import type { Session } from '../session.ts'
import { readNames, writeMetadata } from './metadata.ts'
import { readStatusItems, writeStatus } from './status.ts'

interface Query {
  readonly isExtended: boolean
  readonly patterns: readonly string[]
  readonly onlySubscribed: boolean
  readonly onlySpecialUse: boolean
  readonly isRecursive: boolean
  readonly showSubscribed: boolean
  readonly statusItems: readonly string[]
  /** RFC 9590. */
  readonly metadataNames: readonly string[]
}

/** Many long names against many patterns take long: other connections get their turn in between. */
const othersWaitMsMax = 10

export const list: Command = {
  when: 'user',
  async run(session, args) {
    args.sp()
    const selection = args.isListNext() ? args.list(() => args.name()) : undefined
    if (selection !== undefined) args.sp()
    const reference = args.astring()
    args.sp()
    const written = args.isListNext() ? args.list(() => args.pattern()) : [args.pattern()]
    const returned = readReturn(session, args)
    args.end()
    if (written.length > limits.imapListPatternsMax) return no('Too many patterns', 'LIMIT')
    const isExtended = selection !== undefined || returned !== undefined || written.length > 1
    if (!isExtended && written[0] === '') {
      session.out.line('* LIST (\\Noselect) "/" ""')
      return ok('Listed')
    }
    const has = (name: string): boolean => selection?.includes(name) === true
    for (const name of selection ?? []) {
      if (!['SUBSCRIBED', 'REMOTE', 'RECURSIVEMATCH', 'SPECIAL-USE'].includes(name)) {
        throw new BadSyntax('Unknown selection option')
      }
    }
    if (has('RECURSIVEMATCH') && !has('SUBSCRIBED') && !has('SPECIAL-USE')) {
      throw new BadSyntax('RECURSIVEMATCH needs another option')
    }
    await writeList(session, {
      isExtended,
      patterns: written.map((pattern) => session.toMailboxPattern(reference + pattern)),
      onlySubscribed: has('SUBSCRIBED'),
      onlySpecialUse: has('SPECIAL-USE'),
      isRecursive: has('RECURSIVEMATCH'),
      showSubscribed: has('SUBSCRIBED') || returned?.names.includes('SUBSCRIBED') === true,
      statusItems: returned?.statusItems ?? [],
      metadataNames: returned?.metadataNames ?? [],
    })
    return ok('Listed')
  },
}

function readReturn(
  session: Session,
  args: Arguments,
): (Pick<Query, 'statusItems' | 'metadataNames'> & { readonly names: readonly string[] }) | undefined {
  if (!args.skip(' ')) return undefined
  if (args.name() !== 'RETURN') throw new BadSyntax('Expected RETURN')
  args.sp()
  let statusItems: readonly string[] = []
  let metadataNames: readonly string[] = []
  const names = args.list(() => {
    const name = args.name()
    if (name === 'STATUS') {
      args.sp()
      statusItems = readStatusItems(session, args)
    } else if (name === 'METADATA') {
      args.sp()
      metadataNames = readNames(args)
    } else if (name !== 'SUBSCRIBED' && name !== 'CHILDREN' && name !== 'SPECIAL-USE') {
      throw new BadSyntax('Unknown return option')
    }
    return name
  })
  return { names, statusItems, metadataNames }
}

async function writeList(session: Session, query: Query): Promise<void> {
  const { account, mailboxes, out } = session
  const infos = new Map(mailboxes.list(account).map((info) => [info.name, info]))
  const subscribed = new Set(mailboxes.subscriptions(account))
  const names = new Set([...infos.keys(), ...(query.onlySubscribed ? subscribed : [])])
  const chosen = (name: string): boolean =>
    (!query.onlySubscribed || subscribed.has(name)) &&
    (!query.onlySpecialUse || infos.get(name)?.specialUse !== undefined)
  const parents = parentsOf(names)
  const listed = [...new Set([...names, ...parents.keys()])].toSorted(byMailboxName)
  let busySinceMs = performance.now()
  for (const name of listed) {
    if (performance.now() - busySinceMs > othersWaitMsMax) {
      await turn()
      busySinceMs = performance.now()
    }
    const children = parents.get(name) ?? []
    // RFC 5258 §3.5: what the patterns show by itself needs no word from its parent.
    const withChosenChild = query.isRecursive && children.some((child) => chosen(child) && !shows(query, child))
    if (!query.patterns.some((pattern) => matchesPattern(pattern, name))) continue
    const isOwn = names.has(name) && chosen(name)
    // A name that exists only as the beginning of others is shown where nothing below it would be.
    const isImplied = !names.has(name) && children.some((child) => chosen(child) && !shows(query, child))
    if (!isOwn && !withChosenChild && !isImplied) continue
    const info = infos.get(name)
    const attributes = attributesOf(
      info,
      children.some((child) => infos.has(child)),
      query.isExtended,
    )
    if (query.showSubscribed && subscribed.has(name)) attributes.push('\\Subscribed')
    const extended = withChosenChild
      ? ` ("CHILDINFO" (${query.onlySubscribed ? '"SUBSCRIBED"' : '"SPECIAL-USE"'}))`
      : ''
    out.line(`* LIST (${attributes.join(' ')}) "/" ${session.writeMailbox(name)}${extended}`)
    if (query.statusItems.length > 0 && info !== undefined) writeStatus(session, info, query.statusItems)
    if (query.metadataNames.length > 0 && info !== undefined) {
      writeMetadata(session, { name, mailbox: info.id }, query.metadataNames)
    }
  }
}

const shows = (query: Query, name: string): boolean => query.patterns.some((pattern) => matchesPattern(pattern, name))

/** Every name above another one, with all that lies below it. */
export function parentsOf(names: Iterable<string>): Map<string, string[]> {
  const parents = new Map<string, string[]>()
  for (const name of names) {
    for (let slash = name.lastIndexOf('/'); slash > 0; slash = name.lastIndexOf('/', slash - 1)) {
      const parent = name.slice(0, slash)
      const below = parents.get(parent)
      if (below === undefined) parents.set(parent, [name])
      else below.push(name)
    }
  }
  return parents
}

export const byMailboxName = (a: string, b: string): number =>
  Number(b === 'INBOX') - Number(a === 'INBOX') || (a < b ? -1 : Number(a > b))

export function attributesOf(info: MailboxInfo | undefined, hasChildren: boolean, isExtended: boolean): string[] {
  // RFC 5258 §3: \NonExistent implies \Noselect, which only the plain LIST of older clients spells out.
  const attributes = info === undefined ? ['\\NonExistent', ...(isExtended ? [] : ['\\Noselect'])] : []
  attributes.push(hasChildren ? '\\HasChildren' : '\\HasNoChildren')
  if (info?.specialUse !== undefined) attributes.push(info.specialUse)
  return attributes
}
