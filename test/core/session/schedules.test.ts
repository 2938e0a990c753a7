import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { osRandom } from '../../../src/core/crypto/random.ts'
import { limits } from '../../../src/core/limits.ts'
import { Session } from '../../../src/core/session/session.ts'
import { pair, startMs } from './support.ts'

type Side = 'alice' | 'bob'
type Op =
  | { readonly kind: 'send'; readonly from: Side; readonly length: number }
  | { readonly kind: 'deliver'; readonly to: Side; readonly which: number; readonly keep: boolean }
  | { readonly kind: 'drop'; readonly to: Side; readonly which: number }
  | { readonly kind: 'maintain' | 'reload'; readonly side: Side }
  | { readonly kind: 'wait'; readonly ms: number }

interface Flying {
  readonly frame: Uint8Array
  /** `undefined` for a frame of the ratchet itself. */
  readonly text: string | undefined
  /** How many times the sender had turned its DH ratchet. */
  readonly turn: number
  delivered: boolean
}

const other = (side: Side): Side => (side === 'alice' ? 'bob' : 'alice')
const side = fc.constantFrom<Side>('alice', 'bob')
const which = fc.nat({ max: 50 })
const send = fc.record({ kind: fc.constant('send' as const), from: side, length: fc.nat({ max: 500 }) })
const deliver = fc.record({ kind: fc.constant('deliver' as const), to: side, which, keep: fc.boolean() })
const drop = fc.record({ kind: fc.constant('drop' as const), to: side, which })
const maintain = fc.record({ kind: fc.constantFrom('maintain' as const, 'reload' as const), side })
const wait = fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: -3_600_000, max: 26 * 3_600_000 }) })
const op: fc.Arbitrary<Op> = fc.oneof(
  { arbitrary: send, weight: 8 },
  { arbitrary: deliver, weight: 9 },
  { arbitrary: drop, weight: 1 },
  { arbitrary: maintain, weight: 3 },
  { arbitrary: wait, weight: 1 },
)

/** What a pair of devices must do whatever the network does: each payload opens once, as it was, and only once. */
class World {
  readonly ends: Record<Side, Session>
  readonly turns: Record<Side, number> = { alice: 0, bob: 0 }
  /** The highest turn of the other side that this side has seen. */
  readonly seen: Record<Side, number> = { alice: -1, bob: 0 }
  readonly flying: Record<Side, Flying[]> = { alice: [], bob: [] }
  nowMs = startMs
  opened = 0
  replaysRefused = 0
  #count = 0

  constructor(alice: Session, bob: Session) {
    this.ends = { alice, bob }
  }

  run(op: Op): void {
    switch (op.kind) {
      case 'send': {
        this.#count += 1
        const text = String(this.#count).padEnd(op.length + 3, '.')
        const frame = this.ends[op.from].seal(Buffer.from(text), { random: osRandom, nowMs: this.nowMs })
        this.#fly(op.from, frame, text)
        break
      }
      case 'deliver': {
        this.#deliver(op.to, op.which, op.keep)
        break
      }
      case 'drop': {
        const queue = this.flying[op.to]
        queue.splice(op.which % Math.max(1, queue.length), 1)
        break
      }
      case 'maintain': {
        this.maintain(op.side)
        break
      }
      case 'reload': {
        this.ends[op.side] = Session.decode(this.ends[op.side].encode())
        break
      }
      case 'wait': {
        this.nowMs += op.ms
        break
      }
    }
  }

  maintain(from: Side): void {
    for (const frame of this.ends[from].maintenance({ random: osRandom, nowMs: this.nowMs })) {
      this.#fly(from, frame, undefined)
    }
  }

  /** Delivers all that flies, in order, until both sides have nothing more to say. */
  settle(): void {
    for (let round = 0; round < 12; round += 1) {
      for (const to of ['alice', 'bob'] as const) {
        while (this.flying[to].length > 0) this.#deliver(to, 0, false)
        this.maintain(to)
      }
    }
  }

  #fly(from: Side, frame: Uint8Array, text: string | undefined): void {
    this.flying[other(from)].push({ frame, text, turn: this.turns[from], delivered: false })
  }

