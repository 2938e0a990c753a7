/**
 * Links and the sessions that speak over them. On each new link every session first says hello; then its frames flow.
 * A link that carries nonsense is closed; frames without a session are dropped and counted.
 */
import type { Ambient } from '../ambient.ts'
import { concat } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import { type GatewayId, short } from '../ids.ts'
import { limits } from '../limits.ts'
import { detectRollback, HelloExchange } from '../session/hello.ts'
import { encodeItem, encodeItems, ItemCursor } from '../session/items.ts'
import { type Counters, Session } from '../session/session.ts'
import type { Store } from '../store/store.ts'
import type { Inbound, TaggedFrame } from './inbound.ts'
import type { GatewayAddress, Link, Overlay } from './ports.ts'
import { type Pair, pairName, type SessionBook, type Tagged } from './session-book.ts'

interface HubParts {
  readonly store: Store
  readonly book: SessionBook
  readonly inbound: Inbound
  readonly overlay: Overlay
  readonly ambient: Ambient
  /** May this pair speak at all now? */
  readonly mayMeet: (pair: Pair) => boolean
  /** Frames of this pair may flow over this link now. */
  readonly onReady: (pair: Pair, link: Link) => void
  readonly onClosed: (link: Link, pairs: readonly Pair[]) => void
  /** More frames in a row were lost than the peer could skip: only a new session helps. */
  readonly onSpent: (pair: Pair) => void
  readonly onRollback: (pair: Pair, who: 'self-rolled-back' | 'peer-rolled-back') => void
}

interface Greeting {
  readonly exchange: HelloExchange
  readonly sessionId: string
  /** Whether this side began. */
  readonly began: boolean
  /** How far this side had received when the exchange began: later frames must not look like a rollback. */
  readonly received: number
}

interface OpenLink {
  readonly link: Link
  /** Frames that have arrived and are not yet taken: one transaction takes them all. */
  readonly pending: TaggedFrame[]
  readonly greetings: Map<string, Greeting>
  readonly ready: Map<string, Pair>
  /** Sessions of which the peer could open no further frame of ours. */
  readonly spent: Set<string>
}

export class LinkHub {
  readonly #parts: HubParts
  readonly #links = new Map<GatewayId, OpenLink>()

  constructor(parts: HubParts) {
    this.#parts = parts
  }

  /** The link over which this pair may send now. */
  readyLink(pair: Pair, gateway: GatewayId): Link | undefined {
    const open = this.#links.get(gateway)
    return open?.ready.has(pairName(pair)) === true ? open.link : undefined
  }

  /** The same, over whichever link it is. */
  readyLinkOf(pair: Pair): Link | undefined {
    const name = pairName(pair)
    for (const open of this.#links.values()) if (open.ready.has(name)) return open.link
    return undefined
  }

  isLinked(gateway: GatewayId): boolean {
    return this.#links.has(gateway)
  }

  /** A new link from the overlay, whichever side opened it. */
  attach(link: Link): void {
    const open: OpenLink = { link, pending: [], greetings: new Map(), ready: new Map(), spent: new Set() }
    this.#links.set(link.peer, open)
    void this.#read(open).catch((error: unknown) => {
      const code = error instanceof MyceliumError ? error.code : 'unexpected'
      this.#parts.ambient.log.warn('link.failed', { gateway: short(link.peer.slice(-8)), code })
      link.close(code)
    })
    link.closed.addEventListener('abort', () => this.#detach(open), { once: true })
    if (link.closed.aborted) this.#detach(open)
  }

  /**
   * Brings up the link and this pair's hello. @throws `unreachable`; `session-unknown` when the peer's gateway is there
   * but does not answer for the session, or so many frames were lost that a new one is needed
   */
  async connect(pair: Pair, to: GatewayAddress, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    for (let attempt = 0; attempt < limits.helloAttempts; attempt += 1) {
      const link = await this.#parts.overlay.link(to, { signal })
      const open = this.#links.get(to.gateway)
      if (open === undefined || open.link !== link) throw new MyceliumError('unreachable')
      if (open.ready.has(pairName(pair))) return
      this.#greet(open, pair)
      if (await becameReady(open, pair, limits.helloMs, signal)) return
      if (link.closed.aborted) throw new MyceliumError('unreachable')
      if (open.spent.has(pairName(pair))) break
    }
    throw new MyceliumError('session-unknown')
  }

  /** A session was replaced or ended: what was agreed about it on any link no longer holds. */
  forget(pair: Pair): void {
    const name = pairName(pair)
    for (const open of this.#links.values()) {
      open.ready.delete(name)
      open.greetings.delete(name)
      open.spent.delete(name)
    }
  }

  #greet(open: OpenLink, pair: Pair): void {
    const session = this.#session(pair)
    if (session === undefined) return
    const greeting = this.#newGreeting(open, pair, session, true)
    open.greetings.set(pairName(pair), greeting)
    void open.link.send(encodeItem(this.#tagOf(session), greeting.exchange.start())).catch(() => {})
  }

  #newGreeting(open: OpenLink, pair: Pair, session: Session, began: boolean): Greeting {
    const { overlay, ambient } = this.#parts
    const exchange = new HelloExchange(session, {
      self: overlay.self,
      peer: open.link.peer,
      isInitiator: began,
      random: ambient.random,
      countersNow: () => this.#session(pair) ?? session,
    })
    return { exchange, sessionId: session.id, began, received: session.received }
  }

