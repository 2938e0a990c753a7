/** Handshakes over a network that loses questions and answers, with both sides beginning whenever they like. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newDeliveryCounts } from '../../../src/core/delivery/counts.ts'
import { FirstContact } from '../../../src/core/delivery/first-contact.ts'
import { People } from '../../../src/core/delivery/people.ts'
import type { GatewayAddress, Overlay } from '../../../src/core/delivery/ports.ts'
import { Requests } from '../../../src/core/delivery/requests.ts'
import { type Pair, SessionBook } from '../../../src/core/delivery/session-book.ts'
import { decodeHandshakeAsk, encodeHandshakeAsk } from '../../../src/core/delivery/asks.ts'
import { MyceliumError } from '../../../src/core/errors.ts'
import type { GatewayId, Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { readFlight } from '../../../src/core/session/handshake.ts'
import { Session } from '../../../src/core/session/session.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { verifyBundle } from '../../../src/core/identity/bundle.ts'
import { openWorld, type World } from '../account/support.ts'

/** What becomes of one question: answered, never there, or there and its answer lost. */
type Fate = 'ok' | 'lost' | 'answer-lost'

interface Side {
  readonly world: World
  readonly people: People
  readonly book: SessionBook
  readonly firstContact: FirstContact
  readonly account: Identity
  readonly at: GatewayAddress
  /** Of the next question; `ok` when there is none. */
  readonly fates: Fate[]
  /** Every question, as it was asked. */
  readonly flights: Uint8Array[]
  /** Held questions reach the other side when they are let go. */
  gate: Promise<void>
}

async function makeSide(name: string, other: () => Side): Promise<Side> {
  const world = await openWorld()
  const { store, contacts, ambient } = world
  const noMailboxes = { byName: () => undefined, bySpecialUse: () => undefined }
  const requests = new Requests({ store, contacts, mailboxes: noMailboxes, ambient })
  const people = new People({ ...world, requests })
  const book = new SessionBook(world.store, world.ambient)
  const at: GatewayAddress = { gateway: name as GatewayId, locators: ['/ip4/192.0.2.1/tcp/4001'] }
  const overlay: Pick<Overlay, 'self' | 'locators' | 'ask'> = {
    self: at.gateway,
    locators: () => at.locators,
    async ask(_to, _topic, request) {
      side.flights.push(request)
      const fate = side.fates.shift() ?? 'ok'
      await side.gate
      if (fate === 'lost') throw new MyceliumError('unreachable')
      const answer = await other().firstContact.answerHandshake(request, {
        from: `${name}-${side.flights.length}` as GatewayId, // the pace of one gateway is not what is tested here
        source: name,
        signal: new AbortController().signal,
      })
      if (answer === undefined) throw new MyceliumError('peer-misbehaved', { reason: 'refused' })
      if (fate === 'answer-lost') throw new MyceliumError('unreachable')
      return answer
    },
  }
  const { identity: account } = await world.accounts.create({ localName: name })
  const firstContact = new FirstContact({
    store: world.store,
    book,
    keyring: people,
    overlay: overlay as Overlay,
    ambient: world.ambient,
    onSession: () => {},
    onReplaced: () => {},
    isFamiliar: () => true,
    waiting: () => 0,
    isTooSoon: () => false,
    counts: newDeliveryCounts(),
  })
  const side: Side = { world, people, book, firstContact, account, at, fates: [], flights: [], gate: Promise.resolve() }
  return side
}

async function makeSides(): Promise<readonly [Side, Side]> {
  const a: Side = await makeSide('alice', () => b)
  const b: Side = await makeSide('bob', () => a)
  for (const [one, other] of [
    [a, b],
    [b, a],
  ] as const) {
    const bundle = verifyBundle(other.people.bundle(other.account, other.at), other.account, one.world.clock.nowMs())
    await one.world.change((contacts) => contacts.learn(one.account, bundle, { stateIfNew: 'active' }))
  }
  return [a, b]
}

const pairOf = (one: Side, other: Side): Pair => ({
  account: one.account,
  device: one.people.deviceOf(one.account),
  peer: other.account,
  peerDevice: other.people.deviceOf(other.account),
})
const rowOf = (one: Side, other: Side) => one.world.store.read((tx) => one.book.read(tx, pairOf(one, other)))
function sessionOf(one: Side, other: Side): Session | undefined {
  const row = rowOf(one, other)
  return row && Session.decode(row.current)
}
async function forget(...sides: readonly Side[]): Promise<void> {
  for (const { world } of sides) {
    await world.store.write((tx) => {
      for (const table of [tables.sessions, tables.handshakes]) {
        for (const key of Array.from(tx.keys(table, {}))) tx.remove(table, key)
      }
    })
  }
}
const wait = (sides: readonly Side[], ms: number): void => {
  for (const { world } of sides) world.clock.wallMs += ms
}

