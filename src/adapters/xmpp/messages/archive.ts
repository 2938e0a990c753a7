/**
 * Archives of messages (XEP-0313, `urn:xmpp:mam:2` with `#extended`), paged with XEP-0059: the account's chats, one of them,
 * or a room. In the order in which this gateway came to show things, by message id; an answer reads its page and a few rows
 * more, however long the archive is.
 */
import type { ConversationId, Identity, MessageId } from '../../../core/ids.ts'
import type { Span } from '../../../core/conversation/feed.ts'
import type { History } from '../../../core/conversation/history.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Client } from '../client.ts'
import { child, childrenNamed, childText, type Element, el, textOf } from '../element.ts'
import type { Server } from '../feature.ts'
import { fullOf } from '../jid.ts'
import { StanzaError } from '../stanza-error.ts'
import { ns, stampOf } from './namespaces.ts'
import { readStored } from './stored.ts'
import { forwarded, type Stored } from './to-xmpp.ts'

const rsmNs = 'http://jabber.org/protocol/rsm'
const formNs = 'jabber:x:data'

interface Entry {
  readonly number: number
  readonly id: MessageId
  readonly conversation: ConversationId
}

/** What an archive holds, and how it looks to who asks. */
export interface Archive {
  readonly account: Identity
  /** In the order of numbers. */
  readonly entries: (tx: ReadTx, span: Span) => Iterable<Entry>
  /** How many of them there are, without reading them. */
  readonly count: (tx: ReadTx, span: Span) => number
  /** @returns undefined for what is no stanza: it is passed over */
  readonly stanza: (tx: ReadTx, stored: Stored, conversation: ConversationId) => Element | undefined
  /** Its address where that is not the own one: `from` of results. */
  readonly from?: string
}

/** One conversation. */
export function archiveOf(
  { services }: Server,
  account: Identity,
  conversation: ConversationId,
  stanza: Archive['stanza'],
): Archive {
  const { history } = services.conversations
  return {
    account,
    *entries(tx, span) {
      for (const one of history.feed.numbers(tx, account, conversation, span)) yield { ...one, conversation }
    },
    count: (tx, span) => history.feed.countNumbers(tx, account, conversation, span),
    stanza,
  }
}

/** All that an account shows, of the conversations that `isIn` takes. */
export function archiveOfAll(
  { services }: Server,
  account: Identity,
  isIn: (conversation: ConversationId) => boolean,
  stanza: Archive['stanza'],
): Archive {
  const { history } = services.conversations
  return {
    account,
    *entries(tx, span) {
      let passed = 0
      for (const { number, conversation, event } of history.feed.steps(tx, account, span)) {
        if (passed === limits.xmppArchivePassedMax) {
          const rest = span.reverse === true ? { ...span, to: number + 1 } : { ...span, from: number }
          yield* together(tx, history, account, isIn, rest)
          return
        }
        if ((event.kind === 'message' || event.kind === 'about') && isIn(conversation))
          yield { number, conversation, id: event.message }
        else passed += 1
      }
    },
    count(tx, span) {
      const rows = [...history.conversations(tx, account)].filter(({ id }) => isIn(id))
      return rows.reduce((sum, { id }) => sum + history.feed.countNumbers(tx, account, id, span), 0)
    },
    stanza,
  }
}

/** The same from each conversation by itself, put in one order: where there is much else between them. */
function* together(
  tx: ReadTx,
  history: History,
  account: Identity,
  isIn: (conversation: ConversationId) => boolean,
  span: Span,
): Generator<Entry> {
  const isReverse = span.reverse === true
  const headOf = (conversation: ConversationId, of: Span): readonly Entry[] => {
    const head = of.from < of.to ? first(history.feed.numbers(tx, account, conversation, of)) : undefined
    return head === undefined ? [] : [{ ...head, conversation }]
  }
  let heads = [...history.conversations(tx, account)].flatMap(({ id }) => (isIn(id) ? headOf(id, span) : []))
  while (heads.length > 0) {
    const next = heads.reduce((a, b) => (a.number < b.number === isReverse ? b : a))
    yield next
    const rest = isReverse ? { ...span, to: next.number } : { ...span, from: next.number + 1 }
    heads = [...heads.filter((one) => one !== next), ...headOf(next.conversation, rest)]
  }
}

export interface Query {
  readonly queryId: string | undefined
  readonly isFlipped: boolean
  /** As text: only the archive's owner knows whom it may name. */
  readonly with: string | undefined
  readonly startMs: number | undefined
  readonly endMs: number | undefined
  readonly afterId: string | undefined
  readonly beforeId: string | undefined
  readonly ids: readonly string[] | undefined
  /** 0 asks for the count only. */
  readonly max: number
  readonly page:
    | { readonly kind: 'first' }
    | { readonly kind: 'after' | 'before'; readonly id: string }
    | { readonly kind: 'last' }
}

