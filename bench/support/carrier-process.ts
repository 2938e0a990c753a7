/** A gateway that carries paths of others, in a process that can be killed and frozen. */
import type { GatewayAddress } from '../../src/core/delivery/ports.ts'
import { openPeer, within } from '../../test/overlay/support.ts'
import { serveParent } from './child.ts'

/** Where it is, after it has connected to `meet`. */
export interface CarrierRequest {
  readonly meet: readonly GatewayAddress[]
}

const carrier = await openPeer({ config: { relay: true } })

serveParent(async ({ meet }: CarrierRequest): Promise<GatewayAddress> => {
  for (const other of meet) await carrier.overlay.link(other, within(20_000))
  return carrier.address
})
