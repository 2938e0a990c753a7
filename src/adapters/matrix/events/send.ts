/** Events of programs on their way into a conversation: each once, however often it is asked for. */
import { viewMessage } from '../../../core/conversation/view.ts'
import { hasCode } from '../../../core/errors.ts'
import type { Draft } from '../../../core/delivery/chat-post.ts'
import type { PreparedFile } from '../../../core/delivery/files.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { type Calls, isCall } from '../calls/calls.ts'
import type { Caller, Json } from '../http/api.ts'
import { refuseLarge } from '../http/canonical-json.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { eventKeyOf } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import { keyOfMessage, keyOfReaction, keyOfUnreaction } from '../stream/event-keys.ts'
import { relationsOf } from '../stream/relations.ts'
import type { EventKey, RoomRow } from '../stream/rows.ts'
import type { Stream } from '../stream/stream.ts'
import { messageOf } from './event-view.ts'
import type { Said } from './said.ts'
import { draftOfMessage, draftOfOther, readMessage, readReaction } from './to-canonical.ts'

export interface SendParts {
  readonly services: MatrixServices
  readonly stream: Stream
  readonly said: Said
  readonly calls: Calls
  /** What this account has uploaded under an mxc URI, as a file that can be said. @throws MatrixError */
  readonly fileBehind: (account: Identity, url: string) => Promise<PreparedFile>
  /** The message has it now. */
  readonly fileSaid: (account: Identity, url: string, message: MessageId) => Promise<void>
}

export interface Sending {
  readonly room: RoomRow
  readonly type: string
  readonly content: Json
  readonly transaction: string
}

export class Sender {
  readonly #parts: SendParts

  constructor(parts: SendParts) {
    this.#parts = parts
  }

