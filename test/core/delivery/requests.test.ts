import { expect, test } from 'vitest'
import { systemRandom } from '../../../src/core/ambient.ts'
import { type RequestRow, Requests, roomFor } from '../../../src/core/delivery/requests.ts'
import { verifyBundle } from '../../../src/core/identity/bundle.ts'
import type { Identity } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { openWorld, stores } from '../account/support.ts'
import { bundleBytes, makePerson } from '../identity/people.ts'

const hour = 3600_000
const source = (number: number): Uint8Array => Buffer.alloc(16, `${number}`.padStart(4, '0'))
const newcomer = (number: number, mayLeaveMail = true) => ({ source: source(number), nowMs: hour, mayLeaveMail })

let made = 0
/** `count` strangers from one source, one after another. */
const crowd = (count: number, from: number, { mails = 1, sinceMs = 0 } = {}): RequestRow[] =>
  Array.from({ length: count }, (_, index) => ({
    identity: `${(made += 1)}`.padStart(64, '0') as Identity,
    source: source(from),
    sinceMs: sinceMs + index,
    mails,
    bytes: mails * 1000,
    flights: [],
  }))

test('there is room until the list is full', () => {
  expect(roomFor([], newcomer(1)).kind).toBe('free')
  const almost = Array.from({ length: limits.requestsMax - 1 }, (_, number) => crowd(1, number)).flat()
  expect(roomFor(almost, newcomer(999)).kind).toBe('free')
})

test('one source has its share and no more, however much room there is', () => {
  const theirs = crowd(limits.requestsPerSourceMax, 1)
  expect(roomFor(theirs, newcomer(1)).kind).toBe('full')
  expect(roomFor(theirs, newcomer(2)).kind).toBe('free')
  const silent = crowd(1, 1, { mails: 0 })
  expect(roomFor([...theirs.slice(1), ...silent], newcomer(1))).toEqual({ kind: 'instead', of: silent[0] })
})

test('in a full list those who sent nothing give way first, the oldest of the most crowded source', () => {
  const written = crowd(50, 1)
  const silent = [...crowd(40, 2, { mails: 0, sinceMs: 500 }), ...crowd(10, 3, { mails: 0 })]
  const others = [...crowd(50, 4), ...crowd(50, 5)]
  const room = roomFor([...written, ...silent, ...others], newcomer(1))
  expect(room.kind).toBe('full') // the newcomer's own source has its share
  expect(roomFor([...written, ...silent, ...others], newcomer(6))).toEqual({ kind: 'instead', of: silent[0] })
})

test('somebody who came just now has time to write', () => {
  const fresh = { mails: 0, sinceMs: hour - limits.requestGraceMs + 100 }
  const full = Array.from({ length: limits.requestsMax }, (_, number) => crowd(1, number, fresh)).flat()
  expect(roomFor(full, newcomer(999)).kind).toBe('full')
})

test('a newcomer from elsewhere takes the place of the oldest of a crowd, while there is room for mail that stays', () => {
  const full = [1, 2, 3, 4].flatMap((number) => crowd(50, number))
  expect(roomFor(full, newcomer(9))).toEqual({ kind: 'instead', of: full[0] })
  expect(roomFor(full, newcomer(9, false)).kind).toBe('full')
  expect(roomFor(full, newcomer(1)).kind).toBe('full')
})

test('where every source is the same size nobody with mail gives way', () => {
  const full = Array.from({ length: limits.requestsMax }, (_, number) => crowd(1, number)).flat()
  expect(roomFor(full, newcomer(999)).kind).toBe('full')
})

const full: { readonly messages: number; readonly size: number } = {
  messages: limits.requestsMessagesMax,
  size: limits.requestsBytesMax,
}

test.each(stores)('whoever gives way leaves no row, no flight and no contact %s', async (_name, open) => {
  await using world = await openWorld(open)
  const { store, contacts, ambient, clock } = world
  const { identity: account } = await world.accounts.create({ localName: 'alice' })
  const requests = new Requests({
    store,
    contacts,
    ambient,
    mailboxes: { byName: () => undefined, bySpecialUse: () => undefined },
  })
  /** A stranger comes, as a handshake would bring it. */
  const come = async (from: string): Promise<{ readonly identity: Identity; readonly flight: Uint8Array }> => {
    const bundle = verifyBundle(bundleBytes(makePerson()), undefined, clock.nowMs())
    const flight = systemRandom.bytes(32)
    await store.write((tx) => {
      requests.makeRoom(tx, account, from)
      contacts.using(tx).learn(account, bundle)
      requests.cameBy(tx, account, bundle.identity, { source: from, flight })
      tx.put(tables.handshakes, flight, Uint8Array.of(1))
    })
    return { identity: bundle.identity, flight }
  }
  const first = await come('one')
  for (let number = 1; number < limits.requestsMax; number += 1) {
    clock.wallMs += 1
    await come(['one', 'two', 'three', 'four'][number % 4]!)
  }
  await store.write((tx) => expect(requests.takes(tx, account, first.identity, 1000)).toBe(true))
  expect(requests.mailsOf(account, first.identity)).toBe(1)
  clock.wallMs += limits.requestGraceMs
  const last = await come('five')
  expect(requests.count(account)).toBe(limits.requestsMax)
  expect(contacts.byIdentity(account, last.identity)?.state).toBe('request')
  expect(contacts.byIdentity(account, first.identity)).toBeDefined() // it has written
  const rowsIn = (table: (typeof tables)['requests']) => store.read((tx) => [...tx.keys(table, {})].length)
  for (const table of [tables.contacts, tables.requests, tables.handshakes])
    expect(rowsIn(table)).toBe(limits.requestsMax)
})

test('a stranger’s share of Requests shrinks as it fills, and a first letter fits always', async () => {
  await using world = await openWorld()
  const { store, contacts, ambient, clock } = world
  const { identity: account } = await world.accounts.create({ localName: 'alice' })
  let info: typeof full = { messages: 0, size: 0 }
  const mailboxes = { byName: () => info as never, bySpecialUse: () => undefined }
  const requests = new Requests({ store, contacts, ambient, mailboxes })
  const bundle = verifyBundle(bundleBytes(makePerson()), undefined, clock.nowMs())
  const { identity } = bundle
  await store.write((tx) => {
    contacts.using(tx).learn(account, bundle)
    requests.cameBy(tx, account, identity, { source: 'one', flight: systemRandom.bytes(32) })
  })
  const takes = async (size: number) => await store.write((tx) => requests.takes(tx, account, identity, size))
  expect(await takes(limits.requestsBytesMax / 8 + 1)).toBe(false)
  info = full
  expect(await takes(limits.strangerShareBytesMin + 1)).toBe(false)
  expect(await takes(1000)).toBe(true)
  expect(await takes(1000)).toBe(false) // no second one while it is full
  info = { messages: 0, size: 0 }
  expect(await takes(1_000_000)).toBe(true)
  await store.write((tx) => contacts.using(tx).accept(account, identity))
  info = full
  expect(await takes(100_000_000)).toBe(true) // a contact is not its affair
})
