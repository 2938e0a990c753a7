/**
 * Brings into each account's stream what happens in its conversations: steps of the core's feed, taken up where the last
 * commit left off, so that nothing is missed by a crash or while no program was there. Accounts are followed from the
 * first login of a program on.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Ambient } from '../../../core/ambient.ts'
import type { FeedStep } from '../../../core/conversation/conversations.ts'
import { aboutOf } from '../../../core/conversation/history.ts'
import { viewMessage } from '../../../core/conversation/view.ts'
import { hasCode, MyceliumError } from '../../../core/errors.ts'
import type { Identity, MessageId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { decodeMessage, type Message } from '../../../core/message/message.ts'
import type { WriteTx } from '../../../core/store/store.ts'
import { callEvent } from '../calls/call-event.ts'
import { readExtension } from '../events/extension.ts'
import type { Rooms } from '../rooms/rooms.ts'
import type { MatrixServices } from '../services.ts'
import { type Relations, relationsOf } from './relations.ts'
import type { EventKey, RoomRow } from './rows.ts'
import { derivedKey, keyOfCall, keyOfMessage, keyOfReaction, keyOfUnreaction } from './event-keys.ts'
import type { Stream } from './stream.ts'

interface FollowerParts {
  readonly services: MatrixServices
  readonly stream: Stream
  readonly relations: Relations
  readonly rooms: Rooms
  readonly ambient: Ambient
}

export class Follower implements AsyncDisposable {
  readonly #parts: FollowerParts
  readonly #followed = new Set<Identity>()
  /** Followed for the first time since the gateway began: what has changed meanwhile is not known. */
  readonly #isNew = new Set<Identity>()
  /** The run of each account that is under way, and whether it has to look again. */
  readonly #running = new Map<Identity, { readonly done: Promise<void>; again: boolean }>()
  /** People who look different to an account. */
  readonly #changed = new Map<Identity, Set<Identity>>()
  readonly #stops: readonly (() => void)[]
  #isClosed = false

  constructor(parts: FollowerParts) {
    this.#parts = parts
    const { conversations, contacts, profiles, accounts } = parts.services
    const person = (account: Identity, who: Identity): void => {
      if (!this.#followed.has(account)) return
      this.#changed.set(account, (this.#changed.get(account) ?? new Set()).add(who))
      void this.#run(account)
    }
    conversations.whenShown((tx, account, row, { id, message }) => {
      // it shows nothing to other protocols, and has no step of its own
      if (row.state !== 'quiet' || !this.#followed.has(account) || readExtension(message.parts) === undefined) return
      const room = this.#parts.stream.room(tx, account, row.conversation)
      if (room !== undefined) this.#message(tx, account, room, id)
    })
    this.#stops = [
      conversations.watch((account) => {
        if (this.#followed.has(account)) void this.#run(account)
      }),
      contacts.watch(person),
      profiles.watch(({ account, contact }) => person(account, contact)),
      accounts.watch((who) => {
        for (const account of this.#followed) person(account, who)
      }),
    ]
  }

  /** Resolves when what has been committed before this call is in the stream: programs read what they have written. */
  async caughtUp(account: Identity): Promise<void> {
    if (this.#isClosed) throw new MyceliumError('shutting-down')
    if (!this.#followed.has(account)) {
      this.#followed.add(account)
      this.#isNew.add(account)
      await this.#run(account)
    }
    // whatever is committed begins a run before its writer hears of it
    await this.#running.get(account)?.done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    for (const stop of this.#stops) stop()
    await Promise.all(Array.from(this.#running.values(), ({ done }) => done))
  }

  async #run(account: Identity): Promise<void> {
    const running = this.#running.get(account)
    if (running !== undefined) {
      running.again = true
      return await running.done
    }
    const state = { done: Promise.resolve(), again: true }
    this.#running.set(account, state)
    state.done = (async () => {
      try {
        while (state.again && !this.#isClosed) {
          state.again = false
          // what came in the same turn is taken together
          await nextTurn()
          while (await this.#takeSome(account)) if (this.#isClosed) break
        }
      } catch (error) {
        if (!hasCode(error, 'shutting-down'))
          this.#parts.ambient.log.error('matrix.follow-failed', {
            error: error instanceof Error ? error.name : 'unknown',
          })
      } finally {
        this.#running.delete(account)
      }
    })()
    await state.done
  }

  /** DESIGN §6: with the first chat program direct chats leave the inbox; once, so that who wants them there has them there. */
  async #begin(account: Identity): Promise<void> {
    const { services, stream, rooms } = this.#parts
    await services.store.write((tx) => {
      const isFirst = !stream.isBegun(tx, account)
      if (isFirst) services.conversations.setSettings(tx, account, { hasChatClient: true })
      if (isFirst) stream.setFeed(tx, account, 0)
      rooms.ensureAll(tx, account)
    })
  }

  /** @returns whether there may be more */
  async #takeSome(account: Identity): Promise<boolean> {
    const { services, stream, rooms } = this.#parts
    const { store, conversations } = services
    if (this.#isNew.delete(account)) await this.#begin(account)
    const changed = this.#changed.get(account) ?? new Set()
    const from = store.read((tx) => stream.progress(tx, account).feed)
    if (changed.size === 0 && conversations.lastNumber(account) <= from) return false
    this.#changed.delete(account)
    return await store.write((tx) => {
      if (changed.size > 0) rooms.peopleChanged(tx, account, changed)
      let taken = 0
      let last = from
      const to = from + 1 + limits.matrixStepsAtOnce
      for (const step of conversations.history.feed.steps(tx, account, { from: from + 1, to })) {
        this.#take(tx, account, step)
        taken += 1
        last = step.number
      }
      if (last > from) stream.setFeed(tx, account, last)
      return taken >= limits.matrixStepsAtOnce
    })
  }

  #take(tx: WriteTx, account: Identity, { conversation, event }: FeedStep): void {
    const { services, stream, rooms } = this.#parts
    const partner = services.conversations.history.conversation(tx, account, conversation)?.partner
    if (partner === undefined) return
    const known = stream.room(tx, account, conversation)
    const isNews = event.kind === 'message' && known?.hasLeft === true
    if (isNews) stream.putRoom(tx, account, { ...known, hasLeft: false, isForgotten: false })
    const room = known === undefined || isNews || event.kind === 'group' ? rooms.ensure(tx, account, partner) : known
    if (room === undefined) return
    switch (event.kind) {
      case 'message':
        this.#message(tx, account, room, event.message)
        return
      case 'about':
        this.#about(tx, account, room, event.message)
        return
      case 'read':
        stream.append(tx, account, {
          kind: 'receipt',
          room: conversation,
          who: event.who,
          upTo: keyOfMessage(event.upTo),
          atMs: this.#parts.ambient.clock.nowMs(),
        })
        return
      case 'failed':
        this.#failed(tx, account, room, event)
        return
      case 'struck':
        this.#takeBack(tx, account, room, keyOfMessage(event.message), {
          by: this.#messageOf(tx, account, event.message)?.author ?? account,
          key: derivedKey('struck', event.message),
          atMs: this.#parts.ambient.clock.nowMs(),
        })
        return
      case 'group': // seen to above
      case 'file':
      case 'delivered':
    }
  }

  #messageOf(tx: WriteTx, account: Identity, id: MessageId): Message | undefined {
    const row = this.#parts.services.conversations.history.message(tx, account, id)
    return row === undefined || row.encoded.length === 0 ? undefined : decodeMessage(row.encoded)
  }

  #message(tx: WriteTx, account: Identity, { conversation }: RoomRow, id: MessageId): void {
    const { stream, relations } = this.#parts
    const message = this.#messageOf(tx, account, id)
    const call = message?.parts.find((part) => part.kind === 'call')
    const callId = call?.protocol === 'matrix' ? callEvent(call.payload)?.content['call_id'] : undefined
    // what programs told each other of the call stands in the room already
    if (typeof callId === 'string' && stream.place(tx, account, keyOfCall(callId)) !== undefined) return
    const key = keyOfMessage(id)
    const source = { kind: 'message', message: id } as const
    const number = stream.appendEvent(tx, account, { room: conversation, key, source })
    if (message === undefined) return
    for (const relation of relationsOf(message))
      relations.add(tx, account, { room: conversation, number, isOwn: message.author === account, ...relation })
  }

  #about(tx: WriteTx, account: Identity, room: RoomRow, id: MessageId): void {
    const message = this.#messageOf(tx, account, id)
    const about = message && aboutOf(message)
    if (message === undefined || about === undefined) return
    if (about.kind === 'edit') this.#message(tx, account, room, id)
    else if (about.kind === 'redaction')
      this.#takeBack(tx, account, room, keyOfMessage(about.target), {
        by: message.author,
        key: keyOfMessage(id),
        atMs: message.sentAtMs,
      })
    else this.#react(tx, account, room, { id, target: about.target, message })
  }

  /** All that its author says of the target now, as one event each for what is new and what is no more. */
  #react(
    tx: WriteTx,
    account: Identity,
    { conversation }: RoomRow,
    { id, target, message }: { readonly id: MessageId; readonly target: MessageId; readonly message: Message },
  ): void {
    const { stream, services, relations } = this.#parts
    const who = message.author
    const shown = viewMessage(tx, services.conversations.history, account, target)
    const now = new Set(shown?.reactions.find((one) => one.who === who)?.reactions)
    const before = new Map<string, EventKey>()
    for (const key of stream.reactions(tx, account, target)) {
      const source = stream.event(tx, account, key)?.entry.source
      if (source?.kind !== 'reaction') continue
      if (this.#messageOf(tx, account, source.message)?.author === who) before.set(source.reaction, key)
    }
    for (const [reaction, key] of before) {
      if (now.has(reaction)) continue
      stream.appendEvent(tx, account, {
        room: conversation,
        key: keyOfUnreaction(id, key),
        source: { kind: 'redaction', by: who, target: key, atMs: message.sentAtMs },
      })
      stream.setReaction(tx, account, { target, who, reaction }, undefined)
    }
    for (const reaction of now) {
      if (before.has(reaction)) continue
      const key = keyOfReaction(id, reaction)
      const number = stream.appendEvent(tx, account, {
        room: conversation,
        key,
        source: { kind: 'reaction', message: id, target, reaction },
      })
      relations.add(tx, account, {
        room: conversation,
        number,
        isOwn: who === account,
        type: 'm.annotation',
        target: keyOfMessage(target),
      })
      stream.setReaction(tx, account, { target, who, reaction }, key)
    }
  }

  #takeBack(
    tx: WriteTx,
    account: Identity,
    { conversation }: RoomRow,
    target: EventKey,
    { by, key, atMs }: { readonly by: Identity; readonly key: EventKey; readonly atMs: number },
  ): void {
    const { stream, relations } = this.#parts
    stream.appendEvent(tx, account, { room: conversation, key, source: { kind: 'redaction', by, target, atMs } })
    const source = stream.event(tx, account, target)?.entry.source
    const message = source?.kind === 'message' ? this.#messageOf(tx, account, source.message) : undefined
    for (const relation of message === undefined ? [] : relationsOf(message))
      if (relation.type === 'm.thread') relations.recount(tx, account, conversation, relation.target)
  }

  /** Nobody will bring it there any more: the room says so, where its author looks. */
  #failed(
    tx: WriteTx,
    account: Identity,
    { conversation }: RoomRow,
    { message, to }: { readonly message: MessageId; readonly to: Identity },
  ): void {
    const { services, rooms } = this.#parts
    const name = services.people.nameOf(account, to) ?? 'one of those it was for'
    rooms.note(tx, account, conversation, `This message did not reach ${name}, and is not tried any more.`, {
      'm.relates_to': { 'm.in_reply_to': { event_id: `$${Buffer.from(message, 'hex').toString('base64url')}` } },
    })
  }
}
