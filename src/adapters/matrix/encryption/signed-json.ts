/** Signatures of JSON objects (Appendices, "Signing JSON"): by Ed25519 keys, over the object without them. */
import { fromUtf8 } from '../../../core/bytes.ts'
import { verifyRaw } from '../../../core/crypto/sign.ts'
import { canonicalJson } from './canonical-json.ts'

export type Signatures = Readonly<Record<string, Readonly<Record<string, string>>>>
export type Signed = Readonly<Record<string, unknown>> & { readonly signatures?: Signatures | undefined }

/** What is signed of an object. */
export function signedText({ signatures: _signatures, unsigned: _unsigned, ...object }: Signed): string {
  return canonicalJson(object)
}

/** @param publicKey unpadded Base64, by which the signature is also called */
export const isSignedBy = (object: Signed, user: string, publicKey: string): boolean =>
  isSignature(object, object.signatures?.[user]?.[`ed25519:${publicKey}`], publicKey)

export function isSignature(object: Signed, signature: string | undefined, publicKey: string): boolean {
  const [key, made] = [bytesOf(publicKey), bytesOf(signature ?? '')]
  return key !== undefined && made !== undefined && verifyRaw(key, fromUtf8(signedText(object)), made)
}

const bytesOf = (base64: string): Uint8Array | undefined =>
  /^[\w+/-]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : undefined
