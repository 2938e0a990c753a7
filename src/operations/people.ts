/** What a person is called in what the command line shows. */
import type { OwnAccount } from '../core/account/own-account.ts'
import type { ChatPerson } from '../core/control-views.ts'
import type { Identity } from '../core/ids.ts'
import type { OperationParts } from './context.ts'

export function viewPerson({ knowledge }: OperationParts, account: OwnAccount, identity: Identity): ChatPerson {
  const own = identity === account.identity
  const local = knowledge.accounts.has(identity) ? knowledge.accounts.get(identity).displayName : undefined
  const name = local ?? knowledge.contacts.byIdentity(account.identity, identity)?.displayName ?? identity.slice(0, 16)
  return { identity, name, own }
}
