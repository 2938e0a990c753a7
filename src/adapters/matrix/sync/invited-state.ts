/** What somebody who is asked into a room may see of it (Client-Server API, "Stripped state"). */
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import { viewState, type ViewParts } from '../events/event-view.ts'
import type { Json } from '../http/api.ts'
import type { RoomRow } from '../stream/rows.ts'

export function invitedState(
  parts: Pick<ViewParts, 'stream' | 'names' | 'services'>,
  tx: ReadTx,
  account: Identity,
  { conversation, partner }: RoomRow,
): { readonly invite_state: { readonly events: readonly Json[] } } & Json {
  const { stream, names, services } = parts
  const own = names.own(account)
  const isDirect = partner.kind === 'direct'
  const events = stream
    .state(tx, account, conversation)
    .filter(({ type, stateKey, by }) =>
      type === 'm.room.member'
        ? stateKey === own || (by !== undefined && services.accounts.has(by)) || isDirect
        : /^m\.room\.(?:create|name|join_rules|avatar|encryption)$/.test(type),
    )
    .map((state) => {
      const { type, sender, content, state_key } = viewState(parts, account, state)
      const isOwn = type === 'm.room.member' && state_key === own
      return { type, sender, content: isOwn && isDirect ? { ...content, is_direct: true } : content, state_key }
    })
  return { invite_state: { events } }
}
