/** Invitations, contacts, requests and verification. */
import { type Contact, isChosen } from '../core/account/contact.ts'
import type { ContactWriter } from '../core/account/contact-writer.ts'
import type { OwnAccount } from '../core/account/own-account.ts'
import type { Operations } from '../core/control.ts'
import type { ContactView } from '../core/control-views.ts'
import { MyceliumError } from '../core/errors.ts'
import { parseInvitation } from '../core/identity/invitation.ts'
import { tierWords } from '../core/identity/trust.ts'
import { limits } from '../core/limits.ts'
import { accountOf, contactOf, liveOf, type OperationParts } from './context.ts'
import { reachOf } from './reach.ts'

function viewContact(parts: OperationParts, account: OwnAccount, contact: Contact): ContactView {
  const reach = reachOf(parts, account.identity, contact)
  return {
    name: contact.displayName,
    identity: contact.identity,
    fingerprint: contact.fingerprint,
    addresses: contact.addresses.map(({ address, tier, conflicting }) => ({
      address,
      tier: tierWords[tier],
      conflicting,
    })),
    state: stateOf(contact),
    devices: contact.devices.length,
    connected: reach?.state === 'connected',
    lastSeenMs: reach?.sinceMs,
    reach,
  }
}

function stateOf({ blocked, keyChanged, state }: Contact): ContactView['state'] {
  if (blocked) return 'blocked'
  if (keyChanged) return 'key-changed'
  return state
}

/** A link has room for a few: one of each kind at the least. */
function alternating(direct: readonly string[], through: readonly string[]): readonly string[] {
  const ranked = [...direct, ...through].map((locator, index) => {
    const rank = index < direct.length ? index * 2 : (index - direct.length) * 2 + 1
    return { locator, rank }
  })
  return [...new Set(ranked.toSorted((a, b) => a.rank - b.rank).map(({ locator }) => locator))]
}

type ContactOperations = Pick<
  Operations,
  | 'inviteCreate'
  | 'inviteAccept'
  | 'inviteList'
  | 'inviteRevoke'
  | 'contactList'
  | 'contactShow'
  | 'contactVerify'
  | 'contactConfirmStart'
  | 'contactConfirmEnd'
  | 'contactRename'
  | 'contactBlock'
  | 'contactUnblock'
  | 'contactRemove'
  | 'contactRequests'
  | 'contactAccept'
>

