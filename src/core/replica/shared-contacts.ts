/**
 * Contacts as the devices of an account have them in common: that somebody is one, accepted, blocked or verified, and
 * the name that the person gave them, are last-writer registers. What a contact's own signed records say each device
 * hears from the contact itself; it travels along so that a new device can write at once. Strangers who wait to be
 * accepted are each device's own: they write to every device anyway.
 */
import { concat, toHex } from '../bytes.ts'
import { array, bool, bytes, type Codec, decode, encode, hexId, optional, record, text } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { addressCodec, claimCodec, type Contact, type ContactRecord, decodeContact } from '../account/contact.ts'
import { contactKey, readClaims } from '../account/contact-rows.ts'
import type { Contacts } from '../account/contacts.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import type { Address, Identity } from '../ids.ts'
import type { Claim } from '../identity/trust.ts'
import { limits } from '../limits.ts'
import type { ReadTx, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { isAhead, type Stamp } from './hlc.ts'
import { later, type Register, registerCodec } from './register.ts'
import { type ItemSlice, type MergeSource, type Replicas, type Replicated, sliceOf } from './replicas.ts'
import type { ItemId } from './set-reconciliation.ts'

/** What a person decided about a contact. */
interface Decision {
  readonly isContact: boolean
  readonly blocked: boolean
  readonly verified: boolean
  /** The fingerprint that was accepted. */
  readonly accepted: string
}
interface Registers {
  readonly identity: Identity
  readonly decided: Register<Decision>
  readonly name: Register<string>
}
/** The contact as the other device has it, with its claims on addresses. */
interface Card {
  readonly contact: Uint8Array
  readonly claims: readonly (Claim & { readonly address: Address })[]
}
interface ContactState extends Registers {
  readonly card: Card | undefined
}

const decisionCodec: Codec<Decision> = record<Decision>({
  isContact: bool,
  blocked: bool,
  verified: bool,
  accepted: text(71),
})
const registerFields = {
  identity: hexId<Identity>(32),
  decided: registerCodec(decisionCodec),
  name: registerCodec(text(limits.displayNameOctetsMax)),
}
const registersCodec = record<Registers>(registerFields)
const claimed: Codec<Claim & { readonly address: Address }> = {
  write(out, { address, ...claim }) {
    addressCodec.write(out, address)
    claimCodec.write(out, claim)
  },
  read: (from) => ({ address: addressCodec.read(from), ...claimCodec.read(from) }),
}
const stateCodec = record<ContactState>({
  ...registerFields,
  card: optional(
    record<Card>({
      contact: bytes(limits.contactRecordBytesMax),
      claims: array(claimed, limits.identityAddressesMax + 1),
    }),
  ),
})

const raw = (hex: string): Uint8Array => Buffer.from(hex, 'hex')
const prefixOf = (tx: ReadTx, account: Identity): Uint8Array => tx.opaque(raw(account))
const itemIdOf = (identity: Identity): ItemId => identity.slice(0, 32)
const versionOf = (registers: Registers): string =>
  toHex(labelledHash('mycelium/contact-version/1', encode(registersCodec, registers)).subarray(0, 16))
const isSameDecision = (a: Decision, b: Decision): boolean =>
  a.isContact === b.isContact && a.blocked === b.blocked && a.verified === b.verified && a.accepted === b.accepted

export class SharedContacts implements Replicated {
  readonly kind = 3
  readonly #parts: { readonly contacts: Contacts; readonly replicas: Replicas; readonly nowMs: () => number }

  constructor(parts: { readonly contacts: Contacts; readonly replicas: Replicas; readonly nowMs: () => number }) {
    this.#parts = parts
  }

  /** Takes over what was decided about a contact here. Of one that nobody has decided about, nothing. */
  compare(tx: WriteTx, account: Identity, identity: Identity): void {
    const next = this.difference(tx, account, identity)
    if (next !== undefined) this.#put(tx, account, next, undefined)
  }

  /** What `compare` would write; mostly nothing. */
  difference(tx: ReadTx, account: Identity, identity: Identity): Registers | undefined {
    const value = tx.get(tables.contacts, contactKey(tx, account, identity))
    const contact = value === undefined ? undefined : decodeContact(value)
    const known = this.#read(tx, account, itemIdOf(identity))
    const isDecided = contact !== undefined && (contact.state !== 'request' || contact.blocked)
    if (known === undefined && !isDecided) return undefined
    const decision: Decision = {
      isContact: contact !== undefined && contact.state !== 'request',
      blocked: contact?.blocked ?? false,
      verified: contact?.verified ?? false,
      accepted: contact?.accepted ?? '',
    }
    const name = contact?.displayName ?? known?.name.value ?? ''
    const stamp = (previous?: Stamp): Stamp => this.#parts.replicas.clock(account).next(previous)
    const next: Registers = {
      identity,
      decided:
        known !== undefined && isSameDecision(known.decided.value, decision)
          ? known.decided
          : { value: decision, stamp: stamp(known?.decided.stamp) },
      name: known?.name.value === name ? known.name : { value: name, stamp: stamp(known?.name.stamp) },
    }
    return known !== undefined && versionOf(known) === versionOf(next) ? undefined : next
  }

  items(tx: ReadTx, account: Identity, from: Uint8Array | undefined): ItemSlice {
    return sliceOf(tx, tables.sharedContacts, { prefix: prefixOf(tx, account), from }, (value) => {
      const registers = decode(registersCodec, value)
      return { atMs: 0, id: itemIdOf(registers.identity), version: versionOf(registers) }
    })
  }

  state(tx: ReadTx, account: Identity, id: ItemId): Uint8Array | undefined {
    const registers = this.#read(tx, account, id)
    if (registers === undefined) return undefined
    return encode(stateCodec, { ...registers, card: this.#card(tx, account, registers.identity) })
  }

  #card(tx: ReadTx, account: Identity, identity: Identity): Card | undefined {
    const contact = tx.get(tables.contacts, contactKey(tx, account, identity))
    if (contact === undefined) return undefined
    const claims = decodeContact(contact).addresses.flatMap((address) =>
      readClaims(tx, account, address)
        .filter((claim) => claim.identity === identity)
        .map((claim) => ({ ...claim, address })),
    )
    return { contact, claims }
  }

  merge(tx: WriteTx, { account, device }: MergeSource, states: readonly Uint8Array[]): void {
    for (const encoded of states) {
      const state = decode(stateCodec, encoded)
      const stamps = [state.decided.stamp, state.name.stamp]
      if (stamps.some((stamp) => isAhead(stamp, this.#parts.nowMs()))) continue
      for (const stamp of stamps) this.#parts.replicas.clock(account).saw(stamp)
      const known = this.#read(tx, account, itemIdOf(state.identity))
      const merged: Registers = {
        identity: state.identity,
        decided: known === undefined ? state.decided : later(known.decided, state.decided),
        name: known === undefined ? state.name : later(known.name, state.name),
      }
      if (known !== undefined && versionOf(known) === versionOf(merged)) continue
      this.#put(tx, account, merged, device)
      this.#apply(tx, account, merged, state.card)
    }
  }

  #apply(tx: WriteTx, account: Identity, { identity, decided, name }: Registers, card: Card | undefined): void {
    const { isContact, blocked, verified, accepted } = decided.value
    const writer = this.#parts.contacts.using(tx)
    const value = tx.get(tables.contacts, contactKey(tx, account, identity))
    const own = value === undefined ? undefined : decodeContact(value)
    if (!isContact && !blocked) {
      if (own !== undefined && own.state !== 'request') writer.remove(account, identity)
      return
    }
    const given = card === undefined ? own : decodeContact(card.contact)
    if (given === undefined || given.identity !== identity) return
    const state: Contact['state'] = !isContact ? 'request' : own?.state === 'active' ? 'active' : given.state
    const record: ContactRecord = {
      ...given,
      state: isContact && state === 'request' ? 'active' : state,
      blocked,
      verified,
      accepted: accepted === '' ? given.accepted : accepted,
      displayName: name.value === '' ? given.displayName : name.value,
      // the first to reach the inviter shows its capability; the others are known by then
      invitation: given.invitation ?? own?.invitation,
      addedAtMs: own?.addedAtMs ?? given.addedAtMs,
    }
    try {
      writer.adopt(account, record, card?.claims ?? this.#card(tx, account, identity)?.claims ?? [])
    } catch (error) {
      if (!(error instanceof MyceliumError) || hasCode(error, 'store-corrupt')) throw error
    }
  }

  #read(tx: ReadTx, account: Identity, id: ItemId): Registers | undefined {
    const value = tx.get(tables.sharedContacts, concat(prefixOf(tx, account), tx.opaque(raw(id))))
    return value === undefined ? undefined : decode(registersCodec, value)
  }
  #put(tx: WriteTx, account: Identity, registers: Registers, from: MergeSource['device'] | undefined): void {
    const id = itemIdOf(registers.identity)
    tx.put(tables.sharedContacts, concat(prefixOf(tx, account), tx.opaque(raw(id))), encode(registersCodec, registers))
    this.#parts.replicas.changed(tx, { account, kind: this.kind, ids: [id], from })
  }
}