  /** @returns once it is durable here @throws MatrixError, what `Chats.say` and `Groups.say` throw */
  async send(caller: Caller, { room, type, content, transaction }: Sending): Promise<EventKey> {
    refuseLarge(content)
    if (isCall(type)) return await this.#parts.calls.send(caller, { room, type, content, transaction })
    const path = `send ${room.conversation} ${type}`
    const known = this.#parts.services.store.read((tx) => this.#parts.said.before(tx, caller, path, transaction))
    if (known !== undefined) return known
    if (type === 'm.reaction') return await this.#react(caller, room, content, { path, transaction })
    if (type === 'm.room.encrypted')
      throw new MatrixError(
        'M_FORBIDDEN',
        'The gateway encrypts what is said here: turn encryption off in this program',
      )
    const message = type === 'm.room.message' ? readMessage(content) : undefined
    using file = message?.url === undefined ? undefined : await this.#parts.fileBehind(caller.account, message.url)
    const key = await this.#write(caller, { path, transaction }, (tx) => {
      const target = {
        message: (id: string) => this.#target(tx, caller.account, room, id),
        root: (id: string) => this.#root(tx, caller.account, room, id),
      }
      const draft =
        message === undefined ? draftOfOther(type, content, target) : draftOfMessage(message, target, file?.part)
      return keyOfMessage(this.#say(tx, caller.account, room, draft))
    })
    if (message?.url !== undefined) await this.#parts.fileSaid(caller.account, message.url, key as string as MessageId)
    return key
  }

  /** Takes back a message, or one reaction. @throws MatrixError */
  async redact(
    caller: Caller,
    { room, target, transaction }: { readonly room: RoomRow; readonly target: string; readonly transaction: string },
  ): Promise<EventKey> {
    const { stream, services } = this.#parts
    const path = `redact ${room.conversation} ${target}`
    return await this.#write(caller, { path, transaction }, (tx) => {
      const key = eventKeyOf(target)
      const source = key && stream.event(tx, caller.account, key)?.entry
      if (key === undefined || source === undefined || source.room !== room.conversation) throw notFound()
      if (source.source.kind === 'reaction') {
        const { target: of, reaction, message } = source.source
        if (messageOf(services, tx, caller.account, message)?.author !== caller.account)
          throw new MatrixError('M_FORBIDDEN', 'This is the reaction of somebody else')
        const reactions = this.#reactionsTo(tx, caller.account, of).filter((one) => one !== reaction)
        const id = this.#say(tx, caller.account, room, { parts: [{ kind: 'reaction', target: of, reactions }] })
        return keyOfUnreaction(id, key)
      }
      if (source.source.kind !== 'message') throw new MatrixError('M_FORBIDDEN', 'This cannot be taken back')
      const message = this.#whole(tx, caller.account, source.source.message)
      return keyOfMessage(this.#say(tx, caller.account, room, { parts: [{ kind: 'redaction', target: message }] }))
    })
  }

  async #react(
    caller: Caller,
    room: RoomRow,
    content: Json,
    again: { readonly path: string; readonly transaction: string },
  ): Promise<EventKey> {
    const { target: of, key: reaction } = readReaction(content)
    if (Buffer.byteLength(reaction) > limits.reactionOctetsMax)
      throw new MatrixError('M_TOO_LARGE', `A reaction has ${limits.reactionOctetsMax} octets at most`)
    return await this.#write(caller, again, (tx) => {
      const target = this.#target(tx, caller.account, room, of)
      const before = this.#reactionsTo(tx, caller.account, target)
      if (before.includes(reaction)) throw new MatrixError('M_DUPLICATE_ANNOTATION', 'You have said this already')
      if (before.length >= limits.reactionsMax)
        throw new MatrixError('M_RESOURCE_LIMIT_EXCEEDED', `At most ${limits.reactionsMax} reactions of one person`)
      const reactions = [...before, reaction]
      return keyOfReaction(
        this.#say(tx, caller.account, room, { parts: [{ kind: 'reaction', target, reactions }] }),
        reaction,
      )
    })
  }

  /** In one transaction with what makes it known again. */
  async #write(
    caller: Caller,
    { path, transaction }: { readonly path: string; readonly transaction: string },
    use: (tx: WriteTx) => EventKey,
  ): Promise<EventKey> {
    const { services, said } = this.#parts
    return await services.store.write((tx) => {
      const known = said.before(tx, caller, path, transaction)
      if (known !== undefined) return known
      const key = use(tx)
      said.remember(tx, caller, path, transaction, key)
      return key
    })
  }

  #say(tx: WriteTx, account: Identity, { partner }: RoomRow, draft: Draft): MessageId {
    const { chats, groups } = this.#parts.services
    try {
      return partner.kind === 'direct'
        ? chats.sayIn(tx, account, partner.peer, draft).id
        : groups.sayIn(tx, account, partner.group, draft).id
    } catch (error) {
      if (hasCode(error, 'no-such-contact'))
        throw new MatrixError('M_FORBIDDEN', 'They are no contact of yours (any more): accept or invite them first')
      throw error
    }
  }

  #target(tx: ReadTx, account: Identity, room: RoomRow, id: string): MessageId {
    const key = eventKeyOf(id)
    const { services } = this.#parts
    const row = key && services.conversations.history.message(tx, account, key as string as MessageId)
    if (key === undefined || row === undefined || row.conversation !== room.conversation) throw notFound()
    return this.#whole(tx, account, key as string as MessageId)
  }

  /** Client-Server API, "Validation of m.thread relationships". */
  #root(tx: ReadTx, account: Identity, room: RoomRow, id: string): MessageId {
    const root = this.#target(tx, account, room, id)
    const message = messageOf(this.#parts.services, tx, account, root)
    if (message !== undefined && relationsOf(message).length > 0)
      throw new MatrixError('M_UNKNOWN', 'No thread begins at an event that relates to another one')
    return root
  }

  /** Of an edit the message that it changes. */
  #whole(tx: ReadTx, account: Identity, id: MessageId): MessageId {
    const edit = messageOf(this.#parts.services, tx, account, id)?.parts.find((part) => part.kind === 'edit')
    return edit?.target ?? id
  }

  #reactionsTo(tx: ReadTx, account: Identity, target: MessageId): readonly string[] {
    const shown = viewMessage(tx, this.#parts.services.conversations.history, account, target)
    if (shown === undefined) throw notFound()
    return shown.reactions.find(({ who }) => who === account)?.reactions ?? []
  }
}

const notFound = (): MatrixError => new MatrixError('M_NOT_FOUND', 'There is no such event in this room')
