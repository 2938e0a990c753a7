/**
 * ◆ What two devices say to each other inside a session: items, and the payloads that carry them. A payload is one
 * whole item or one fragment of a longer one; padding and order are the session's business. docs/protocol/delivery.md
 */
import { array, bytes, type Codec, decode, encode, fixed, hexId, literal, record, u16, union } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import { type GivenQueue, givenQueuesCodec } from './relay/queues.ts'
import { type CallSignal, callSignalCodec } from './call-signals.ts'
import { type ProfileSaid, profileSaidCodec } from './profile-items.ts'
import { type Signal, signalsCodec } from './signals.ts'

/** Why a device will not take a message, for good: the sender reports it instead of trying again. */
export const refusals = ['mailbox-full', 'message-too-large', 'blocked', 'malformed', 'clock-off'] as const
export type Refusal = (typeof refusals)[number]

export type Item =
  /** An encoded canonical message. */
  | { readonly kind: 'message'; readonly encoded: Uint8Array }
  /** Several of them: small mail in a rush shares frames. What is wrong with one is no other's affair. */
  | { readonly kind: 'messages'; readonly encoded: readonly Uint8Array[] }
  /** These are durable here (now or long since): the sender may forget them. */
  | { readonly kind: 'received'; readonly ids: readonly MessageId[] }
  /** This will never be taken here. */
  | { readonly kind: 'refused'; readonly id: MessageId; readonly reason: Refusal }
  /** The sender's signed records as they are now: log, prekeys, locators (docs/protocol/identity.md). */
  | { readonly kind: 'bundle'; readonly bundle: Uint8Array }
  /** One step of an online confirmation (docs/protocol/identity.md). */
  | { readonly kind: 'confirmation'; readonly step: Uint8Array }
  /** Where the receiver is to leave what it has for the sender while that one is away; in the place of what was given before. */
  | { readonly kind: 'queues'; readonly queues: readonly GivenQueue[] }
  /** Between two devices of one account (sync-messages.ts). */
  | { readonly kind: 'sync'; readonly message: Uint8Array }
  /** First answer to a handshake: the session works in both directions. */
  | { readonly kind: 'welcome' }
  /** Messages that others cite and that the sender does not have. */
  | { readonly kind: 'wanted'; readonly ids: readonly MessageId[] }
  /** Of those that were wanted: not here either. */
  | { readonly kind: 'absent'; readonly ids: readonly MessageId[] }
  /** Who types, and who is there. */
  | { readonly kind: 'signals'; readonly signals: readonly Signal[] }
  /** A step of a call's negotiation, for clients that are there now. */
  | { readonly kind: 'call'; readonly signal: CallSignal }
  /** What the sender shows its contacts of itself. */
  | { readonly kind: 'profile'; readonly said: ProfileSaid }

const refusalCodec: Codec<Refusal> = {
  write: (out, value) => out.u8(refusals.indexOf(value)),
  read: (from) => {
    const reason = refusals[from.u8()]
    if (reason === undefined) throw new MyceliumError('malformed', { at: from.position })
    return reason
  },
}
const messageId = hexId<MessageId>(32)

const itemCodec: Codec<Item> = union<Item>({
  message: { tag: 0, codec: record({ kind: literal('message'), encoded: bytes(limits.itemBytesMax) }) },
  received: { tag: 1, codec: record({ kind: literal('received'), ids: array(messageId, limits.itemIdsMax) }) },
  refused: { tag: 2, codec: record({ kind: literal('refused'), id: messageId, reason: refusalCodec }) },
  bundle: { tag: 3, codec: record({ kind: literal('bundle'), bundle: bytes(limits.itemBytesMax) }) },
  confirmation: {
    tag: 4,
    codec: record({ kind: literal('confirmation'), step: bytes(limits.confirmationStepBytesMax) }),
  },
  welcome: { tag: 5, codec: record({ kind: literal('welcome') }) },
  messages: {
    tag: 6,
    codec: record({
      kind: literal('messages'),
      encoded: array(bytes(limits.itemBytesMax), limits.itemMessagesMax),
    }),
  },
  sync: { tag: 8, codec: record({ kind: literal('sync'), message: bytes(limits.itemBytesMax) }) },
  queues: { tag: 7, codec: record({ kind: literal('queues'), queues: givenQueuesCodec }) },
  wanted: { tag: 9, codec: record({ kind: literal('wanted'), ids: array(messageId, limits.messagesAskedMax) }) },
  profile: { tag: 16, codec: record({ kind: literal('profile'), said: profileSaidCodec }) },
  signals: { tag: 11, codec: record({ kind: literal('signals'), signals: signalsCodec }) },
  call: { tag: 12, codec: record({ kind: literal('call'), signal: callSignalCodec }) },
  absent: { tag: 10, codec: record({ kind: literal('absent'), ids: array(messageId, limits.messagesAskedMax) }) },
})

