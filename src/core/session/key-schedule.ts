/**
 * ◆ Every derivation of a running session, with its label. Chains and message keys are keyed BLAKE2b-512; the rarer
 * steps are HKDF-SHA-512. Functions write into buffers of the caller, so that old keys are overwritten in place.
 * Format: docs/protocol/ratchet.md.
 */
import { wipe } from '../bytes.ts'
import { blake2bInto, hkdf, labelledHash } from '../crypto/kdf.ts'

export const keyBytes = 32

const ascii = (text: string): Uint8Array => Buffer.from(text, 'ascii')
const chainLabel = ascii('mycelium/session/chain/1')
const messageLabel = ascii('mycelium/session/message/1')
const rootLabel = 'mycelium/session/root/1'
const epochLabel = 'mycelium/session/epoch/1'
const epochHashLabel = 'mycelium/session/epoch-transcript/1'

// working memory of the synchronous steps below; nothing in it outlives a call
const chainOut = Buffer.alloc(64)
const chainOutKey = chainOut.subarray(0, keyBytes)
const chainOutMessage = chainOut.subarray(keyBytes)
const messageInput = Buffer.alloc(messageLabel.length + keyBytes + 16)
messageInput.set(messageLabel)
const messageOut = Buffer.alloc(64)

/** One step of a chain: `chainKey` becomes the next one in place, `messageSecret` (32 bytes) is overwritten. */
export function chainStep(chainKey: Uint8Array, messageSecret: Uint8Array): void {
  blake2bInto(chainOut, chainLabel, chainKey)
  chainKey.set(chainOutKey)
  messageSecret.set(chainOutMessage)
  chainOut.fill(0)
}

/** Where `messageKey` leaves its result: valid until the next call. */
export const bodyKey: Uint8Array = messageOut.subarray(0, 32)
export const bodyNonce: Uint8Array = messageOut.subarray(32, 44)

/**
 * Key and nonce of one body, into `bodyKey` and `bodyNonce`: the chain's message secret under the KEM epoch's key and the
 * frame's 16 random bytes.
 */
export function messageKey(
  messageSecret: Uint8Array,
  epochKey: Uint8Array,
  nonce: Uint8Array,
  header: Uint8Array,
  saltAt: number,
): void {
  let at = messageLabel.length
  messageInput.set(epochKey, at)
  at += keyBytes
  messageInput.set(nonce, at)
  at += 12
  messageInput[at] = header[saltAt]!
  messageInput[at + 1] = header[saltAt + 1]!
  messageInput[at + 2] = header[saltAt + 2]!
  messageInput[at + 3] = header[saltAt + 3]!
  blake2bInto(messageOut, messageInput, messageSecret)
  messageInput.fill(0, messageLabel.length)
}

export const wipeBodyKey = (): void => wipe(messageOut)

export interface RootStep {
  readonly root: Uint8Array
  readonly chain: Uint8Array
  readonly nextHeader: Uint8Array
}

/** A DH step: next root key, the new chain's key, and the header key of the chain after it in the same direction. */
export function rootStep(root: Uint8Array, shared: Uint8Array): RootStep {
  const out = hkdf(shared, root, rootLabel, 3 * keyBytes)
  return {
    root: out.subarray(0, keyBytes),
    chain: out.subarray(keyBytes, 2 * keyBytes),
    nextHeader: out.subarray(2 * keyBytes),
  }
}

/** Key of a KEM epoch from the one before it; binds the encapsulation key and the ciphertext. */
export function epochStep(
  previous: Uint8Array,
  shared: Uint8Array,
  publicKey: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  const secret = Buffer.concat([shared, labelledHash(epochHashLabel, publicKey, ciphertext)])
  const key = hkdf(secret, previous, epochLabel, keyBytes)
  wipe(secret)
  return key
}
