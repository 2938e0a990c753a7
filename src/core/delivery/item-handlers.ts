/**
 * What arrives inside a session and is not a message: acknowledgements and refusals end references of the outbox, a
 * contact's bundle is learnt, steps of a confirmation go to whoever waits for them.
 */
import type { Identity, MessageId } from '../ids.ts'
import type { WriteTx } from '../store/store.ts'
import type { Chats } from './chats.ts'
import type { ItemHandlers } from './inbound.ts'
import type { Keyring } from './needs.ts'
import type { Outbox, QueuedRef } from './outbox.ts'
import type { GivenQueue } from './relay/queues.ts'
import type { Pair } from './session-book.ts'
import type { Settler } from './settle.ts'
import type { CallSignals } from './call-signals.ts'
import type { Profiles } from './profiles.ts'
import type { Signals } from './signals.ts'
import type { Switchboard } from './switchboard.ts'

interface HandlerParts {
  readonly outbox: Outbox
  readonly settler: Settler
  readonly switchboard: Switchboard
  readonly keyring: Keyring
  readonly chats: Pick<Chats, 'wanted' | 'absent'>
  readonly signals: Pick<Signals, 'received'>
  readonly callSignals: Pick<CallSignals, 'received'>
  readonly profiles: Pick<Profiles, 'received'>
  /** A step of an online confirmation arrived inside a contact's session. */
  readonly onConfirmation: (account: Identity, contact: Identity, step: Uint8Array) => void
  /** Where the pair's peer is to be left what it should find. */
  readonly onQueues: (tx: WriteTx, pair: Pair, queues: readonly GivenQueue[]) => void
  /** From another device of the account. */
  readonly onSync: (tx: WriteTx, pair: Pair, message: Uint8Array) => void
  /** The peer has answered for what it was sent. */
  readonly onHeard: (tx: WriteTx, pair: Pair) => void
}

export function itemHandlers(parts: HandlerParts): ItemHandlers {
  const { settler, switchboard, keyring } = parts
  return {
    received: (tx, pair, ids) => {
      const hasOneDevice = switchboard.devicesOf(pair.account, pair.peer).length === 1
      const end = (queued: QueuedRef): void => settler.acknowledged(tx, queued, pair.peerDevice)
      settleLate(
        tx,
        parts,
        pair,
        ids.filter((id) => !settle(tx, parts, pair, id, end, hasOneDevice)),
        end,
      )
      parts.onHeard(tx, pair)
    },
    refused: (tx, pair, id, reason) => {
      const end = (queued: QueuedRef): void => settler.refused(tx, queued, pair.peerDevice, reason)
      if (!settle(tx, parts, pair, id, end)) settleLate(tx, parts, pair, [id], end)
    },
    queues: (tx, pair, queues) => parts.onQueues(tx, pair, queues),
    bundle: (tx, pair, bundle) => {
      keyring.learn(tx, pair.account, bundle, pair.peer)
      // it says where the contact is: no more waiting
      tx.afterCommit(() => switchboard.courier(pair.account, pair.peer).nudge())
    },
    confirmation: (tx, pair, step) => {
      if (!switchboard.isAccepted(pair)) return
      const copy = Uint8Array.from(step)
      tx.afterCommit(() => parts.onConfirmation(pair.account, pair.peer, copy))
    },
    sync: (tx, pair, message) => parts.onSync(tx, pair, message),
    welcome: () => {},
    wanted: (tx, pair, ids) => parts.chats.wanted(tx, pair, ids),
    absent: (tx, pair, ids) => parts.chats.absent(tx, pair, ids),
    signals: (tx, pair, signals) => tx.afterCommit(() => parts.signals.received(pair, signals)),
    call: (tx, pair, signal) => {
      // the frame's memory is used again
      const copy = { ...signal, payload: Uint8Array.from(signal.payload) }
      tx.afterCommit(() => parts.callSignals.received(pair, copy))
    },
    profile: (tx, pair, said) => parts.profiles.received(tx, pair, said),
  }
}

function settle(
  tx: WriteTx,
  { outbox, switchboard }: HandlerParts,
  pair: Pair,
  id: MessageId,
  end: (queued: QueuedRef) => void,
  isTakenByAll = false,
): boolean {
  const channel = switchboard.channel(pair)
  const queued = channel.inFlightAs(id)
  if (queued === undefined) return false
  const { seq } = queued
  const ref =
    isTakenByAll && isOnlyCopy(queued) && outbox.has(tx, queued)
      ? queued.ref
      : outbox.get(tx, pair.account, pair.peer, seq)
  if (ref !== undefined) end({ seq, ref })
  tx.afterCommit(() => channel.settled(seq))
  return true
}

/** What lay at a relay may be answered long after this process has forgotten that it left it there. */
function settleLate(
  tx: WriteTx,
  { outbox, switchboard }: HandlerParts,
  pair: Pair,
  ids: readonly MessageId[],
  end: (queued: QueuedRef) => void,
): void {
  // over a link everything goes once more, and its answer with it: nothing need be looked for
  if (ids.length === 0 || switchboard.channel(pair).way === 'link') return
  for (const queued of outbox.find(tx, pair.account, pair.peer, new Set(ids))) {
    end(queued)
    tx.afterCommit(() => switchboard.channel(pair).settled(queued.seq))
  }
}

/**
 * One message, of whose end nobody hears: when the contact has one device, what other devices said before they were
 * revoked does not matter, so what is in memory serves as well as what is stored.
 */
const isOnlyCopy = ({ ref }: QueuedRef): boolean =>
  !ref.notify.includes('success') && ref.alone !== undefined && ref.ackedBy.length === 0 && ref.refusedBy.length === 0
