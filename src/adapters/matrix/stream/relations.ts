/**
 * What is about an event (Client-Server API, "Relationships between events"): edits, reactions, answers in its thread, and
 * whatever programs relate to it. Kept by the event it is about, so that nobody walks a room to find it.
 */
import { concat } from '../../../core/bytes.ts'
import { bool, decode, encode, record, text, u32, u64 } from '../../../core/codec.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { Message } from '../../../core/message/message.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import { readExtension } from '../events/extension.ts'
import type { Json } from '../http/api.ts'
import { eventKeyOf } from '../names.ts'
import { type EventKey, keys } from './rows.ts'
import type { Stream } from './stream.ts'

interface Relation {
  /** `m.thread` and the like. */
  readonly type: string
  readonly target: EventKey
}

export interface Related {
  readonly number: number
  readonly type: string
  /** The account's own. */
  readonly isOwn: boolean
}

/** What a thread looks like from outside. */
export interface Thread {
  /** Number of the latest event in it. */
  readonly latest: number
  readonly count: number
  /** The account has said something in it. */
  readonly isOwn: boolean
}

/** ◆ Of the keys, so that edits of a message are found without its answers. */
const kinds: Readonly<Record<string, number>> = { 'm.replace': 1, 'm.thread': 2, 'm.annotation': 3, 'm.reference': 4 }
const otherKind = 0
const kindOf = (type: string): number => kinds[type] ?? otherKind

/** Part of what is about an event. */
export interface RelatedSpan {
  /** undefined: of every type. */
  readonly type?: string | undefined
  /** Inclusive. */
  readonly from?: number | undefined
  /** Exclusive. */
  readonly to?: number | undefined
  /** Latest first. */
  readonly reverse?: boolean
  readonly limit?: number
}

const relatedCodec = record<{ readonly type: string; readonly isOwn: boolean }>({
  type: text(limits.matrixIdOctetsMax),
  isOwn: bool,
})
const threadCodec = record<Thread>({ latest: u64, count: u32, isOwn: bool })
const numberAt = (key: Uint8Array): number => Number(Buffer.from(key).readBigUInt64BE(key.length - 8))

/** To which events a message relates. */
export function relationsOf({ parts, relations }: Message): readonly Relation[] {
  const edit = parts.find((part) => part.kind === 'edit')
  const thread = relations.find((one) => one.kind === 'thread')
  const other = readExtension(parts)?.content['m.relates_to'] as Json | undefined
  const [type, id] = [other?.['rel_type'], other?.['event_id']]
  const target = typeof id === 'string' ? eventKeyOf(id) : undefined
  return [
    ...(edit === undefined ? [] : [{ type: 'm.replace', target: edit.target as string as EventKey }]),
    ...(thread === undefined ? [] : [{ type: 'm.thread', target: thread.root as string as EventKey }]),
    ...(typeof type === 'string' && Buffer.byteLength(type) <= limits.matrixIdOctetsMax && target !== undefined
      ? [{ type, target }]
      : []),
  ]
}

export class Relations {
  readonly #stream: Stream

  constructor(stream: Stream) {
    this.#stream = stream
  }

  add(
    tx: WriteTx,
    account: Identity,
    {
      room,
      number,
      type,
      target,
      isOwn,
    }: Relation & { readonly room: ConversationId; readonly number: number; readonly isOwn: boolean },
  ): void {
    const key = relationKey(tx, account, target, kindOf(type), number)
    if (tx.has(tables.matrixRelations, key)) return
    tx.put(tables.matrixRelations, key, encode(relatedCodec, { type, isOwn }))
    if (type !== 'm.thread') return
    const before = this.thread(tx, account, room, target)
    const thread = { latest: number, count: (before?.count ?? 0) + 1, isOwn: isOwn || before?.isOwn === true }
    tx.put(tables.matrixThreads, threadKey(tx, account, room, target), encode(threadCodec, thread))
  }

