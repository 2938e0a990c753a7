/** Gateways that carry paths of others, each in a process of its own. */
import type { GatewayAddress } from '../../src/core/delivery/ports.ts'
import type { CarrierRequest } from './carrier-process.ts'
import { type Child, startChild } from './child.ts'

export interface Carrier extends AsyncDisposable {
  readonly process: Child<CarrierRequest>
  readonly address: GatewayAddress
}

/** @param meet whom it is connected to */
export async function openCarrier(meet: readonly GatewayAddress[]): Promise<Carrier> {
  const process = await startChild<CarrierRequest>({ program: 'carrier-process.ts', args: ['carrier'] })
  const address = await process.ask<GatewayAddress>({ meet })
  return { process, address, [Symbol.asyncDispose]: async () => await process.kill() }
}
