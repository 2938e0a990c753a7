/**
 * ◆ Content keys of a group. Whoever begins an epoch draws a seed and hands it to each member's devices over their sessions;
 * from it comes one hash chain for each sender device, and the seed is wiped. Chains go forward only: who joins is given
 * where they stand, and cannot read what was before. A device that was not known when the seed came gets a chain of its own
 * from a member, who tells the others in a message of the group. Format: docs/protocol/groups.md.
 */
import type { Random } from '../ambient.ts'
import { wipe } from '../bytes.ts'
import { Reader, Writer } from '../codec.ts'
import { aeadTagBytes, openInto, sealInto } from '../crypto/aead.ts'
import { blake2b, blake2bInto, labelledHash } from '../crypto/kdf.ts'
import { Secret } from '../crypto/secret.ts'
import { type ErrorCode, MyceliumError } from '../errors.ts'
import type { DeviceId, GroupEnvelopeId, GroupId, GroupOpId } from '../ids.ts'
import { limits } from '../limits.ts'
import type { AcceptedEnvelope } from './acceptance.ts'
import { type EnvelopeHeader, headerBytes, type ReadEnvelope, signEnvelope } from './envelope.ts'
import type { GroupAuthor } from './group.ts'
import { deviceId, noId } from './op.ts'

export const seedBytes = 32
export const chainKeyBytes = 32
const saltBytes = 16
const ascii = (text: string): Uint8Array => Buffer.from(text, 'ascii')
const commitmentLabel = 'mycelium/group/seed/1'
const senderLabel = ascii('mycelium/group/sender/1')
const chainLabel = ascii('mycelium/group/chain/1')
const messageLabel = ascii('mycelium/group/message/1')

/** What the epoch's operation says of its seed. */
export const commitmentTo = (group: GroupId, seed: Uint8Array): Uint8Array =>
  labelledHash(commitmentLabel, Buffer.from(group, 'hex'), seed)

export const drawSeed = (random: Random): Secret => new Secret(random.bytes(seedBytes))

/** Where a chain stands: it opens messages from `index` on. `key` is secret. */
export interface ChainHead {
  readonly device: DeviceId
  readonly index: number
  readonly key: Uint8Array
}

interface SkippedSecret {
  readonly secret: Uint8Array
  readonly skippedAtMs: number
}

export type OpenedMessage =
  | { readonly kind: 'opened'; readonly payload: Uint8Array }
  /** The chain is as it was. */
  | { readonly kind: 'refused'; readonly code: ErrorCode }

// working memory of the synchronous steps below; nothing in it outlives a call
const stepOut = Buffer.alloc(64)
const messageInput = Buffer.alloc(messageLabel.length + saltBytes)
messageInput.set(messageLabel)
const messageOut = Buffer.alloc(64)
const bodyKey = messageOut.subarray(0, 32)
const bodyNonce = messageOut.subarray(32, 44)

/** `key` becomes the next one in place; `secret` is overwritten. */
function chainStep(key: Uint8Array, secret: Uint8Array): void {
  blake2bInto(stepOut, chainLabel, key)
  key.set(stepOut.subarray(0, 32))
  secret.set(stepOut.subarray(32))
  stepOut.fill(0)
}

function messageKey(secret: Uint8Array, salt: Uint8Array): void {
  messageInput.set(salt, messageLabel.length)
  blake2bInto(messageOut, messageInput, secret)
}

/** Key chain of one device in one epoch: its owner seals with it, the others open. Store `encode()` before a message leaves or is shown. */
export class SenderChain implements Disposable {
  readonly device: DeviceId
  readonly #key: Uint8Array
  /** The first place that ever opened here. */
  readonly #from: number
  #next: number
  readonly #skipped: Map<number, SkippedSecret>

  private constructor(
    device: DeviceId,
    key: Uint8Array,
    from: number,
    next: number,
    skipped: Map<number, SkippedSecret>,
  ) {
    this.device = device
    this.#key = key
    this.#from = from
    this.#next = next
    this.#skipped = skipped
  }

  static fromSeed(seed: Secret, epoch: GroupOpId, device: DeviceId): SenderChain {
    const input = Buffer.concat([senderLabel, Buffer.from(epoch, 'hex'), Buffer.from(device, 'hex')])
    return new SenderChain(
      device,
      seed.read((bytes) => blake2b(chainKeyBytes, input, bytes)),
      0,
      0,
      new Map(),
    )
  }
  /** A chain as another member handed it out. */
  static fromHead({ device, index, key }: ChainHead): SenderChain {
    return new SenderChain(device, Buffer.from(key), index, index, new Map())
  }
  /** For a device that was not known when the seed came. */
  static fresh(device: DeviceId, random: Random): SenderChain {
    return new SenderChain(device, random.bytes(chainKeyBytes), 0, 0, new Map())
  }

