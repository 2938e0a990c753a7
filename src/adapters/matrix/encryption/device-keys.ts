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
import { canonicalJson } from './canonical-json.ts'

const id = z.string().min(1).max(limits.matrixIdOctetsMax)
const object = z.record(z.string().max(limits.matrixIdOctetsMax), z.unknown())
/** `algorithm:name`; algorithms as in the Appendices, "Common Namespaced Identifier Grammar". */
const keyName = z
  .string()
  .max(limits.matrixIdOctetsMax)
  .regex(/^[a-z][\w.-]*:./)
const keysByName = z.record(keyName, z.union([z.string(), object]))
export const uploadSchema = z.looseObject({
  device_keys: z.looseObject({ user_id: id, device_id: id, keys: object, signatures: object.optional() }).optional(),
  one_time_keys: keysByName.optional(),
  fallback_keys: keysByName.optional(),
})
export type Upload = z.infer<typeof uploadSchema>

export interface Device {
  readonly account: Identity
  readonly device: string
}

/** What a device has to give away, in one row: asked for with every sync. */
interface Supply {
  /** Names of one-time keys by algorithm, first come first (v1.14: they are given in the order of upload). */
  readonly once: readonly (readonly [algorithm: string, names: readonly string[]])[]
  /** Given away last. */
  readonly given: readonly string[]
  readonly fallbacks: readonly { readonly algorithm: string; readonly name: string; readonly isUsed: boolean }[]
}
const nothing: Supply = { once: [], given: [], fallbacks: [] }

const algorithmOf = (name: string): string => name.slice(0, name.indexOf(':'))

export interface Uploaded {
  /** How many one-time keys there are now, by algorithm. */
  readonly counts: Readonly<Record<string, number>>
  /** The device itself looks different. */
  readonly isChanged: boolean
}

/** @throws MatrixError */
export function upload(
  kept: Kept,
  tx: WriteTx,
  { user, ...of }: Device & { readonly user: string },
  { device_keys: own, one_time_keys: once = {}, fallback_keys: fallback = {} }: Upload,
): Uploaded {
  for (const key of [own, ...Object.values(once), ...Object.values(fallback)]) checkSize(key)
  const isChanged = own !== undefined && putDevice(kept, tx, { user, ...of }, own)
  putOnce(kept, tx, of, once)
  putFallbacks(kept, tx, of, fallback)
  return { counts: counts(kept, tx, of), isChanged }
}

/** @throws MatrixError `M_TOO_LARGE` */
export function checkSize(key: unknown): void {
  if (key !== undefined && Buffer.byteLength(JSON.stringify(key)) > limits.matrixKeyBytesMax)
    throw new MatrixError('M_TOO_LARGE', `A key has ${limits.matrixKeyBytesMax} octets at most`)
}

/** @returns whether it is another than before */
function putDevice(
  kept: Kept,
  tx: WriteTx,
  { account, device, user }: Device & { readonly user: string },
  own: NonNullable<Upload['device_keys']>,
): boolean {
  if (own.user_id !== user || own.device_id !== device)
    throw new MatrixError('M_INVALID_PARAM', 'These are the keys of another device')
  const before = kept.get<Upload['device_keys']>(tx, account, 'deviceKeys', device)?.value
  if (before !== undefined && canonicalJson(before) === canonicalJson(own)) return false
  // what was signed with the keys before is worth nothing with these
  if (before !== undefined && canonicalJson(before.keys) !== canonicalJson(own.keys))
    removeDevice(kept, tx, account, device)
  kept.put(tx, account, 'deviceKeys', [device], own)
  return true
}

function putOnce(kept: Kept, tx: WriteTx, of: Device, keys: Readonly<Record<string, unknown>>): void {
  if (Object.keys(keys).length === 0) return
  const supply = supplyOf(kept, tx, of)
  const once = new Map(supply.once)
  for (const [name, key] of Object.entries(keys)) {
    // an upload whose answer was not heard comes again: what has been given away since stays so
    if (supply.given.includes(name)) continue
    const known = kept.get(tx, of.account, 'oneTimeKeys', of.device, name)?.value
    if (known !== undefined && canonicalJson(known) !== canonicalJson(key))
      throw new MatrixError('M_INVALID_PARAM', `There is another key called ${name} already`)
    if (known !== undefined) continue
    kept.put(tx, of.account, 'oneTimeKeys', [of.device, name], key, { max: Infinity })
    once.set(algorithmOf(name), [...(once.get(algorithmOf(name)) ?? []), name])
  }
  if ([...once.values()].flat().length > limits.matrixOneTimeKeysMax)
    throw new MatrixError(
      'M_RESOURCE_LIMIT_EXCEEDED',
      `A device has ${limits.matrixOneTimeKeysMax} one-time keys at most: upload more when some are claimed`,
    )
  putSupply(kept, tx, of, { ...supply, once: [...once] })
}