/** @throws StanzaError */
export function readQuery(query: Element): Query {
  const form = child(query, `x ${formNs}`)
  const fields = new Map(
    (form === undefined ? [] : childrenNamed(form, 'field')).map((field) => [
      field.attrs.var ?? '',
      childrenNamed(field, 'value').map(textOf),
    ]),
  )
  for (const name of fields.keys())
    if (!fieldNames.has(name)) throw new StanzaError('feature-not-implemented', 'no such field in the form')
  const type = fields.get('FORM_TYPE')?.[0]
  if (form !== undefined && type !== ns.mam) throw new StanzaError('bad-request', 'the form is of another type')
  const one = (name: string): string | undefined => fields.get(name)?.[0]
  const ids = fields.get('ids')
  if ((ids?.length ?? 0) > limits.xmppArchiveIdsMax) throw new StanzaError('policy-violation', 'too many ids at once')
  const isGroupchatLeftOut = ['false', '0', undefined].includes(one('include-groupchat'))
  if (!isGroupchatLeftOut) throw new StanzaError('feature-not-implemented', 'rooms have archives of their own')
  return {
    queryId: query.attrs.queryid,
    isFlipped: child(query, 'flip-page') !== undefined,
    with: one('with'),
    startMs: timeOf(one('start')),
    endMs: timeOf(one('end')),
    afterId: one('after-id'),
    beforeId: one('before-id'),
    ids,
    ...readPage(query),
  }
}

const fieldNames: ReadonlySet<string> = new Set([
  'FORM_TYPE',
  'with',
  'start',
  'end',
  'before-id',
  'after-id',
  'ids',
  'include-groupchat',
])

/** XEP-0082 §3.2. @throws StanzaError */
function timeOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const isTime = /^-?\d{4,9}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/.test(text)
  const ms = isTime ? Date.parse(text) : NaN
  if (Number.isNaN(ms)) throw new StanzaError('bad-request', 'this is no time')
  return ms
}

function readPage(query: Element): Pick<Query, 'max' | 'page'> {
  const set = child(query, `set ${rsmNs}`)
  const maxText = set && childText(set, 'max')
  if (maxText !== undefined && !/^\d{1,9}$/.test(maxText)) throw new StanzaError('bad-request', 'max is a number')
  const max = Math.min(Number(maxText ?? limits.xmppArchivePageDefault), limits.xmppArchivePageMax)
  const after = set && childText(set, 'after')
  const before = set && childText(set, 'before')
  if (set !== undefined && child(set, 'index') !== undefined)
    throw new StanzaError('feature-not-implemented', 'pages are asked for by id')
  if (after !== undefined && after !== '') return { max, page: { kind: 'after', id: after } }
  if (before === undefined) return { max, page: { kind: 'first' } }
  return { max, page: before === '' ? { kind: 'last' } : { kind: 'before', id: before } }
}

/** The form that a query may hold (XEP-0313 §4.1.5). */
export const queryForm = (): Element =>
  el(
    `query ${ns.mam}`,
    {},
    el(
      `x ${formNs}`,
      { type: 'form' },
      el(`field ${formNs}`, { type: 'hidden', var: 'FORM_TYPE' }, el(`value ${formNs}`, {}, ns.mam)),
      el(`field ${formNs}`, { type: 'jid-single', var: 'with' }),
      ...['start', 'end', 'before-id', 'after-id'].map((name) =>
        el(`field ${formNs}`, { type: 'text-single', var: name }),
      ),
      el(
        `field ${formNs}`,
        { type: 'list-multi', var: 'ids' },
        el(
          'validate http://jabber.org/protocol/xdata-validate',
          { datatype: 'xs:string' },
          el('open http://jabber.org/protocol/xdata-validate'),
        ),
      ),
    ),
  )

interface Found {
  readonly stored: Stored
  readonly stanza: Element
}

/**
 * Sends what matches, and gives the `fin` that ends it.
 * @throws StanzaError `item-not-found` for an id that the archive does not have
 */
export function answerQuery(server: Server, archive: Archive, query: Query, client: Client): Element {
  const { results, fin } = server.services.store.read((tx) => look(tx, server, archive, query))
  for (const { stored, stanza } of query.isFlipped ? results.toReversed() : results) {
    const wrapped = forwarded(stanza, el(`delay ${ns.delay}`, { stamp: stampOf(stored.row.receivedAtMs) }))
    const result = el(`result ${ns.mam}`, { queryid: query.queryId, id: stored.id }, wrapped)
    client.send(el('message', { from: archive.from, to: fullOf(client.jid) }, result))
  }
  return fin
}