  async #read(open: OpenLink): Promise<void> {
    const cursor = new ItemCursor<Tagged>(this.#parts.book.tags)
    let unknown = 0
    let taking: Promise<void> | undefined
    for await (const piece of open.link.incoming) {
      cursor.push(piece)
      while (cursor.next()) {
        const to = cursor.channel
        if (to === undefined) unknown += 1
        else if (cursor.isHello) this.#takeHello(open, to, Uint8Array.from(cursor.body()))
        else if (open.greetings.has(pairName(to.pair))) open.pending.push({ to, frame: Uint8Array.from(cursor.body()) })
        else unknown += 1
      }
      if (unknown > limits.unknownFramesMax) throw new MyceliumError('peer-misbehaved', { unknown })
      if (open.pending.length === 0) continue
      taking ??= this.#takePending(open).finally(() => {
        taking = undefined
      })
      if (open.pending.length > limits.pendingFramesMax) await taking
      else taking.catch(() => {})
    }
  }

  /** Waits for the rest of what this turn brings, so that a burst costs one commit and not one for each piece. */
  async #takePending(open: OpenLink): Promise<void> {
    while (open.pending.length > 0) {
      await new Promise((resolve) => setImmediate(resolve))
      try {
        await this.#takeFrames(open, open.pending.splice(0))
      } catch (error) {
        open.link.close(error instanceof MyceliumError ? error.code : 'unexpected')
        throw error
      }
    }
  }

  async #takeFrames(open: OpenLink, frames: readonly TaggedFrame[]): Promise<void> {
    const answers = await this.#parts.inbound.take(frames)
    const items = concat(...answers.map(({ tag, frames: sealed }) => encodeItems(tag, sealed)))
    if (items.length > 0 && !open.link.closed.aborted) await open.link.send(items).catch(() => {})
  }

  #takeHello(open: OpenLink, { pair, sessionId }: Tagged, body: Uint8Array): void {
    const name = pairName(pair)
    const known = open.greetings.get(name)
    const step = known?.sessionId === sessionId ? known.exchange.read(body) : undefined
    if (step !== undefined && step.kind !== 'refused') {
      this.#follow(open, pair, known!, step)
      return
    }
    // both began at once: the side that opened the link goes on, the other one answers
    if (known?.began === true && open.link.initiator && !open.ready.has(name)) return
    const session = this.#session(pair)
    if (session?.id !== sessionId) return
    const greeting = this.#newGreeting(open, pair, session, false)
    const first = greeting.exchange.read(body)
    if (first.kind === 'refused') return
    open.greetings.set(name, greeting)
    this.#follow(open, pair, greeting, first)
  }

  #follow(
    open: OpenLink,
    pair: Pair,
    greeting: Greeting,
    step: Exclude<ReturnType<HelloExchange['read']>, { readonly kind: 'refused' }>,
  ): void {
    const session = this.#session(pair)
    // a session replaced since this hello began has other counters: they would look like a rollback
    if (session?.id !== greeting.sessionId) return
    if (step.bytes !== undefined) void open.link.send(encodeItem(this.#tagOf(session), step.bytes)).catch(() => {})
    if (step.kind !== 'done') return
    if (this.#rolledBack(pair, { sent: session.sent, received: greeting.received }, step.remote)) return
    if (session.sent - step.remote.received > limits.jumpMax) {
      open.spent.add(pairName(pair))
      this.#parts.onSpent(pair)
      return
    }
    open.ready.set(pairName(pair), pair)
    this.#parts.onReady(pair, open.link)
  }

  #rolledBack(pair: Pair, local: Counters, remote: Counters): boolean {
    const verdict = detectRollback(local, remote)
    if (verdict === 'ok') return false
    this.#parts.onRollback(pair, verdict)
    return verdict === 'self-rolled-back'
  }

  #detach(open: OpenLink): void {
    if (this.#links.get(open.link.peer) === open) this.#links.delete(open.link.peer)
    this.#parts.onClosed(open.link, [...open.ready.values()])
  }

  #session(pair: Pair): Session | undefined {
    if (!this.#parts.mayMeet(pair)) return undefined
    const row = this.#parts.store.read((tx) => this.#parts.book.read(tx, pair))
    return row === undefined ? undefined : Session.decode(row.current)
  }

  #tagOf(session: Session): Uint8Array {
    return session.sendTag(this.#parts.ambient.clock.nowMs())
  }
}

/** Looks every few milliseconds: a hello takes one round trip, and a waiting list would need as much code. */
async function becameReady(open: OpenLink, pair: Pair, withinMs: number, signal: AbortSignal): Promise<boolean> {
  const name = pairName(pair)
  for (let waited = 0; waited < withinMs; waited += 5) {
    if (open.link.closed.aborted || open.spent.has(name) || signal.aborted) return false
    if (open.ready.has(name)) return true
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return false
}
