/**
 * An account's rooms: one for each of its conversations, and one for each contact. What stands in a room is compared with
 * what the gateway knows whenever that may have changed; what differs becomes state events.
 */
import type { Ambient } from '../../../core/ambient.ts'
import { idOfPartner } from '../../../core/conversation/conversations.ts'
import type { Partner } from '../../../core/conversation/rows.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import type { Names } from '../names.ts'
import { markDirect } from './direct-rooms.ts'
import type { Kept } from '../kept.ts'
import type { MatrixServices } from '../services.ts'
import type { RoomRow } from '../stream/rows.ts'
import { derivedKey } from '../stream/event-keys.ts'
import type { Stream } from '../stream/stream.ts'
import { membershipOf, type RoomStateParts, roomState, type Standing, trustType } from './room-state.ts'

export interface RoomsParts extends RoomStateParts {
  readonly services: MatrixServices
  readonly names: Names
  readonly stream: Stream
  readonly kept: Kept
  readonly ambient: Ambient
}

const protection =
  'What is said here is encrypted from your gateway to those of the others, who alone can read it. Between this program ' +
  'and your gateway it is not: that is why programs show the room as unencrypted.'

export class Rooms {
  readonly #parts: RoomsParts

  constructor(parts: RoomsParts) {
    this.#parts = parts
  }

  /** The room of a conversation as it should be now; made where there is none. @returns undefined where the account is in no such room */
  ensure(tx: WriteTx, account: Identity, partner: Partner): RoomRow | undefined {
    const { stream, services } = this.#parts
    const conversation = idOfPartner(account, partner)
    const known = stream.room(tx, account, conversation)
    const now = membershipOf(services, tx, account, partner)
    const membership = known?.hasLeft === true && now !== undefined ? 'leave' : now
    if (membership === undefined || (known === undefined && membership === 'leave')) return known
    let room = known
    if (room === undefined || room.membership !== membership) {
      const since = stream.append(tx, account, { kind: 'room', room: conversation })
      const isForgotten = membership === 'leave' && known?.isForgotten === true
      room = { conversation, partner, hasLeft: known?.hasLeft === true, isForgotten, membership, since }
      stream.putRoom(tx, account, room)
    }
    this.#reconcile(tx, account, room)
    if (known === undefined && membership === 'join') this.#welcome(tx, account, room)
    return room
  }

  /** Its person goes from a chat of two; what is said there later brings it back. */
  leave(tx: WriteTx, account: Identity, room: RoomRow): void {
    this.#parts.stream.putRoom(tx, account, { ...room, hasLeft: true })
    this.ensure(tx, account, room.partner)
  }

  /** Its person is in it again. */
  enter(tx: WriteTx, account: Identity, room: RoomRow): void {
    this.#parts.stream.putRoom(tx, account, { ...room, hasLeft: false, isForgotten: false })
    this.ensure(tx, account, room.partner)
  }

  forget(tx: WriteTx, account: Identity, room: RoomRow): void {
    this.#parts.stream.putRoom(tx, account, { ...room, isForgotten: true })
  }

  /** A room for each contact that was chosen, each who asks, and each group. */
  ensureAll(tx: WriteTx, account: Identity): void {
    const { services } = this.#parts
    for (const contact of services.contacts.list(account))
      if (!contact.blocked && contact.state !== 'fellow')
        this.ensure(tx, account, { kind: 'direct', peer: contact.identity })
    for (const { group } of services.groupBook.rows(tx, account)) this.ensure(tx, account, { kind: 'group', group })
  }

  /** Everything that shows these people: their names, pictures or standing are others. */
  peopleChanged(tx: WriteTx, account: Identity, people: ReadonlySet<Identity>): void {
    const { services, stream } = this.#parts
    for (const who of people) {
      const contact = services.contacts.byIdentity(account, who)
      const direct: Partner = { kind: 'direct', peer: who }
      const isChosen = contact !== undefined && contact.state !== 'fellow'
      if (isChosen || stream.room(tx, account, idOfPartner(account, direct)) !== undefined)
        this.ensure(tx, account, direct)
    }
    for (const { group } of services.groupBook.rows(tx, account)) {
      const members = services.groupBook.group(tx, account, group)?.state.members
      if (members !== undefined && [...people].some((who) => members.has(who)))
        this.ensure(tx, account, { kind: 'group', group })
    }
  }

  /** Said by the gateway in a room, to this account only. */
  note(tx: WriteTx, account: Identity, room: ConversationId, body: string, content: Standing['content'] = {}): void {
    const { stream, ambient } = this.#parts
    const atMs = ambient.clock.nowMs()
    const nonce = Buffer.from(ambient.random.bytes(16)).toString('hex')
    stream.appendEvent(tx, account, {
      room,
      key: derivedKey('note', room, nonce),
      source: {
        kind: 'note',
        by: undefined,
        type: 'm.room.message',
        content: JSON.stringify({ msgtype: 'm.notice', body, ...content }),
        atMs,
      },
    })
  }

  #welcome(tx: WriteTx, account: Identity, { conversation, partner }: RoomRow): void {
    if (partner.kind === 'direct' && partner.peer !== account)
      markDirect(this.#parts, tx, account, { peer: partner.peer, conversation })
    this.note(tx, account, conversation, protection)
  }

  #reconcile(tx: WriteTx, account: Identity, { conversation, partner, membership }: RoomRow): void {
    const { stream, ambient, names } = this.#parts
    const atMs = ambient.clock.nowMs()
    const own = names.own(account)
    // what changes in a room that one has left is not told
    const wanted = membership === 'leave' ? [] : roomState(this.#parts, tx, account, partner)
    const seen = new Set<string>()
    for (const { type, stateKey, by, content } of wanted) {
      if (type === 'm.room.member') seen.add(stateKey)
      const before = type === trustType ? stream.stateAt(tx, account, conversation, type, stateKey) : undefined
      const isNew = stream.setState(tx, account, conversation, {
        type,
        stateKey,
        by,
        content: JSON.stringify(content),
        atMs,
      })
      if (isNew && before !== undefined) this.note(tx, account, conversation, trustWords(String(content['trust'])))
    }
    for (const { type, stateKey, content } of stream.state(tx, account, conversation)) {
      const isOver = membership === 'leave' ? stateKey === own : !seen.has(stateKey)
      if (type !== 'm.room.member' || !isOver) continue
      const { membership: before } = JSON.parse(content) as { readonly membership?: string }
      if (before === 'leave') continue
      const by = names.identity(account, stateKey)
      stream.setState(tx, account, conversation, {
        type,
        stateKey,
        by,
        content: JSON.stringify({ membership: 'leave' }),
        atMs,
      })
    }
  }
}

const trustWords = (trust: string): string =>
  trust === 'key-changed'
    ? 'The key of this contact has changed. Nothing is sent until you have compared its digits: "mycelium-gateway contact verify".'
    : `How sure it is that this contact is who they say they are: ${trust}.`
