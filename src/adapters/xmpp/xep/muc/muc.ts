/**
 * XEP-0045: the account's groups as rooms that are for members, not anonymous, and stay. Who is in a room is who is in the
 * group, whether or not any program of theirs runs; what a client does by entering and leaving is get or not get what happens.
 */
import { hasCode, MyceliumError } from '../../../../core/errors.ts'
import type { ConversationId, GroupId, Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { Client } from '../../client.ts'
import { child, el, type Element } from '../../element.ts'
import type { Feature, Iq, IqHandler, Server, Stanza } from '../../feature.ts'
import { errorReply, StanzaError } from '../../stanza-error.ts'
import { changeMembers, listMembers } from './admin.ts'
import { Attendance, type Seat, showChanges } from './attendance.ts'
import { disclose, items } from './disco.ts'
import { enter, type Entrance } from './entering.ts'
import { Announcements } from './invitations.ts'
import { handleMessage } from './messages.ts'
import { moderationHandlers } from './moderation.ts'
import { muc as mucNs, mucAdmin, mucOwner, registerNs } from './namespaces.ts'
import { ping, vcard } from './occupant-iqs.ts'
import { configuration, configure } from './owner.ts'
import { isIn, type MucParts, sceneOf } from './parts.ts'
import { goneOf, removedStatuses } from './presence.ts'
import { register } from './registration.ts'
import { archiveHandlers } from './room-archive.ts'
import { Rooms } from './rooms.ts'
import { seatNotesOf } from './seat-notes.ts'
import { RoomTalk } from './talk.ts'

export function muc(server: Server): Feature {
  const rooms = new Rooms(server)
  const attendance = new Attendance()
  const parts: MucParts = { server, rooms, attendance }
  const talk = new RoomTalk(parts)
  const announcements = new Announcements(parts, (error) => reportTask(server, error))
  const groupOf = groupsByConversation(server)
  const entrance: Entrance = {
    ...parts,
    historyOf: (...asked) => talk.historyOf(...asked),
    onMaking: (group) => announcements.making(group),
  }

  rooms.watchNames((account) => {
    for (const group of attendance.groupsOf(account)) follow(parts, account, group)
  })
  const stop = [
    server.services.conversations.watch((account, step) => {
      if (step.event.kind !== 'group' && !attendance.isAnybodyIn(account)) return
      const group = groupOf(step.conversation, account)
      if (group === undefined) return
      if (step.event.kind === 'group') {
        follow(parts, account, group)
        announcements.changed(account, group)
      } else talk.tell(account, group, step)
    }),
    server.services.signals.watch((account, heard) => {
      if (heard.kind !== 'typing' || heard.who === account || !attendance.isAnybodyIn(account)) return
      const group = groupOf(heard.conversation, account)
      if (group !== undefined) talk.hear(account, group, heard)
    }),
  ]

  return {
    iq: handlers(parts, talk),
    disclose: (to, named, client, node) => disclose(parts, to, named, client, node),
    available: (client) => announcements.available(client),
    items: (to, named, client, node) => items(parts, to, named, client, node),
    message: async (message) => await handleMessage(parts, talk, message),
    async presence(presence) {
      const { client, toNamed, type } = presence
      if (toNamed.kind === 'room' || toNamed.kind === 'vacant') {
        await takePresence(entrance, presence)
        const seat = toNamed.kind === 'room' ? attendance.of(client, toNamed.group) : undefined
        const entered = seat?.group ?? groupEntered(parts, presence)
        if (entered !== undefined) announcements.entered(client.account, entered)
        return 'done'
      }
      if (presence.to.domain === server.names.rooms && toNamed.kind === 'unknown')
        throw new StanzaError('item-not-found')
      if (toNamed.kind !== 'self' || presence.element.attrs.to !== undefined) return 'next'
      if (type === '') announcements.available(client)
      else if (type === 'unavailable') {
        announcements.unavailable(client)
        attendance.leaveAll(client)
      }
      return 'next'
    },
    bound(client) {
      announcements.bound(client)
      takeBack(parts, talk, client)
    },
    gone(client) {
      announcements.unavailable(client)
      attendance.leaveAll(client)
    },
    [Symbol.dispose]() {
      for (const one of stop) one()
      talk[Symbol.dispose]()
      rooms[Symbol.dispose]()
    },
  }
}

/** In the room that the presence was sent to, by whatever group that is now. */
function groupEntered({ server, attendance }: MucParts, { client, to }: Stanza): GroupId | undefined {
  const named = server.names.named(client.account, to)
  return named.kind === 'room' ? attendance.of(client, named.group)?.group : undefined
}

/** A conversation is of one group, or of none, for ever. */
function groupsByConversation({ services }: Server): (id: ConversationId, account: Identity) => GroupId | undefined {
  const known = new Map<ConversationId, GroupId | undefined>()
  return (id, account) => {
    if (known.has(id)) return known.get(id)
    const partner = services.conversations.get(account, id)?.partner
    if (partner === undefined) return undefined
    const group = partner.kind === 'group' ? partner.group : undefined
    if (known.size >= limits.xmppPartnersKnownMax) known.clear()
    known.set(id, group)
    return group
  }
}

/** A client of before the gateway started is expected back: it gets what happened since. */
function takeBack(parts: MucParts, talk: RoomTalk, client: Client): void {
  const { account, state } = client
  const upTo = state.upTo ?? 0
  for (const { group, room: jid, asked, heads, sinceNumber: enteredAt } of seatNotesOf(client)) {
    const before = parts.rooms.asOf(account, group, heads)
    if (before === undefined) continue
    const sinceNumber = Math.max(enteredAt, upTo)
    const seat: Seat = { client, group, room: jid, asked, sinceNumber, scene: sceneOf(parts, account, before) }
    parts.attendance.take(seat)
    // `upTo` is read at once: every part does the same for its own
    queueMicrotask(() => {
      followFor(parts, account, group, [seat])
      if (parts.attendance.of(client, group) === seat) talk.catchUp(seat)
    })
  }
}

/** Members, rights, names: what clients in the room see of it. */
function follow(parts: MucParts, account: Identity, group: GroupId): void {
  followFor(parts, account, group, parts.attendance.in(account, group))
}

function followFor(parts: MucParts, account: Identity, group: GroupId, seats: readonly Seat[]): void {
  if (seats.length === 0) return
  const room = parts.rooms.find(account, group)
  if (room !== undefined && isIn(room, account)) {
    const scene = sceneOf(parts, account, room)
    for (const seat of seats)
      showChanges(parts.attendance, seat, scene, (identity) => parts.rooms.whyGone(account, room, identity))
    return
  }
  const isRemoved = room !== undefined && parts.rooms.whyGone(account, room, account) === 'removed'
  for (const seat of seats) sendOut(parts, seat, 'none', isRemoved ? removedStatuses : [])
}

/** The client is not in the room any more, and hears so. */
function sendOut(
  { attendance }: MucParts,
  { client, group, room, scene }: Seat,
  affiliation: 'none' | 'own',
  statuses: readonly number[] = [],
): void {
  attendance.leave(client, group)
  const self = scene.occupants.get(client.account)!
  client.send(
    goneOf(
      self,
      { affiliation: affiliation === 'own' ? self.affiliation : 'none' },
      { room, to: client.jid, isSelf: true, statuses },
    ),
  )
}

/** To a room or to a nick in it. @throws StanzaError */
async function takePresence(entrance: Entrance, presence: Stanza): Promise<void> {
  const { client, element, to, toNamed, type } = presence
  const seat = toNamed.kind === 'room' ? entrance.attendance.of(client, toNamed.group) : undefined
  if (type === 'unavailable') {
    if (seat !== undefined) sendOut(entrance, seat, 'own')
    return
  }
  if (type === 'error') return
  if (type !== '') throw new StanzaError('not-allowed', 'there is nothing to subscribe to in a room')
  const x = child(element, `x ${mucNs}`)
  if (x !== undefined) return await tryToEnter(entrance, presence, x)
  if (seat === undefined) throw new StanzaError('not-acceptable', 'enter the room first')
  const nick = seat.scene.occupants.get(client.account)?.nick
  // that the person is away is no affair of the room
  if (to.resource !== '' && to.resource !== nick && to.resource !== seat.asked)
    throw new StanzaError('not-acceptable', 'in a room you are called as in your account')
}

/** Programs know by the `x` in an error that it is about entering (XEP-0045 §7.2). */
async function tryToEnter(entrance: Entrance, presence: Stanza, x: Element): Promise<void> {
  try {
    await enter(entrance, presence, x)
  } catch (error) {
    if (!(error instanceof StanzaError)) throw error
    const reply = errorReply(presence.element, error)
    presence.client.send({ ...reply, children: [el(`x ${mucNs}`), ...reply.children] })
  }
}

function handlers(parts: MucParts, talk: RoomTalk): readonly IqHandler[] {
  const at = ['room', 'vacant'] as const
  return [
    { payload: `query ${mucAdmin}`, type: 'get', at, answer: (iq) => listMembers(parts, iq) },
    { payload: `query ${mucAdmin}`, type: 'set', at, answer: async (iq) => await changeMembers(parts, iq) },
    { payload: `query ${mucOwner}`, type: 'get', at, answer: (iq) => configuration(parts, iq) },
    { payload: `query ${mucOwner}`, type: 'set', at, answer: async (iq) => await configure(parts, iq) },
    { payload: `query ${registerNs}`, at, answer: async (iq) => await register(parts, iq) },
    { payload: 'ping urn:xmpp:ping', type: 'get', at, full: true, answer: (iq) => ping(parts, iq) },
    { payload: 'vCard vcard-temp', type: 'get', at, full: true, answer: async (iq: Iq) => await vcard(parts, iq) },
    ...moderationHandlers(talk),
    ...archiveHandlers(talk.parts),
  ]
}

function reportTask({ ambient }: Server, error: unknown): void {
  if (hasCode(error, 'shutting-down')) return
  const code = error instanceof MyceliumError ? error.code : 'unexpected'
  ambient.log.error('task.failed', { task: 'xmpp-rooms', code })
}
