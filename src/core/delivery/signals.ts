/**
 * What is true for a moment: who types, and who is there. Said only where the account wants it known, only to who is
 * connected, at most every few seconds; kept nowhere, and forgotten when it is not said again.
 */
import type { Ambient } from '../ambient.ts'
import { array, type Codec, literal, record, union, bool } from '../codec.ts'
import type { Conversations } from '../conversation/conversations.ts'
import { MyceliumError } from '../errors.ts'
import type { ConversationId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { conversationOf } from '../message/conversation.ts'
import { type Place, placeCodec } from '../message/message.ts'
import type { Item } from './items.ts'
import type { Keyring } from './needs.ts'
import type { Pair } from './session-book.ts'

/** Coarse on purpose: no times, no places, no devices. */
export const availabilities = ['available', 'away', 'offline'] as const
export type Availability = (typeof availabilities)[number]

/** As it travels. */
export type Signal =
  | { readonly kind: 'typing'; readonly place: Place; readonly isOn: boolean }
  | { readonly kind: 'presence'; readonly availability: Availability }

const availabilityCodec: Codec<Availability> = {
  write: (out, value) => out.u8(availabilities.indexOf(value)),
  read: (from) => {
    const value = availabilities[from.u8()]
    if (value === undefined) throw new MyceliumError('malformed', { at: from.position })
    return value
  },
}

/** ◆ */
export const signalsCodec: Codec<readonly Signal[]> = array(
  union<Signal>({
    typing: { tag: 0, codec: record({ kind: literal('typing'), place: placeCodec, isOn: bool }) },
    presence: { tag: 1, codec: record({ kind: literal('presence'), availability: availabilityCodec }) },
  }),
  limits.signalsMax,
)

/** As adapters hear it; of the account itself too whether it is there. */
export type Heard =
  | { readonly kind: 'typing'; readonly conversation: ConversationId; readonly who: Identity; readonly isOn: boolean }
  | { readonly kind: 'presence'; readonly who: Identity; readonly availability: Availability }

export type SignalListener = (account: Identity, heard: Heard) => void

interface SignalParts {
  readonly conversations: Conversations
  readonly keyring: Keyring
  readonly ambient: Ambient
  /** Members of a group but this account. */
  readonly membersOf: (account: Identity, conversation: ConversationId) => readonly Identity[]
  /** To the devices of a contact that are connected now; to nobody else. */
  readonly whisper: (account: Identity, contact: Identity, item: Item) => void
}

interface Present {
  readonly availability: Availability
  /** Monotonic milliseconds. */
  readonly untilMs: number
}

export class Signals implements Disposable {
  readonly #parts: SignalParts
  readonly #listeners = new Set<SignalListener>()
  /** Of accounts here, as their clients say, those of each protocol together. */
  readonly #own = new Map<Identity, Map<string, Availability>>()
  /** By account, then contact. */
  readonly #others = new Map<Identity, Map<Identity, Present>>()
  /** When a conversation was last told that somebody here types. */
  readonly #typing = new Map<string, { isOn: boolean; atMs: number }>()
  readonly #timer: NodeJS.Timeout

  constructor(parts: SignalParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.#tick(), limits.presenceEveryMs)
    this.#timer.unref()
  }

  watch(listener: SignalListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * What clients of the account say together, of one protocol; the one that is most there counts. Others hear of it with
   * the next round, if they hear of it at all.
   */
  setAvailability(account: Identity, availability: Availability, protocol: string): void {
    const before = this.ownAvailability(account)
    this.#own.set(account, (this.#own.get(account) ?? new Map<string, Availability>()).set(protocol, availability))
    const now = this.ownAvailability(account)
    if (now !== before) this.#tell(account, { kind: 'presence', who: account, availability: now })
  }

  /** Of an account here, whether it tells others or not. */
  ownAvailability(account: Identity): Availability {
    const said = [...(this.#own.get(account)?.values() ?? [])]
    return availabilities.find((one) => said.includes(one)) ?? 'offline'
  }

  /** As last said, and said lately enough. */
  availabilityOf(account: Identity, contact: Identity): Availability {
    const known = this.#others.get(account)?.get(contact)
    return known === undefined || known.untilMs < this.#nowMs() ? 'offline' : known.availability
  }

  /** Somebody at this account types, or has stopped. */
  typing(account: Identity, conversation: ConversationId, isOn: boolean): void {
    const { conversations } = this.#parts
    if (!conversations.settings(account).tellsPresence) return
    const row = conversations.get(account, conversation)
    if (row === undefined) return
    const name = account + conversation
    const last = this.#typing.get(name)
    const isSame = last?.isOn === isOn && this.#nowMs() - last.atMs < limits.typingEveryMs
    if (isSame || (last === undefined && !isOn)) return
    if (this.#typing.size >= limits.signalsKnownMax) this.#typing.clear()
    this.#typing.set(name, { isOn, atMs: this.#nowMs() })
    const { partner } = row
    const [place, to]: readonly [Place, readonly Identity[]] =
      partner.kind === 'direct'
        ? [{ kind: 'direct', with: partner.peer }, [partner.peer]]
        : [partner, this.#parts.membersOf(account, conversation).slice(0, limits.typingMembersMax)]
    for (const contact of to)
      this.#parts.whisper(account, contact, { kind: 'signals', signals: [{ kind: 'typing', place, isOn }] })
  }

  /** Came inside a session. What is not for us, or of somebody who may not, is nothing. */
  received({ account, peer }: Pair, signals: readonly Signal[]): void {
    const state = this.#parts.keyring.contact(account, peer)?.state
    if (state !== 'active' && state !== 'fellow') return
    for (const signal of signals) {
      if (signal.kind === 'presence') {
        if (state === 'active') this.#hearPresence(account, peer, signal.availability)
        continue
      }
      const { place, isOn } = signal
      if (place.kind === 'direct' && place.with !== account) continue
      const conversation = conversationOf(peer, place)
      if (place.kind === 'group' && !this.#parts.membersOf(account, conversation).includes(peer)) continue
      this.#tell(account, { kind: 'typing', conversation, who: peer, isOn })
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  #hearPresence(account: Identity, who: Identity, availability: Availability): void {
    const known = this.#others.get(account) ?? new Map<Identity, Present>()
    this.#others.set(account, known)
    const before = this.availabilityOf(account, who)
    known.set(who, { availability, untilMs: this.#nowMs() + 3 * limits.presenceEveryMs })
    if (before !== availability) this.#tell(account, { kind: 'presence', who, availability })
  }

  /** Says again who is here, and forgets who has not. */
  #tick(): void {
    for (const account of this.#own.keys()) {
      const availability = this.ownAvailability(account)
      if (availability === 'offline') this.#own.delete(account)
      if (!this.#parts.conversations.settings(account).tellsPresence) continue
      for (const { identity, state } of this.#parts.keyring.contacts(account))
        if (state === 'active')
          this.#parts.whisper(account, identity, { kind: 'signals', signals: [{ kind: 'presence', availability }] })
    }
    for (const [account, known] of this.#others)
      for (const [who, { untilMs, availability }] of known) {
        if (untilMs >= this.#nowMs()) continue
        known.delete(who)
        if (availability !== 'offline') this.#tell(account, { kind: 'presence', who, availability: 'offline' })
      }
  }

  #tell(account: Identity, heard: Heard): void {
    for (const listener of this.#listeners) listener(account, heard)
  }

  #nowMs(): number {
    return this.#parts.ambient.clock.monotonicMs()
  }
}