  /** Place of the next message. */
  get next(): number {
    return this.#next
  }
  get skipped(): number {
    return this.#skipped.size
  }
  /** For whoever joins: nothing sealed before opens with it. A copy; the caller wipes the key. */
  head(): ChainHead {
    return { device: this.device, index: this.#next, key: Buffer.from(this.#key) }
  }

  /** Seals for the next place. */
  seal(makeHeader: (index: number, salt: Uint8Array) => EnvelopeHeader, payload: Uint8Array, random: Random) {
    if (payload.length > limits.groupPayloadBytesMax) throw new MyceliumError('too-large', { bytes: payload.length })
    const header = makeHeader(this.#next, random.bytes(saltBytes))
    const associated = headerBytes(header)
    const secret = Buffer.alloc(chainKeyBytes)
    chainStep(this.#key, secret)
    this.#next += 1
    messageKey(secret, header.salt)
    const sealed = Buffer.allocUnsafe(payload.length + aeadTagBytes)
    sealInto(sealed, bodyKey, bodyNonce, payload, associated)
    wipe(messageOut)
    wipe(secret)
    return { header, sealed }
  }

  /** Opens what `judgeEnvelope` accepted. Nothing changes unless it is authentic and new. */
  open({ header, sealed }: AcceptedEnvelope, nowMs: number): OpenedMessage {
    const { index, salt } = header
    if (index < this.#from) return { kind: 'refused', code: 'group-key-missing' }
    if (index < this.#next) return this.#openSkipped(header, sealed, nowMs)
    const jump = index - this.#next
    if (jump > limits.groupSkippedKeysMax) return { kind: 'refused', code: 'jump-too-far' }
    const key = Buffer.from(this.#key)
    const secrets = Buffer.alloc((jump + 1) * chainKeyBytes)
    for (let at = 0; at < secrets.length; at += chainKeyBytes) chainStep(key, secrets.subarray(at, at + chainKeyBytes))
    const own = secrets.subarray(jump * chainKeyBytes)
    const payload = openWith(own, salt, header, sealed)
    wipe(own)
    if (payload === undefined) {
      wipe(key)
      wipe(secrets)
      return { kind: 'refused', code: 'decryption-failed' }
    }
    for (let step = 0; step < jump; step += 1) {
      const secret = secrets.subarray(step * chainKeyBytes, (step + 1) * chainKeyBytes)
      this.#skipped.set(this.#next + step, { secret, skippedAtMs: nowMs })
    }
    this.#key.set(key)
    wipe(key)
    this.#next = index + 1
    this.#prune(nowMs)
    return { kind: 'opened', payload }
  }

  #openSkipped(header: EnvelopeHeader, sealed: Uint8Array, nowMs: number): OpenedMessage {
    const entry = this.#skipped.get(header.index)
    if (entry === undefined) return { kind: 'refused', code: 'replayed' }
    if (nowMs - entry.skippedAtMs > limits.skippedKeyAgeMsMax) return { kind: 'refused', code: 'expired' }
    const payload = openWith(entry.secret, header.salt, header, sealed)
    if (payload === undefined) return { kind: 'refused', code: 'decryption-failed' }
    this.#drop(header.index)
    this.#prune(nowMs)
    return { kind: 'opened', payload }
  }

  #drop(index: number): void {
    wipe(this.#skipped.get(index)!.secret)
    this.#skipped.delete(index)
  }
  /** What is too old or too much goes, oldest first. */
  #prune(nowMs: number): void {
    for (const [index, { skippedAtMs }] of this.#skipped) {
      const isDue = this.#skipped.size > limits.groupSkippedKeysMax || nowMs - skippedAtMs > limits.skippedKeyAgeMsMax
      if (!isDue) break
      this.#drop(index)
    }
  }

  /** As it is stored, sealed at rest; not a wire format. Holds secrets: the caller wipes it. */
  encode(): Uint8Array {
    const out = new Writer(128)
    out.u8(1)
    deviceId.write(out, this.device)
    out.raw(this.#key)
    out.u32(this.#from)
    out.u32(this.#next)
    out.u16(this.#skipped.size)
    for (const [index, { secret, skippedAtMs }] of this.#skipped) {
      out.u32(index)
      out.u64(skippedAtMs)
      out.raw(secret)
    }
    return out.finish()
  }
  /** Copies what it keeps. @throws `malformed`, `too-large` */
  static decode(bytes: Uint8Array): SenderChain {
    const from = new Reader(Buffer.from(bytes))
    if (from.u8() !== 1) throw new MyceliumError('malformed', { at: 0 })
    const device = deviceId.read(from)
    const key = from.raw(chainKeyBytes)
    const [first, next, count] = [from.u32(), from.u32(), from.u16()]
    if (count > limits.groupSkippedKeysMax) throw new MyceliumError('too-large', { count })
    const skipped = new Map<number, SkippedSecret>()
    for (let read = 0; read < count; read += 1) {
      skipped.set(from.u32(), { skippedAtMs: from.u64(), secret: from.raw(chainKeyBytes) })
    }
    from.end()
    return new SenderChain(device, key, first, next, skipped)
  }

  [Symbol.dispose](): void {
    wipe(this.#key)
    for (const index of this.#skipped.keys()) this.#drop(index)
  }
}

function openWith(
  secret: Uint8Array,
  salt: Uint8Array,
  header: EnvelopeHeader,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < aeadTagBytes) return undefined
  messageKey(secret, salt)
  const payload = Buffer.allocUnsafe(sealed.length - aeadTagBytes)
  const isAuthentic = openInto(payload, bodyKey, bodyNonce, sealed, headerBytes(header))
  wipe(messageOut)
  return isAuthentic ? payload : undefined
}

/** How far a device has come with its own messages in one group: what the next one must name. */
export interface SendingPlace {
  readonly sequence: number
  readonly previous: GroupEnvelopeId
}
export const firstPlace: SendingPlace = { sequence: 0, previous: noId as GroupEnvelopeId }
export const placeAfter = ({ id, header }: ReadEnvelope): SendingPlace => ({
  sequence: header.sequence + 1,
  previous: id,
})

export interface GroupMessageDraft {
  readonly group: GroupId
  readonly epoch: GroupOpId
  readonly heads: readonly GroupOpId[]
  readonly place: SendingPlace
  readonly payload: Uint8Array
}

/** The next message of a device, under its own chain. Store the chain and `placeAfter` before it leaves. @throws `too-large` */
export function sealGroup(
  author: GroupAuthor,
  chain: SenderChain,
  { group, epoch, heads, place, payload }: GroupMessageDraft,
  { random, nowMs }: { random: Random; nowMs: number },
): ReadEnvelope {
  const { header, sealed } = chain.seal(
    (index, salt) => ({
      group,
      author: author.identity,
      device: author.device,
      sequence: place.sequence,
      previous: place.previous,
      heads,
      epoch,
      index,
      atMs: nowMs,
      salt,
    }),
    payload,
    random,
  )
  return signEnvelope(author.key, header, sealed)
}

/** The chains of one epoch, by device. */
export class EpochKeys implements Disposable {
  readonly epoch: GroupOpId
  readonly #chains = new Map<DeviceId, SenderChain>()

  constructor(epoch: GroupOpId, chains: Iterable<SenderChain> = []) {
    this.epoch = epoch
    for (const chain of chains) this.#chains.set(chain.device, chain)
  }

  /**
   * Chains of all `devices` from the epoch's seed, which is wiped.
   * @throws `malformed` when it is not the seed that the epoch's operation committed to
   */
  static fromSeed(
    { group, epoch, commitment }: { group: GroupId; epoch: GroupOpId; commitment: Uint8Array },
    seed: Secret,
    devices: Iterable<DeviceId>,
  ): EpochKeys {
    using own = seed
    if (!own.read((bytes) => Buffer.from(commitmentTo(group, bytes)).equals(commitment))) {
      throw new MyceliumError('malformed', { reason: 'seed' })
    }
    return new EpochKeys(
      epoch,
      Array.from(devices, (device) => SenderChain.fromSeed(own, epoch, device)),
    )
  }

  chain(device: DeviceId): SenderChain | undefined {
    return this.#chains.get(device)
  }
  devices(): readonly DeviceId[] {
    return [...this.#chains.keys()]
  }
  /** Takes chains that another member handed out. One that is here stays, unless its own device says otherwise. */
  learn(heads: readonly ChainHead[], from: DeviceId): void {
    for (const head of heads) {
      const known = this.#chains.get(head.device)
      if (known !== undefined && head.device !== from) continue
      known?.[Symbol.dispose]()
      this.#chains.set(head.device, SenderChain.fromHead(head))
    }
  }
  /** For whoever joins. The caller wipes the keys. */
  heads(): readonly ChainHead[] {
    return Array.from(this.#chains.values(), (chain) => chain.head())
  }
  [Symbol.dispose](): void {
    for (const chain of this.#chains.values()) chain[Symbol.dispose]()
    this.#chains.clear()
  }
}

/** Opens an accepted message with the keys of its epoch. */
export function openGroup(keys: EpochKeys, envelope: AcceptedEnvelope, nowMs: number): OpenedMessage {
  const chain = keys.epoch === envelope.header.epoch ? keys.chain(envelope.header.device) : undefined
  return chain === undefined ? { kind: 'refused', code: 'group-key-missing' } : chain.open(envelope, nowMs)
}
