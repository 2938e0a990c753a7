/** Groups from the command line: who is in them, by whose word, and under which rules. */
import type { OwnAccount } from '../core/account/own-account.ts'
import type { Operations } from '../core/control.ts'
import type { GroupView } from '../core/control-views.ts'
import type { GroupRow } from '../core/conversation/group-book.ts'
import type { Groups } from '../core/delivery/groups/groups.ts'
import { MyceliumError } from '../core/errors.ts'
import { groupAddress } from '../core/group/group-address.ts'
import { isAdmin } from '../core/group/roster.ts'
import type { GroupId, Identity } from '../core/ids.ts'
import { groupConversation } from '../core/message/conversation.ts'
import { accountOf, contactOf, liveOf, type OperationParts } from './context.ts'
import { viewPerson } from './people.ts'

type GroupOperations = Pick<
  Operations,
  | 'groupCreate'
  | 'groupList'
  | 'groupShow'
  | 'groupInvite'
  | 'groupRemove'
  | 'groupGrant'
  | 'groupRevoke'
  | 'groupRename'
  | 'groupPolicy'
  | 'groupLeave'
  | 'groupAccept'
  | 'groupCheckpoint'
>

interface NamedGroup {
  readonly account?: string | undefined
  readonly group: string
}

export function groupOperations(parts: OperationParts): GroupOperations {
  const change = async (
    named: NamedGroup,
    use: (groups: Groups, account: OwnAccount, group: GroupId) => Promise<void>,
  ): Promise<GroupView> => {
    const account = accountOf(parts, named.account)
    const { group } = groupOf(parts, account, named.group)
    await use(liveOf(parts).node.delivery.groups, account, group)
    return viewGroup(parts, account, rowOf(parts, account, group)!)
  }
  const ofMember = async (
    named: NamedGroup & { readonly member: string },
    use: (groups: Groups, account: OwnAccount, group: GroupId, member: Identity) => Promise<void>,
  ): Promise<GroupView> =>
    await change(named, async (groups, account, group) => {
      await use(groups, account, group, memberOf(parts, account, group, named.member))
    })
  return {
    async groupCreate({ account: named, name, members }) {
      const account = accountOf(parts, named)
      const people = members.map((member) => invitedOf(parts, account, member))
      const { groups } = liveOf(parts).node.delivery
      const group = await groups.create(account.identity, name)
      if (people.length > 0) await groups.add(account.identity, group, people)
      return viewGroup(parts, account, rowOf(parts, account, group)!)
    },
    async groupList({ account: named }) {
      const account = accountOf(parts, named)
      return rowsOf(parts, account).map((row) => viewGroup(parts, account, row))
    },
    async groupShow({ account: named, group }) {
      const account = accountOf(parts, named)
      return viewGroup(parts, account, groupOf(parts, account, group))
    },
    groupInvite: async ({ members, ...named }) =>
      await change(named, async (groups, account, group) => {
        const people = members.map((member) => invitedOf(parts, account, member))
        await groups.add(account.identity, group, people)
      }),
    groupRemove: async (named) =>
      await ofMember(
        named,
        async (groups, account, group, member) => await groups.remove(account.identity, group, member),
      ),
    groupGrant: async (named) =>
      await ofMember(
        named,
        async (groups, account, group, member) => await groups.grant(account.identity, group, member),
      ),
    groupRevoke: async (named) =>
      await ofMember(
        named,
        async (groups, account, group, member) => await groups.revoke(account.identity, group, member),
      ),
    groupRename: async ({ name, ...named }) =>
      await change(named, async (groups, account, group) => await groups.rename(account.identity, group, name)),
    groupPolicy: async ({ account, group: named, ...rules }) =>
      await change(
        { account, group: named },
        async (groups, own, group) => await groups.setPolicy(own.identity, group, rules),
      ),
    groupLeave: async (named) =>
      await change(named, async (groups, account, group) => await groups.leave(account.identity, group)),
    groupCheckpoint: async (named) =>
      await change(named, async (groups, account, group) => await groups.checkpoint(account.identity, group)),
    groupAccept: async (named) =>
      await change(named, async (groups, account, group) => await groups.accept(account.identity, group)),
  }
}

const rowsOf = ({ knowledge: { store, groupBook } }: OperationParts, { identity }: OwnAccount): readonly GroupRow[] =>
  store.read((tx) => groupBook.rows(tx, identity))
const rowOf = (
  { knowledge: { store, groupBook } }: OperationParts,
  { identity }: OwnAccount,
  group: GroupId,
): GroupRow | undefined => store.read((tx) => groupBook.row(tx, identity, group))

/** By name, address or the beginning of its id; one that this account is in before one that it left. @throws `no-such-group`, `ambiguous` */
export function groupOf(parts: OperationParts, account: OwnAccount, named: string): GroupRow {
  const { groupBook } = parts.knowledge
  const fits = ({ group }: GroupRow): boolean => {
    const name = groupBook.groupNow(account.identity, group)?.state.name ?? ''
    return (
      name === named ||
      groupAddress(group, name) === named ||
      (/^[\da-f]{8,64}$/.test(named) && group.startsWith(named))
    )
  }
  const found = rowsOf(parts, account).filter(fits)
  const present = found.filter(({ state }) => state !== 'left')
  const [one, ...more] = present.length > 0 ? present : found
  if (one === undefined) throw new MyceliumError('no-such-group')
  if (more.length > 0) throw new MyceliumError('ambiguous', { matches: more.length + 1 })
  return one
}

/** Somebody whom this account may add: a contact, or another account of this gateway. */
function invitedOf(parts: OperationParts, account: OwnAccount, named: string): Identity {
  const local = parts.knowledge.accounts.byUser(named)
  return local?.identity ?? contactOf(parts, account, named).identity
}

/** A member by the name that `group show` gives, by address or identity, contact or not. @throws `no-such-contact`, `ambiguous` */
function memberOf(parts: OperationParts, account: OwnAccount, group: GroupId, named: string): Identity {
  const members = [...(parts.knowledge.groupBook.groupNow(account.identity, group)?.state.members.keys() ?? [])]
  const byName = members.filter((identity) => {
    const { name } = viewPerson(parts, account, identity)
    return name === named || (/^[\da-f]{8,64}$/.test(named) && identity.startsWith(named))
  })
  if (byName.length > 1) throw new MyceliumError('ambiguous', { matches: byName.length })
  return byName[0] ?? invitedOf(parts, account, named)
}

function viewGroup(parts: OperationParts, account: OwnAccount, { group, state }: GroupRow): GroupView {
  const { conversations, groupBook } = parts.knowledge
  const roster = groupBook.groupNow(account.identity, group)!.state
  const row = conversations.get(account.identity, groupConversation(group))
  return {
    group,
    name: roster.name,
    address: groupAddress(group, roster.name),
    state,
    members: [...roster.members.keys()].map((identity) => ({
      ...viewPerson(parts, account, identity),
      admin: isAdmin(roster, identity),
    })),
    policy: roster.policy,
    epoch: roster.lastEpoch,
    messages: row?.shown ?? 0,
    unread: row?.unread ?? 0,
  }
}
