/**
 * ◆ What a new device and the one that takes it in say to each other, and the keys they say it under: X25519 and
 * ML-KEM-768 mixed with the link's secret. Commit, then reveal: the new device fixes its nonce and its keys before it
 * sees the other nonce, so whoever stands between has one guess at the 15 digits (49.8 bits) that both people compare.
 *
 * new → hello(commitment, keys) → old → welcome(keys, sealed nonce) → new → reveal(nonce, device) → old → account;
 * both show digits; new → page → old → waiting, refused, or contacts and folders; new → finish → old → the account's log
 * and bundle. Only now is the new device in the log: by then it knows whose mail is no stranger's. All of it is pure.
 */
import { concat, equalConstantTime } from '../bytes.ts'
import {
  array,
  bytes,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  optional,
  record,
  text,
  u32,
  u8,
  union,
} from '../codec.ts'
import { openRandom, sealRandom, xaeadNonceBytes } from '../crypto/aead.ts'
import { dh, type DhKeyPair, dhKeyPair } from '../crypto/dh.ts'
import { hkdf, labelledHash } from '../crypto/kdf.ts'
import {
  decapsulate,
  encapsulate,
  kemCiphertextBytes,
  type KemKeyPair,
  kemKeyPair,
  kemPublicKeyBytes,
  kemSeedBytes,
} from '../crypto/kem.ts'
import type { Random } from '../ambient.ts'
import { MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { type DeviceDescription, deviceDescriptionCodec, type Grants, grantsCodec } from './device.ts'
import { digitGroups } from './fingerprint.ts'
import { entriesCodec, type SignedEntry } from './log-entry.ts'

const linkIdBytes = 8
const nonceBytes = 32

export type LinkingAsk =
  | {
      readonly kind: 'hello'
      readonly link: Uint8Array
      readonly ephemeral: Uint8Array
      readonly kem: Uint8Array
      readonly commitment: Uint8Array
    }
  /** Everything after the hello. */
  | { readonly kind: 'sealed'; readonly link: Uint8Array; readonly sealed: Uint8Array }

export interface Welcome {
  readonly ephemeral: Uint8Array
  readonly ciphertext: Uint8Array
  /** The nonce of the device that takes the new one in. */
  readonly sealed: Uint8Array
}

export interface Reveal {
  readonly kind: 'reveal'
  readonly nonce: Uint8Array
  readonly device: DeviceId
  readonly dhPublic: Uint8Array
  /** What its owner calls it. */
  readonly name: string
}
export type JoinerSays =
  | Reveal
  /** Its person has said that the digits are the same: what it needs before it may be written to, from there on. */
  | { readonly kind: 'page'; readonly at: number }
  /** It has all of it. */
  | { readonly kind: 'finish'; readonly description: DeviceDescription }
  /** Its person has said that they are not. */
  | { readonly kind: 'refuse' }

/** Which account it is that the new device would join. */
export interface AccountShown {
  readonly kind: 'account'
  readonly identity: Identity
  readonly rootKey: Uint8Array
  /** What the new device may get at the most. */
  readonly grants: Grants
  readonly address: string
  readonly localName: string
  readonly displayName: string
}
export type LinkerSays =
  | AccountShown
  /** Its person has not said anything yet. */
  | { readonly kind: 'waiting' }
  | { readonly kind: 'refused' }
  /** States of `core/replica` kinds, and where the next page begins. */
  | { readonly kind: 'page'; readonly states: readonly HandedState[]; readonly next: number | undefined }
  | { readonly kind: 'joined'; readonly entries: readonly SignedEntry[]; readonly bundle: Uint8Array }

export interface HandedState {
  readonly of: number
  readonly state: Uint8Array
}

const sealedBytesMax = limits.replicaStateBytesMax + limits.linkPageBytesMax
const link = fixed(linkIdBytes)
export const linkingAskCodec: Codec<LinkingAsk> = union<LinkingAsk>({
  hello: {
    tag: 0,
    codec: record({
      kind: literal('hello'),
      link,
      ephemeral: fixed(32),
      kem: fixed(kemPublicKeyBytes),
      commitment: fixed(32),
    }),
  },
  sealed: { tag: 1, codec: record({ kind: literal('sealed'), link, sealed: bytes(4096) }) },
})
const welcomeCodec: Codec<Welcome> = record({
  ephemeral: fixed(32),
  ciphertext: fixed(kemCiphertextBytes),
  sealed: bytes(256),
})
const name = text(limits.deviceNameOctetsMax)
const joinerCodec: Codec<JoinerSays> = union<JoinerSays>({
  reveal: {
    tag: 0,
    codec: record({
      kind: literal('reveal'),
      nonce: fixed(nonceBytes),
      device: hexId<DeviceId>(32),
      dhPublic: fixed(32),
      name,
    }),
  },
  finish: { tag: 1, codec: record({ kind: literal('finish'), description: deviceDescriptionCodec }) },
  page: { tag: 3, codec: record({ kind: literal('page'), at: u32 }) },
  refuse: { tag: 2, codec: record({ kind: literal('refuse') }) },
})
const linkerCodec: Codec<LinkerSays> = union<LinkerSays>({
  account: {
    tag: 0,
    codec: record({
      kind: literal('account'),
      identity: hexId<Identity>(32),
      rootKey: fixed(32),
      grants: grantsCodec,
      address: text(limits.addressOctetsMax),
      localName: text(64),
      displayName: text(limits.displayNameOctetsMax),
    }),
  },
  waiting: { tag: 1, codec: record({ kind: literal('waiting') }) },
  refused: { tag: 2, codec: record({ kind: literal('refused') }) },
  page: {
    tag: 4,
    codec: record({
      kind: literal('page'),
      states: array(
        record<HandedState>({ of: u8, state: bytes(limits.replicaStateBytesMax) }),
        limits.linkPageStatesMax,
      ),
      next: optional(u32),
    }),
  },
  joined: {
    tag: 3,
    codec: record({ kind: literal('joined'), entries: entriesCodec, bundle: bytes(limits.bundleBytesMax) }),
  },
})

/** Names a link without telling its secret. */
export const linkIdOf = (secret: Uint8Array): Uint8Array =>
  labelledHash('mycelium/device-link-id/1', secret).subarray(0, linkIdBytes)

/** Keys of one linking, one for each direction. */
interface Keys {
  readonly transcript: Uint8Array
  readonly joiner: Uint8Array
  readonly linker: Uint8Array
}

function keysOf(secrets: readonly Uint8Array[], hello: LinkingHello, welcome: Omit<Welcome, 'sealed'>): Keys {
  const transcript = labelledHash(
    'mycelium/linking/1',
    hello.link,
    hello.ephemeral,
    hello.kem,
    hello.commitment,
    welcome.ephemeral,
    welcome.ciphertext,
  )
  const out = hkdf(concat(...secrets), transcript, 'mycelium/linking-keys/1', 64)
  return { transcript, joiner: out.subarray(0, 32), linker: out.subarray(32) }
}

const sealFor = (random: Random, key: Uint8Array, plaintext: Uint8Array, transcript: Uint8Array): Uint8Array =>
  sealRandom(key, random.bytes(xaeadNonceBytes), plaintext, transcript)

/** @throws `decryption-failed` */
function openFrom(key: Uint8Array, sealed: Uint8Array, transcript: Uint8Array): Uint8Array {
  const plaintext = openRandom(key, sealed, transcript)
  if (plaintext === undefined) throw new MyceliumError('decryption-failed')
  return plaintext
}

type LinkingHello = Extract<LinkingAsk, { readonly kind: 'hello' }>
type Joining = Pick<Reveal, 'nonce' | 'device' | 'dhPublic'>

const commitTo = ({ nonce, device, dhPublic }: Joining, hello: Omit<LinkingHello, 'commitment' | 'kind'>): Uint8Array =>
  labelledHash(
    'mycelium/linking-commit/1',
    nonce,
    Buffer.from(device, 'hex'),
    dhPublic,
    hello.link,
    hello.ephemeral,
    hello.kem,
  )

function digitsOf({ transcript }: Keys, joining: Joining, linkerNonce: Uint8Array): string {
  const salt = labelledHash(
    'mycelium/linking-device/1',
    transcript,
    Buffer.from(joining.device, 'hex'),
    joining.dhPublic,
  )
  return digitGroups(hkdf(concat(joining.nonce, linkerNonce), salt, 'mycelium/linking-digits/1', 15))
}

/** The new device's side. */
export class Joiner {
  readonly hello: LinkingHello
  readonly #secret: Uint8Array
  readonly #joining: Joining
  readonly #dh: DhKeyPair
  readonly #kem: KemKeyPair
  readonly #random: Random
  #keys: Keys | undefined

  constructor(secret: Uint8Array, device: Pick<Joining, 'device' | 'dhPublic'>, random: Random) {
    this.#secret = secret
    this.#random = random
    this.#joining = { nonce: random.bytes(nonceBytes), device: device.device, dhPublic: device.dhPublic }
    this.#dh = dhKeyPair(random.bytes(32))
    this.#kem = kemKeyPair(random.bytes(kemSeedBytes))
    const hello = { link: linkIdOf(secret), ephemeral: this.#dh.publicKey, kem: this.#kem.publicKey }
    this.hello = { kind: 'hello', ...hello, commitment: commitTo(this.#joining, hello) }
  }

  /** The digits to be shown, and what to say next. @throws `decryption-failed`, `malformed` */
  welcomed(answer: Uint8Array, name: string): { readonly digits: string; readonly reveal: Uint8Array } {
    const welcome = decode(welcomeCodec, answer)
    const shared = dh(this.#dh.secretKey, welcome.ephemeral)
    const kem = decapsulate(this.#kem.seed, welcome.ciphertext)
    if (shared === undefined || kem === undefined) throw new MyceliumError('decryption-failed')
    this.#keys = keysOf([shared, kem, this.#secret], this.hello, welcome)
    const nonce = openFrom(this.#keys.linker, welcome.sealed, this.#keys.transcript)
    if (nonce.length !== nonceBytes) throw new MyceliumError('malformed', { reason: 'nonce' })
    const digits = digitsOf(this.#keys, this.#joining, nonce)
    return { digits, reveal: this.say({ kind: 'reveal', ...this.#joining, name }) }
  }

  say(what: JoinerSays): Uint8Array {
    const { joiner, transcript } = this.#keys!
    const sealed = sealFor(this.#random, joiner, encode(joinerCodec, what), transcript)
    return encode(linkingAskCodec, { kind: 'sealed', link: this.hello.link, sealed })
  }

  /** @throws `decryption-failed`, `malformed` */
  hear(answer: Uint8Array): LinkerSays {
    const { linker, transcript } = this.#keys!
    return decode(linkerCodec, Uint8Array.from(openFrom(linker, answer, transcript)))
  }
}

/** The side that takes a new device in, from the hello on: one for each link. */
export class Linker {
  readonly welcome: Uint8Array
  readonly #hello: LinkingHello
  readonly #nonce: Uint8Array
  readonly #keys: Keys
  readonly #random: Random

  /** @throws `decryption-failed` when the other side's keys are no keys */
  constructor(secret: Uint8Array, hello: LinkingHello, random: Random) {
    const own = dhKeyPair(random.bytes(32))
    const shared = dh(own.secretKey, hello.ephemeral)
    const kem = encapsulate(hello.kem)
    if (shared === undefined || kem === undefined) throw new MyceliumError('decryption-failed')
    const open = { ephemeral: own.publicKey, ciphertext: kem.ciphertext }
    this.#hello = hello
    this.#random = random
    this.#nonce = random.bytes(nonceBytes)
    this.#keys = keysOf([shared, kem.shared, secret], hello, open)
    const sealed = sealFor(random, this.#keys.linker, this.#nonce, this.#keys.transcript)
    this.welcome = encode(welcomeCodec, { ...open, sealed })
  }

  /** Is this the hello that was answered? Then its answer was lost. */
  isFor({ ephemeral, commitment }: LinkingHello): boolean {
    return equalConstantTime(ephemeral, this.#hello.ephemeral) && equalConstantTime(commitment, this.#hello.commitment)
  }

  /** @throws `decryption-failed`, `malformed` */
  hear(sealed: Uint8Array): JoinerSays {
    return decode(joinerCodec, Uint8Array.from(openFrom(this.#keys.joiner, sealed, this.#keys.transcript)))
  }

  say(what: LinkerSays): Uint8Array {
    const encoded = encode(linkerCodec, what)
    if (encoded.length > sealedBytesMax) throw new MyceliumError('too-large', { bytes: encoded.length })
    return sealFor(this.#random, this.#keys.linker, encoded, this.#keys.transcript)
  }

  /** The digits to be shown. @throws `signature-invalid` when it is not what the other side had committed to */
  digits(revealed: Reveal): string {
    if (!equalConstantTime(commitTo(revealed, this.#hello), this.#hello.commitment))
      throw new MyceliumError('signature-invalid', { record: 'commitment' })
    return digitsOf(this.#keys, revealed, this.#nonce)
  }
}

/** A linking's answer is no longer than this. */
export const linkingAnswerBytesMax = sealedBytesMax + 1024
