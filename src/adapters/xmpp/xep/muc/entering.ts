/**
 * A client enters a room (XEP-0045 §7.2): it is shown everybody, itself last, then what was said, then the name. Entering one
 * that nobody has made founds a group; entering one into which somebody asked the account accepts.
 */
import { fromUtf8 } from '../../../../core/bytes.ts'
import type { GroupId } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import { child, type Element } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { unescapeLocal } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import type { Seat } from './attendance.ts'
import { muc } from './namespaces.ts'
import { asRoom, isIn, type MucParts, sceneOf } from './parts.ts'
import { hereOf, status, subjectOf } from './presence.ts'
import type { Room } from './rooms.ts'

/** What was said up to the seat's number, for who enters. @param wanted the `history` element */
export type HistoryOf = (seat: Seat, room: Room, wanted: Element | undefined) => readonly Element[]

export interface Entrance extends MucParts {
  readonly historyOf: HistoryOf
  /** A room is being made, in the transaction that makes it. */
  readonly onMaking: (group: GroupId) => void
}

/** @param x of the namespace of rooms, in the presence @throws StanzaError */
export async function enter(parts: Entrance, presence: Stanza, x: Element): Promise<void> {
  const { client, to } = presence
  checkNick(to.resource)
  const made = await makeWhereFree(parts, presence)
  const group = made ?? groupOf(parts, presence)
  let room = parts.rooms.find(client.account, group)
  if (room?.row.state === 'invited' && isIn(room, client.account)) {
    await asRoom(async () => await parts.server.services.groups.accept(client.account, group))
    room = parts.rooms.find(client.account, group)
  }
  if (room === undefined && to.local === group) throw new StanzaError('item-not-found', 'no such room is known here')
  if (room === undefined || !isIn(room, client.account))
    throw new StanzaError('registration-required', 'rooms are for members: one of them has to add you')
  const seat: Seat = {
    client,
    group,
    room: { ...to, resource: '' },
    asked: to.resource,
    sinceNumber: parts.server.services.conversations.lastNumber(client.account),
    scene: sceneOf(parts, client.account, room),
  }
  parts.attendance.take(seat)
  showAll(parts, seat, room, { isNew: made !== undefined, history: child(x, `history ${muc}`) })
}

/** As it is called now: somebody may have made it meanwhile. */
function groupOf({ server }: MucParts, { client, to }: Stanza): GroupId {
  const named = server.names.named(client.account, to)
  if (named.kind !== 'room') throw new StanzaError('item-not-found')
  return named.group
}

/** @throws StanzaError (XEP-0045 §7.2.1) */
function checkNick(nick: string): void {
  if (nick === '') throw new StanzaError('jid-malformed', 'a room is entered with a nick')
  if (fromUtf8(nick).length > limits.xmppNickOctetsMax) throw new StanzaError('not-acceptable', 'the nick is too long')
}

/** A name that nobody here uses, or uses any more, becomes that of a new group. @returns the group, if there is one now */
async function makeWhereFree(
  { server, rooms, onMaking }: Entrance,
  { client, to, toNamed, handled }: Stanza,
): Promise<GroupId | undefined> {
  const before = toNamed.kind === 'room' ? toNamed.group : undefined
  if (toNamed.kind !== 'vacant' && (before === undefined || to.local === before || rooms.isHeld(before)))
    return undefined
  const { store, groups, groupBook } = server.services
  const { roomNames } = server.names
  return await asRoom(
    async () =>
      await store.write((tx) => {
        // another client may have been quicker
        if (roomNames.groupIn(tx, to.local) !== before) return undefined
        if (groupBook.rows(tx, client.account).length >= limits.groupsMax)
          throw new StanzaError('resource-constraint', 'no more groups')
        const group = groups.createIn(tx, client.account, unescapeLocal(to.local))
        roomNames.give(tx, to.local, group)
        onMaking(group)
        handled(tx)
        return group
      }),
  )
}

function showAll(
  { historyOf }: Entrance,
  seat: Seat,
  room: Room,
  { isNew, history }: { readonly isNew: boolean; readonly history: Element | undefined },
): void {
  const { client, scene, asked } = seat
  const { jid } = client
  for (const occupant of scene.occupants.values())
    if (occupant.identity !== client.account) client.send(hereOf(occupant, { room: seat.room, to: jid, isSelf: false }))
  const self = scene.occupants.get(client.account)!
  const statuses = [
    status.nonAnonymous,
    ...(isNew ? [status.created] : []),
    ...(self.nick === asked ? [] : [status.nickAssigned]),
  ]
  client.send(hereOf(self, { room: seat.room, to: jid, isSelf: true, statuses }))
  for (const message of historyOf(seat, room, history)) client.send(message)
  client.send(subjectOf(seat.room, jid, scene.name))
}