  #deliver(to: Side, index: number, keep: boolean): void {
    const queue = this.flying[to]
    const item = queue[index % Math.max(1, queue.length)]
    if (item === undefined) return
    if (!keep) queue.splice(queue.indexOf(item), 1)
    const session = this.ends[to]
    const before = session.encode()
    const result = session.open(item.frame, { random: osRandom, nowMs: this.nowMs })
    const isLate = this.seen[to] - item.turn >= limits.receivingChainsMax
    if (result.kind === 'refused') {
      expect(item.delivered || isLate, `refused ${result.code}`).toBe(true)
      expect(session.encode()).toEqual(before)
      this.replaysRefused += 1
      return
    }
    expect(item.delivered).toBe(false)
    item.delivered = true
    this.opened += 1
    if (item.turn > this.seen[to]) {
      this.seen[to] = item.turn
      this.turns[to] += 1
    }
    if (item.text === undefined) expect(result.kind).toBe('control')
    else expect(result.kind === 'payload' && Buffer.from(result.payload).toString()).toBe(item.text)
  }
}

describe('whatever the network does, each payload is opened exactly once and as it was', () => {
  const start = pair(osRandom)
  const fresh = { alice: start.alice.encode(), bob: start.bob.encode() }
  // a second start, in the middle of an ML-KEM epoch change, with an offer on its way
  const middle = new World(Session.decode(fresh.alice), Session.decode(fresh.bob))
  for (let count = 0; count < limits.kemEpochMessages; count += 1) {
    middle.run({ kind: 'send', from: count % 2 === 0 ? 'alice' : 'bob', length: 1 })
    middle.run({ kind: 'deliver', to: count % 2 === 0 ? 'bob' : 'alice', which: 0, keep: false })
  }
  const inside = { alice: middle.ends.alice.encode(), bob: middle.ends.bob.encode() }
  const insideTurns = { ...middle.turns }

  test('10,000 short schedules of reordering, loss, duplicates, reloads and clock changes', () => {
    let opened = 0
    let refused = 0
    fc.assert(
      fc.property(fc.array(op, { minLength: 4, maxLength: 24 }), (ops) => {
        const world = new World(Session.decode(fresh.alice), Session.decode(fresh.bob))
        for (const each of ops) world.run(each)
        opened += world.opened
        refused += world.replaysRefused
      }),
      { numRuns: 10_000 },
    )
    expect(opened).toBeGreaterThan(10_000)
    expect(refused).toBeGreaterThan(1_000)
  })

  test('1,500 schedules from inside an epoch change', () => {
    let epochs = 0
    fc.assert(
      fc.property(fc.array(op, { minLength: 8, maxLength: 40 }), (ops) => {
        const world = new World(Session.decode(inside.alice), Session.decode(inside.bob))
        Object.assign(world.turns, insideTurns)
        Object.assign(world.seen, { alice: insideTurns.bob, bob: insideTurns.alice })
        world.maintain('alice')
        for (const each of ops) world.run(each)
        epochs += world.ends.alice.kemEpoch
      }),
      { numRuns: 1_500 },
    )
    expect(epochs).toBeGreaterThan(100)
  })

  test('120 long schedules turn both ratchets, and a network that heals brings both sides to the same epoch', () => {
    let epochs = 0
    let turns = 0
    fc.assert(
      fc.property(fc.array(op, { minLength: 200, maxLength: 400, size: 'max' }), (ops) => {
        const world = new World(Session.decode(fresh.alice), Session.decode(fresh.bob))
        for (const each of ops) world.run(each)
        for (let round = 0; round < 3; round += 1) {
          world.nowMs += limits.kemResendMs
          world.run({ kind: 'send', from: 'alice', length: 1 })
          world.run({ kind: 'send', from: 'bob', length: 1 })
          world.settle()
        }
        expect(world.ends.alice.kemEpoch).toBe(world.ends.bob.kemEpoch)
        expect(world.ends.alice.sent).toBe(world.ends.bob.received)
        expect(world.ends.bob.sent).toBe(world.ends.alice.received)
        epochs += world.ends.alice.kemEpoch
        turns += world.turns.alice
      }),
      { numRuns: 120 },
    )
    expect(epochs).toBeGreaterThan(200)
    expect(turns).toBeGreaterThan(1_000)
  })
})
