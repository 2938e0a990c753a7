/** What waits to be acknowledged or to leave, as a person sees it and takes it back. */
import type { Identity } from '../ids.ts'
import { sizeOfContent } from '../message/content.ts'
import { decodeMessage } from '../message/message.ts'
import type { Store, WriteTx } from '../store/store.ts'
import type { BlobSource } from './blob-source.ts'
import type { CourierStatus } from './courier.ts'
import { allHeld, type HeldMail, heldNow, keepHeld, removeHeld, waitingOf } from './held.ts'
import type { Outbox, OutgoingMessage, QueuedRef } from './outbox.ts'
import type { RelayDesk } from './relay/desk.ts'
import type { Settler } from './settle.ts'
import type { Switchboard } from './switchboard.ts'

export interface Waiting {
  readonly seq: number
  readonly ref: QueuedRef['ref']
  /** Octets of the mail; 0 when they cannot be told. */
  readonly bytes: number
  readonly courier: CourierStatus | undefined
  readonly inFlight: boolean
  /** Relays where it waits for the recipient, and since when, Unix milliseconds. */
  readonly atRelays: { readonly count: number; readonly sinceMs: number } | undefined
  /** It is not to leave before, Unix milliseconds. */
  readonly heldUntilMs: number | undefined
}

interface WaitingParts {
  readonly store: Store
  readonly outbox: Outbox
  readonly switchboard: Switchboard
  readonly settler: Settler
  readonly blobSource: BlobSource
  readonly relays: () => RelayDesk | undefined
}

export class WaitingList {
  readonly #parts: WaitingParts

  constructor(parts: WaitingParts) {
    this.#parts = parts
  }

  list(account?: Identity): readonly Waiting[] {
    const { store, outbox, switchboard } = this.#parts
    const isWanted = (mail: { readonly account: Identity }): boolean =>
      account === undefined || mail.account === account
    return store.read((tx) => [
      ...[...outbox.all(tx)]
        .filter(({ ref }) => isWanted(ref))
        .map(({ seq, ref }) => ({
          seq,
          ref,
          bytes: sizeOf(outbox.message(tx, ref)),
          courier: switchboard.courierOf(ref.account, ref.recipient),
          inFlight: switchboard.isInFlight(ref),
          atRelays: this.atRelays(seq, ref),
          heldUntilMs: undefined,
        })),
      ...[...allHeld(tx)].filter(isWanted).flatMap(waitingHeld),
    ])
  }

  /** Reads no message. */
  count(): number {
    return this.#parts.store.read((tx) => {
      let held = 0
      for (const mail of allHeld(tx)) held += waitingOf(mail).length
      return this.#parts.outbox.count(tx) + held
    })
  }

  /** Of the device for which most relays hold it. */
  atRelays(seq: number, { account, recipient }: QueuedRef['ref']): Waiting['atRelays'] {
    const { switchboard, relays } = this.#parts
    const deposits = switchboard
      .devicesOf(account, recipient)
      .flatMap((device) => relays()?.depositsOf(switchboard.pairOf(account, recipient, device)) ?? [])
      .filter(({ to }) => seq <= to)
      .sort((a, b) => b.relays - a.relays)
    return deposits[0] === undefined ? undefined : { count: deposits[0].relays, sinceMs: deposits[0].sinceMs }
  }

  /** @returns false when it is gone already */
  async cancel({ seq, ref: known, heldUntilMs }: Pick<Waiting, 'seq' | 'ref' | 'heldUntilMs'>): Promise<boolean> {
    const { store, outbox, settler } = this.#parts
    return await store.write((tx) => {
      if (heldUntilMs !== undefined) return this.#cancelHeld(tx, { untilMs: heldUntilMs, message: known.message }, seq)
      const ref = outbox.get(tx, known.account, known.recipient, seq)
      if (ref !== undefined) settler.cancelled(tx, { seq, ref })
      return ref !== undefined
    })
  }

  #cancelHeld(tx: WriteTx, key: Pick<HeldMail, 'untilMs' | 'message'>, at: number): boolean {
    const held = heldNow(tx, key)
    if (held?.recipients[at] === undefined) return false
    const left = { ...held, recipients: held.recipients.with(at, undefined) }
    if (waitingOf(left).length > 0) keepHeld(tx, left)
    else {
      removeHeld(tx, held)
      if (held.outgoing.root !== undefined) this.#parts.blobSource.release(tx, held.outgoing.root)
    }
    return true
  }
}

/** As a person sees it: one entry for each recipient. */
function waitingHeld(held: HeldMail): readonly Waiting[] {
  const { account, message, untilMs, submittedAtMs, outgoing } = held
  const { expiresAtMs } = decodeMessage(outgoing.encoded)
  const times = { submittedAtMs, submittedRunMs: 0, expiresAtMs }
  const untried = { ackedBy: [], refusedBy: [], delayReported: false, alone: undefined }
  return waitingOf(held).map(({ at, who }) => ({
    seq: at,
    ref: { account, message, ...who, ...times, ...untried },
    bytes: sizeOf(outgoing),
    courier: undefined,
    inFlight: false,
    atRelays: undefined,
    heldUntilMs: untilMs,
  }))
}

function sizeOf(outgoing: OutgoingMessage | undefined): number {
  const part = outgoing && decodeMessage(outgoing.encoded).parts[0]
  if (part?.kind !== 'mail') return outgoing?.encoded.length ?? 0
  return sizeOfContent(part.content)
}
