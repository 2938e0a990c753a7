/** Keys by which a person vouches for their own devices and for others (Client-Server API, "Cross-signing"). */
import { z } from 'zod'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'
import { authSchema } from '../login/again.ts'
import { canonicalJson } from './canonical-json.ts'
import { checkSize } from './device-keys.ts'
import { isSignedBy } from './signed-json.ts'

const id = z.string().min(1).max(limits.matrixIdOctetsMax)
const signatures = z.record(id, z.record(id, z.string()))
const key = z.looseObject({
  user_id: id,
  usage: z.array(id).max(8),
  keys: z.record(id, z.string()),
  signatures: signatures.optional(),
})
export type CrossSigningKey = z.infer<typeof key>
export const crossSigningSchema = z.looseObject({
  master_key: key.optional(),
  self_signing_key: key.optional(),
  user_signing_key: key.optional(),
  auth: authSchema.optional(),
})
type CrossSigning = z.infer<typeof crossSigningSchema>

/** Names of members, and what each says that it is for. */
const usageIn = { master_key: 'master', self_signing_key: 'self_signing', user_signing_key: 'user_signing' } as const
export type Usage = keyof typeof usageIn
export const usages = Object.keys(usageIn) as readonly Usage[]

export const keyOf = (kept: Kept, tx: ReadTx, account: Identity, usage: Usage): CrossSigningKey | undefined =>
  kept.get<CrossSigningKey>(tx, account, 'crossSigning', usage)?.value

/** What is in a key of the form that `checked` has let in. */
export const publicKeyOf = ({ keys }: CrossSigningKey): string => Object.values(keys)[0]!

export interface Replacing {
  /** The password has to be said again (v1.11: unless these are the first, or those that stand already). */
  readonly needsPassword: boolean
  readonly isChanged: boolean
}

/** @param user id of the account. @throws MatrixError where these cannot be its keys */
export function checkCrossSigning(
  kept: Kept,
  tx: ReadTx,
  { account, user }: { readonly account: Identity; readonly user: string },
  body: CrossSigning,
): Replacing {
  const known = keyOf(kept, tx, account, 'master_key')
  const master = body.master_key ?? known
  if (master === undefined) throw new MatrixError('M_MISSING_PARAM', 'There is no master key yet: upload it too')
  for (const usage of usages) {
    const given = body[usage]
    if (given === undefined) continue
    checkForm(given, usage, user)
    if (usage !== 'master_key' && !isSignedBy(given, user, publicKeyOf(master)))
      throw new MatrixError('M_INVALID_SIGNATURE', `${usage} is not signed by the master key`)
  }
  const others = usages.filter((usage) => {
    const given = body[usage]
    return given !== undefined && canonicalJson(given.keys) !== canonicalJson(keyOf(kept, tx, account, usage)?.keys)
  })
  return { needsPassword: known !== undefined && others.length > 0, isChanged: others.length > 0 }
}

/** @throws MatrixError */
function checkForm(given: CrossSigningKey, usage: Usage, user: string): void {
  checkSize(given)
  if (given.user_id !== user) throw new MatrixError('M_INVALID_PARAM', 'This is the key of somebody else')
  if (!given.usage.includes(usageIn[usage]))
    throw new MatrixError('M_INVALID_PARAM', `${usage} has the usage ${usageIn[usage]}`)
  const [entry, ...more] = Object.entries(given.keys)
  if (entry === undefined || more.length > 0 || entry[0] !== `ed25519:${entry[1]}`)
    throw new MatrixError('M_INVALID_PARAM', `${usage} has one key, called by itself: ed25519:<key>`)
}

export function putCrossSigning(kept: Kept, tx: WriteTx, account: Identity, body: CrossSigning): void {
  const before = keyOf(kept, tx, account, 'master_key')
  const { master_key: master } = body
  if (master !== undefined && before !== undefined && publicKeyOf(master) !== publicKeyOf(before)) {
    // another identity: what the one before had signed says nothing for it
    kept.removeAll(tx, account, 'crossSigning')
    kept.removeAll(tx, account, 'signatures', account)
  }
  for (const usage of usages) if (body[usage] !== undefined) kept.put(tx, account, 'crossSigning', [usage], body[usage])
}