function putFallbacks(kept: Kept, tx: WriteTx, of: Device, keys: Readonly<Record<string, unknown>>): void {
  if (Object.keys(keys).length === 0) return
  const supply = supplyOf(kept, tx, of)
  const fallbacks = new Map(supply.fallbacks.map((one) => [one.algorithm, one]))
  for (const [name, key] of Object.entries(keys)) {
    const algorithm = algorithmOf(name)
    const known = kept.get(tx, of.account, 'fallbackKeys', of.device, algorithm)?.value
    const isSame = fallbacks.get(algorithm)?.name === name && canonicalJson(known) === canonicalJson(key)
    if (isSame) continue
    kept.put(tx, of.account, 'fallbackKeys', [of.device, algorithm], key, { max: Infinity })
    fallbacks.set(algorithm, { algorithm, name, isUsed: false })
  }
  if (fallbacks.size > limits.matrixFallbackKeysMax)
    throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', 'So many algorithms have no fallback keys of one device')
  putSupply(kept, tx, of, { ...supply, fallbacks: [...fallbacks.values()] })
}

/** By algorithm. That which everybody uses is named also when there is none: programs take silence for nothing new. */
export function counts(kept: Kept, tx: ReadTx, of: Device): Readonly<Record<string, number>> {
  const known = supplyOf(kept, tx, of).once.map(([algorithm, names]) => [algorithm, names.length] as const)
  return { signed_curve25519: 0, ...Object.fromEntries(known) }
}

export const unusedFallbacks = (kept: Kept, tx: ReadTx, of: Device): readonly string[] =>
  supplyOf(kept, tx, of).fallbacks.flatMap(({ algorithm, isUsed }) => (isUsed ? [] : [algorithm]))

/** One key for one asker: a one-time key goes with it, the fallback key stays. */
export function claim(kept: Kept, tx: WriteTx, of: Device, algorithm: string): Json | undefined {
  const { account, device } = of
  const supply = supplyOf(kept, tx, of)
  const [first, ...rest] = new Map(supply.once).get(algorithm) ?? []
  if (first !== undefined) {
    const { value } = kept.get(tx, account, 'oneTimeKeys', device, first)!
    kept.remove(tx, account, 'oneTimeKeys', device, first)
    const given = [first, ...supply.given].slice(0, limits.matrixKeysGivenKnownMax)
    putSupply(kept, tx, of, { ...supply, given, once: [...new Map(supply.once).set(algorithm, rest)] })
    return { [first]: value }
  }
  const fallback = supply.fallbacks.find((one) => one.algorithm === algorithm)
  if (fallback === undefined) return undefined
  if (!fallback.isUsed) {
    const fallbacks = supply.fallbacks.map((one) => (one === fallback ? { ...one, isUsed: true } : one))
    putSupply(kept, tx, of, { ...supply, fallbacks })
  }
  return { [fallback.name]: kept.get(tx, account, 'fallbackKeys', device, algorithm)!.value }
}

/** All of a device that is gone. @returns whether it had keys */
export function removeDevice(kept: Kept, tx: WriteTx, account: Identity, device: string): boolean {
  const had = kept.removeAll(tx, account, 'deviceKeys', device) > 0
  for (const kind of ['oneTimeKeys', 'fallbackKeys', 'keySupply'] as const) kept.removeAll(tx, account, kind, device)
  kept.removeAll(tx, account, 'signatures', account, device)
  return had
}

const supplyOf = (kept: Kept, tx: ReadTx, { account, device }: Device): Supply =>
  kept.get<Supply>(tx, account, 'keySupply', device)?.value ?? nothing

const putSupply = (kept: Kept, tx: WriteTx, { account, device }: Device, supply: Supply): void =>
  kept.put(tx, account, 'keySupply', [device], supply)
