/**
 * Invitations made here. The capability itself is not kept: only a keyed hash of it, as the row's key. It is good for
 * one identity, until it expires; the same identity may show it again, since its first answer may have been lost.
 */
import { toHex } from '../bytes.ts'
import { type Codec, decode, encode, hexId, optional, record, text, u64 } from '../codec.ts'
import type { Ambient } from '../ambient.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import type { Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { capabilityBytes, writeInvitation } from '../identity/invitation.ts'
import type { ReadTx, Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import type { OwnAccount } from './own-account.ts'
import type { Whereabouts } from './own-bundle.ts'

export interface MadeInvitation {
  /** 16 hex digits: for lists and for revoking; tells nothing of the capability. */
  readonly id: string
  readonly account: Identity
  /** Unix milliseconds, as the one below. */
  readonly createdAtMs: number
  readonly expiresAtMs: number
  readonly usedBy: Identity | undefined
}

export type Redemption =
  /** `first` is false when the same identity shows it again. */
  | { readonly kind: 'redeemed'; readonly account: Identity; readonly first: boolean }
  | { readonly kind: 'refused'; readonly code: 'invitation-invalid' | 'invitation-expired' | 'invitation-used' }

const madeCodec: Codec<MadeInvitation> = record<MadeInvitation>({
  id: text(16),
  account: hexId<Identity>(32),
  createdAtMs: u64,
  expiresAtMs: u64,
  usedBy: optional(hexId<Identity>(32)),
})

const keyOf = (tx: ReadTx, capability: Uint8Array): Uint8Array => tx.opaque(capability)
const idOf = (capability: Uint8Array): string =>
  toHex(labelledHash('mycelium/invitation-id/1', capability).subarray(0, 8))

export const openInvitations = (store: Store, ambient: Ambient): Invitations => new Invitations(store, ambient)

export class Invitations {
  readonly #store: Store
  readonly #ambient: Ambient

  constructor(store: Store, ambient: Ambient) {
    this.#store = store
    this.#ambient = ambient
  }

  /**
   * A new link, kept here only as a hash.
   * @param lifeMs within `limits.inviteExpiryMsMin` and `limits.inviteExpiryMsMax`
   * @throws `too-large` when the account has `limits.invitationsMax` of them
   */
  async create(
    account: OwnAccount,
    at: Whereabouts,
    lifeMs: number = limits.inviteExpiryMs,
  ): Promise<MadeInvitation & { readonly link: string }> {
    const nowMs = this.#ambient.clock.nowMs()
    const life = Math.min(Math.max(lifeMs, limits.inviteExpiryMsMin), limits.inviteExpiryMsMax)
    const capability = this.#ambient.random.bytes(capabilityBytes)
    const expiresAtMs = Math.ceil((nowMs + life) / 60_000) * 60_000
    const { identity, address, state } = account
    const { generation, rootKey } = state
    const root = generation === 0 ? undefined : { generation, rootKey }
    const link = writeInvitation({ identity, root, capability, expiresAtMs, address, ...at })
    const made = { id: idOf(capability), account: identity, createdAtMs: nowMs, expiresAtMs, usedBy: undefined }
    await this.#store.write((tx) => {
      this.#sweep(tx, nowMs)
      if (rowsOf(tx, identity).length >= limits.invitationsMax) {
        throw new MyceliumError('too-large', { invitations: limits.invitationsMax })
      }
      tx.put(tables.invitations, keyOf(tx, capability), encode(madeCodec, made))
    })
    return { ...made, link }
  }

  /** Takes the capability for `by`, in the transaction that makes the contact: nobody else can use it after. */
  redeem(tx: WriteTx, capability: Uint8Array, by: Identity): Redemption {
    const value = capability.length === capabilityBytes ? tx.get(tables.invitations, keyOf(tx, capability)) : undefined
    if (value === undefined) return { kind: 'refused', code: 'invitation-invalid' }
    const made = decode(madeCodec, value)
    const { account, usedBy } = made
    if (usedBy === by) return { kind: 'redeemed', account, first: false }
    if (usedBy !== undefined) return { kind: 'refused', code: 'invitation-used' }
    if (made.expiresAtMs <= this.#ambient.clock.nowMs()) return { kind: 'refused', code: 'invitation-expired' }
    if (by === account) return { kind: 'refused', code: 'invitation-invalid' }
    tx.put(tables.invitations, keyOf(tx, capability), encode(madeCodec, { ...made, usedBy: by }))
    return { kind: 'redeemed', account, first: true }
  }

  /** Would it be accepted now? Uses nothing up: somebody who was invited fetches the account's bundle first. */
  opens(account: Identity, capability: Uint8Array): boolean {
    const value = this.#store.read((tx) => tx.get(tables.invitations, keyOf(tx, capability)))
    const made = value && decode(madeCodec, value)
    return made?.account === account && made.usedBy === undefined && made.expiresAtMs > this.#ambient.clock.nowMs()
  }

  /** Open, used and expired ones, oldest first. */
  list(account: Identity): readonly MadeInvitation[] {
    return this.#store
      .read((tx) => rowsOf(tx, account).map(({ made }) => made))
      .toSorted((a, b) => a.createdAtMs - b.createdAtMs)
  }

  /** @throws `no-such-invitation` */
  async revoke(account: Identity, id: string): Promise<void> {
    await this.#store.write((tx) => {
      const found = rowsOf(tx, account).find(({ made }) => made.id === id)
      if (found === undefined) throw new MyceliumError('no-such-invitation')
      tx.remove(tables.invitations, found.key)
    })
  }

  /** All of an account that is being removed. */
  removeAll(tx: WriteTx, account: Identity): void {
    for (const { key } of rowsOf(tx, account)) tx.remove(tables.invitations, key)
  }

  #sweep(tx: WriteTx, nowMs: number): void {
    for (const { key, made } of allRows(tx)) {
      if (made.expiresAtMs + limits.invitationKeepMs < nowMs) tx.remove(tables.invitations, key)
    }
  }
}

interface Row {
  readonly key: Uint8Array
  readonly made: MadeInvitation
}
const allRows = (tx: ReadTx): readonly Row[] =>
  Array.from(tx.range(tables.invitations, {}), ({ key, value }) => ({ key, made: decode(madeCodec, value) }))
const rowsOf = (tx: ReadTx, account: Identity): readonly Row[] =>
  allRows(tx).filter(({ made }) => made.account === account)
