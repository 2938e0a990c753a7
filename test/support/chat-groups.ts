/** Groups of one account as its gateway knows them, kept in memory: what is said becomes history here and goes nowhere. */
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import type { ChatGroups, ShownGroup } from '../../src/core/delivery/chat-mail/groups.ts'
import { MyceliumError } from '../../src/core/errors.ts'
import type { DeviceId, GroupId, Identity, MessageId } from '../../src/core/ids.ts'
import { encodeMessage, type Message, messageIdOf } from '../../src/core/message/message.ts'
import type { Part } from '../../src/core/message/part.ts'
import type { Relation } from '../../src/core/message/message.ts'
import type { WriteTx } from '../../src/core/store/store.ts'
import type { Knowledge } from '../../src/node.ts'

export interface KnownGroup extends ShownGroup {
  readonly group: GroupId
  readonly mayPost?: ReturnType<ChatGroups['mayPost']>
}

/** Anybody's message to a group, as it comes out of a session. */
export function takeFromGroup(
  tx: WriteTx,
  { conversations }: Knowledge,
  {
    account,
    author,
    group,
    parts,
    relations = [],
  }: {
    readonly account: Identity
    readonly author: Identity
    readonly group: GroupId
    readonly parts: readonly Part[]
    readonly relations?: readonly Relation[]
  },
): MessageId {
  const partner = { kind: 'group', group } as const
  const row = conversations.history.begin(tx, account, idOfPartner(account, partner), partner)
  const { heads } = conversations.history.citable(tx, account, row)
  const message: Message = {
    author,
    device: author as string as DeviceId,
    nonce: Buffer.from(crypto.getRandomValues(new Uint8Array(16))),
    sentAtMs: Date.now(),
    expiresAtMs: Date.now() + 1_000_000,
    place: partner,
    parents: heads,
    relations,
    parts,
  }
  const encoded = encodeMessage(message)
  const id = messageIdOf(encoded)
  const taken = conversations.take(tx, account, partner, { id, encoded, message })
  if (taken.kind !== 'shown') throw new Error(taken.kind)
  return id
}

export const knownGroups =
  (groups: readonly KnownGroup[]) =>
  (knowledge: Knowledge): ChatGroups => ({
    isAsked: () => false,
    groupOf: (_, group) => groups.find((one) => one.group === group),
    resolve: (_, address) => groups.find((one) => one.address === address)?.group,
    mayPost: (_, group) => groups.find((one) => one.group === group)?.mayPost ?? 'yes',
    postIn: (tx, account, group, draft) => {
      const may = groups.find((one) => one.group === group)?.mayPost ?? 'yes'
      if (may !== 'yes') throw new MyceliumError(may)
      return { id: takeFromGroup(tx, knowledge, { account, author: account, group, ...draft }) }
    },
  })
