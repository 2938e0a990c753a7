/**
 * Signatures that people make after a key was published (Client-Server API, "Key and signature security"): on their own
 * devices and master key, which everybody sees, and on the master keys of others, which is their own affair. Each is
 * checked, so that nobody fills keys with what is none.
 */
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import type { Kept } from '../kept.ts'
import { keyOf, publicKeyOf, usages } from './cross-signing.ts'
import { isSignature, type Signatures, type Signed, signedText } from './signed-json.ts'

export interface Signer {
  readonly account: Identity
  readonly user: string
}

interface Target {
  readonly object: Signed
  /** The key of the signer that has a name, where it may sign this. */
  readonly keyNamed: (name: string) => string | undefined
}

const none = (text: string): MatrixError => new MatrixError('M_INVALID_SIGNATURE', text)

/** @param name device id, or the public key of a cross-signing key. @returns whether it is new @throws MatrixError */
export function addSignatures(
  kept: Kept,
  tx: WriteTx,
  by: Signer,
  { owner, name, given }: { readonly owner: Identity; readonly name: string; readonly given: Signed },
): boolean {
  const { object, keyNamed } = targetOf(kept, tx, by, owner, name)
  if (signedText(given) !== signedText(object)) throw none('The key that stands here is another: ask for it again')
  const made = Object.entries(given.signatures?.[by.user] ?? {}).filter(([key, signature]) => {
    const publicKey = keyNamed(key)
    if (publicKey === undefined) return false
    if (!isSignature(object, signature, publicKey)) throw none('This is no signature of that key')
    return true
  })
  const before = kept.get<Signatures>(tx, by.account, 'signatures', owner, name)?.value[by.user] ?? {}
  const isKnown = (key: string, signature: string): boolean =>
    before[key] === signature || object.signatures?.[by.user]?.[key] === signature
  const added = made.filter(([key, signature]) => !isKnown(key, signature))
  if (made.length === 0) throw none('Nothing here is signed by a key that may sign it')
  if (added.length === 0) return false
  // of keys that are gone the signatures go too
  const standing = Object.entries(before).filter(([key]) => keyNamed(key) !== undefined)
  const all: Signatures = { [by.user]: Object.fromEntries([...standing, ...added]) }
  kept.put(tx, by.account, 'signatures', [owner, name], all)
  return true
}

/** @throws MatrixError */
function targetOf(kept: Kept, tx: ReadTx, { account }: Signer, owner: Identity, name: string): Target {
  const isOwn = owner === account
  const signing = keyOf(kept, tx, account, isOwn ? 'self_signing_key' : 'user_signing_key')
  const bySigning = (key: string): string | undefined =>
    signing !== undefined && key === `ed25519:${publicKeyOf(signing)}` ? publicKeyOf(signing) : undefined
  const device = isOwn ? kept.get<Signed>(tx, account, 'deviceKeys', name)?.value : undefined
  if (device !== undefined) return { object: device, keyNamed: bySigning }
  const master = keyOf(kept, tx, owner, 'master_key')
  if (master === undefined || publicKeyOf(master) !== name)
    throw new MatrixError('M_NOT_FOUND', 'There is no such key to sign')
  return { object: master, keyNamed: isOwn ? (key) => deviceKeyNamed(kept, tx, account, key) : bySigning }
}

/** A person's devices vouch for their master key. */
function deviceKeyNamed(kept: Kept, tx: ReadTx, account: Identity, key: string): string | undefined {
  const device = /^ed25519:(.+)$/.exec(key)?.[1]
  const found = device && kept.get<{ readonly keys: Json }>(tx, account, 'deviceKeys', device)?.value.keys[key]
  return typeof found === 'string' ? found : undefined
}

/** With the signatures that somebody has made since. @param by of others only those that the asker made count */
export function withSignatures(
  kept: Kept,
  tx: ReadTx,
  { owner, name, by }: { readonly owner: Identity; readonly name: string; readonly by: readonly Identity[] },
  object: Signed,
): Signed {
  const made = by.flatMap((who) => {
    const found = kept.get<Signatures>(tx, who, 'signatures', owner, name)
    return found === undefined ? [] : [found.value]
  })
  if (made.length === 0) return object
  const all: Record<string, Readonly<Record<string, string>>> = { ...object.signatures }
  for (const signatures of made)
    for (const [user, of] of Object.entries(signatures)) all[user] = { ...all[user], ...of }
  return { ...object, signatures: all }
}

/** Cross-signing keys of a person, as somebody sees them who may also be that person. */
export function crossSigningSeen(
  kept: Kept,
  tx: ReadTx,
  owner: Identity,
  asker: Identity,
): ReadonlyMap<(typeof usages)[number], Signed> {
  const by = [...new Set([owner, asker])]
  return new Map(
    usages.flatMap((usage) => {
      const key = keyOf(kept, tx, owner, usage)
      // whom somebody trusts is their own affair
      if (key === undefined || (usage === 'user_signing_key' && owner !== asker)) return []
      return [[usage, withSignatures(kept, tx, { owner, name: publicKeyOf(key), by }, key)] as const]
    }),
  )
}
