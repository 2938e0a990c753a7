/** A person who talks to a contact learns when it becomes surer who that is, or less so: its programs get a line from the server. */
import type { Identity } from '../../../core/ids.ts'
import { tierWords } from '../../../core/identity/trust.ts'
import { el } from '../element.ts'
import type { Feature, Server } from '../feature.ts'
import { bareOf } from '../jid.ts'

export const trustNotices = (server: Server): Feature => {
  const { contacts } = server.services
  /** What was true when a program of the account was there, by contact. */
  const seen = new Map<Identity, Map<Identity, string>>()

  const trustOf = (account: Identity, identity: Identity): string | undefined => {
    const contact = contacts.byIdentity(account, identity)
    if (contact?.state !== 'active') return undefined
    return contact.keyChanged ? 'key-changed' : tierWords[contact.tier]
  }

  const stop = contacts.watch((account, identity) => {
    const known = seen.get(account)
    const now = trustOf(account, identity)
    if (known === undefined || now === undefined) return
    const before = known.get(identity)
    known.set(identity, now)
    if (before === undefined || before === now) return
    const who = bareOf(server.names.person(account, identity))
    const words =
      now === 'key-changed'
        ? `The key of ${who} has changed. Nothing is sent until you have compared its digits: "mycelium-gateway contact verify".`
        : `${who} is now trusted as: ${now} (before: ${before}).`
    server.hub.toAll(
      account,
      el('message', { type: 'chat', from: server.names.server }, el('body', {}, words)),
      ({ state }) => state.presence !== undefined,
    )
  })
  return {
    available({ account }) {
      if (seen.has(account)) return
      const trust = contacts.list(account).map(({ identity }) => [identity, trustOf(account, identity)] as const)
      seen.set(account, new Map(trust.filter((one): one is readonly [Identity, string] => one[1] !== undefined)))
    },
    gone({ account }) {
      if (server.hub.of(account).length === 0) seen.delete(account)
    },
    [Symbol.dispose]: stop,
  }
}
