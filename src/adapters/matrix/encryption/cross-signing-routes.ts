/** Cross-signing keys and signatures over HTTP. */
import { z } from 'zod'
import { limits } from '../../../core/limits.ts'
import type { Store } from '../../../core/store/store.ts'
import type { Api, Asked, Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Again } from '../login/again.ts'
import { checkCrossSigning, crossSigningSchema, putCrossSigning } from './cross-signing.ts'
import type { Encryption, EncryptionParts } from './encryption.ts'
import { addSignatures } from './signatures.ts'

export interface CrossSigningParts extends EncryptionParts {
  readonly store: Store
  readonly encryption: Encryption
  readonly again: Again
}

const id = z.string().max(limits.matrixIdOctetsMax)
const signedObject = z.looseObject({ signatures: z.record(id, z.record(id, z.string())).optional() })
const signaturesSchema = z.record(id, z.record(id, signedObject))
type Uploaded = z.infer<typeof signaturesSchema>

export function crossSigningRoutes(api: Api, parts: CrossSigningParts): void {
  api.withBody(
    'POST',
    '/keys/device_signing/upload',
    crossSigningSchema,
    async (asked, body) => await replace(parts, asked, body),
  )
  api.withBody(
    'POST',
    '/keys/signatures/upload',
    signaturesSchema,
    async (asked, body) => await sign(parts, asked, body),
  )
}

async function replace(
  { store, kept, names, encryption, again }: CrossSigningParts,
  { caller, request }: Asked,
  { auth, ...body }: z.infer<typeof crossSigningSchema>,
): Promise<Json> {
  const { account } = caller
  const owner = { account, user: names.own(account) }
  let mayReplace = false
  for (;;) {
    const { needsPassword } = store.read((tx) => checkCrossSigning(kept, tx, owner, body))
    if (needsPassword && !mayReplace) {
      await again.check(caller, { what: `replace cross-signing keys ${JSON.stringify(body)}`, request }, auth)
      mayReplace = true
    }
    const isDone = await store.write((tx) => {
      const now = checkCrossSigning(kept, tx, owner, body)
      // another device was first
      if (now.needsPassword && !mayReplace) return false
      putCrossSigning(kept, tx, account, body)
      if (now.isChanged) encryption.changed(tx, account)
      return true
    })
    if (isDone) return {}
  }
}

async function sign(
  { store, kept, names, services, encryption }: CrossSigningParts,
  { caller }: Asked,
  body: Uploaded,
): Promise<Json> {
  const { account } = caller
  const by = { account, user: names.own(account) }
  const failures = await store.write((tx) => {
    const refused: Record<string, Record<string, Json>> = {}
    for (const [user, objects] of Object.entries(body)) {
      const owner = names.identity(account, user)
      let isNew = false
      for (const [name, given] of Object.entries(objects))
        try {
          if (owner === undefined || !services.accounts.has(owner))
            throw new MatrixError('M_NOT_FOUND', 'Nobody here has this key')
          if (addSignatures(kept, tx, by, { owner, name, given })) isNew = true
        } catch (error) {
          if (!(error instanceof MatrixError)) throw error
          refused[user] = { ...refused[user], [name]: error.body }
        }
      if (isNew && owner === account) encryption.changed(tx, account)
      else if (isNew && owner !== undefined) encryption.vouched(tx, account, owner)
    }
    return refused
  })
  return { failures }
}
