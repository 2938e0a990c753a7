import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import type { ScramHash } from '../../../src/core/account/logins.ts'

/** The client's side of SCRAM (RFC 5802 §3), for tests. */
export class ScramClient {
  readonly #hash: ScramHash
  readonly #password: string
  readonly #bare: string
  readonly #header: string
  readonly #binding: Uint8Array
  #serverSignature = ''

  /** @param binding data of the channel, where the header names one */
  constructor(
    hash: ScramHash,
    user: string,
    password: string,
    nonce: string,
    header = 'n,,',
    binding: Uint8Array = new Uint8Array(),
  ) {
    this.#binding = binding
    this.#hash = hash
    this.#password = password
    this.#bare = `n=${user},r=${nonce}`
    this.#header = header
  }

  first(): string {
    return this.#header + this.#bare
  }

  /** @param repeated the nonce to send back, if not the server's */
  final(serverFirst: string, repeated?: string): string {
    const [, nonce, salt, iterations] = /^r=([^,]+),s=([^,]+),i=(\d+)$/.exec(serverFirst)!
    const hmac = (key: Uint8Array, text: string): Buffer => createHmac(this.#hash, key).update(text).digest()
    const length = this.#hash === 'sha1' ? 20 : 32
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt!, 'base64'), Number(iterations), length, this.#hash)
    const clientKey = hmac(salted, 'Client Key')
    const withoutProof = `c=${Buffer.concat([Buffer.from(this.#header), this.#binding]).toString('base64')},r=${repeated ?? nonce}`
    const signed = `${this.#bare},${serverFirst},${withoutProof}`
    const signature = hmac(createHash(this.#hash).update(clientKey).digest(), signed)
    const proof = clientKey.map((byte, at) => byte ^ signature[at]!)
    this.#serverSignature = hmac(hmac(salted, 'Server Key'), signed).toString('base64')
    return `${withoutProof},p=${Buffer.from(proof).toString('base64')}`
  }

  /** Did the server prove that it knows the password's verifier? */
  accepts(serverFinal: string): boolean {
    return serverFinal === `v=${this.#serverSignature}`
  }
}
