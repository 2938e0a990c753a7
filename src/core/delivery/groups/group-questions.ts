/** What is missing of a group and does not come by itself: whom this account asks for it, and when again. */
import type { Ambient } from '../../ambient.ts'
import type { Conversations } from '../../conversation/conversations.ts'
import type { GroupBook } from '../../conversation/group-book.ts'
import type { EnvelopeHeader } from '../../group/envelope.ts'
import type { Group } from '../../group/group.ts'
import { readGroupOp } from '../../group/op.ts'
import type { DeviceId, GroupId, GroupOpId, Identity, MessageId } from '../../ids.ts'
import { limits } from '../../limits.ts'
import type { Store, WriteTx } from '../../store/store.ts'
import { Asking } from '../asking.ts'
import type { GroupPost } from './group-post.ts'
import type { GroupVault } from './group-vault.ts'
import type { Delivery, Statement } from './statements.ts'

interface QuestionParts {
  readonly store: Store
  readonly book: GroupBook
  readonly vault: GroupVault
  readonly conversations: Conversations
  readonly groupPost: GroupPost
  readonly ambient: Ambient
}

/** A message that waits for later ones of its device, of which a removal lets those before `end` stand. */
interface Unsettled {
  readonly header: EnvelopeHeader
  readonly removal: GroupOpId
  readonly end: number
}

interface Question {
  readonly ops?: readonly GroupOpId[]
  readonly messages?: readonly MessageId[]
  /** Whose keys are missing. */
  readonly epoch?: GroupOpId
}

export class GroupQuestions {
  readonly #parts: QuestionParts
  readonly #messages = new Asking<MessageId>()
  readonly #places = new Asking<`${DeviceId}-${number}`>()

  constructor(parts: QuestionParts) {
    this.#parts = parts
  }

  ask(tx: WriteTx, { account, from, id }: Delivery, { ops = [], messages = [], epoch }: Question): void {
    const statements: Statement[] = []
    if (ops.length + messages.length > 0)
      statements.push({
        kind: 'wanted',
        ops: ops.slice(0, limits.messagesAskedMax),
        messages: messages.slice(0, limits.messagesAskedMax),
      })
    if (epoch !== undefined) statements.push({ kind: 'chainsWanted', epoch })
    if (statements.length > 0) this.#parts.groupPost.send(tx, account, id, { to: [from], statements })
  }

  /** Messages that others cite: whoever cites them has them, or had them; after a while another member may be nearer. */
  async askForCited(account: Identity): Promise<'nothing-missing' | 'asked'> {
    const { store, conversations, ambient } = this.#parts
    const nowMs = ambient.clock.nowMs()
    const missing = store
      .read((tx) =>
        conversations.history.missing.since(tx, account, nowMs - limits.parentAskMs, limits.missingLookedMax),
      )
      .flatMap((one) => {
        const partner = conversations.get(account, one.conversation)?.partner
        return partner?.kind === 'group' ? [{ ...one, group: partner.group }] : []
      })
    const due = this.#messages.due(account, missing, nowMs)
    if (missing.length === 0) return 'nothing-missing'
    if (due.length === 0) return 'asked'
    await store.write((tx) => {
      for (const [group, inGroup] of Map.groupBy(due, (one) => one.group))
        for (const [member, ids] of this.#whomToAsk(tx, account, group, inGroup))
          for (let at = 0; at < ids.length; at += limits.messagesAskedMax) {
            const messages = ids.slice(at, at + limits.messagesAskedMax)
            this.ask(tx, { account, from: member, id: group }, { messages })
          }
    })
    return 'asked'
  }

  /** Of members who were removed: which of their messages stand is settled by later ones, which are missing. */
  askForPlaces(tx: WriteTx, account: Identity, group: Group, unsettled: readonly Unsettled[]): void {
    const { book, groupPost, ambient } = this.#parts
    const gaps = [...Map.groupBy(unsettled, ({ header, end }) => `${header.device}${end}`).values()].map((of) => {
      const [{ header, removal, end: cut }] = of as [Unsettled]
      const { device } = header
      const first = Math.min(...of.map((one) => one.header.sequence))
      const end = book.places.gapBefore(tx, account, group.id, { device, first, end: cut })
      return { id: `${device}-${end}` as const, places: { device, first, end }, removal }
    })
    for (const { places, removal, times } of this.#places.due(account + group.id, gaps, ambient.clock.nowMs())) {
      const { author } = readGroupOp(group.signed(removal)!).op
      const members = [...group.state.members.keys()].filter((member) => member !== account).toSorted()
      // whoever removes somebody has what it lets stand
      const inTurn = [...members.filter((one) => one === author), ...members.filter((one) => one !== author)]
      const to = inTurn[times % inTurn.length]
      if (to !== undefined)
        groupPost.send(tx, account, group.id, { to: [to], statements: [{ kind: 'placesWanted', ...places }] })
    }
  }

  #whomToAsk(
    tx: WriteTx,
    account: Identity,
    id: GroupId,
    due: readonly { readonly id: MessageId; readonly citedBy: Identity; readonly times: number }[],
  ): ReadonlyMap<Identity, readonly MessageId[]> {
    const members = [...(this.#parts.book.group(tx, account, id)?.state.members.keys() ?? [])].toSorted()
    const questions = due.flatMap(({ id: message, citedBy, times }) => {
      const others = members.filter((member) => member !== account && member !== citedBy)
      const other = times === 0 ? undefined : others[times % others.length]
      return [citedBy, ...(other === undefined ? [] : [other])].map((member) => ({ member, message }))
    })
    const byMember = Map.groupBy(questions, ({ member }) => member)
    return new Map([...byMember].map(([member, of]) => [member, of.map(({ message }) => message)]))
  }
}
