/**
 * Invitations (XEP-0045 §7.8, XEP-0249). To invite somebody is to add a contact to the group. Whoever was added is told by an
 * invitation: of a group of strangers, until a person has accepted or declined; of any other once, so that programs show the room.
 */
import { concat } from '../../../../core/bytes.ts'
import type { GroupRow } from '../../../../core/conversation/group-book.ts'
import type { GroupId, Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../../core/store/store.ts'
import { tables } from '../../../../core/store/tables.ts'
import type { Client } from '../../client.ts'
import { child, childrenNamed, el, type Element } from '../../element.ts'
import type { Stanza } from '../../feature.ts'
import { bareOf, fullOf, parseJid } from '../../jid.ts'
import { addBookmarks, hearsBookmarks, removeBookmark } from '../bookmarks.ts'
import { personOf } from './admin.ts'
import { conferenceNs, mucUser } from './namespaces.ts'
import { asRoom, isIn, type MucParts, roomFor } from './parts.ts'
import type { Room } from './rooms.ts'

/** An invitation or its answer, sent to a room. @returns whether it was one @throws StanzaError */
export async function handleInvitation(
  parts: MucParts,
  { client, element, toNamed, handled }: Stanza,
): Promise<boolean> {
  const x = child(element, `x ${mucUser}`)
  if (x === undefined || toNamed.kind !== 'room') return false
  const invites = childrenNamed(x, `invite ${mucUser}`)
  const { group } = toNamed
  if (invites.length > 0) {
    await add(parts, client, { group, to: invites.map(({ attrs }) => attrs.to ?? ''), handled })
    return true
  }
  if (child(x, `decline ${mucUser}`) === undefined) return false
  const { groups, store } = parts.server.services
  const isAsked = roomFor(parts, client, group).row.state === 'invited'
  if (isAsked)
    await store.write((tx) => {
      groups.leaveIn(tx, client.account, group)
      handled(tx)
    })
  return true
}

/**
 * Sent straight to the one who is invited (XEP-0249). As the rooms here are nobody else's, it adds.
 * @returns whether it was one into a room of ours @throws StanzaError
 */
export async function handleDirect(
  parts: MucParts,
  { client, element, to, toNamed, handled }: Stanza,
): Promise<boolean> {
  const jid = parseJid(child(element, `x ${conferenceNs}`)?.attrs.jid ?? '')
  if (jid === undefined || toNamed.kind !== 'person') return false
  const named = parts.server.names.named(client.account, jid)
  if (named.kind !== 'room') return false
  await add(parts, client, { group: named.group, to: [bareOf(to)], handled })
  return true
}

async function add(
  parts: MucParts,
  client: Client,
  {
    group,
    to,
    handled,
  }: { readonly group: GroupId; readonly to: readonly string[]; readonly handled: (tx: WriteTx) => void },
): Promise<void> {
  const { roster } = roomFor(parts, client, group)
  const people = to.map((text) => personOf(parts, client.account, text))
  const missing = [...new Set(people)].filter((one) => !roster.members.has(one))
  if (missing.length === 0) return
  const { groups, store } = parts.server.services
  await asRoom(
    async () =>
      await store.write((tx) => {
        groups.addIn(tx, client.account, group, missing)
        handled(tx)
      }),
  )
}

/**
 * What clients of an account have been told of: a group that it is in gets a bookmark (XEP-0402), once, and clients that are
 * there and hear of no bookmarks an invitation.
 */
export class Announcements {
  readonly #parts: MucParts
  /** Clients that have said that they are available, and into which groups of strangers they were invited. */
  readonly #available = new Map<Client, Set<GroupId>>()
  /** What the table will say once it is written. */
  readonly #told = new Set<string>()
  readonly #making = new Set<GroupId>()
  readonly #onError: (error: unknown) => void

  constructor(parts: MucParts, onError: (error: unknown) => void) {
    this.#parts = parts
    this.#onError = onError
  }

  /** It may read bookmarks from now on. */
  bound({ account }: Client): void {
    this.#tell(account, this.#untold(account))
  }

  /** It shows invitations from now on. */
  available(client: Client): void {
    if (this.#available.has(client)) return
    const { account } = client
    this.#available.set(client, new Set())
    const untold = this.#untold(account)
    this.#tell(account, untold)
    this.#invite([client], untold)
    for (const room of this.#roomsOf(account, ({ state }) => state === 'invited')) this.#ask([client], room)
  }

  unavailable(client: Client): void {
    this.#available.delete(client)
  }

  /** A group has changed: perhaps it is new, or gone. */
  changed(account: Identity, group: GroupId): void {
    const clients = [...this.#available.keys()].filter((client) => client.account === account)
    const room = this.#parts.rooms.find(account, group)
    if (room === undefined || !isIn(room, account)) return this.#forget(account, group)
    if (clients.length === 0 || this.#making.has(group)) return
    this.#ask(clients, room)
    if (room.row.state !== 'joined' || this.#isTold(account, group)) return
    this.#tell(account, [room])
    this.#invite(clients, [room])
  }

  /** Whoever makes a room is about to enter it, by a name that it does not have yet. */
  making(group: GroupId): void {
    this.#making.add(group)
  }

  /** A client is in the room: no need to tell of it. */
  entered(account: Identity, group: GroupId): void {
    this.#making.delete(group)
    if (!this.#isTold(account, group)) this.#remember(account, [group], () => {})
  }

  #untold(account: Identity): readonly Room[] {
    return this.#roomsOf(account, ({ state, group }) => state === 'joined' && !this.#isTold(account, group)).slice(
      0,
      limits.xmppRoomsToldAtOnce,
    )
  }

  /** Only of those that are wanted is looked at more than the row. */
  #roomsOf(account: Identity, wants: (row: GroupRow) => boolean): readonly Room[] {
    const { rooms, server } = this.#parts
    const rows = server.services.store.read((tx) => server.services.groupBook.rows(tx, account))
    return rows
      .filter(wants)
      .flatMap(({ group }) => rooms.find(account, group) ?? [])
      .filter((room) => isIn(room, account))
  }

  /** For programs that come, and those that hear of bookmarks. */
  #tell(account: Identity, rooms: readonly Room[]): void {
    if (rooms.length === 0) return
    const { server, rooms: all } = this.#parts
    const bookmarks = rooms.map((room) => ({
      jid: bareOf(server.names.room(room.group)),
      name: room.roster.name,
      nick: all.occupants(account, room).get(account)!.nick,
    }))
    this.#remember(
      account,
      rooms.map(({ group }) => group),
      (tx) => addBookmarks(server, tx, account, bookmarks),
    )
  }

  #invite(clients: readonly Client[], rooms: readonly Room[]): void {
    for (const client of clients)
      if (!hearsBookmarks(this.#parts.server, client))
        for (const room of rooms) client.send(this.#invitation(client, room))
  }

  /** Once for each client, until there is an answer. */
  #ask(clients: readonly Client[], room: Room): void {
    if (room.row.state !== 'invited') return
    for (const client of clients) {
      const asked = this.#available.get(client)
      if (asked === undefined || asked.has(room.group)) continue
      asked.add(room.group)
      client.send(this.#invitation(client, room))
    }
  }

  #forget(account: Identity, group: GroupId): void {
    if (!this.#isTold(account, group)) return
    const { server } = this.#parts
    const jid = bareOf(server.names.room(group))
    this.#told.delete(account + group)
    this.#write((tx) => {
      tx.remove(tables.xmppRoomsTold, keyOf(tx, account, group))
      removeBookmark(server, tx, account, jid)
    })
  }

  /** Both forms in one, as programs know either. */
  #invitation({ account, jid }: Client, { group, row, roster }: Room): Element {
    const { names } = this.#parts.server
    const room = bareOf(names.room(group))
    const from = bareOf(names.person(account, row.addedBy))
    return el(
      'message',
      { from: room, to: fullOf(jid), id: `invite-${group.slice(0, 16)}` },
      el(`x ${mucUser}`, {}, el(`invite ${mucUser}`, { from }, el(`reason ${mucUser}`, {}, roster.name))),
      el(`x ${conferenceNs}`, { jid: room, reason: roster.name }),
    )
  }

  #isTold(account: Identity, group: GroupId): boolean {
    if (this.#told.has(account + group)) return true
    return this.#parts.server.services.store.read((tx) => tx.has(tables.xmppRoomsTold, keyOf(tx, account, group)))
  }

  #remember(account: Identity, groups: readonly GroupId[], and: (tx: WriteTx) => void): void {
    for (const group of groups) this.#told.add(account + group)
    this.#write((tx) => {
      for (const group of groups) tx.put(tables.xmppRoomsTold, keyOf(tx, account, group), new Uint8Array())
      and(tx)
    })
  }

  #write(use: (tx: WriteTx) => void): void {
    this.#parts.server.services.store.write(use).catch(this.#onError)
  }
}

const keyOf = (tx: ReadTx, account: Identity, group: GroupId): Uint8Array =>
  concat(tx.opaque(Buffer.from(account, 'hex')), Buffer.from(group, 'hex'))