/** True when it made a session; refusals and losses are what the network does. */
async function shake(one: Side, other: Side): Promise<boolean> {
  const contact = one.people.contact(one.account, other.account)!
  try {
    await one.firstContact.shakeHands(one.account, contact, contact.devices[0]!, {
      signal: new AbortController().signal,
    })
    return true
  } catch (error) {
    if (error instanceof MyceliumError) return false
    throw error
  }
}

/** A frame with a payload, as after a hello: only where both hold the same session. */
async function talk(from: Side, to: Side): Promise<void> {
  const [mine, theirs] = [sessionOf(from, to)!, sessionOf(to, from)!]
  expect(mine.id).toBe(theirs.id)
  const moment = { random: from.world.ambient.random, nowMs: from.world.clock.nowMs() }
  const opened = theirs.open(mine.seal(Buffer.from('hello'), moment), moment)
  expect(opened.kind).toBe('payload')
  for (const [side, other, session] of [
    [from, to, mine],
    [to, from, theirs],
  ] as const) {
    const row = rowOf(side, other)!
    await side.world.store.write((tx) => side.book.update(tx, { ...row, current: session.encode() }))
  }
}
/** The id of the session that the last flight of `from` makes. */
function flightId(from: Side, to: Side): string {
  const { flight } = decodeHandshakeAsk(from.flights.at(-1)!)
  const claim = readFlight(Uint8Array.from(flight), {
    self: to.people.own(to.account).party,
    prekey: (id) => to.people.prekey(to.account, id),
  })
  const { devices, logHead } = to.people.contact(to.account, from.account)!
  const moment = { random: to.world.ambient.random, nowMs: to.world.clock.nowMs() }
  return claim.finish({ deviceDhPublic: devices[0]!.dhPublic, logHead: logHead! }, moment).id
}
const agree = (a: Side, b: Side): boolean => {
  const [mine, theirs] = [sessionOf(a, b), sessionOf(b, a)]
  return mine !== undefined && mine.id === theirs?.id
}

/** What couriers do: without an agreed session, both try again after a while. */
async function settle(a: Side, b: Side): Promise<number> {
  for (let rounds = 0; rounds < 12; rounds += 1) {
    if (agree(a, b)) return rounds
    wait([a, b], 2_000)
    await shake(a, b)
    if (agree(a, b)) return rounds + 1
    wait([a, b], 2_000)
    await shake(b, a)
  }
  return Number.POSITIVE_INFINITY
}

const fate = fc.constantFrom<Fate>('ok', 'lost', 'answer-lost')
const step = fc.oneof(
  fc.record({ kind: fc.constant('one' as const), who: fc.boolean(), fate }),
  fc.record({ kind: fc.constant('both' as const), first: fate, second: fate }),
  fc.record({ kind: fc.constant('talk' as const), who: fc.boolean() }),
)

