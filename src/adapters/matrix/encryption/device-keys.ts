/**
 * Keys that programs publish for each other (Client-Server API, "Key management API"): of each device its own, and keys
 * that are given away once. A gateway serves them among its own accounts; programs of contacts elsewhere have none here,
 * because what is said to them is encrypted by the gateways.
 */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'

const id = z.string().max(limits.matrixIdOctetsMax)
const object = z.record(z.string().max(limits.matrixIdOctetsMax), z.unknown())
export const uploadSchema = z.looseObject({
  device_keys: z.looseObject({ user_id: id, device_id: id, keys: object, signatures: object.optional() }).optional(),
  one_time_keys: object.optional(),
  fallback_keys: object.optional(),
})
export type Upload = z.infer<typeof uploadSchema>

export type Signatures = Readonly<Record<string, Readonly<Record<string, string>>>>

interface Fallback {
  readonly name: string
  readonly key: unknown
  readonly isUsed: boolean
}

const algorithmOf = (name: string): string => name.split(':')[0] ?? ''

/** @returns how many one-time keys there are now, by algorithm. @throws MatrixError */
export function upload(
  kept: Kept,
  tx: WriteTx,
  { account, device, user }: { readonly account: Identity; readonly device: string; readonly user: string },
  { device_keys: own, one_time_keys: once = {}, fallback_keys: fallback = {} }: Upload,
): Readonly<Record<string, number>> {
  if (own !== undefined) {
    if (own.user_id !== user || own.device_id !== device)
      throw new MatrixError('M_INVALID_PARAM', 'These are the keys of another device')
    kept.put(tx, account, 'deviceKeys', [device], own)
  }
  const count = kept.count(tx, account, 'oneTimeKeys', device)
  const added = Object.entries(once)
  if (count + added.length > limits.matrixOneTimeKeysMax)
    throw new MatrixError(
      'M_RESOURCE_LIMIT_EXCEEDED',
      `A device has ${limits.matrixOneTimeKeysMax} one-time keys at most`,
    )
  for (const [name, key] of added) {
    const known = kept.get(tx, account, 'oneTimeKeys', device, algorithmOf(name), name)?.value
    if (known !== undefined && JSON.stringify(known) !== JSON.stringify(key))
      throw new MatrixError('M_INVALID_PARAM', `There is another key called ${name} already`)
    kept.put(tx, account, 'oneTimeKeys', [device, algorithmOf(name), name], key)
  }
  for (const [name, key] of Object.entries(fallback))
    kept.put(tx, account, 'fallbackKeys', [device, algorithmOf(name)], { name, key, isUsed: false } satisfies Fallback)
  return counts(kept, tx, account, device)
}

/** By algorithm. */
export function counts(kept: Kept, tx: ReadTx, account: Identity, device: string): Readonly<Record<string, number>> {
  const found: Record<string, number> = { signed_curve25519: 0 }
  for (const { names } of kept.list(tx, account, 'oneTimeKeys', device)) {
    const algorithm = names[1]!
    found[algorithm] = (found[algorithm] ?? 0) + 1
  }
  return found
}

export const unusedFallbacks = (kept: Kept, tx: ReadTx, account: Identity, device: string): readonly string[] =>
  kept
    .list<Fallback>(tx, account, 'fallbackKeys', device)
    .flatMap(({ names, value }) => (value.isUsed ? [] : [names[1]!]))

/** One key for one asker: a one-time key goes with it, the fallback key stays. */
export function claim(kept: Kept, tx: WriteTx, account: Identity, device: string, algorithm: string): Json | undefined {
  const [first] = kept.list(tx, account, 'oneTimeKeys', device, algorithm)
  if (first !== undefined) {
    kept.remove(tx, account, 'oneTimeKeys', ...first.names)
    return { [first.names[2]!]: first.value }
  }
  const fallback = kept.get<Fallback>(tx, account, 'fallbackKeys', device, algorithm)?.value
  if (fallback === undefined) return undefined
  if (!fallback.isUsed) kept.put(tx, account, 'fallbackKeys', [device, algorithm], { ...fallback, isUsed: true })
  return { [fallback.name]: fallback.key }
}

/** All of a device that is gone. */
export function removeDevice(kept: Kept, tx: WriteTx, account: Identity, device: string): void {
  for (const kind of ['deviceKeys', 'oneTimeKeys', 'fallbackKeys'] as const) kept.removeAll(tx, account, kind, device)
}
