/**
 * Online confirmations under way: both people see the same digits, made so that nobody in between could choose them,
 * and say so. Steps travel inside the session; states live for ten minutes, in memory.
 */
import type { Ambient } from '../ambient.ts'
import { decode, encode } from '../codec.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity } from '../ids.ts'
import {
  answerConfirmation,
  type Confirmation,
  confirmationCodec,
  type ConfirmationStep,
  startConfirmation,
  stepConfirmation,
} from '../identity/confirmation.ts'
import { type Fingerprinted, fingerprintOf } from '../identity/fingerprint.ts'
import { limits } from '../limits.ts'
import type { Item } from './items.ts'

interface Running {
  readonly state: Confirmation
  readonly sinceMs: number
  /** A person was shown the digits. */
  readonly shown: boolean
}

interface ConfirmationParts {
  readonly ambient: Ambient
  readonly partyOf: (account: Identity) => Fingerprinted
  /** As we know it now; `undefined` for somebody who is no contact. */
  readonly contactParty: (account: Identity, contact: Identity) => Fingerprinted | undefined
  readonly say: (account: Identity, contact: Identity, item: Item) => void
}

export class Confirmations {
  readonly #parts: ConfirmationParts
  readonly #running = new Map<string, Running>()
  readonly #changed = new Set<() => void>()

  constructor(parts: ConfirmationParts) {
    this.#parts = parts
  }

  /** The digits to compare, once the other side's gateway has answered. @throws `no-such-contact`, `timeout` */
  async digits(
    account: Identity,
    contact: Identity,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<{ readonly digits: string; readonly expiresAtMs: number }> {
    const known = this.#fresh(account, contact)
    if (known === undefined || known.state.at === 'failed' || this.#isStuck(known)) this.#start(account, contact)
    for (;;) {
      const { state, sinceMs } = this.#fresh(account, contact) ?? { state: { at: 'failed' as const }, sinceMs: 0 }
      if (state.at === 'compare') {
        this.#running.set(account + contact, { state, sinceMs, shown: true })
        return { digits: state.digits, expiresAtMs: sinceMs + limits.confirmationMs }
      }
      if (state.at === 'failed') throw new MyceliumError('peer-misbehaved', { step: 'confirmation' })
      if (signal.aborted) throw new MyceliumError('timeout')
      await this.#nextChange(signal)
    }
  }

  /** A step that arrived inside the contact's session. */
  received(account: Identity, contact: Identity, encoded: Uint8Array): void {
    const parties = this.#parties(account, contact)
    if (parties === undefined) return
    const message = decode(confirmationCodec, encoded)
    const known = this.#fresh(account, contact)?.state
    // whoever commits again begins again; only our own commitment may stand against it
    const isNew =
      known === undefined || known.at === 'failed' || (known.at !== 'committed' && message.kind === 'commit')
    this.#take(
      account,
      contact,
      isNew ? answerConfirmation(parties, message, this.#nonce()) : stepConfirmation(known, message),
    )
  }

  /**
   * The people have spoken; whatever they said, these digits are not shown again.
   * @returns the contact's fingerprint that the digits covered
   * @throws `timeout` when none were shown, or others took their place
   */
  end(account: Identity, contact: Identity): string {
    const known = this.#fresh(account, contact)
    this.#running.delete(account + contact)
    if (known?.state.at !== 'compare' || !known.shown) throw new MyceliumError('timeout', { step: 'confirmation' })
    return fingerprintOf(known.state.other)
  }

  #start(account: Identity, contact: Identity): void {
    const parties = this.#parties(account, contact)
    if (parties === undefined) throw new MyceliumError('no-such-contact')
    this.#take(account, contact, startConfirmation(parties, this.#nonce()))
  }

  #take(account: Identity, contact: Identity, { state, send }: ConfirmationStep): void {
    this.#running.set(account + contact, { state, sinceMs: this.#parts.ambient.clock.nowMs(), shown: false })
    if (send !== undefined)
      this.#parts.say(account, contact, { kind: 'confirmation', step: encode(confirmationCodec, send) })
    for (const wake of this.#changed) wake()
  }

  #parties(
    account: Identity,
    contact: Identity,
  ): { readonly self: Fingerprinted; readonly other: Fingerprinted } | undefined {
    const other = this.#parts.contactParty(account, contact)
    return other === undefined ? undefined : { self: this.#parts.partyOf(account), other }
  }

  #fresh(account: Identity, contact: Identity): Running | undefined {
    const known = this.#running.get(account + contact)
    return known !== undefined && this.#parts.ambient.clock.nowMs() - known.sinceMs < limits.confirmationMs
      ? known
      : undefined
  }

  /** A step that was lost with a link or a process does not come any more. */
  #isStuck({ state, sinceMs }: Running): boolean {
    return state.at !== 'compare' && this.#parts.ambient.clock.nowMs() - sinceMs > limits.confirmationStepMs
  }

  #nonce(): Uint8Array {
    return this.#parts.ambient.random.bytes(32)
  }

  async #nextChange(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#changed.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#changed.add(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }
}
