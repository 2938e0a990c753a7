/**
 * What the primitives of this folder need from an implementation. There are two: `native.ts` (sodium-native, and
 * node:crypto for ML-KEM) and `portable.ts` (@noble). Outputs are written into buffers of the caller, so that the hot
 * path allocates nothing; lengths are the caller's duty, and a wrong one throws.
 */
export interface Primitives {
  readonly name: 'native' | 'portable'
  /** Random bytes of the operating system, asked for on every call: nothing is pooled. */
  randomFill(out: Uint8Array): void
  /** BLAKE2b (RFC 7693) of `out.length` bytes (16 … 64), keyed when `key` (16 … 64 bytes) is given. */
  blake2b(out: Uint8Array, input: Uint8Array, key: Uint8Array | undefined): void
  /**
   * ChaCha20-Poly1305 (RFC 8439): `out` is 16 bytes longer than `plaintext`, and may begin at the same byte of the same
   * memory.
   */
  seal(
    out: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array | undefined,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void
  /** The reverse; false, with `out` of no meaning, when the tag does not match. */
  open(
    out: Uint8Array,
    sealed: Uint8Array,
    associated: Uint8Array | undefined,
    nonce: Uint8Array,
    key: Uint8Array,
  ): boolean
  /** XChaCha20-Poly1305: as `seal`, with a 24-byte nonce. */
  sealX(
    out: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array | undefined,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void
  openX(
    out: Uint8Array,
    sealed: Uint8Array,
    associated: Uint8Array | undefined,
    nonce: Uint8Array,
    key: Uint8Array,
  ): boolean
  /** X25519 public key of a secret key. */
  dhPublic(out: Uint8Array, secretKey: Uint8Array): void
  /** X25519; false when the result is all zero (a point of low order). */
  dh(out: Uint8Array, secretKey: Uint8Array, publicKey: Uint8Array): boolean
  /** Ed25519 key pair of a 32-byte seed; the secret key is seed ‖ public key. */
  signKeyPair(publicKey: Uint8Array, secretKey: Uint8Array, seed: Uint8Array): void
  sign(out: Uint8Array, message: Uint8Array, secretKey: Uint8Array): void
  /** Strict: canonical S, canonical encodings, no public key or R of small order. */
  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
  /** Argon2id version 1.3 with one lane. */
  argon2id(out: Uint8Array, password: Uint8Array, salt: Uint8Array, passes: number, memoryBytes: number): void
  /** ML-KEM-768 encapsulation key of a 64-byte seed (d ‖ z). */
  kemPublicKey(seed: Uint8Array): Uint8Array
  /**
   * `undefined` when the key fails the modulus check (FIPS 203 §7.2). The portable implementation draws its 32 bytes
   * from `entropy`; the native one cannot be told, and draws its own.
   */
  encapsulate(publicKey: Uint8Array, entropy: () => Uint8Array): Encapsulated | undefined
  /** A forged ciphertext gives an unrelated secret (implicit rejection). */
  decapsulate(seed: Uint8Array, ciphertext: Uint8Array): Uint8Array
}

export interface Encapsulated {
  readonly ciphertext: Uint8Array
  /** 32 bytes. */
  readonly shared: Uint8Array
}