export function contactOperations(parts: OperationParts): ContactOperations {
  const { knowledge, ambient } = parts
  const { contacts, invitations, store } = knowledge
  const change = async (
    named: { readonly account?: string | undefined; readonly contact: string },
    use: (writer: ContactWriter, account: OwnAccount, contact: Contact) => Contact,
  ): Promise<ContactView> => {
    const account = accountOf(parts, named.account)
    const contact = contactOf(parts, account, named.contact)
    const changed = await store.write((tx) => use(contacts.using(tx), account, contact))
    return viewContact(parts, account, changed)
  }
  return {
    async inviteCreate({ account, expiresMs }) {
      const { overlay, delivery } = liveOf(parts).node
      const own = accountOf(parts, account)
      const through = delivery.relays?.locatorsThrough(own.identity) ?? []
      const at = { gateway: overlay.self, locators: alternating(overlay.locators(), through) }
      const { link, expiresAtMs } = await invitations.create(own, at, expiresMs)
      await delivery.relays?.invited(own.identity, parseInvitation(link).capability)
      return { link, expiresAtMs }
    },
    async inviteAccept({ account: named, link }, { signal, progress }) {
      const account = accountOf(parts, named)
      const invitation = parseInvitation(link)
      const { identity } = await store.write((tx) => contacts.using(tx).addPending(account.identity, invitation))
      if (parts.live !== undefined) {
        progress({ step: 'connecting' })
        await firstContact(
          parts,
          account,
          identity,
          AbortSignal.any([signal, AbortSignal.timeout(limits.acceptWaitMs)]),
        )
      }
      const contact = contacts.byIdentity(account.identity, identity)!
      return {
        address: contact.addresses[0]?.address ?? invitation.address,
        identity,
        fingerprint: contact.fingerprint,
        tier: tierWords[contact.tier],
        state: stateOf(contact),
      }
    },
    async inviteList({ account }) {
      const nowMs = ambient.clock.nowMs()
      return invitations.list(accountOf(parts, account).identity).map(({ id, createdAtMs, expiresAtMs, usedBy }) => ({
        id,
        createdAtMs,
        expiresAtMs,
        state: usedBy !== undefined ? 'used' : expiresAtMs <= nowMs ? 'expired' : 'open',
      }))
    },
    async inviteRevoke({ account, id }) {
      await invitations.revoke(accountOf(parts, account).identity, id)
      return { revoked: id }
    },
    async contactList({ account: named }) {
      const account = accountOf(parts, named)
      return contacts
        .list(account.identity)
        .filter(isChosen)
        .map((contact) => viewContact(parts, account, contact))
    },
    async contactShow({ account: named, contact }) {
      const account = accountOf(parts, named)
      return viewContact(parts, account, contactOf(parts, account, contact))
    },
    contactVerify: async ({ digits, ...named }) =>
      await change(named, (writer, account, contact) => writer.verify(account.identity, contact.identity, digits)),
    async contactConfirmStart({ account: named, contact: name }, { signal, progress }) {
      const account = accountOf(parts, named)
      const contact = contactOf(parts, account, name)
      progress({ step: 'waiting' })
      const { digits, expiresAtMs } = await liveOf(parts).node.confirmations.digits(
        account.identity,
        contact.identity,
        { signal },
      )
      return { text: digits, expiresAtMs }
    },
    async contactConfirmEnd({ account: named, contact: name, same }) {
      const account = accountOf(parts, named)
      const contact = contactOf(parts, account, name)
      const fingerprint = liveOf(parts).node.confirmations.end(account.identity, contact.identity)
      if (!same) return { state: 'refused', contact: viewContact(parts, account, contact) }
      const verified = await store.write((tx) =>
        contacts.using(tx).verify(account.identity, contact.identity, fingerprint),
      )
      return { state: 'confirmed', contact: viewContact(parts, account, verified) }
    },
    contactRename: async ({ name, ...named }) =>
      await change(named, (writer, account, contact) => writer.rename(account.identity, contact.identity, name)),
    contactBlock: async (named) =>
      await change(named, (writer, account, contact) => writer.block(account.identity, contact.identity)),
    contactUnblock: async (named) =>
      await change(named, (writer, account, contact) => writer.unblock(account.identity, contact.identity)),
    async contactRemove({ account: named, contact: name }) {
      const account = accountOf(parts, named)
      const contact = contactOf(parts, account, name)
      await store.write((tx) => contacts.using(tx).remove(account.identity, contact.identity))
      return { removed: contact.displayName }
    },
    async contactRequests({ account: named }) {
      const account = accountOf(parts, named)
      return contacts.requests(account.identity).map(({ identity, addresses, fingerprint, addedAtMs }) => ({
        identity,
        address: addresses[0]?.address ?? '',
        fingerprint,
        receivedAtMs: addedAtMs,
        messages: knowledge.requests.mailsOf(account.identity, identity),
      }))
    },
    contactAccept: async (named) =>
      await change(named, (writer, account, contact) => writer.accept(account.identity, contact.identity)),
  }
}

/** Waits until the inviter's gateway has answered, or for as long as the person should wait; the courier goes on after. */
async function firstContact(
  parts: OperationParts,
  account: OwnAccount,
  identity: Contact['identity'],
  signal: AbortSignal,
): Promise<void> {
  const { contacts } = parts.knowledge
  while (!signal.aborted) {
    const contact = contacts.byIdentity(account.identity, identity)
    if (contact === undefined) throw new MyceliumError('no-such-contact')
    if (contact.state === 'active' && contact.invitation === undefined) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
