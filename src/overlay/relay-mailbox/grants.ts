/** What the owner of a relay does with it: hands out capabilities, and looks at what is held. */
import type { Random } from '../../core/ambient.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Store } from '../../core/store/store.ts'
import { tables } from '../../core/store/tables.ts'
import { capabilityBytes } from './messages.ts'
import { grantKeyOf } from './owners.ts'
import { decodeGrant, putGrant, readTotals, type Totals } from './rows.ts'

/** A capability good for one owner. @throws `too-large` when as many wait to be used already */
export async function makeGrant(
  store: Store,
  random: Random,
  { nowMs, expiresMs }: { readonly nowMs: number; readonly expiresMs: number },
): Promise<{ readonly capability: Uint8Array; readonly expiresAtMs: number }> {
  const capability = Uint8Array.from(random.bytes(capabilityBytes))
  const expiresAtMs = nowMs + expiresMs
  await store.write((tx) => {
    const unused = Array.from(tx.range(tables.relayGrants, {})).filter(({ value }) => {
      const grant = decodeGrant(value)
      return grant.owner === undefined && nowMs < grant.expiresAtMs
    })
    if (unused.length >= limits.relayGrantsMax)
      throw new MyceliumError('too-large', { count: unused.length, countMax: limits.relayGrantsMax })
    putGrant(tx, grantKeyOf(tx, capability), { expiresAtMs, owner: undefined })
  })
  return { capability, expiresAtMs }
}

export const heldByRelay = (store: Store): Totals => store.read(readTotals)
