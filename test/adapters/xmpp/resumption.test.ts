import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Element } from '../../../src/adapters/xmpp/element.ts'
import { Management } from '../../../src/adapters/xmpp/resumption/management.ts'
import { nearest, Outgoing } from '../../../src/adapters/xmpp/resumption/outgoing.ts'
import { StreamRows, type StreamRow } from '../../../src/adapters/xmpp/resumption/stream-rows.ts'
import type { Transport } from '../../../src/adapters/xmpp/transport.ts'
import { systemClock } from '../../../src/core/ambient.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { openMemoryStore } from '../../support/memory-store.ts'

const id = Buffer.alloc(16, 7)
const row: StreamRow = {
  account: 'a'.repeat(64) as Identity,
  passwordId: 'p',
  resource: 'r',
  state: { carbons: false, wantsRoster: false, priority: 0, presence: undefined, upTo: undefined, notes: '{}' },
  openedAtMs: 1,
  lostAtMs: 0,
  overAtMs: 0,
}

/** What is on its way to the client: it arrives in order, up to where the connection is cut. */
class Wire {
  readonly #texts: string[] = []
  readonly transport: Transport

  constructor() {
    const push = (text: string): void => void this.#texts.push(text)
    this.transport = {
      remote: '127.0.0.1',
      isSecure: false,
      isPrivate: true,
      canStartTls: false,
      waitingBytes: 0,
      next: async () => await Promise.reject(new Error('not read here')),
      restart: () => {},
      open: () => {},
      send: ({ name }: Element) => push(name),
      sendText: push,
      flush: async () => await Promise.resolve(),
      startTls: async () => await Promise.resolve(),
      channelBinding: () => undefined,
      end: async () => await Promise.resolve(),
      destroy: () => {},
    }
  }
  arrive(count: number): readonly string[] {
    return this.#texts.splice(0, count)
  }
}

type Step =
  | { readonly do: 'send'; readonly isMessage: boolean }
  | { readonly do: 'arrive'; readonly count: number }
  | { readonly do: 'acknowledge' }
  | { readonly do: 'say'; readonly count: number }
  | { readonly do: 'ask' }
  | { readonly do: 'cut' }
  | { readonly do: 'resume' }
  /** The process ends at once; another one has only what was durable. */
  | { readonly do: 'kill' }
  /** The same right after a stanza of the client was kept, before anything else was done. */
  | { readonly do: 'say and kill' }

const stepOf: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), isMessage: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('arrive' as const), count: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'acknowledge' } as const) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('say' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 2, arbitrary: fc.constant({ do: 'ask' } as const) },
  { weight: 2, arbitrary: fc.constant({ do: 'cut' } as const) },
  { weight: 4, arbitrary: fc.constant({ do: 'resume' } as const) },
  { weight: 3, arbitrary: fc.constant({ do: 'kill' } as const) },
  { weight: 1, arbitrary: fc.constant({ do: 'say and kill' } as const) },
)

/** One client and the server's side of its stream, which is run through processes and connections. */
class Play {
  readonly #store = openMemoryStore({ rerun: true })
  readonly #rows = new StreamRows(this.#store)
  #management = this.#begin()
  #wire: Wire | undefined = new Wire()
  #sent = 0
  /** Messages that the server must not lose: it has said that they are on their way. */
  readonly durable: string[] = []
  readonly received: string[] = []
  #h = 0
  /** Stanzas of the client: said, and not known to be handled. */
  #unacknowledged: number[] = []
  #acknowledgedByServer = 0
  #said = 0
  readonly handled: number[] = []

  constructor() {
    this.#management.attach(this.#wire!.transport)
  }

  #begin(given = {}): Management {
    const failed = (error: unknown): never => {
      throw error
    }
    const durable = { id, rows: this.#rows, row: () => row }
    return new Management({ clock: systemClock, domain: 'localhost', durable, overflow: () => {}, failed }, given)
  }