const encodeItem = (item: Item): Uint8Array => encode(itemCodec, item)
/** @throws `malformed`, `too-large` */
export const decodeItem = (encoded: Uint8Array): Item => decode(itemCodec, encoded)

/** Octets of a payload with the item `messages` beside its members, and of each beside its bytes. */
const messagesBytes = 6
const memberBytes = 4

/** What is to be sent, in its order, in items of which those with several messages fit one payload each. */
export function* itemsOf<T extends { readonly encoded: Uint8Array }>(
  messages: readonly T[],
  payloadBytesMax: number,
): Generator<{ readonly item: Item; readonly members: readonly T[] }> {
  for (let at = 0; at < messages.length;) {
    let end = at
    let length = messagesBytes
    while (end < messages.length && end - at < limits.itemMessagesMax) {
      length += memberBytes + messages[end]!.encoded.length
      if (length > payloadBytesMax) break
      end += 1
    }
    const members = messages.slice(at, Math.max(end, at + 1))
    const encoded = members.map((member) => member.encoded)
    yield {
      item: members.length === 1 ? { kind: 'message', encoded: encoded[0]! } : { kind: 'messages', encoded },
      members,
    }
    at += members.length
  }
}

const whole = 0
const fragment = 1
const transferIdBytes = 16

export interface Fragment {
  /** Random, one for each time an item is sent. */
  readonly transfer: Uint8Array
  readonly index: number
  readonly count: number
  readonly bytes: Uint8Array
}

const fragmentCodec = record<Fragment>({
  transfer: fixed(transferIdBytes),
  index: u16,
  count: u16,
  bytes: bytes(limits.itemBytesMax),
})
const fragmentOverheadBytes = 1 + transferIdBytes + 2 + 2 + 4

/** The payloads that carry one item, each at most `payloadBytesMax` long. */
export function packItem(item: Item, payloadBytesMax: number, newTransferId: () => Uint8Array): readonly Uint8Array[] {
  const encoded = encodeItem(item)
  if (encoded.length > limits.itemBytesMax) throw new MyceliumError('too-large', { bytes: encoded.length })
  if (encoded.length + 1 <= payloadBytesMax) {
    const payload = Buffer.allocUnsafe(encoded.length + 1)
    payload[0] = whole
    payload.set(encoded, 1)
    return [payload]
  }
  const room = payloadBytesMax - fragmentOverheadBytes
  const count = Math.ceil(encoded.length / room)
  const transfer = newTransferId()
  return Array.from({ length: count }, (_, index) => {
    const piece = encode(fragmentCodec, {
      transfer,
      index,
      count,
      bytes: encoded.subarray(index * room, (index + 1) * room),
    })
    const payload = new Uint8Array(piece.length + 1)
    payload[0] = fragment
    payload.set(piece, 1)
    return payload
  })
}

/** @throws `malformed`, `too-large` */
export function unpackPayload(
  payload: Uint8Array,
): { readonly kind: 'item'; readonly item: Item } | { readonly kind: 'fragment'; readonly fragment: Fragment } {
  const rest = payload.subarray(1)
  const form = payload[0] ?? -1
  switch (form) {
    case whole:
      return { kind: 'item', item: decodeItem(rest) }
    case fragment: {
      const piece = decode(fragmentCodec, rest)
      if (piece.index >= piece.count || piece.count > limits.itemFragmentsMax)
        throw new MyceliumError('malformed', { index: piece.index })
      return { kind: 'fragment', fragment: piece }
    }
    default:
      throw new MyceliumError('malformed', { form })
  }
}
