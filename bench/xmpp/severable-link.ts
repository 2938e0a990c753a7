/**
 * A network between two programs of this machine that can be cut: a TCP proxy which does to a connection what networks
 * do, and needs no rights to do it. What one end has handed over is out of its sight here, as it is in a real network:
 * whoever sends does not know what has arrived.
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { below, type Random } from '../support/seeded.ts'

/** What happens to the connections that are there. */
export type Break =
  /** Both ends get an RST, in the middle of what was on its way. */
  | 'reset'
  /** Nothing passes and nobody is told. What the caller had sent arrives when it is back, with its new connection. */
  | 'silence'
  /** Half open: what the server sends is taken from it and lost, what the caller sends arrives. */
  | 'deaf'
  /** Half open the other way round. */
  | 'mute'

type Way = 'passes' | 'waits' | 'vanishes'

/** Bytes after which a reset comes if there are as many; otherwise it comes without. */
const resetAfterBytesMax = 700
const resetAfterMsMax = 60
/** How long a server goes on not being read after the caller was back. */
const lateMs = 1_000

/** One connection through the link. */
class Passage {
  readonly #caller: Socket
  readonly #server: Socket
  /** From the caller, and to it. */
  #out: Way = 'passes'
  #back: Way = 'passes'
  /** From the caller. */
  readonly #held: Buffer[] = []
  #leftBeforeReset = Infinity
  readonly onSaid: (piece: Buffer) => void
  readonly #onOver: (passage: Passage) => void

