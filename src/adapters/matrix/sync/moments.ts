/** What is true for a moment: who types where, and who is there. In memory, numbered in the order of what was heard. */
import type { Ambient } from '../../../core/ambient.ts'
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { colleaguesIn } from '../rooms/colleagues.ts'
import type { MatrixServices } from '../services.ts'
import type { Stream } from '../stream/stream.ts'

interface Typing {
  /** By whom, until when: monotonic milliseconds. */
  readonly who: Map<Identity, number>
  at: number
}

export class Moments implements Disposable {
  readonly #services: MatrixServices
  readonly #ambient: Ambient
  readonly #stream: Stream
  /** By account and conversation. */
  readonly #typing = new Map<Identity, Map<ConversationId, Typing>>()
  readonly #presence = new Map<Identity, Map<Identity, number>>()
  readonly #stop: () => void
  readonly #timer: NodeJS.Timeout
  #last = 1

  constructor({ services, stream, ambient }: { services: MatrixServices; stream: Stream; ambient: Ambient }) {
    this.#services = services
    this.#ambient = ambient
    this.#stream = stream
    this.#stop = services.signals.watch((account, heard) => {
      if (heard.kind === 'typing')
        this.typing(account, heard.conversation, heard.who, heard.isOn ? limits.matrixTypingMs : 0)
      else this.#heardPresence(account, heard.who)
      if (heard.kind === 'presence' && heard.who === account)
        for (const other of this.#colleagues(account)) this.#heardPresence(other, account)
    })
    this.#timer = setInterval(() => this.#tick(), 1000)
    this.#timer.unref()
  }

  [Symbol.dispose](): void {
    this.#stop()
    clearInterval(this.#timer)
  }

  get last(): number {
    return this.#last
  }

  /** @param ms for how long; 0: no more */
  typing(account: Identity, conversation: ConversationId, who: Identity, ms: number): void {
    const rooms = this.#typing.get(account) ?? new Map<ConversationId, Typing>()
    this.#typing.set(account, rooms)
    const room = rooms.get(conversation) ?? { who: new Map<Identity, number>(), at: 0 }
    const was = room.who.has(who)
    if (ms > 0) room.who.set(who, this.#ambient.clock.monotonicMs() + ms)
    else room.who.delete(who)
    rooms.set(conversation, room)
    if (was === ms > 0) return
    room.at = this.#next()
    this.#stream.wake(account)
  }

  /** Rooms in which that has changed since, with all who type there now. */
  typingSince(account: Identity, moment: number): ReadonlyMap<ConversationId, readonly Identity[]> {
    const rooms = [...(this.#typing.get(account) ?? [])].filter(
      ([, { at, who }]) => at > moment && (moment > 0 || who.size > 0),
    )
    return new Map(rooms.map(([conversation, { who }]) => [conversation, [...who.keys()]]))
  }

  /** Whose presence has changed since. */
  presenceSince(account: Identity, moment: number): readonly Identity[] {
    return [...(this.#presence.get(account) ?? [])].flatMap(([who, at]) => (at > moment ? [who] : []))
  }

  /** Accounts of this gateway that share a room with one: nobody else tells them. */
  #colleagues(account: Identity): readonly Identity[] {
    const rooms = this.#services.store.read((tx) => this.#stream.rooms(tx, account))
    const people = rooms.flatMap(({ membership, partner }) =>
      membership === 'join' ? colleaguesIn(this.#services, account, partner) : [],
    )
    return [...new Set(people)]
  }

  #heardPresence(account: Identity, who: Identity): void {
    const known = this.#presence.get(account) ?? new Map<Identity, number>()
    this.#presence.set(account, known.set(who, this.#next()))
    this.#stream.wake(account)
  }

  #tick(): void {
    const nowMs = this.#ambient.clock.monotonicMs()
    for (const [account, rooms] of this.#typing)
      for (const [conversation, { who }] of rooms) {
        for (const [one, untilMs] of who) if (untilMs < nowMs) this.typing(account, conversation, one, 0)
        if (who.size === 0 && rooms.size > limits.signalsKnownMax) rooms.delete(conversation)
      }
  }

  #next(): number {
    this.#last += 1
    return this.#last
  }
}
