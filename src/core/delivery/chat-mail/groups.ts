/** What mail needs of the groups that an account is in. */
import type { Address, GroupId, Identity, MessageId } from '../../ids.ts'
import type { ReadTx, WriteTx } from '../../store/store.ts'
import type { Draft } from '../chat-post.ts'

export interface GroupMember {
  readonly identity: Identity
  readonly name: string
  readonly address: Address
}

export interface ShownGroup {
  readonly name: string
  readonly address: Address
  readonly members: readonly GroupMember[]
}

export interface ChatGroups {
  /** `undefined` when this account knows nothing of it. */
  groupOf(account: Identity, group: GroupId): ShownGroup | undefined
  /** Has somebody who is no contact added this account, and nobody accepted yet? */
  isAsked(tx: ReadTx, account: Identity, group: GroupId): boolean
  /** The group that this account knows under an address, whether or not it is in it. */
  resolve(account: Identity, address: Address): GroupId | undefined
  mayPost(account: Identity, group: GroupId): 'yes' | 'not-a-member' | 'not-permitted'
  /** Says something in the caller's transaction, with a copy queued for every member. @throws `not-a-member`, `not-permitted` */
  postIn(tx: WriteTx, account: Identity, group: GroupId, draft: Draft): { readonly id: MessageId }
}