  constructor(caller: Socket, server: Socket, onSaid: (piece: Buffer) => void, onOver: (passage: Passage) => void) {
    this.#caller = caller
    this.#server = server
    this.onSaid = onSaid
    this.#onOver = onOver
    caller.on('data', (piece: Buffer) => this.#pass(piece, this.#out, server))
    server.on('data', (piece: Buffer) => this.#pass(piece, this.#back, caller))
    this.#follow(caller, server)
    this.#follow(server, caller)
    server.on('end', () => {
      if (this.isBroken) server.destroy()
    })
  }

  get isBroken(): boolean {
    return this.#out !== 'passes' || this.#back !== 'passes'
  }
  get isOverForServer(): boolean {
    return this.#server.destroyed
  }

  #pass(piece: Buffer, way: Way, to: Socket): void {
    if (to === this.#server) this.onSaid(piece)
    if (way === 'vanishes') return
    if (way === 'waits' && to === this.#server) {
      this.#held.push(piece)
      return
    }
    const passing = piece.subarray(0, this.#leftBeforeReset)
    this.#leftBeforeReset -= passing.length
    to.write(passing)
    if (this.#leftBeforeReset === 0) this.#reset()
  }

  /** Where nothing passes, the other end does not hear that one is gone. */
  #follow(end: Socket, other: Socket): void {
    end.on('error', () => end.destroy())
    end.on('end', () => {
      if (!this.isBroken) other.end()
    })
    end.on('close', (isError) => {
      if (!this.isBroken) {
        if (isError) other.resetAndDestroy()
        else other.destroy()
      }
      this.#onOver(this)
    })
  }

  break(how: Break, random: Random): void {
    if (how === 'reset') {
      this.#leftBeforeReset = below(random, resetAfterBytesMax) + 1
      setTimeout(() => this.#reset(), below(random, resetAfterMsMax))
      return
    }
    this.#out = how === 'mute' ? 'vanishes' : how === 'silence' ? 'waits' : 'passes'
    this.#back = how === 'deaf' ? 'vanishes' : how === 'silence' ? 'waits' : 'passes'
    // nobody takes what the server sends, so its queue fills
    if (how === 'silence') this.#server.pause()
  }

  /** What the caller had said arrives after all; it hears nothing of what comes of it. */
  deliverLate(): void {
    if (this.#out !== 'waits') return
    this.#out = 'vanishes'
    for (const piece of this.#held.splice(0)) this.#server.write(piece)
    // read again only then, to hear of its end
    setTimeout(() => {
      this.#back = 'vanishes'
      this.#server.resume()
    }, lateMs)
  }

  /** As if nothing had happened. */
  mend(): void {
    if (this.#out !== 'waits') return
    this.#out = 'passes'
    this.#back = 'passes'
    for (const piece of this.#held.splice(0)) this.#server.write(piece)
    // an end that has gone meanwhile is told of only now
    if (this.#caller.destroyed) this.#server.destroy()
    else if (this.#server.destroyed) this.#caller.destroy()
    else this.#server.resume()
  }

  #reset(): void {
    this.#caller.resetAndDestroy()
    this.#server.resetAndDestroy()
  }

  destroy(): void {
    this.#caller.destroy()
    this.#server.destroy()
  }
}

export class SeverableLink implements AsyncDisposable {
  readonly #target: number
  readonly #random: Random
  readonly #servers: Server[] = []
  readonly #passages = new Set<Passage>()
  #ports: readonly number[] = []
  /** What a caller says when it is back: then what it had said before arrives too, a moment before. */
  readonly #returnWords: readonly string[]
  /** The next connection that comes back is broken too, as soon as it has said so. */
  #stumble: Break | undefined
  /** A cut between machines rather than of a connection: new connections meet it too. */
  #isDown = false

  private constructor(target: number, random: Random, returnWords: readonly string[]) {
    this.#target = target
    this.#random = random
    this.#returnWords = returnWords
  }

  /** @param ports how many lead to the same target */
  static async open(
    target: number,
    random: Random,
    { ports = 1, returnWords = [] }: { readonly ports?: number; readonly returnWords?: readonly string[] } = {},
  ): Promise<SeverableLink> {
    const link = new SeverableLink(target, random, returnWords)
    link.#ports = await Promise.all(Array.from({ length: ports }, async () => await link.#listen()))
    return link
  }

  get ports(): readonly number[] {
    return this.#ports
  }
  get port(): number {
    return this.#ports[0]!
  }
  /** Connections that the server still believes in though nothing comes through them. */
  get ghosts(): number {
    return [...this.#passages].filter((passage) => passage.isBroken && !passage.isOverForServer).length
  }

  async #listen(): Promise<number> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (caller) => this.#accept(caller))
    this.#servers.push(server)
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  }

  #accept(caller: Socket): void {
    const server = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const passage = new Passage(
      caller,
      server,
      (piece) => this.#heard(passage, piece),
      (over) => {
        if (caller.destroyed && server.destroyed) this.#passages.delete(over)
      },
    )
    this.#passages.add(passage)
    if (this.#isDown) passage.break('silence', this.#random)
  }

  #heard(passage: Passage, piece: Buffer): void {
    if (!this.#returnWords.some((word) => piece.includes(word))) return
    for (const other of this.#passages) if (other !== passage) other.deliverLate()
    const how = this.#stumble
    this.#stumble = undefined
    if (how !== undefined) setImmediate(() => passage.break(how, this.#random))
  }

  /** @param stumble what breaks the connection by which the caller comes back */
  break(how: Break, stumble?: Break): void {
    this.#stumble = stumble
    for (const passage of this.#passages) if (!passage.isBroken) passage.break(how, this.#random)
  }

  /** Nothing passes for a while, new connections neither. @param after whether what waited arrives, or its connections end */
  async silence(ms: number, after: 'mended' | 'reset'): Promise<void> {
    this.#isDown = true
    this.break('silence')
    await sleep(ms)
    this.#isDown = false
    for (const passage of this.#passages) {
      if (after === 'mended') passage.mend()
      else passage.break('reset', this.#random)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const passage of this.#passages) passage.destroy()
    await Promise.all(this.#servers.map((server) => new Promise((resolve) => void server.close(resolve))))
  }
}
