import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { osRandom } from '../../../src/core/crypto/random.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { acceptedTags, channelTag, tagWeek } from '../../../src/core/session/channel-tag.ts'
import { detectRollback, HelloExchange, type HelloStep } from '../../../src/core/session/hello.ts'
import { helloBytes } from '../../../src/core/session/items.ts'
import { mayReset, readReset, resetBytes, signReset } from '../../../src/core/session/reset.ts'
import { Session } from '../../../src/core/session/session.ts'
import { device, pair, startMs } from './support.ts'

const moment = { random: osRandom, nowMs: startMs }
const here = '12D3here' as GatewayId
const there = '12D3there' as GatewayId

function ends(alice: Session, bob: Session, { dialled = there, heard = here } = {}) {
  return {
    first: new HelloExchange(alice, { self: here, peer: dialled, isInitiator: true, random: osRandom }),
    second: new HelloExchange(bob, { self: there, peer: heard, isInitiator: false, random: osRandom }),
  }
}
const bytesOf = (step: HelloStep): Uint8Array => {
  if (step.kind === 'refused' || step.bytes === undefined) throw new TypeError('no hello to send')
  return step.bytes
}

describe('the hello on a new link', () => {
  test('tells each side how far the other is, whichever side began the session', () => {
    const { alice, bob } = pair(osRandom)
    for (let count = 0; count < 3; count += 1) bob.open(alice.seal(Buffer.from('x'), moment), moment)
    alice.seal(Buffer.from('lost'), moment)
    for (const [dialler, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const { first, second } = ends(dialler, other)
      const open = first.start()
      expect(open.length).toBe(helloBytes)
      const answer = second.read(open)
      expect(answer.kind).toBe('answer')
      const confirm = first.read(bytesOf(answer))
      expect(confirm).toMatchObject({ kind: 'done', remote: { sent: other.sent, received: other.received } })
      const end = second.read(bytesOf(confirm))
      expect(end).toEqual({
        kind: 'done',
        bytes: undefined,
        remote: { sent: dialler.sent, received: dialler.received },
      })
    }
  })

  test('answers nobody who does not hold the session, and nobody between other gateways', () => {
    const { alice, bob } = pair(osRandom)
    const stranger = pair(osRandom).alice
    const refusals = [
      ends(stranger, bob),
      ends(alice, bob, { dialled: '12D3elsewhere' as GatewayId }),
      ends(alice, bob, { heard: '12D3relay' as GatewayId }),
    ]
    for (const { first, second } of refusals) expect(second.read(first.start()).kind).toBe('refused')
  })

  test('of an earlier link proves nothing on a new one', () => {
    const { alice, bob } = pair(osRandom)
    const old = ends(alice, bob)
    const open = old.first.start()
    const answer = bytesOf(old.second.read(open))
    const confirm = bytesOf(old.first.read(answer))
    const fresh = ends(alice, bob)
    fresh.first.start()
    expect(fresh.first.read(answer).kind).toBe('refused')
    expect(fresh.second.read(open).kind).toBe('answer')
    expect(fresh.second.read(confirm).kind).toBe('refused')
  })

  test('out of order, reflected, changed or of another length is refused, and the right one is still taken', () => {
    const { alice, bob } = pair(osRandom)
    const { first, second } = ends(alice, bob)
    const open = first.start()
    expect(first.read(open).kind).toBe('refused')
    for (let bit = 0; bit < open.length * 8; bit += 1) {
      const changed = Buffer.from(open)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(second.read(changed).kind).toBe('refused')
    }
    for (const length of [0, 63, 65]) expect(second.read(Buffer.alloc(length, open[0])).kind).toBe('refused')
    const answer = bytesOf(second.read(open))
    expect(second.read(open).kind).toBe('refused')
    const changed = Buffer.from(answer)
    changed[40]! ^= 1
    expect(first.read(changed).kind).toBe('refused')
    expect(first.read(answer).kind).toBe('done')
    expect(first.read(answer).kind).toBe('refused')
  })
})

describe('a restored copy of a home', () => {
  test('is noticed by both sides', () => {
    const { alice, bob } = pair(osRandom)
    const backup = alice.encode()
    for (let count = 0; count < 5; count += 1) bob.open(alice.seal(Buffer.from('x'), moment), moment)
    const restored = Session.decode(backup)
    expect(detectRollback(alice, bob)).toBe('ok')
    expect(detectRollback(restored, bob)).toBe('self-rolled-back')
    expect(detectRollback(bob, restored)).toBe('peer-rolled-back')
  })

  test('loss, reordering and frames on their way are none', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 20 }), (arrives) => {
        const { alice, bob } = pair(osRandom)
        for (const does of arrives) {
          const frame = alice.seal(Buffer.from('x'), moment)
          if (does) alice.open(bob.seal(Buffer.from('y'), moment), moment)
          if (does) bob.open(frame, moment)
        }
        expect(detectRollback(alice, bob)).toBe('ok')
        expect(detectRollback(bob, alice)).toBe('ok')
      }),
      { numRuns: 30 },
    )
  })
})

