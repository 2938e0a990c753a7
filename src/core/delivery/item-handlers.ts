/**
 * What arrives inside a session and is not a message: acknowledgements and refusals end references of the outbox, a
 * contact's bundle is learnt, steps of a confirmation go to whoever waits for them.
 */
import type { Identity, MessageId } from '../ids.ts'
import type { WriteTx } from '../store/store.ts'
import type { ItemHandlers } from './inbound.ts'
import type { Keyring } from './needs.ts'
import type { Outbox, QueuedRef } from './outbox.ts'
import type { Pair } from './session-book.ts'
import type { Settler } from './settle.ts'
import type { Switchboard } from './switchboard.ts'

interface HandlerParts {
  readonly outbox: Outbox
  readonly settler: Settler
  readonly switchboard: Switchboard
  readonly keyring: Keyring
  /** A step of an online confirmation arrived inside a contact's session. */
  readonly onConfirmation: (account: Identity, contact: Identity, step: Uint8Array) => void
}

export function itemHandlers(parts: HandlerParts): ItemHandlers {
  const { settler, switchboard, keyring } = parts
  return {
    received: (tx, pair, ids) => {
      const hasOneDevice = switchboard.devicesOf(pair.account, pair.peer).length === 1
      for (const id of ids)
        settle(tx, parts, pair, id, (queued) => settler.acknowledged(tx, queued, pair.peerDevice), hasOneDevice)
    },
    refused: (tx, pair, id, reason) =>
      settle(tx, parts, pair, id, (queued) => settler.refused(tx, queued, pair.peerDevice, reason)),
    bundle: (tx, pair, bundle) => {
      keyring.learn(tx, pair.account, bundle, pair.peer)
      tx.afterCommit(() => switchboard.courier(pair.account, pair.peer).start())
    },
    confirmation: (tx, pair, step) => {
      if (!switchboard.isAccepted(pair)) return
      const copy = Uint8Array.from(step)
      tx.afterCommit(() => parts.onConfirmation(pair.account, pair.peer, copy))
    },
    welcome: () => {},
  }
}

function settle(
  tx: WriteTx,
  { outbox, switchboard }: HandlerParts,
  pair: Pair,
  id: MessageId,
  end: (queued: QueuedRef) => void,
  isTakenByAll = false,
): void {
  const channel = switchboard.channel(pair)
  const queued = channel.inFlightAs(id)
  if (queued === undefined) return
  const { seq } = queued
  const ref =
    isTakenByAll && isOnlyCopy(queued) && outbox.has(tx, queued)
      ? queued.ref
      : outbox.get(tx, pair.account, pair.peer, seq)
  if (ref !== undefined) end({ seq, ref })
  tx.afterCommit(() => channel.settled(seq))
}

/**
 * One message, of whose end nobody hears: when the contact has one device, what other devices said before they were
 * revoked does not matter, so what is in memory serves as well as what is stored.
 */
const isOnlyCopy = ({ ref }: QueuedRef): boolean =>
  !ref.notify.includes('success') && ref.alone !== undefined && ref.ackedBy.length === 0 && ref.refusedBy.length === 0