  /** One of its answers was taken back. */
  recount(tx: WriteTx, account: Identity, room: ConversationId, root: EventKey): void {
    const left = [...this.of(tx, account, root, { type: 'm.thread' })]
    const key = threadKey(tx, account, room, root)
    const last = left.at(-1)
    if (last === undefined) tx.remove(tables.matrixThreads, key)
    else
      tx.put(
        tables.matrixThreads,
        key,
        encode(threadCodec, { latest: last.number, count: left.length, isOwn: left.some(({ isOwn }) => isOwn) }),
      )
  }

  /** In the order in which they came, without what was taken back; read as far as they are taken. */
  *of(tx: ReadTx, account: Identity, target: EventKey, span: RelatedSpan = {}): Generator<Related> {
    const { type, reverse = false, limit = Infinity } = span
    let left = limit
    const wanted = type === undefined ? [otherKind, ...Object.values(kinds)] : [kindOf(type)]
    const ranges = wanted.map((kind) => this.#range(tx, account, target, kind, span))
    for (const related of inOrder(ranges, reverse)) {
      if (left <= 0) return
      if ((type !== undefined && related.type !== type) || !this.#stands(tx, account, related.number)) continue
      left -= 1
      yield related
    }
  }

  thread(tx: ReadTx, account: Identity, room: ConversationId, root: EventKey): Thread | undefined {
    const value = tx.get(tables.matrixThreads, threadKey(tx, account, room, root))
    return value === undefined ? undefined : decode(threadCodec, value)
  }

  /** Of a room, the one in which something was said last first. */
  threads(tx: ReadTx, account: Identity, room: ConversationId): readonly (Thread & { readonly root: EventKey })[] {
    return Array.from(tx.range(tables.matrixThreads, { prefix: keys.room(tx, account, room) }), ({ key, value }) => ({
      root: Buffer.from(key.subarray(-32)).toString('hex') as EventKey,
      ...decode(threadCodec, value),
    })).toSorted((a, b) => b.latest - a.latest)
  }

  *#range(
    tx: ReadTx,
    account: Identity,
    target: EventKey,
    kind: number,
    { from = 0, to, reverse = false }: RelatedSpan,
  ): Generator<Related> {
    const range = {
      prefix: relationKey(tx, account, target, kind),
      from: relationKey(tx, account, target, kind, from),
      ...(to === undefined ? {} : { to: relationKey(tx, account, target, kind, to) }),
      reverse,
    }
    for (const { key, value } of tx.range(tables.matrixRelations, range))
      yield { number: numberAt(key), ...decode(relatedCodec, value) }
  }

  #stands(tx: ReadTx, account: Identity, number: number): boolean {
    const entry = this.#stream.entry(tx, account, number)
    return entry?.kind === 'event' && this.#stream.place(tx, account, entry.key)?.redactedBy === 0
  }
}

const threadKey = (tx: ReadTx, account: Identity, room: ConversationId, root: EventKey): Uint8Array =>
  concat(keys.room(tx, account, room), Buffer.from(root, 'hex'))

const relationKey = (tx: ReadTx, account: Identity, target: EventKey, kind: number, number?: number): Uint8Array =>
  concat(keys.event(tx, account, target), Uint8Array.of(kind), ...(number === undefined ? [] : [encode(u64, number)]))

/** Several in order as one in order. */
function* inOrder(lists: readonly Generator<Related>[], isReversed: boolean): Generator<Related> {
  const heads = lists.map((list) => ({ list, head: list.next() }))
  for (;;) {
    const open = heads.filter(({ head }) => head.done !== true)
    const [first] = open.toSorted((a, b) => {
      const order = (a.head.value as Related).number - (b.head.value as Related).number
      return isReversed ? -order : order
    })
    if (first === undefined) return
    yield first.head.value as Related
    first.head = first.list.next()
  }
}
