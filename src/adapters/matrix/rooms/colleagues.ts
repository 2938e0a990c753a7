/** Accounts of one gateway hear of each other’s doings here, where the overlay is not asked. */
import type { Partner } from '../../../core/conversation/rows.ts'
import type { Identity } from '../../../core/ids.ts'
import type { MatrixServices } from '../services.ts'

/** Other accounts of this gateway in a conversation of an account. */
export function colleaguesIn(
  { accounts, groupBook }: Pick<MatrixServices, 'accounts' | 'groupBook'>,
  account: Identity,
  partner: Partner,
): readonly Identity[] {
  const people =
    partner.kind === 'direct'
      ? [partner.peer]
      : [...(groupBook.groupNow(account, partner.group)?.state.members.keys() ?? [])]
  return people.filter((who) => who !== account && accounts.has(who))
}
