/** How many messages of a room are unread, and how many of them call for attention (push rules). */
import type { ReadTx } from '../../../core/store/store.ts'
import { messageOf, viewEvent, type Viewer, type ViewParts } from '../events/event-view.ts'
import type { Kept } from '../kept.ts'
import { type Actions, actionsFor } from '../push/evaluate.ts'
import { ownRules } from '../push/rules.ts'
import { keyOfMessage } from '../stream/event-keys.ts'
import type { RoomRow } from '../stream/rows.ts'
import { limits } from '../../../core/limits.ts'
import { hasBody } from '../../../core/conversation/history.ts'

export interface Counts {
  readonly notification_count: number
  readonly highlight_count: number
}

const none: Counts = { notification_count: 0, highlight_count: 0 }

export class Unread {
  readonly #parts: ViewParts & { readonly kept: Kept }

  constructor(parts: ViewParts & { readonly kept: Kept }) {
    this.#parts = parts
  }

  count(tx: ReadTx, viewer: Viewer, room: RoomRow): Counts {
    const { services, stream, kept, names } = this.#parts
    const { account } = viewer
    const { history } = services.conversations
    const row = history.conversation(tx, account, room.conversation)
    if (row === undefined || row.unread === 0) return none
    const rules = ownRules(kept, tx, account, names.own(account))
    const counts = { notification_count: 0, highlight_count: 0 }
    const members = stream.state(tx, account, room.conversation).filter(({ type }) => type === 'm.room.member').length
    let left: number = limits.matrixTimelineMax
    for (const { id, row: message } of history.backwards(tx, account, room.conversation, limits.matrixTimelineMax)) {
      if (message.number <= row.readTo || left === 0) break
      left -= 1
      const said = messageOf(services, tx, account, id)
      if (said === undefined || said.author === account || !hasBody(said)) continue
      const numbered = stream.event(tx, account, keyOfMessage(id))
      const event = numbered && viewEvent(this.#parts, tx, viewer, numbered)
      if (event === undefined) continue
      const actions: Actions = actionsFor(rules, event, {
        user: names.own(account),
        displayName: services.people.nameOf(account, account) ?? '',
        room: names.room(room.conversation),
        memberCount: members,
        mayNotifyRoom: (sender) =>
          mayNotify(stream.stateAt(tx, account, room.conversation, 'm.room.power_levels', '')?.content, sender),
      })
      if (actions.notify) counts.notification_count += 1
      if (actions.highlight) counts.highlight_count += 1
    }
    return counts
  }
}

/** Client-Server API, `m.room.power_levels`: who may speak to a whole room. */
function mayNotify(content: string | undefined, sender: string): boolean {
  const powers = JSON.parse(content ?? '{}') as {
    readonly users?: Readonly<Record<string, number>>
    readonly notifications?: { readonly room?: number }
  }
  return (powers.users?.[sender] ?? 0) >= (powers.notifications?.room ?? 50)
}
