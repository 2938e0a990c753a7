/**
 * Long work for one client, in short turns: others are served in between, it ends when its client has gone, and a client
 * that waits long is told how far it is (RFC 9585).
 */
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import type { Session } from './session.ts'

const sliceMs = 8 // ours: how long one turn may keep the thread
const actsBetweenLooks = 256 // ours
const lookMs = 250 // ours: between two looks at whether the client is still there

export class Pace implements Disposable {
  readonly #session: Session
  readonly #goal: number
  readonly #ended = new AbortController()
  readonly #timer: NodeJS.Timeout
  #turnEndsAt = performance.now() + sliceMs
  #tellAt = performance.now() + limits.imapProgressMs
  #asked = 0
  /** Messages looked at. */
  done = 0

  /** @param goal messages to be looked at in all; with 0 the client is told nothing, as in the middle of a response */
  constructor(session: Session, goal: number) {
    this.#session = session
    this.#goal = goal
    this.#timer = setInterval(() => this.#look(), lookMs).unref()
  }

  /** Ends with `connection-closed` when the client has gone. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }
  /** The turn is over: `rest` now. */
  get isDue(): boolean {
    return performance.now() > this.#turnEndsAt
  }

  /** Lets others have their turn. @throws `connection-closed` */
  async rest(): Promise<void> {
    await this.#session.context.turns.wait()
    this.signal.throwIfAborted()
    this.#turnEndsAt = performance.now() + sliceMs
  }

  /** Something short for each item, in turns. @throws `connection-closed` */
  async each<T>(items: Iterable<T>, act: (item: T) => void): Promise<void> {
    let acts = 0
    for (const item of items) {
      act(item)
      acts += 1
      if (acts % actsBetweenLooks === 0 && this.isDue) await this.rest()
    }
  }

  #look(): void {
    const { channel, out, tag } = this.#session
    if (channel.isClosed) this.#ended.abort(new MyceliumError('connection-closed'))
    // A client that sends no more may still listen, or be gone: the first word is refused there, the second one here.
    if (channel.reader.hasEnded && this.#asked < 2) this.#asked += 1
    else if (performance.now() < this.#tellAt) return
    if (this.done >= this.#goal) return
    this.#tellAt = performance.now() + limits.imapProgressMs
    // A `]` would end the response code (RFC 9585 §4).
    const written = tag.includes(']') ? 'NIL' : `"${tag}"`
    out.line(`* OK [INPROGRESS (${written} ${this.done} ${this.#goal})] Still at work`)
    out.ready().catch(() => this.#ended.abort(new MyceliumError('connection-closed')))
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}
