/** What an office does with the accounts of its box: looks at them, limits them, hands them to somebody else, reads the log. */
import { isChosen } from '../core/account/contact.ts'
import type { OwnAccount } from '../core/account/own-account.ts'
import type { Operations } from '../core/control.ts'
import type { AccountDetails } from '../core/control-views.ts'
import { limits } from '../core/limits.ts'
import { viewAccount } from './accounts.ts'
import { auditIdOf } from './audited.ts'
import { accountOf, type OperationParts } from './context.ts'

type AdministrationOperations = Pick<Operations, 'accountShow' | 'accountQuota' | 'accountHandOver' | 'auditList'>

export function administrationOperations(parts: OperationParts): AdministrationOperations {
  const { knowledge, ambient, audit } = parts
  const { accounts, invitations, logins, quotas, store } = knowledge
  return {
    accountShow: async ({ account }) => detailsOf(parts, accountOf(parts, account)),
    async accountQuota({ account, quota }) {
      const { identity } = accountOf(parts, account)
      const bytes = quota === 'default' ? undefined : quota === 'none' ? Infinity : quota
      await store.write((tx) => quotas.set(tx, identity, bytes))
      return viewAccount(knowledge, accounts.get(identity))
    },
    /**
     * 2026-11: the account's identity, mail and contacts stay, and everything by which the former holder could still use
     * it from outside goes: app passwords with their sessions, and invitations that nobody has used. The recovery words
     * cannot be replaced: the account's log commits to keys made from them. So the answer says whether the former holder
     * may have them, and an account that belonged to one person is better exported and removed.
     */
    async accountHandOver({ account, displayName }) {
      const { identity } = accountOf(parts, account)
      await store.write((tx) => invitations.removeAll(tx, identity))
      const { name, password, revoked } = await logins.replaceAll(identity, handOverName(ambient.clock.nowMs()))
      if (displayName !== undefined) await accounts.setDisplayName(identity, displayName)
      if (accounts.get(identity).disabled) await accounts.setDisabled(identity, false)
      const { address, localName } = accounts.get(identity)
      return { address, localName, identity, name, password, revoked, wordsKept: accounts.keepsWords(identity) }
    },
    async auditList({ account, limit }) {
      const names = new Map(accounts.list().map(({ identity, localName }) => [auditIdOf(store, identity), localName]))
      const only = account === undefined ? undefined : auditIdOf(store, accountOf(parts, account).identity)
      return audit
        .entries()
        .filter((entry) => only === undefined || entry.account === only)
        .slice(-Math.min(limit, limits.auditListMax))
        .map((entry) => ({
          ...entry,
          accountName: entry.account === undefined ? undefined : names.get(entry.account),
        }))
    },
  }
}

const handOverName = (nowMs: number): string => `handed over ${new Date(nowMs).toISOString().slice(0, 10)}`

function detailsOf({ knowledge, live }: OperationParts, account: OwnAccount): AccountDetails {
  const { accounts, contacts, logins, mailboxes } = knowledge
  const { identity, createdAtMs } = account
  const boxes = mailboxes.list(identity)
  const lastUses = logins.list(identity).flatMap(({ lastUsedMs }) => lastUsedMs ?? [])
  return {
    ...viewAccount(knowledge, account),
    createdAtMs,
    lastLoginMs: lastUses.length === 0 ? undefined : Math.max(...lastUses),
    passwords: logins.list(identity).length,
    contacts: contacts.list(identity).filter(isChosen).length,
    mailboxes: boxes.length,
    messages: boxes.reduce((sum, { messages }) => sum + messages, 0),
    queued: live?.node.delivery.waiting(identity).length,
    wordsKept: accounts.keepsWords(identity),
  }
}
