/** `group`: conversations of several, who is in them, and by whose word. */
import type { Command } from 'commander'
import type { OperationContext, Operations, Params } from '../core/control.ts'
import type { GroupView } from '../core/control-views.ts'
import { switchOf } from './chat.ts'
import { type CommonOptions, type Environment, print, withCommon, withOperations } from './context.ts'
import { UsageError } from './errors.ts'
import { printable, shortAddress, table } from './format.ts'

type Options = CommonOptions & { readonly account?: string }
type Ask = (operations: Operations, context: OperationContext) => Promise<GroupView>

export function addGroup(program: Command, environment: Environment): void {
  const group = program.command('group').description('Conversations of several.')
  const verb = (usage: string, description: string): Command =>
    withCommon(group.command(usage)).description(description).option('--account <account>', 'where there are several')
  const show = async (options: Options, ask: Ask): Promise<void> =>
    print(environment, options, await withOperations(environment, options, ask), groupText)

  verb('create <name> [members...]', 'Makes a group with these contacts; you are its admin.').action(
    async (name: string, members: readonly string[], options: Options) =>
      await show(options, (operations, context) =>
        operations.groupCreate({ account: options.account, name, members: [...members] }, context),
      ),
  )

  verb('list', 'Lists groups.').action(async (options: Options) => {
    const groups = await withOperations(environment, options, (operations, context) =>
      operations.groupList({ account: options.account }, context),
    )
    print(environment, options, groups, groupsText)
  })

  const simple = {
    show: ['groupShow', 'Shows a group: address, members, rules.'],
    accept: ['groupAccept', 'Takes part in a group to which somebody added you who is no contact.'],
    checkpoint: [
      'groupCheckpoint',
      'Has more than half of the admins vouch for where the group stands: nothing is dated back behind it.',
    ],
    leave: ['groupLeave', 'Leaves a group; what was said stays here.'],
  } as const
  for (const [name, [operation, description]] of Object.entries(simple)) {
    verb(`${name} <group>`, description).action(
      async (which: string, options: Options) =>
        await show(options, (operations, context) =>
          operations[operation]({ account: options.account, group: which }, context),
        ),
    )
  }

  verb('invite <group> <members...>', 'Adds contacts to a group.').action(
    async (which: string, members: readonly string[], options: Options) =>
      await show(options, (operations, context) =>
        operations.groupInvite({ account: options.account, group: which, members: [...members] }, context),
      ),
  )

  const ofMember = {
    remove: ['groupRemove', 'Removes a member: what is said from now on, they cannot read.'],
    grant: ['groupGrant', 'Makes a member an admin.'],
    revoke: ['groupRevoke', 'Takes that back.'],
  } as const
  for (const [name, [operation, description]] of Object.entries(ofMember)) {
    verb(`${name} <group> <member>`, description).action(
      async (which: string, member: string, options: Options) =>
        await show(options, (operations, context) =>
          operations[operation]({ account: options.account, group: which, member }, context),
        ),
    )
  }

  verb('rename <group> <name>', 'Gives a group another name, for everybody.').action(
    async (which: string, name: string, options: Options) =>
      await show(options, (operations, context) =>
        operations.groupRename({ account: options.account, group: which, name }, context),
      ),
  )

  verb('policy <group>', 'Changes the rules of a group.')
    .option('--post <who>', 'who may write: members or admins')
    .option('--add <who>', 'who may add others: members or admins')
    .option('--history <on|off>', 'whether those who join see what was said before')
    .option('--read-receipts <on|off>', 'whether members may tell each other what they have read')
    .action(
      async (which: string, options: Options & PolicyOptions) =>
        await show(options, (operations, context) =>
          operations.groupPolicy({ account: options.account, group: which, ...policyOf(options) }, context),
        ),
    )
}

interface PolicyOptions {
  readonly post?: string
  readonly add?: string
  readonly history?: string
  readonly readReceipts?: string
}

function policyOf({
  post,
  add,
  history,
  readReceipts,
}: PolicyOptions): Omit<Params<'groupPolicy'>, 'account' | 'group'> {
  return {
    post: whoOf(post),
    add: whoOf(add),
    sharesHistory: switchOf(history),
    readReceipts: switchOf(readReceipts),
  }
}

function whoOf(text: string | undefined): 'members' | 'admins' | undefined {
  if (text === undefined || text === 'members' || text === 'admins') return text
  throw new UsageError('say members or admins')
}

const stateTexts: Readonly<Record<GroupView['state'], string>> = {
  joined: 'you are in it',
  invited: 'somebody who is no contact added you: group accept, or group leave',
  left: 'you are no longer in it',
}

function groupText({ name, group, address, state, members, policy, epoch, messages, unread }: GroupView): string {
  const isOn = (value: boolean): string => (value ? 'yes' : 'no')
  return [
    `${printable(name)} (${group.slice(0, 16)})`,
    `State      ${stateTexts[state]}`,
    `Address    ${printable(address)}`,
    `Messages   ${messages}, ${unread} unread`,
    `Rules      write: ${policy.post}; add others: ${policy.add}; history for those who join: ${isOn(policy.sharesHistory)}; read receipts: ${isOn(policy.readReceipts)}`,
    `Keys       made anew ${epoch} times`,
    `Members    ${members.length}`,
    ...members.map((member) => `    ${member.own ? 'you' : printable(member.name)}${member.admin ? ' (admin)' : ''}`),
  ].join('\n')
}

function groupsText(groups: readonly GroupView[]): string {
  if (groups.length === 0) return 'No groups yet: group create NAME CONTACT …'
  return table(
    ['NAME', 'MEMBERS', 'STATE', 'MESSAGES', 'UNREAD', 'ADDRESS'],
    groups.map(({ name, members, state, messages, unread, address }) => [
      name,
      String(members.length),
      state,
      String(messages),
      String(unread),
      shortAddress(address, 40),
    ]),
  )
}
