/** Keys by which a person vouches for their own devices and for others (Client-Server API, "Cross-signing"), and signatures made with them. */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import { authSchema } from '../login/again.ts'
import type { Kept } from '../kept.ts'
import type { Signatures } from './device-keys.ts'

const id = z.string().max(limits.matrixIdOctetsMax)
const key = z.looseObject({ user_id: id, usage: z.array(id).max(8), keys: z.record(id, z.string()) })
export const crossSigningSchema = z.looseObject({
  master_key: key.optional(),
  self_signing_key: key.optional(),
  user_signing_key: key.optional(),
  auth: authSchema.optional(),
})
export const usages = ['master_key', 'self_signing_key', 'user_signing_key'] as const
export type Usage = (typeof usages)[number]

export const keyOf = (kept: Kept, tx: ReadTx, account: Identity, usage: Usage): Json | undefined =>
  kept.get<Json>(tx, account, 'crossSigning', usage)?.value

/** With the signatures that somebody has made since. @param by of others only those that the asker made count */
export function signed(
  kept: Kept,
  tx: ReadTx,
  { owner, name, by }: { readonly owner: Identity; readonly name: string; readonly by: readonly Identity[] },
  object: Json,
): Json {
  const made = by.flatMap((who) => kept.list<Signatures>(tx, who, 'signatures', owner, name).map(({ value }) => value))
  if (made.length === 0) return object
  const all: Record<string, Readonly<Record<string, string>>> = { ...(object['signatures'] as Signatures | undefined) }
  for (const signatures of made)
    for (const [user, of] of Object.entries(signatures)) all[user] = { ...all[user], ...of }
  return { ...object, signatures: all }
}

/** @param name device id, or the public key of a cross-signing key */
export function putSignatures(
  kept: Kept,
  tx: WriteTx,
  by: Identity,
  { owner, name, signatures }: { readonly owner: Identity; readonly name: string; readonly signatures: Signatures },
): void {
  const before = kept.get<Signatures>(tx, by, 'signatures', owner, name)?.value ?? {}
  const all = { ...before }
  for (const [user, of] of Object.entries(signatures)) all[user] = { ...all[user], ...of }
  kept.put(tx, by, 'signatures', [owner, name], all)
}