describe('coming to a session', () => {
  test('whatever is lost and whoever begins, both sides soon hold the same session, also after resets', async () => {
    const [a, b] = await makeSides()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
        await forget(a, b)
        for (const one of steps) {
          wait([a, b], 2_000)
          if (one.kind === 'one') {
            const [from, to] = one.who ? [a, b] : [b, a]
            from.fates.push(one.fate)
            await shake(from, to)
          } else if (one.kind === 'both') {
            let open = (): void => {}
            a.gate = b.gate = new Promise((resolve) => (open = resolve))
            a.fates.push(one.first)
            b.fates.push(one.second)
            const both = [shake(a, b), shake(b, a)]
            open()
            await Promise.all(both)
          } else if (agree(a, b)) await (one.who ? talk(a, b) : talk(b, a))
          a.fates.length = b.fates.length = 0
        }
        expect(await settle(a, b)).toBeLessThan(4)
        await talk(a, b)
        await talk(b, a)
      }),
      { numRuns: 40 },
    )
  })

  test('of two flights that cross, the session with the lower id is made, and the other one on neither side', async () => {
    const [a, b] = await makeSides()
    const winners = new Set<string>()
    for (let times = 0; times < 40 && winners.size < 2; times += 1) {
      await forget(a, b)
      let open = (): void => {}
      a.gate = b.gate = new Promise((resolve) => (open = resolve))
      const both = [shake(a, b), shake(b, a)]
      const ids = [flightId(a, b), flightId(b, a)]
      open()
      const made = await Promise.all(both)
      expect(made).toEqual(ids[0]! < ids[1]! ? [true, false] : [false, true])
      expect(sessionOf(a, b)!.id).toBe(ids.toSorted()[0])
      expect(rowOf(a, b)!.archived.length + rowOf(b, a)!.archived.length).toBe(0)
      await talk(a, b)
      await talk(b, a)
      winners.add(made[0] === true ? 'alice' : 'bob')
    }
    expect(winners.size).toBe(2)
  })

  test('a flight that nobody answers leaves the session that works in place', async () => {
    const [a, b] = await makeSides()
    expect(await shake(a, b)).toBe(true)
    await talk(a, b)
    await talk(b, a)
    const before = sessionOf(a, b)!.id
    for (let times = 0; times < 8; times += 1) {
      a.fates.push('lost')
      expect(await shake(a, b)).toBe(false)
    }
    expect(sessionOf(a, b)!.id).toBe(before)
    await talk(a, b)
  })

  test('a reset whose answer was lost is made good at once, not after six hours', async () => {
    const [a, b] = await makeSides()
    await shake(a, b)
    await talk(a, b)
    await talk(b, a)
    wait([a, b], 2_000)
    a.fates.push('answer-lost')
    expect(await shake(a, b)).toBe(false)
    expect(agree(a, b)).toBe(false)
    expect(await settle(a, b)).toBe(1)
    await talk(a, b)
  })

  test('a session in use is reset once in six hours and no more', async () => {
    const [a, b] = await makeSides()
    await shake(a, b)
    for (const expected of [true, false]) {
      await talk(a, b)
      await talk(b, a)
      wait([a, b], 2_000)
      expect(await shake(b, a)).toBe(expected)
      if (!expected) expect(await shake(a, b)).toBe(false)
    }
    wait([a, b], limits.resetMsMin)
    expect(await shake(a, b)).toBe(true)
  })

  test('a copy of a flight is refused, and forgotten with the prekey that opens it', async () => {
    const [a, b] = await makeSides()
    const seen: Uint8Array[] = []
    const answer = b.firstContact.answerHandshake
    Object.assign(b.firstContact, {
      answerHandshake: (async (request, context) => {
        seen.push(Uint8Array.from(request))
        return await answer(request, context)
      }) satisfies typeof answer,
    })
    await shake(a, b)
    const context = { from: a.at.gateway, source: 'alice', signal: new AbortController().signal }
    wait([a, b], 2_000)
    expect(await answer(seen[0]!, context)).toBeUndefined()
    const kept = () => b.world.store.read((tx) => [...tx.keys(tables.handshakes, {})].length)
    await b.firstContact.sweep()
    expect(kept()).toBe(1)
    for (let days = 0; days < 60; days += 2) {
      wait([a, b], 2 * 24 * 3600_000)
      await b.world.accounts.rotatePrekeys(b.world.clock.nowMs())
    }
    await b.firstContact.sweep()
    expect(kept()).toBe(0)
    expect(await answer(seen[0]!, context)).toBeUndefined()
  })

  test('a flight in the name of a device that the log does not know makes no contact', async () => {
    const [a, b] = await makeSides()
    await b.world.change((contacts) => contacts.remove(b.account, a.account))
    const { initiate } = await import('../../../src/core/session/handshake.ts')
    const { encodeGreeting } = await import('../../../src/core/delivery/asks.ts')
    const { makeDevice } = await import('../../../src/core/identity/device.ts')
    const [bob] = a.people.contact(a.account, b.account)!.devices
    const stranger = makeDevice(a.world.ambient.random)
    const [prekey] = bob!.prekeys
    const { flight } = initiate({
      self: { ...a.people.own(a.account).party, device: stranger.id, deviceDh: stranger.dh },
      peer: {
        identity: b.account,
        device: bob!.device,
        deviceDhPublic: bob!.dhPublic,
        logHead: a.people.contact(a.account, b.account)!.logHead!,
        prekey: { id: prekey!.id, dh: prekey!.dhPublic, kem: prekey!.kemPublic },
      },
      introduction: encodeGreeting({
        capability: undefined,
        reset: undefined,
        introduction: a.people.introduction(a.account, a.at),
      }),
      random: a.world.ambient.random,
      nowMs: a.world.clock.nowMs(),
    })
    const request = encodeHandshakeAsk({ device: bob!.device, flight, work: undefined })
    expect(decodeHandshakeAsk(request).device).toBe(bob!.device)
    const context = { from: a.at.gateway, source: 'alice', signal: new AbortController().signal }
    expect(await b.firstContact.answerHandshake(request, context)).toBeUndefined()
    expect(b.world.contacts.byIdentity(b.account, a.account)).toBeUndefined()
  })
})
