/**
 * What contacts' clocks say of ours: a signed record from our future shows that we are behind its maker. That we are ahead
 * cannot be seen, for any record may be old.
 */
import type { Identity } from '../ids.ts'
import { limits } from '../limits.ts'

export class PeerClocks {
  readonly #aheadMs = new Map<Identity, number>()

  /** @param issuedAtMs of the newest record in what the contact sent just now */
  saw(contact: Identity, issuedAtMs: number, nowMs: number): void {
    this.#aheadMs.delete(contact)
    this.#aheadMs.set(contact, Math.max(0, issuedAtMs - nowMs))
    if (this.#aheadMs.size > limits.peersKnownMax) this.#aheadMs.delete(this.#aheadMs.keys().next().value!)
  }

  /** How many contacts were heard since the start. */
  get heard(): number {
    return this.#aheadMs.size
  }

  /** Contacts whose clock is ahead of ours by more than is usual, and by how much at least, milliseconds. */
  ahead(): readonly { readonly contact: Identity; readonly aheadMs: number }[] {
    return [...this.#aheadMs].flatMap(([contact, aheadMs]) =>
      aheadMs > limits.clockWarnMs ? [{ contact, aheadMs }] : [],
    )
  }
}
