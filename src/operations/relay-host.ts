/** What this gateway holds for others, and who may have it hold something. */
import { toHex } from '../core/bytes.ts'
import type { Operations } from '../core/control.ts'
import { heldByRelay, makeGrant } from '../overlay/relay-mailbox/grants.ts'
import type { OperationParts } from './context.ts'

export function relayHostOperations({
  knowledge: { store },
  ambient: { clock, random },
  live,
}: OperationParts): Pick<Operations, 'relayStatus' | 'relayGrant'> {
  return {
    async relayStatus() {
      const { owners, queues, entries, bytes } = heldByRelay(store)
      const bytesMax = live?.relayBytesMax
      return { on: live === undefined ? undefined : bytesMax !== undefined, owners, queues, entries, bytes, bytesMax }
    },
    async relayGrant({ expiresMs }) {
      const { capability, expiresAtMs } = await makeGrant(store, random, { nowMs: clock.nowMs(), expiresMs })
      return { capability: toHex(capability), expiresAtMs }
    },
  }
}
