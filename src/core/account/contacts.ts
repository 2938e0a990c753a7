/**
 * The contacts of this gateway's accounts, by identity and by address. Reads are from memory and follow the committed
 * state; every change goes through `using(tx)`, so that it can be part of a larger transaction.
 */
import type { Ambient } from '../ambient.ts'
import type { Address, Identity } from '../ids.ts'
import { bindingOf, type Claim } from '../identity/trust.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { type Contact, type ContactRecord, decodeContact } from './contact.ts'
import { contactKey, readClaims, readContact } from './contact-rows.ts'
import { ContactWriter, type OwnAddresses } from './contact-writer.ts'

/** Where an address leads from an account. */
export type Resolution =
  | { readonly kind: 'self' }
  | { readonly kind: 'contact'; readonly identity: Identity }
  | { readonly kind: 'unknown' }
  /** Several claim it and none is pinned. */
  | { readonly kind: 'conflict' }
  | { readonly kind: 'key-changed'; readonly identity: Identity }
  | { readonly kind: 'blocked'; readonly identity: Identity }

export const openContacts = (store: Store, ambient: Ambient, own: OwnAddresses): Contacts =>
  new Contacts(store, ambient, own)

const idBytes = (identity: Identity): Uint8Array => Buffer.from(identity, 'hex')

interface Cached {
  readonly contacts: Map<Identity, Contact>
  /** Of every contact, once they were listed; also some that are gone. */
  identities: Set<Identity> | undefined
  /** As `list` last gave it, until one changes. */
  listed: readonly Contact[] | undefined
  readonly claims: Map<Address, readonly Claim[]>
}

export class Contacts {
  readonly #store: Store
  readonly #ambient: Ambient
  readonly #own: OwnAddresses
  readonly #cache = new Map<Identity, Cached>()
  readonly #watchers = new Set<(account: Identity, contact: Identity) => void>()

  constructor(store: Store, ambient: Ambient, own: OwnAddresses) {
    this.#store = store
    this.#ambient = ambient
    this.#own = own
  }

  /** Every change, inside the caller's transaction; alone: `store.write((tx) => contacts.using(tx).block(…))`. */
  using(tx: WriteTx): ContactWriter {
    return new ContactWriter(tx, this.#ambient, this.#own, (touched) => {
      const cached = this.#of(touched.account)
      for (const identity of touched.identities) cached.contacts.delete(identity)
      for (const address of touched.addresses) cached.claims.delete(address)
      cached.listed = undefined
      cached.identities?.add(touched.contact)
      for (const watcher of this.#watchers) watcher(touched.account, touched.contact)
    })
  }

  byIdentity(account: Identity, identity: Identity): Contact | undefined {
    const { contacts } = this.#of(account)
    const known = contacts.get(identity)
    if (known !== undefined) return known
    const found = this.#store.read((tx) => readContact(tx, account, identity))
    if (found !== undefined) contacts.set(identity, found)
    return found
  }

  /** With its signed records as they were learnt: what can be handed on. */
  record(account: Identity, identity: Identity): ContactRecord | undefined {
    const value = this.#store.read((tx) => tx.get(tables.contacts, contactKey(tx, account, identity)))
    return value && decodeContact(value)
  }

  /** Requests, fellows and blocked ones too, in order of their arrival. */
  list(account: Identity): readonly Contact[] {
    const cached = this.#of(account)
    cached.listed ??= this.#listed(account, cached)
    return cached.listed
  }

  #listed(account: Identity, cached: Cached): readonly Contact[] {
    const identities = (cached.identities ??= this.#identities(account))
    const found: Contact[] = []
    for (const identity of identities) {
      const contact = this.byIdentity(account, identity)
      if (contact === undefined) identities.delete(identity)
      else found.push(contact)
    }
    return found.toSorted((a, b) => a.addedAtMs - b.addedAtMs)
  }

  #identities(account: Identity): Set<Identity> {
    return this.#store.read((tx) => {
      const rows = tx.range(tables.contacts, { prefix: tx.opaque(idBytes(account)) })
      return new Set(Array.from(rows, ({ value }) => decodeContact(value).identity))
    })
  }

  /** Strangers who wrote first and wait. */
  requests(account: Identity): readonly Contact[] {
    return this.list(account).filter(({ state, blocked }) => state === 'request' && !blocked)
  }

  claims(account: Identity, address: Address): readonly Claim[] {
    const { claims } = this.#of(account)
    const known = claims.get(address)
    if (known !== undefined) return known
    const found = this.#store.read((tx) => readClaims(tx, account, address))
    if (found.length > 0) claims.set(address, found)
    return found
  }

  resolve(account: Identity, address: Address): Resolution {
    if (this.#own.ownsAddress(account, address)) return { kind: 'self' }
    const binding = bindingOf(this.claims(account, address))
    if (binding.kind !== 'bound') return binding
    const { identity } = binding
    const contact = this.byIdentity(account, identity)
    if (contact === undefined) return { kind: 'unknown' }
    if (contact.blocked) return { kind: 'blocked', identity }
    return { kind: contact.keyChanged ? 'key-changed' : 'contact', identity }
  }

  /** Called after each committed change of a contact; returns how to stop. */
  watch(listener: (account: Identity, contact: Identity) => void): () => void {
    this.#watchers.add(listener)
    return () => void this.#watchers.delete(listener)
  }

  #of(account: Identity): Cached {
    const known = this.#cache.get(account)
    if (known !== undefined) return known
    const cached: Cached = { contacts: new Map(), identities: undefined, listed: undefined, claims: new Map() }
    this.#cache.set(account, cached)
    return cached
  }
}
