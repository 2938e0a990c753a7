/** Keys of people and programs as tests make them: real ones, so that their signatures hold. */
import { randomBytes } from 'node:crypto'
import { canonicalJson } from '../../../src/adapters/matrix/encryption/canonical-json.ts'
import { signingKey, signRaw } from '../../../src/core/crypto/sign.ts'
import type { Program } from './support.ts'

type Signatures = Readonly<Record<string, Readonly<Record<string, string>>>>

const unpadded = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

export class Key {
  readonly #pair = signingKey(randomBytes(32))

  get base64(): string {
    return unpadded(this.#pair.publicKey)
  }
  /** The object with one signature more. @param name of the key, by default as cross-signing keys are called */
  sign<T extends { readonly signatures?: Signatures | undefined; readonly [name: string]: unknown }>(
    user: string,
    object: T,
    name = this.base64,
  ) {
    const { signatures, ...rest } = object
    const made = unpadded(signRaw(this.#pair, Buffer.from(canonicalJson(rest))))
    return { ...object, signatures: { ...signatures, [user]: { ...signatures?.[user], [`ed25519:${name}`]: made } } }
  }
}

export const deviceKeysOf = ({ user, device }: Pick<Program, 'user' | 'device'>, key = new Key()) =>
  key.sign(
    user,
    {
      user_id: user,
      device_id: device,
      algorithms: ['m.olm.v1.curve25519-aes-sha2', 'm.megolm.v1.aes-sha2'],
      keys: { [`curve25519:${device}`]: 'c', [`ed25519:${device}`]: key.base64 },
    },
    device,
  )

/** A person's three keys, and what is uploaded of them. */
export class Person {
  readonly user: string
  readonly master = new Key()
  readonly selfSigning = new Key()
  readonly userSigning = new Key()

  constructor(user: string) {
    this.user = user
  }

  get upload() {
    const of = (usage: string, { base64 }: Key) => ({
      user_id: this.user,
      usage: [usage],
      keys: { [`ed25519:${base64}`]: base64 },
    })
    return {
      master_key: of('master', this.master),
      self_signing_key: this.master.sign(this.user, of('self_signing', this.selfSigning)),
      user_signing_key: this.master.sign(this.user, of('user_signing', this.userSigning)),
    }
  }
}
