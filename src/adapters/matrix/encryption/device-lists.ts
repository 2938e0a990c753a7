/**
 * Of whose devices a program keeps a list (Client-Server API, "Tracking the device list for a user"): those of its own
 * account, and of accounts of this gateway that are in a room with it. Nobody else has devices here.
 */
import { idOfPartner } from '../../../core/conversation/conversations.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { RoomRow, StateRow } from '../stream/rows.ts'
import type { Numbered, Stream } from '../stream/stream.ts'

export interface DeviceListParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly stream: Stream
}

/** Accounts here that are in a room with this one now. */
export function neighboursOf(parts: DeviceListParts, tx: ReadTx, account: Identity): ReadonlySet<Identity> {
  const { services, stream } = parts
  const found = new Set(stream.rooms(tx, account).flatMap((room) => othersIn(parts, tx, account, room)))
  return new Set([...found].filter((who) => who !== account && services.accounts.has(who)))
}

function othersIn(
  { services, stream }: DeviceListParts,
  tx: ReadTx,
  account: Identity,
  { partner, membership }: RoomRow,
): readonly Identity[] {
  if (membership !== 'join') return []
  if (partner.kind === 'group')
    return [...(services.groupBook.group(tx, account, partner.group)?.state.members.keys() ?? [])]
  const { peer } = partner
  const theirs = stream.room(tx, peer, idOfPartner(peer, { kind: 'direct', peer: account }))
  return theirs?.membership === 'join' ? [peer] : []
}

/** Whose lists are others after these entries. @returns undefined where nobody's is */
export function listsAfter(
  parts: DeviceListParts,
  tx: ReadTx,
  account: Identity,
  entries: Iterable<Numbered>,
): Json | undefined {
  const concerned = new Set<Identity>()
  for (const { entry } of entries) {
    if (entry.kind === 'keys') concerned.add(entry.who)
    else if (entry.kind === 'room') for (const who of membersOf(parts, tx, account, entry.room)) concerned.add(who)
    else if (entry.kind === 'event' && entry.source.kind === 'state' && entry.source.type === 'm.room.member') {
      const { stateKey, content, before } = entry.source
      const earlier = before && parts.stream.event(tx, account, before)?.entry.source
      const isAnother =
        membershipIn(content) !== (earlier?.kind === 'state' ? membershipIn(earlier.content) : undefined)
      const who = isAnother ? neighbourNamed(parts, account, stateKey) : undefined
      if (who !== undefined) concerned.add(who)
    }
  }
  if (concerned.size === 0) return undefined
  const neighbours = neighboursOf(parts, tx, account)
  const isNear = (who: Identity): boolean => who === account || neighbours.has(who)
  const named = (all: readonly Identity[]): readonly string[] => all.map((who) => parts.names.user(account, who))
  const all = [...concerned]
  return { changed: named(all.filter(isNear)), left: named(all.filter((who) => !isNear(who))) }
}

/** Everybody's, where nobody knows any more what has changed. */
export function allLists({ names, ...parts }: DeviceListParts, tx: ReadTx, account: Identity): Json {
  const all = [account, ...neighboursOf({ names, ...parts }, tx, account)]
  return { changed: all.map((who) => names.user(account, who)), left: [] }
}

const membersOf = (parts: DeviceListParts, tx: ReadTx, account: Identity, room: ConversationId): readonly Identity[] =>
  parts.stream
    .state(tx, account, room)
    .flatMap(({ type, stateKey }: StateRow) =>
      type === 'm.room.member' ? (neighbourNamed(parts, account, stateKey) ?? []) : [],
    )

function neighbourNamed({ names, services }: DeviceListParts, account: Identity, user: string): Identity | undefined {
  const who = names.identity(account, user)
  return who !== undefined && who !== account && services.accounts.has(who) ? who : undefined
}

const membershipIn = (content: string): unknown => (JSON.parse(content) as { readonly membership?: unknown }).membership
