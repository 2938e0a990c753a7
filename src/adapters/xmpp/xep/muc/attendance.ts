/**
 * Which clients have entered which rooms, and what each was shown there. Entering and leaving is a client's own affair: it
 * says whether it gets what happens, and changes nothing for the other members.
 */
import type { GroupPolicy } from '../../../../core/group/op.ts'
import type { GroupId, GroupOpId, Identity } from '../../../../core/ids.ts'
import type { Client } from '../../client.ts'
import type { Jid } from '../../jid.ts'
import { type Change, changesOf } from './changes.ts'
import { configurationChanged, goneOf, hereOf, removedStatuses, status, subjectOf } from './presence.ts'
import type { Occupant, Occupants } from './rooms.ts'
import { noteSeats } from './seat-notes.ts'

/** A room as it was shown. */
export interface Scene {
  readonly occupants: Occupants
  readonly name: string
  readonly policy: GroupPolicy
  /** Operations that it is the result of. */
  readonly heads: readonly GroupOpId[]
}

export interface Seat {
  readonly client: Client
  readonly group: GroupId
  /** As the client calls the room. */
  readonly room: Jid
  /** The nick that it asked for; a program may go on using it though it got another. */
  readonly asked: string
  /** Steps of the account's feed up to this one were shown. */
  readonly sinceNumber: number
  scene: Scene
}

export class Attendance {
  readonly #seats = new Map<Identity, Map<Client, Map<GroupId, Seat>>>()

  of(client: Client, group: GroupId): Seat | undefined {
    return this.#seats.get(client.account)?.get(client)?.get(group)
  }

  /** Everybody's of an account in a room. */
  in(account: Identity, group: GroupId): readonly Seat[] {
    return [...(this.#seats.get(account)?.values() ?? [])].flatMap((seats) => seats.get(group) ?? [])
  }

  isAnybodyIn(account: Identity): boolean {
    return this.#seats.has(account)
  }

  /** Groups in whose rooms some client of the account is. */
  groupsOf(account: Identity): ReadonlySet<GroupId> {
    return new Set([...(this.#seats.get(account)?.values() ?? [])].flatMap((seats) => [...seats.keys()]))
  }

  take(seat: Seat): void {
    const { client, group } = seat
    const clients = this.#seats.get(client.account) ?? new Map<Client, Map<GroupId, Seat>>()
    const seats = clients.get(client) ?? new Map<GroupId, Seat>()
    seats.set(group, seat)
    clients.set(client, seats)
    this.#seats.set(client.account, clients)
    this.#note(client)
  }

  leave(client: Client, group: GroupId): void {
    const seats = this.#seats.get(client.account)?.get(client)
    seats?.delete(group)
    if (seats?.size === 0) this.leaveAll(client)
    else this.#note(client)
  }

  leaveAll(client: Client): void {
    const clients = this.#seats.get(client.account)
    if (clients?.delete(client) !== true) return
    if (clients.size === 0) this.#seats.delete(client.account)
    this.#note(client)
  }

  /** It was shown another scene. */
  shown(seat: Seat, scene: Scene): void {
    seat.scene = scene
    this.#note(seat.client)
  }

  /** For when it is resumed after a start of the gateway. */
  #note(client: Client): void {
    noteSeats(client, this.#seats.get(client.account)?.get(client)?.values() ?? [])
  }
}

/** Shows a client what is different now. @param whyGone of one who is no member any more */
export function showChanges(
  attendance: Attendance,
  seat: Seat,
  now: Scene,
  whyGone: (identity: Identity) => 'left' | 'removed' | undefined,
): void {
  const before = seat.scene
  attendance.shown(seat, now)
  for (const change of changesOf(before.occupants, now.occupants)) showChange(seat, change, whyGone)
  const { client, room } = seat
  if (now.name !== before.name) client.send(subjectOf(room, client.jid, now.name))
  if (now.name !== before.name || !isSamePolicy(now.policy, before.policy))
    client.send(configurationChanged(room, client.jid))
}

const isSamePolicy = (a: GroupPolicy, b: GroupPolicy): boolean =>
  a.post === b.post && a.add === b.add && a.sharesHistory === b.sharesHistory && a.readReceipts === b.readReceipts

function showChange(seat: Seat, change: Change, whyGone: (identity: Identity) => 'left' | 'removed' | undefined): void {
  const { client, room } = seat
  const { occupant } = change
  const said = { room, to: client.jid, isSelf: occupant.identity === client.account }
  if (change.kind === 'here') return client.send(hereOf(occupant, said))
  const { isMember, nick } = change
  const statuses = nick !== undefined ? [status.nickChanged] : isGoneFor(occupant, isMember, whyGone)
  client.send(goneOf(occupant, { affiliation: isMember ? occupant.affiliation : 'none', nick }, { ...said, statuses }))
}

const isGoneFor = (
  { identity }: Occupant,
  isMember: boolean,
  whyGone: (identity: Identity) => 'left' | 'removed' | undefined,
): readonly number[] => (!isMember && whyGone(identity) === 'removed' ? removedStatuses : [])
