/**
 * mxc URIs. An upload's id is random; that of a message's file is the message's with a keyed hash over account and message:
 * always the same, and nobody can guess it. Programs of before v1.11 of the specification ask without a token, so whoever
 * has the URI gets the file; it is told only to programs that have logged in.
 */
import { equalConstantTime, fromUtf8, toBase64Url, toHex, fromBase64Url } from '../../../core/bytes.ts'
import type { Random } from '../../../core/ambient.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'

export type MediaId =
  | { readonly kind: 'upload'; readonly id: string }
  | { readonly kind: 'message'; readonly message: MessageId; readonly tag: Uint8Array }

const randomBytes = 18

export const newUploadId = (random: Random): string => `u${toBase64Url(random.bytes(randomBytes))}`

export const messageMediaId = (tx: ReadTx, account: Identity, message: MessageId): string =>
  `m${toBase64Url(Buffer.concat([Buffer.from(message, 'hex'), tagOf(tx, account, message)]))}`

export function readMediaId(text: string): MediaId | undefined {
  if (/^u[\w-]{24}$/.test(text)) return { kind: 'upload', id: text }
  // 32 octets of a message id and 16 of the hash
  const bytes = /^m[\w-]{64}$/.test(text) ? fromBase64Url(text.slice(1)) : undefined
  if (bytes?.length !== 48) return undefined
  return { kind: 'message', message: toHex(bytes.subarray(0, 32)) as MessageId, tag: bytes.subarray(32) }
}

export const isTagOf = (
  tx: ReadTx,
  account: Identity,
  { message, tag }: Extract<MediaId, { readonly kind: 'message' }>,
): boolean => equalConstantTime(tagOf(tx, account, message), tag)

const tagOf = (tx: ReadTx, account: Identity, message: MessageId): Uint8Array =>
  tx.opaque(fromUtf8('matrix-file'), Buffer.from(account, 'hex'), Buffer.from(message, 'hex'))

/** `mxc://server/id` → its two parts. */
export function readMxc(uri: string): { readonly server: string; readonly id: string } | undefined {
  const found = /^mxc:\/\/([^/]{1,255})\/([\w-]{1,255})$/.exec(uri)
  return found === null ? undefined : { server: found[1]!, id: found[2]! }
}
