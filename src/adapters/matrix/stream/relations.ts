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
}

/** What a thread looks like from outside. */
export interface Thread {
  /** Number of the latest event in it. */
  readonly latest: number
  readonly count: number
  /** The account has said something in it. */
  readonly isOwn: boolean
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
    const key = concat(keys.event(tx, account, target), encode(u64, number))
    if (tx.has(tables.matrixRelations, key)) return
    tx.put(tables.matrixRelations, key, encode(relatedCodec, { type, isOwn }))
    if (type !== 'm.thread') return
    const before = this.thread(tx, account, room, target)
    const thread = { latest: number, count: (before?.count ?? 0) + 1, isOwn: isOwn || before?.isOwn === true }
    tx.put(tables.matrixThreads, threadKey(tx, account, room, target), encode(threadCodec, thread))
  }

  /** One of its answers was taken back. */
  recount(tx: WriteTx, account: Identity, room: ConversationId, root: EventKey): void {
    const left = [...this.#all(tx, account, root)].filter(
      ({ number, type }) => type === 'm.thread' && this.#stands(tx, account, number),
    )
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

  /** In the order in which they came, without what was taken back. */
  of(tx: ReadTx, account: Identity, target: EventKey): readonly Related[] {
    return [...this.#all(tx, account, target)].filter(({ number }) => this.#stands(tx, account, number))
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

  *#all(tx: ReadTx, account: Identity, target: EventKey): Generator<Related & { readonly isOwn: boolean }> {
    for (const { key, value } of tx.range(tables.matrixRelations, { prefix: keys.event(tx, account, target) }))
      yield { number: numberAt(key), ...decode(relatedCodec, value) }
  }

  #stands(tx: ReadTx, account: Identity, number: number): boolean {
    const entry = this.#stream.entry(tx, account, number)
    return entry?.kind === 'event' && this.#stream.place(tx, account, entry.key)?.redactedBy === 0
  }
}

const threadKey = (tx: ReadTx, account: Identity, room: ConversationId, root: EventKey): Uint8Array =>
  concat(keys.room(tx, account, room), Buffer.from(root, 'hex'))
