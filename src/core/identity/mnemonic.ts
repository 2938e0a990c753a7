/**
 * The 24 recovery words: 256 bits of entropy in BIP-39's English form, and the root keys that follow from them. Only
 * the encoding is BIP-39's; keys come from the entropy by HKDF, not from BIP-39's PBKDF2 seed.
 */
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { hkdf, sha256 } from '../crypto/kdf.ts'
import { signingKey, type SigningKey } from '../crypto/sign.ts'
import { wipe } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'

export const entropyBytes = 32

/** 24 words of 32 bytes, separated by single spaces. */
export function wordsOf(entropy: Uint8Array): string {
  if (entropy.length !== entropyBytes) throw new TypeError('entropy must be 32 bytes')
  return entropyToMnemonic(entropy, wordlist)
}

/**
 * The 32 bytes behind 24 words; case and extra white space are forgiven.
 * @throws `invalid-mnemonic` with `reason` count, word (and its 1-based `position`) or checksum
 */
export function parseWords(text: string): Uint8Array {
  const words = text.normalize('NFKD').trim().toLowerCase().split(/\s+/)
  if (words.length !== 24) throw new MyceliumError('invalid-mnemonic', { reason: 'count', words: words.length })
  const unknown = words.findIndex((word) => !wordlist.includes(word))
  if (unknown >= 0) throw new MyceliumError('invalid-mnemonic', { reason: 'word', position: unknown + 1 })
  try {
    return mnemonicToEntropy(words.join(' '), wordlist)
  } catch (cause) {
    throw new MyceliumError('invalid-mnemonic', { reason: 'checksum' }, { cause })
  }
}

/** The root key of a generation (0, 1, …): Ed25519 from HKDF under `mycelium/root/1/<generation>`. */
export function rootKeyOf(entropy: Uint8Array, generation: number): SigningKey {
  const seed = hkdf(entropy, new Uint8Array(), `mycelium/root/1/${generation}`, 32)
  try {
    return signingKey(seed)
  } finally {
    wipe(seed)
  }
}

/** What a log pre-commits to: SHA-256 of the next generation's public root key. */
export const rootKeyHash = (publicKey: Uint8Array): Uint8Array => sha256(publicKey)
