/**
 * How two programs agree on a call: steps that matter for seconds and to nobody later. They go to devices that are
 * connected now, are kept nowhere, and what they say is the programs' own affair. That somebody called is a message of
 * the conversation beside them (`call` in part.ts).
 */
import type { Ambient } from '../ambient.ts'
import { bytes, type Codec, record } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { type CallProtocol, callProtocolCodec } from '../message/part.ts'
import { TokenBuckets } from '../token-bucket.ts'
import type { Item } from './items.ts'
import type { Directory, Keyring } from './needs.ts'
import type { Pair } from './session-book.ts'

/** As it travels. */
export interface CallSignal {
  readonly protocol: CallProtocol
  /** Jingle: one stanza as UTF-8 XML, its addresses reduced to resources. Matrix: one event as JSON. */
  readonly payload: Uint8Array
}

/** ◆ */
export const callSignalCodec: Codec<CallSignal> = record({
  protocol: callProtocolCodec,
  payload: bytes(limits.callSignalBytesMax),
})

/** As adapters hear it. */
export interface HeardCall extends CallSignal {
  /** A contact, another account of this gateway, or the account itself from another of its devices. */
  readonly from: Identity
  /** Of theirs: whoever answers one program answers there. */
  readonly device: DeviceId
}

export type CallListener = (account: Identity, heard: HeardCall) => void

interface CallSignalParts {
  readonly keyring: Pick<Keyring, 'contact'>
  readonly directory: Pick<Directory, 'isOwn' | 'deviceOf'>
  readonly ambient: Ambient
  /** To the devices of a contact that are connected now, or to that one of them; @returns to how many */
  readonly whisper: (account: Identity, contact: Identity, item: Item, device?: DeviceId) => number
}

const pace = { perSecond: limits.callSignalsPerSecond, burst: limits.callSignalsBurst }

export class CallSignals {
  readonly #parts: CallSignalParts
  readonly #listeners = new Set<CallListener>()
  readonly #sent = new TokenBuckets(pace, limits.signalsKnownMax)
  readonly #taken = new TokenBuckets(pace, limits.signalsKnownMax)

  constructor(parts: CallSignalParts) {
    this.#parts = parts
  }

  watch(listener: CallListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * @param to a contact, another account here, or the account itself: its other devices
   * @param device the only one that it is for; otherwise all
   * @returns how many devices it goes to: 0 when nobody is there
   * @throws `no-such-contact`, `blocked`, `key-changed`; `too-large`; `throttled` when there are too many
   */
  send(account: Identity, to: Identity, signal: CallSignal, device?: DeviceId): number {
    const { keyring, directory, whisper } = this.#parts
    if (signal.payload.length > limits.callSignalBytesMax)
      throw new MyceliumError('too-large', { bytes: signal.payload.length })
    const isHere = to !== account && directory.isOwn(to)
    if (to !== account && !isHere) this.#check(account, to)
    if (!this.#sent.take(account + to, this.#nowMs())) throw new MyceliumError('throttled')
    if (!isHere) return whisper(account, to, { kind: 'call', signal }, device)
    if (keyring.contact(to, account)?.state === 'blocked') throw new MyceliumError('blocked')
    if (device !== undefined && device !== directory.deviceOf(to)) return 0
    this.#tell(to, { ...signal, from: account, device: directory.deviceOf(account) })
    return 1
  }

  /** Came inside a session. What is too much, or of somebody who may not call, is nothing. */
  received({ account, peer, peerDevice }: Pair, signal: CallSignal): void {
    if (this.#parts.keyring.contact(account, peer)?.state !== 'active') return
    if (!this.#taken.take(account + peer, this.#nowMs())) return
    this.#tell(account, { ...signal, from: peer, device: peerDevice })
  }

  #check(account: Identity, to: Identity): void {
    const contact = this.#parts.keyring.contact(account, to)
    if (contact?.state === 'blocked') throw new MyceliumError('blocked')
    if (contact?.state !== 'active') throw new MyceliumError('no-such-contact')
    if (!contact.mayMail) throw new MyceliumError('key-changed')
  }

  #tell(account: Identity, heard: HeardCall): void {
    for (const listener of this.#listeners) listener(account, heard)
  }

  #nowMs(): number {
    return this.#parts.ambient.clock.monotonicMs()
  }
}
