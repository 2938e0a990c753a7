/** A store for each test, a clock that can be set, and accounts on top. */
import { type Ambient, type Clock, silentLog, systemRandom } from '../../../src/core/ambient.ts'
import type { Contacts } from '../../../src/core/account/contacts.ts'
import { openContacts } from '../../../src/core/account/contacts.ts'
import { type Accounts, openAccounts } from '../../../src/core/account/accounts.ts'
import type { ContactWriter } from '../../../src/core/account/contact-writer.ts'
import { type Invitations, openInvitations } from '../../../src/core/account/invitations.ts'
import type { Store } from '../../../src/core/store/store.ts'
import { openMemoryStore } from '../../support/memory-store.ts'
import { temporaryStore } from '../store/support.ts'
import { gateway } from '../identity/people.ts'

export interface SetClock extends Clock {
  wallMs: number
  runMs: number
}
export const setClock = (wallMs = Date.UTC(2026, 10, 20)): SetClock => ({
  wallMs,
  runMs: 0,
  nowMs() {
    return this.wallMs
  },
  monotonicMs() {
    return this.runMs
  },
})

/** The real store, and one that runs each writer twice, as the interface allows. */
export const stores: readonly (readonly [name: string, open: () => Promise<Store>])[] = [
  ['on LMDB', temporaryStore],
  ['on a store that runs writers twice', async () => openMemoryStore({ rerun: true })],
]

export interface World extends AsyncDisposable {
  readonly store: Store
  readonly clock: SetClock
  readonly ambient: Ambient
  readonly accounts: Accounts
  readonly contacts: Contacts
  readonly invitations: Invitations
  /** One change of contacts in a transaction of its own. */
  change<T>(use: (contacts: ContactWriter) => T): Promise<T>
}

export async function openWorld(open: () => Promise<Store> = temporaryStore): Promise<World> {
  const clock = setClock()
  const ambient: Ambient = { clock, random: systemRandom, log: silentLog }
  const store = await open()
  const accounts = await openAccounts(store, ambient)
  const contacts = openContacts(store, ambient, accounts)
  return {
    store,
    clock,
    ambient,
    accounts,
    contacts,
    invitations: openInvitations(store, ambient),
    change: (use) => store.write((tx) => use(contacts.using(tx))),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  }
}

export const here = { gateway, locators: ['/ip4/192.0.2.1/tcp/4001'] }