  async run(step: Step): Promise<void> {
    switch (step.do) {
      case 'send': {
        this.#sent += 1
        const text = `${step.isMessage ? 'message' : 'iq'} ${this.#sent}`
        if (step.isMessage) this.durable.push(text)
        this.#management.send(text, step.isMessage)
        // the part that follows the conversations sends again what was not durable when the process ended
        await this.#management.idle()
        return
      }
      case 'arrive':
        return this.#arrive(step.count)
      case 'acknowledge':
        if (this.#wire !== undefined) this.#management.acknowledge(this.#h)
        return
      case 'say':
        for (let at = 0; at < step.count; at += 1) this.#unacknowledged.push((this.#said += 1))
        if (this.#wire !== undefined) await this.#handle(this.#unacknowledged.slice(-step.count))
        return
      case 'ask':
        if (this.#wire !== undefined) await this.#ask()
        return
      case 'cut':
        this.#wire = undefined
        this.#management.detach()
        return
      case 'resume':
        return await this.resume()
      case 'kill':
        return this.#kill()
      case 'say and kill':
        if (this.#wire === undefined) return
        this.#unacknowledged.push((this.#said += 1))
        if (this.#said % 2 === 0) {
          const ticket = this.#management.begin()
          await this.#store.write((tx) => this.#management.noteHandled(tx, ticket))
          this.handled.push(this.#said)
        }
        this.#kill()
    }
  }

  #kill(): void {
    this.#wire = undefined
    this.#management.detach()
    this.#management = this.#begin(
      this.#store.read((tx) => ({
        handled: this.#rows.handled(tx, id),
        lastKept: this.#rows.lastKept(tx, id),
        isRestored: true,
      })),
    )
  }

  #arrive(count: number): void {
    for (const text of this.#wire?.arrive(count) ?? []) {
      if (text === 'r' || text === 'a') continue
      this.#h += 1
      if (text.startsWith('message')) this.received.push(text)
    }
  }

  async #handle(numbers: readonly number[]): Promise<void> {
    // several at a time, and those that are not kept are done with at any time
    await Promise.all(
      numbers.map(async (number) => {
        const ticket = this.#management.begin()
        // every other one is kept by the server, and with it that it was handled
        if (number % 2 === 0) await this.#store.write((tx) => this.#management.noteHandled(tx, ticket))
        this.handled.push(number)
        this.#management.handledOne(ticket)
      }),
    )
  }

  async #ask(): Promise<void> {
    await this.#management.settle()
    this.#forget(this.#management.h)
  }

  #forget(h: number): void {
    expect(h).toBeGreaterThanOrEqual(this.#acknowledgedByServer)
    this.#unacknowledged.splice(0, h - this.#acknowledgedByServer)
    this.#acknowledgedByServer = h
  }

  async resume(): Promise<void> {
    if (this.#wire !== undefined) return
    await this.#management.takeUp(this.#h)
    await this.#management.settle()
    this.#forget(this.#management.h)
    this.#wire = new Wire()
    this.#management.attach(this.#wire.transport)
    await this.#handle(this.#unacknowledged)
  }

  async end(): Promise<void> {
    await this.resume()
    await this.#management.idle()
    this.#arrive(Infinity)
  }
}

describe('whatever is cut, killed and resumed', () => {
  test('no message is lost, doubled or out of order for the client, and none of its own is handled twice if it was kept', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepOf, { maxLength: 60 }), async (steps) => {
        const play = new Play()
        for (const step of steps) await play.run(step)
        await play.end()
        expect(play.received).toEqual(play.durable)
        const kept = play.handled.filter((number) => number % 2 === 0)
        expect(kept).toEqual([...new Set(kept)])
      }),
      { numRuns: 500 },
    )
  })
})

describe('what was sent', () => {
  test('nothing behind a message that is not durable yet leaves', () => {
    const outgoing = new Outgoing()
    outgoing.add('1', false, 0)
    outgoing.add('2', true, 0)
    outgoing.add('3', false, 0)
    expect(outgoing.takeNext()?.xml).toBe('1')
    expect(outgoing.takeNext()).toBeUndefined()
    outgoing.saved(outgoing.last)
    expect([outgoing.takeNext()?.xml, outgoing.takeNext()?.xml, outgoing.takeNext()]).toEqual(['2', '3', undefined])
  })

  test('a client that says more than it was sent is told apart, and counts go round after 32 bits', () => {
    const outgoing = new Outgoing(2 ** 32 - 2)
    for (const xml of ['a', 'b', 'c']) outgoing.add(xml, false, 0)
    outgoing.takeNext()
    expect(outgoing.acknowledge(1)).toBeUndefined()
    outgoing.takeNext()
    outgoing.takeNext()
    expect(outgoing.acknowledge(0)?.map(({ xml }) => xml)).toEqual(['a', 'b'])
    expect(outgoing.acknowledge(1)?.map(({ xml }) => xml)).toEqual(['c'])
    expect([outgoing.length, outgoing.bytes]).toEqual([0, 0])
  })

  test('the low half of a number finds the number at or after another', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.nat(2 ** 31), (base, ahead) => {
        expect(nearest((base + ahead) % 2 ** 32, base)).toBe(base + ahead)
      }),
    )
  })
})