describe('channel tags', () => {
  const weekMs = 7 * 24 * 3600_000

  test('of the sender are among those that the receiver accepts, up to a week of clock difference', () => {
    const { alice, bob } = pair(osRandom)
    const hex = (tags: readonly Uint8Array[]): string[] => tags.map((tag) => Buffer.from(tag).toString('hex'))
    for (const [from, to] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      for (const offsetMs of [-weekMs, 0, weekMs]) {
        expect(hex(to.receiveTags(startMs))).toContain(hex([from.sendTag(startMs + offsetMs)])[0])
      }
      expect(hex(to.receiveTags(startMs))).not.toContain(hex([from.sendTag(startMs + 2 * weekMs)])[0])
      expect(hex(from.receiveTags(startMs))).not.toContain(hex([from.sendTag(startMs)])[0])
    }
  })

  test('differ by week, direction and session, and are eight bytes', () => {
    const keys = [osRandom.bytes(32), osRandom.bytes(32)]
    const all = keys.flatMap((key) =>
      (['initiator', 'responder'] as const).flatMap((role) => [0, 1, 2].map((week) => channelTag(key, role, week))),
    )
    expect(new Set(all.map((tag) => Buffer.from(tag).toString('hex'))).size).toBe(12)
    expect(all.every((tag) => tag.length === 8)).toBe(true)
    expect([tagWeek(-5), tagWeek(0), tagWeek(weekMs - 1), tagWeek(weekMs)]).toEqual([0, 0, 0, 1])
    expect(acceptedTags(keys[0]!, 'initiator', 0)).toHaveLength(3)
  })
})

describe('a reset statement', () => {
  const [alice, bob] = [device(osRandom), device(osRandom)]
  const about = { from: alice.party.device, to: bob.party.device, session: 'ab'.repeat(32), atMs: startMs }
  const statement = signReset(alice.signing, about, moment)

  test('is read as it was signed', () => {
    expect(statement.length).toBe(resetBytes)
    expect(readReset(statement)).toMatchObject(about)
  })

  test('of another key, changed in any bit, or of another length is refused', () => {
    expect(() => readReset(signReset(bob.signing, about, moment))).toThrow('signature-invalid')
    for (let bit = 0; bit < statement.length * 8; bit += 3) {
      const changed = Buffer.from(statement)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => readReset(changed)).toThrow()
    }
    for (const length of [0, 183]) expect(() => readReset(statement.subarray(0, length))).toThrow('malformed')
  })

  test('is obeyed once in six hours, also when the clock was set back', () => {
    const sixHoursMs = 6 * 3600_000
    expect(mayReset(undefined, startMs)).toBe(true)
    expect(mayReset(startMs, startMs + sixHoursMs - 1)).toBe(false)
    expect(mayReset(startMs, startMs + sixHoursMs)).toBe(true)
    expect(mayReset(startMs, startMs - 1)).toBe(false)
    expect(mayReset(startMs, startMs - sixHoursMs)).toBe(true)
  })
})
