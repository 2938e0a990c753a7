/** The groups of this gateway's accounts, as mail programs are shown them. */
import type { GroupBook } from '../../conversation/group-book.ts'
import { groupAddress, groupOfAddress } from '../../group/group-address.ts'
import type { Store } from '../../store/store.ts'
import type { Groups } from '../groups/groups.ts'
import type { Directory } from '../needs.ts'
import type { ChatGroups } from './groups.ts'

export function groupsInMail(parts: {
  readonly store: Store
  readonly book: GroupBook
  readonly directory: Directory
  /** They are made after what shows them. */
  readonly groups: () => Groups
}): ChatGroups {
  const { book, directory, groups } = parts
  return {
    groupOf(account, id) {
      const group = book.groupSeen(account, id)
      if (group === undefined) return undefined
      const { name, members } = group.state
      return {
        name,
        address: groupAddress(id, name),
        members: [...members.keys()].map((identity) => ({
          identity,
          name: directory.nameOf(account, identity) ?? identity.slice(0, 16),
          address: directory.addressOf(account, identity),
        })),
      }
    },
    isAsked: (tx, account, id) => book.row(tx, account, id)?.state === 'invited',
    resolve(account, address) {
      const group = groupOfAddress(address)
      return group === undefined || groups().row(account, group) === undefined ? undefined : group
    },
    mayPost: (account, group) => groups().mayWrite(account, group),
    postIn: (tx, account, group, draft) => groups().sayIn(tx, account, group, draft),
  }
}
