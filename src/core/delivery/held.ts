/**
 * Mail that is to leave later (RFC 4865), in rows of its own by the moment of its release: what is on its way never
 * meets it. Everything here happens inside the caller's transaction.
 */
import { concat } from '../bytes.ts'
import { array, type Codec, decode, encode, hexId, optional, record, text, u64 } from '../codec.ts'
import type { Address, Identity, MessageId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { notifiesCodec, outgoingCodec, type OutgoingMessage } from './outbox.ts'
import type { DsnNotify } from './submission.ts'

/** One recipient of a mail that waits. */
export interface HeldRecipient {
  /** Whom the address led to at submission. */
  readonly recipient: Identity
  readonly address: Address
  readonly notify: readonly DsnNotify[]
  readonly originalRecipient: string | undefined
}

export interface HeldMail {
  readonly account: Identity
  readonly message: MessageId
  /** Unix milliseconds. */
  readonly untilMs: number
  readonly submittedAtMs: number
  readonly outgoing: OutgoingMessage
  /** In their order; absent where it was taken back. */
  readonly recipients: readonly (HeldRecipient | undefined)[]
}

/** ◆ */
const heldCodec = record<HeldMail>({
  account: hexId<Identity>(32),
  message: hexId<MessageId>(32),
  untilMs: u64,
  submittedAtMs: u64,
  outgoing: outgoingCodec,
  recipients: array(
    optional(
      record<HeldRecipient>({
        recipient: hexId<Identity>(32),
        address: text(limits.addressOctetsMax) as unknown as Codec<Address>,
        notify: notifiesCodec,
        originalRecipient: optional(text(limits.dsnTextOctetsMax)),
      }),
    ),
    limits.mailRecipientsMax,
  ),
})

const keyOf = ({ untilMs, message }: Pick<HeldMail, 'untilMs' | 'message'>): Uint8Array =>
  concat(encode(u64, untilMs), Buffer.from(message, 'hex'))

/** In the place of what is there. */
export function keepHeld(tx: WriteTx, held: HeldMail): void {
  tx.put(tables.heldMail, keyOf(held), encode(heldCodec, held))
}

export function removeHeld(tx: WriteTx, held: HeldMail): void {
  tx.remove(tables.heldMail, keyOf(held))
}

/** As it is now; `undefined` when it has left or was taken back. */
export function heldNow(tx: ReadTx, held: Pick<HeldMail, 'untilMs' | 'message'>): HeldMail | undefined {
  const value = tx.get(tables.heldMail, keyOf(held))
  return value === undefined ? undefined : decode(heldCodec, value)
}

/** When the first of all is to leave, Unix milliseconds. */
export function nextRelease(tx: ReadTx): number | undefined {
  for (const key of tx.keys(tables.heldMail, { limit: 1 })) return decode(u64, key.subarray(0, 8))
  return undefined
}

/** What is to leave by now, the first first. */
export function dueMail(tx: ReadTx, nowMs: number, limit: number): readonly Pick<HeldMail, 'untilMs' | 'message'>[] {
  return [...tx.keys(tables.heldMail, { to: encode(u64, Math.floor(nowMs) + 1), limit })].map((key) => ({
    untilMs: decode(u64, key.subarray(0, 8)),
    message: Buffer.from(key.subarray(8)).toString('hex') as MessageId,
  }))
}

export function* allHeld(tx: ReadTx): Generator<HeldMail> {
  for (const { value } of tx.range(tables.heldMail, {})) yield decode(heldCodec, value)
}

/** The recipients that still wait, each with its place among all. */
export const waitingOf = ({ recipients }: HeldMail): readonly { readonly at: number; readonly who: HeldRecipient }[] =>
  recipients.flatMap((who, at) => (who === undefined ? [] : [{ at, who }]))
