/** Receipts as programs get them (Client-Server API, `m.receipt`): one event for each thread that they are about. */
import type { ConversationId, Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import { eventId, type Names } from '../names.ts'
import type { Reading } from '../rooms/reading.ts'
import type { MatrixServices } from '../services.ts'
import type { Entry, EventKey } from '../stream/rows.ts'

type ReceiptEntry = Extract<Entry, { readonly kind: 'receipt' }>

interface ReceiptEventParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly reading: Reading
}

interface Told {
  readonly kind: string
  readonly thread: string
  readonly event: EventKey
  readonly who: Identity
  readonly atMs: number
}

/** @param news what has come since; undefined: all that there are */
export function receiptEvents(
  parts: ReceiptEventParts,
  tx: ReadTx,
  account: Identity,
  room: ConversationId,
  news: readonly ReceiptEntry[] | undefined,
): readonly { readonly type: 'm.receipt'; readonly content: Json }[] {
  const { services, names, reading } = parts
  const marks = news ?? services.conversations.marks(account, room)
  const others = marks
    .filter(({ who }) => who !== account)
    .map(({ who, upTo, atMs }) => ({ kind: 'm.read', thread: '', event: upTo as string as EventKey, who, atMs }))
  // one's own are told whole: there are few of them
  const isOwnNews = news === undefined || news.some(({ who }) => who === account)
  const own = isOwnNews ? reading.receipts(tx, account, room).filter(({ kind }) => kind !== 'said') : []
  const told: readonly Told[] = [...others, ...own.map((one) => ({ ...one, who: account }))]
  return [...Map.groupBy(told, ({ thread }) => thread).values()].map((of) => ({
    type: 'm.receipt',
    content: contentOf(names, account, of),
  }))
}

/** Of receipts that are all about one thread, or all about none. */
function contentOf(names: Names, account: Identity, told: readonly Told[]): Json {
  const content: Record<string, Record<string, Record<string, Json>>> = {}
  for (const { kind, thread, event, who, atMs } of told) {
    const kinds = (content[eventId(event)] ??= {})
    const users = (kinds[kind] ??= {})
    users[names.user(account, who)] = { ts: atMs, ...(thread === '' ? {} : { thread_id: thread }) }
  }
  return content
}