function look(
  tx: ReadTx,
  server: Server,
  archive: Archive,
  query: Query,
): { readonly results: readonly Found[]; readonly fin: Element } {
  const whole = spanOf(tx, server, archive, query)
  if (query.ids !== undefined) {
    const numbers = query.ids.map((id) => numberIn(tx, server, archive, id)).sort((a, b) => a - b)
    const results = numbers.flatMap((number) =>
      number >= whole.from && number < whole.to
        ? foundIn(tx, server, archive, { from: number, to: number + 1 }, 1)
        : [],
    )
    return { results, fin: finOf(results, { isComplete: true, count: results.length }) }
  }
  if (query.max === 0) {
    const count = whole.from < whole.to ? archive.count(tx, whole) : 0
    return { results: [], fin: finOf([], { isComplete: count === 0, count }) }
  }
  const { page } = query
  const isBackwards = page.kind === 'before' || page.kind === 'last'
  const at = 'id' in page ? numberIn(tx, server, archive, page.id) : undefined
  const from = page.kind === 'after' ? Math.max(whole.from, at! + 1) : whole.from
  const to = page.kind === 'before' ? Math.min(whole.to, at!) : whole.to
  const more = foundIn(tx, server, archive, { from, to, reverse: isBackwards }, query.max + 1)
  const some = more.slice(0, query.max)
  const isComplete = more.length <= query.max
  const results = isBackwards ? some.toReversed() : some
  const isWhole = isComplete && (page.kind === 'first' || page.kind === 'last')
  return { results, fin: finOf(results, { isComplete, count: isWhole ? results.length : undefined }) }
}

function foundIn(tx: ReadTx, server: Server, archive: Archive, span: Span, max: number): readonly Found[] {
  const found: Found[] = []
  if (span.from >= span.to) return found
  for (const { id, conversation } of archive.entries(tx, span)) {
    const stored = readStored(tx, server, archive.account, id)
    const stanza = stored && archive.stanza(tx, stored, conversation)
    if (stored === undefined || stanza === undefined) continue
    found.push({ stored, stanza })
    if (found.length >= max) break
  }
  return found
}

/** Where the times and the ids of the form let it be. */
function spanOf(tx: ReadTx, server: Server, archive: Archive, { startMs, endMs, afterId, beforeId }: Query): Span {
  const last = server.services.conversations.history.feed.lastNumber(tx, archive.account)
  const from = [
    1,
    startMs === undefined ? 0 : numberAt(tx, server, archive, last, startMs),
    afterId === undefined ? 0 : numberIn(tx, server, archive, afterId) + 1,
  ]
  const to = [
    last + 1,
    endMs === undefined ? Infinity : numberAt(tx, server, archive, last, endMs + 1),
    beforeId === undefined ? Infinity : numberIn(tx, server, archive, beforeId),
  ]
  return { from: Math.max(...from), to: Math.min(...to) }
}

/** The first number whose message came then or later; numbers and times go up together. */
function numberAt(tx: ReadTx, { services }: Server, archive: Archive, last: number, ms: number): number {
  let [low, high] = [1, last + 1]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const next = first(archive.entries(tx, { from: middle, to: high }))
    const row = next && services.conversations.history.message(tx, archive.account, next.id)
    if (next === undefined || (row?.receivedAtMs ?? 0) >= ms) high = middle
    else low = next.number + 1
  }
  return low
}

/** @throws StanzaError `item-not-found` */
function numberIn(tx: ReadTx, { services }: Server, archive: Archive, id: string): number {
  const isId = /^[\da-f]{64}$/.test(id)
  const row = isId ? services.conversations.history.message(tx, archive.account, id as MessageId) : undefined
  const number = row?.state === 'shown' ? row.number : 0
  const there = number === 0 ? undefined : first(archive.entries(tx, { from: number, to: number + 1 }))
  if (there?.id !== id) throw new StanzaError('item-not-found', 'the archive has no message of that id')
  return number
}

function first<T>(found: Iterable<T>): T | undefined {
  for (const one of found) return one
  return undefined
}

function finOf(
  results: readonly Found[],
  { isComplete, count }: { readonly isComplete: boolean; readonly count: number | undefined },
): Element {
  const [begin, end] = [results[0], results.at(-1)]
  const set = el(
    `set ${rsmNs}`,
    {},
    begin && el(`first ${rsmNs}`, count === undefined ? {} : { index: 0 }, begin.stored.id),
    end && el(`last ${rsmNs}`, {}, end.stored.id),
    count === undefined ? undefined : el(`count ${rsmNs}`, {}, String(count)),
  )
  return el(`fin ${ns.mam}`, { complete: isComplete ? 'true' : undefined }, set)
}

/** XEP-0313 §5. */
export function metadataOf(server: Server, archive: Archive): Element {
  return server.services.store.read((tx) => {
    const whole = { from: 1, to: server.services.conversations.history.feed.lastNumber(tx, archive.account) + 1 }
    const ends = [
      ['start', foundIn(tx, server, archive, whole, 1)],
      ['end', foundIn(tx, server, archive, { ...whole, reverse: true }, 1)],
    ] as const
    const said = ends.map(([name, [found]]) =>
      found === undefined
        ? undefined
        : el(`${name} ${ns.mam}`, { id: found.stored.id, timestamp: stampOf(found.stored.row.receivedAtMs) }),
    )
    return el(`metadata ${ns.mam}`, {}, said)
  })
}

/** XEP-0441: everything is kept, as it is for mail and Matrix; nobody's wish changes that. */
export const preferences = (): Element =>
  el(`prefs ${ns.mam}`, { default: 'always' }, el(`always ${ns.mam}`), el(`never ${ns.mam}`))

export const archiveFeatures: readonly string[] = [ns.mam, `${ns.mam}#extended`, ns.sid]
