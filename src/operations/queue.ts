/** What waits to be delivered, and why. */
import type { Operations, QueueItem } from '../core/control.ts'
import type { CourierStatus } from '../core/delivery/courier.ts'
import type { Waiting } from '../core/delivery/delivery.ts'
import { MyceliumError } from '../core/errors.ts'
import { limits } from '../core/limits.ts'
import { accountOf, liveOf, type OperationParts } from './context.ts'

/** Why a message still waits, in words. */
function reasonOf({ courier, inFlight, atRelays, heldUntilMs }: Waiting): string {
  if (heldUntilMs !== undefined) return 'held until its time has come'
  if (atRelays !== undefined) {
    const where = atRelays.count === 1 ? 'a relay' : `${atRelays.count} relays`
    return `waits at ${where} for the recipient's gateway to be on; this gateway may be switched off meanwhile`
  }
  if (inFlight) return "sent; waiting for the recipient's gateway to confirm"
  if (courier === undefined || courier.state === 'idle' || courier.state === 'connected') return 'about to be sent'
  if (courier.state === 'trying') return "connecting to the recipient's gateway"
  return reasons[courier.lastError ?? ''] ?? "the recipient's gateway cannot be reached now"
}

const reasons: Readonly<Record<string, string>> = {
  unreachable: "the recipient's gateway cannot be reached now; it is tried again by itself",
  timeout: "the recipient's gateway did not answer in time; it is tried again by itself",
  'peer-misbehaved': "the recipient's gateway refused; the invitation may be used up or expired",
  'handshake-refused': "the recipient's gateway does not accept a new session yet; it is tried again by itself",
  'session-unknown': "the recipient's gateway does not know this session; a new one is being made",
}

const idOf = ({ seq, ref }: Waiting): string => `${ref.message.slice(0, 12)}-${seq.toString(36)}`

function viewItem(parts: OperationParts, waiting: Waiting): QueueItem {
  const { ref, courier } = waiting
  return {
    id: idOf(waiting),
    account: parts.knowledge.accounts.get(ref.account).localName,
    recipient: ref.address,
    queuedAtMs: ref.submittedAtMs,
    expiresAtMs: ref.expiresAtMs,
    bytes: waiting.bytes,
    attempts: attemptsOf(courier),
    reason: reasonOf(waiting),
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
    queueList: async ({ account }) =>
      waiting(account)
        .slice(0, limits.queueListMax)
        .map((one) => viewItem(parts, one)),
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
