/**
 * The ids by which programs know messages. Everybody's programs know the messages of others by their message id; those of
 * an account know its own by the `id` that its program gave them, as it and its carbons had them (XEP-0308, XEP-0184). So
 * each account keeps both ways between the two, for its latest messages; what is sent again after a broken connection is
 * told by the same.
 */
import { fromUtf8 } from '../../../core/bytes.ts'
import { bool, bytes, decode, encode, fixed, hexId, optional, record, text, u64 } from '../../../core/codec.ts'
import type { Conversations } from '../../../core/conversation/conversations.ts'
import { aboutOf } from '../../../core/conversation/history.ts'
import type { ConversationId, Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { decodeMessage } from '../../../core/message/message.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'

/** As the program that said it wrote it. */
export interface Spoken {
  readonly id: string | undefined
  /** XEP-0359. */
  readonly originId: string | undefined
  /** XEP-0184. */
  readonly wantsReceipt: boolean
  /** Of the program. */
  readonly resource: string | undefined
}

/** What tells the same message said again. */
export interface Again {
  readonly spoken: Spoken
  /** 16 bytes: of all that it says. */
  readonly digest: Uint8Array
  readonly nowMs: number
}

interface Known {
  readonly message: MessageId
  readonly digest: Uint8Array
  readonly atMs: number
}
const messageId = hexId<MessageId>(32)
const knownCodec = record<Known>({ message: messageId, digest: fixed(16), atMs: u64 })
const idText = optional(text(limits.xmppIdOctetsMax))
const spokenCodec = record<Spoken>({ id: idText, originId: idText, wantsReceipt: bool, resource: optional(text(1023)) })
const ringCodec = record({ message: messageId, id: optional(bytes(16)), originId: optional(bytes(16)) })

type Kind = 'id' | 'origin-id'
const ring = Uint8Array.of(2)

/** By account, the last number in the order of what is to be forgotten: one for all parts that remember ids. */
const numbersOf = new WeakMap<Conversations, Map<Identity, number>>()

export class ClientIds {
  readonly #conversations: Conversations
  readonly #numbers: Map<Identity, number>
  readonly #idsMax: number

  /** @param idsMax messages of one account that are remembered */
  constructor(conversations: Conversations, idsMax: number = limits.xmppIdsMax) {
    this.#idsMax = idsMax
    this.#conversations = conversations
    this.#numbers = numbersOf.get(conversations) ?? new Map<Identity, number>()
    numbersOf.set(conversations, this.#numbers)
  }

  /** In the transaction that says it. */
  remember(tx: WriteTx, account: Identity, message: MessageId, { spoken, digest, nowMs }: Again): void {
    const id = short(spoken.id)
    const originId = short(spoken.originId)
    if (id === undefined && originId === undefined && !spoken.wantsReceipt) return
    tx.put(tables.xmppSaid, this.#keyOf(tx, account, message), encode(spokenCodec, { ...spoken, id, originId }))
    const put = (kind: Kind, given: string | undefined): Uint8Array | undefined => {
      if (given === undefined) return undefined
      const name = opaqueOf(tx, kind, given)
      tx.put(tables.xmppIds, this.#keyOf(tx, account, name), encode(knownCodec, { message, digest, atMs: nowMs }))
      return name
    }
    // most programs give one id as both
    const names = { id: id === originId ? undefined : put('id', id), originId: put('origin-id', originId) }
    this.#forgetOldest(tx, account, { message, ...names })
  }

  /** Said already by this account, in the same words: a program that saw no acknowledgement says it again. */
  saidBefore(tx: ReadTx, account: Identity, { spoken, digest, nowMs }: Again): MessageId | undefined {
    const { id, originId } = spoken
    // a short id without origin-id may be that of a counter that began anew
    const isSafe = originId !== undefined || (id?.length ?? 0) >= limits.xmppSameIdCharsMin
    if (!isSafe) return undefined
    const byOrigin = this.#known(tx, account, 'origin-id', originId)
    const known = byOrigin ?? (id === originId ? undefined : this.#known(tx, account, 'id', id))
    if (known === undefined || nowMs - known.atMs > limits.xmppResendMs) return undefined
    return Buffer.compare(known.digest, digest) === 0 ? known.message : undefined
  }

  spoken(tx: ReadTx, account: Identity, message: MessageId): Spoken | undefined {
    const value = tx.get(tables.xmppSaid, this.#keyOf(tx, account, message))
    return value === undefined ? undefined : decode(spokenCodec, value)
  }

  /** The `id` under which programs of the account have a message. */
  idOf(tx: ReadTx, account: Identity, message: MessageId): string {
    return this.spoken(tx, account, message)?.id ?? message
  }

  /**
   * A message of a conversation by any of its ids: that of its program, its origin-id, its message id, which is its
   * stanza-id too. That of a correction is as good as that of what it corrects.
   * @param others accounts of this gateway, whose programs' ids are as good
   */
  resolve(
    tx: ReadTx,
    account: Identity,
    conversation: ConversationId,
    id: string,
    others: readonly Identity[] = [],
  ): MessageId | undefined {
    const named = [account, ...others].flatMap((whose) => [
      this.#known(tx, whose, 'id', id),
      this.#known(tx, whose, 'origin-id', id),
    ])
    const candidates = [...named.map((one) => one?.message), /^[\da-f]{64}$/.test(id) ? (id as MessageId) : undefined]
    for (const candidate of candidates) {
      const row = candidate && this.#conversations.history.message(tx, account, candidate)
      if (row?.state !== 'shown' || row.conversation !== conversation) continue
      const about = row.encoded.length === 0 ? undefined : aboutOf(decodeMessage(row.encoded))
      return about?.kind === 'edit' ? about.target : candidate
    }
    return undefined
  }

  #known(tx: ReadTx, account: Identity, kind: Kind, id: string | undefined): Known | undefined {
    const given = short(id)
    if (given === undefined) return undefined
    const value = tx.get(tables.xmppIds, this.#keyOf(tx, account, opaqueOf(tx, kind, given)))
    return value === undefined ? undefined : decode(knownCodec, value)
  }

  #forgetOldest(
    tx: WriteTx,
    account: Identity,
    entry: {
      readonly message: MessageId
      readonly id: Uint8Array | undefined
      readonly originId: Uint8Array | undefined
    },
  ): void {
    const prefix = this.#keyOf(tx, account, ring)
    const number = (this.#numbers.get(account) ?? lastIn(tx, prefix)) + 1
    // what is discarded leaves a number out
    this.#numbers.set(account, number)
    tx.put(tables.xmppProgress, Buffer.concat([prefix, encode(u64, number)]), encode(ringCodec, entry))
    if (number <= this.#idsMax) return
    const oldest = Buffer.concat([prefix, encode(u64, number - this.#idsMax)])
    const value = tx.get(tables.xmppProgress, oldest)
    if (value === undefined) return
    tx.remove(tables.xmppProgress, oldest)
    const { message, id, originId } = decode(ringCodec, value)
    tx.remove(tables.xmppSaid, this.#keyOf(tx, account, message))
    for (const name of [id, originId]) {
      const key = name && this.#keyOf(tx, account, name)
      const known = key && tx.get(tables.xmppIds, key)
      // it may have been given to a later one since
      if (key !== undefined && known !== undefined && decode(knownCodec, known).message === message)
        tx.remove(tables.xmppIds, key)
    }
  }

  #keyOf(tx: ReadTx, account: Identity, rest: Uint8Array | MessageId): Uint8Array {
    const end = typeof rest === 'string' ? Buffer.from(rest, 'hex') : rest
    return Buffer.concat([this.#conversations.history.keys.account(tx, account), end])
  }
}

const short = (id: string | undefined): string | undefined =>
  id === undefined || id === '' || fromUtf8(id).length > limits.xmppIdOctetsMax ? undefined : id

const opaqueOf = (tx: ReadTx, kind: Kind, id: string): Uint8Array => tx.opaque(fromUtf8(`${kind} ${id}`))

function lastIn(tx: ReadTx, prefix: Uint8Array): number {
  for (const key of tx.keys(tables.xmppProgress, { prefix, reverse: true, limit: 1 }))
    return decode(u64, key.subarray(-8))
  return 0
}
