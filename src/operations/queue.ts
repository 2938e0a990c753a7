/** What waits to be delivered, and why. */
import type { Operations } from '../core/control.ts'
import type { QueueItem, ReachView } from '../core/control-views.ts'
import type { CourierStatus } from '../core/delivery/courier.ts'
import type { Waiting } from '../core/delivery/waiting-list.ts'
import { MyceliumError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { accountOf, liveOf, type OperationParts } from './context.ts'
import { reachOf } from './reach.ts'

/** Why a message still waits, in words, and what to do where it does not get on by itself. */
function waitsFor(
  parts: OperationParts,
  { courier, inFlight, ref, atRelays, heldUntilMs }: Waiting,
  reaches: Map<string, ReachView | undefined>,
): { readonly reason: string; readonly remedy: string | undefined } {
  const fine = (reason: string) => ({ reason, remedy: undefined })
  if (heldUntilMs !== undefined) return fine('held until its time has come')
  if (inFlight && atRelays === undefined) return fine("sent; waiting for the recipient's gateway to confirm")
  const contact = parts.knowledge.contacts.byIdentity(ref.account, ref.recipient)
  if (contact === undefined) return { reason: 'the contact was removed', remedy: 'queue cancel ends it' }
  if (contact.blocked) return { reason: 'you blocked the contact', remedy: 'contact unblock, or queue cancel' }
  if (contact.keyChanged)
    return { reason: "the contact's key changed", remedy: 'compare digits: contact verify; nothing is sent before' }
  if (atRelays !== undefined) {
    const where = atRelays.count === 1 ? 'a relay' : `${atRelays.count} relays`
    return fine(`waits at ${where} for the recipient's gateway to be on; this one may be switched off meanwhile`)
  }
  if (courier === undefined || courier.state === 'idle' || courier.state === 'connected')
    return fine('about to be sent')
  if (courier.lastError === undefined) return fine("connecting to the recipient's gateway")
  const name = ref.account + ref.recipient
  if (!reaches.has(name)) reaches.set(name, reachOf(parts, ref.account, contact))
  const reach = reaches.get(name)
  return { reason: reach?.problem ?? 'it is tried again by itself', remedy: reach?.remedy }
}

const idOf = ({ seq, ref }: Waiting): string => `${ref.message.slice(0, 12)}-${seq.toString(36)}`

function viewItem(
  parts: OperationParts,
  waiting: Waiting,
  reaches = new Map<string, ReachView | undefined>(),
): QueueItem {
  const { ref, courier } = waiting
  return {
    id: idOf(waiting),
    account: parts.knowledge.accounts.get(ref.account).localName,
    recipient: ref.address,
    queuedAtMs: ref.submittedAtMs,
    expiresAtMs: ref.expiresAtMs,
    bytes: waiting.bytes,
    attempts: attemptsOf(courier),
    ...waitsFor(parts, waiting, reaches),
    nextAttemptMs: waiting.heldUntilMs ?? courier?.nextAttemptAtMs,
    heldUntilMs: waiting.heldUntilMs,
  }
}
const attemptsOf = (courier: CourierStatus | undefined): number => courier?.attempts ?? 0

type QueueOperations = Pick<Operations, 'queueList' | 'queueShow' | 'queueRetry' | 'queueCancel'>

export function queueOperations(parts: OperationParts): QueueOperations {
  const waiting = (account: string | undefined): readonly Waiting[] => {
    const { delivery } = liveOf(parts).node
    return delivery.waiting(account === undefined ? undefined : accountOf(parts, account).identity)
  }
  const find = (account: string | undefined, id: string): Waiting => {
    const found = waiting(account).filter((one) => idOf(one).startsWith(id))
    if (found.length > 1) throw new MyceliumError('ambiguous', { matches: found.length })
    if (found[0] === undefined) throw new MyceliumError('no-such-queue-item')
    return found[0]
  }
  return {
    async queueList({ account }) {
      const reaches = new Map<string, ReachView | undefined>()
      return waiting(account)
        .slice(0, limits.queueListMax)
        .map((one) => viewItem(parts, one, reaches))
    },
    async queueShow({ account, id }) {
      const found = find(account, id)
      const { ref } = found
      const devices = parts.knowledge.people.contact(ref.account, ref.recipient)?.devices ?? []
      return {
        ...viewItem(parts, found),
        messageId: ref.message,
        devices: devices.map(({ device }) => ({
          device: device.slice(0, 8),
          state: ref.ackedBy.includes(device) ? 'delivered' : ref.refusedBy.includes(device) ? 'refused' : 'waiting',
        })),
      }
    },
    async queueRetry({ account, id }) {
      const chosen = id === undefined ? waiting(account) : [find(account, id)]
      const { delivery } = liveOf(parts).node
      for (const { ref } of chosen) delivery.retry(ref.account, ref.recipient)
      return { retried: chosen.length }
    },
    async queueCancel({ account, id }) {
      const found = find(account, id)
      if (!(await liveOf(parts).node.delivery.cancel(found))) throw new MyceliumError('no-such-queue-item')
      return { cancelled: idOf(found) }
    },
  }
}
