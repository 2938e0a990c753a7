/** What only shows with more than a few messages. */
import { expect, test } from 'vitest'
import type { Uid } from '../../../src/core/ids.ts'
import { alice } from '../../core/mailbox/support.ts'
import { Client } from './client.ts'
import { openTestServer, simpleMail, type TestServer } from './server.ts'

const count = 2300

/** Every third message is gone again: UIDs and sequence numbers differ. */
async function fill({ home: { store, mailboxes } }: TestServer): Promise<readonly number[]> {
  const { id } = mailboxes.byName(alice, 'INBOX')!
  const uids = await store.write((tx) =>
    mailboxes.append(
      tx,
      alice,
      id,
      Array.from({ length: count }, (_none, at) => {
        const stored = mailboxes.storeInline(tx, alice, Buffer.from(simpleMail(`number ${(at * 7919) % count}`)))
        return { ...stored, flags: [], internalDateMs: 1_700_000_000_000 }
      }),
    ),
  )
  const gone = uids.filter((_uid, at) => at % 3 === 0)
  await store.write((tx) => mailboxes.discard(tx, alice, id, gone as readonly Uid[]))
  return uids.filter((uid) => !gone.includes(uid))
}

test('batches of UIDs hold every message once, newest first, and none too many', async () => {
  await using server = await openTestServer()
  const uids = await fill(server)
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  const ask = async (command: string): Promise<readonly (readonly [number, number])[]> => {
    const [line] = await client.ok(command)
    const [, ranges] = /^\* UIDBATCHES \(TAG "t\d+"\) ?(.*)$/.exec(line!)!
    return ranges === '' ? [] : ranges!.split(',').map((range) => range.split(':').map(Number) as [number, number])
  }
  const all = await ask('UIDBATCHES 500')
  const held = all.map(([high, low]) => uids.filter((uid) => uid <= high && uid >= low))
  expect(held.map(({ length }) => length)).toEqual([500, 500, 500, uids.length - 1500])
  expect(held.toReversed().flat()).toEqual(uids)
  expect(all.at(-1)![1]).toBe(1)
  expect(await ask('UIDBATCHES 500 2:3')).toEqual(all.slice(1, 3))
  expect(await ask('UIDBATCHES 500 4:9')).toEqual(all.slice(3))
  expect(await ask('UIDBATCHES 500 5:9')).toEqual([])
})

test('others are answered while a large mailbox is sorted and threaded, and long answers arrive whole', async () => {
  await using server = await openTestServer()
  const uids = await fill(server)
  await using client = await Client.loggedIn(server.port)
  await using other = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  const order: string[] = []
  const sorting = client.ok('UID SORT (SUBJECT) UTF-8 ALL').finally(() => order.push('sorted'))
  await other.ok('NOOP').finally(() => order.push('answered'))
  const [sorted] = await sorting
  expect(order).toEqual(['answered', 'sorted'])
  const found = sorted!.split(' ').slice(2).map(Number)
  const subjectOf = (uid: number): string => `NUMBER ${((uid - 1) * 7919) % count}`
  expect(found).toEqual(uids.toSorted((a, b) => (subjectOf(a) < subjectOf(b) ? -1 : 1)))
  const [threaded] = await client.ok('UID THREAD REFERENCES UTF-8 ALL')
  const named = threaded!.match(/\d+/g)!.map(Number)
  expect(named.toSorted((a, b) => a - b)).toEqual(uids)
  const [everyOther] = await client.ok(`UID SEARCH RETURN (ALL COUNT) ALL`)
  expect(everyOther).toMatch(new RegExp(` COUNT ${uids.length}$`))
  expect(everyOther).toContain(' ALL 2:3,5:6,8:9,')
})

test('sequence numbers in a search name messages, whatever gaps their UIDs have', async () => {
  await using server = await openTestServer()
  const uids = await fill(server)
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  const search = async (keys: string): Promise<readonly number[]> => {
    const [line] = await client.ok(`UID SEARCH ${keys}`)
    return line!.split(' ').slice(2).map(Number)
  }
  expect(await search('5:9,700,1500:9999')).toEqual([...uids.slice(4, 9), uids[699], ...uids.slice(1499)])
  expect(await search('NOT 2:*')).toEqual(uids.slice(0, 1))
  expect(await search('9999')).toEqual([])
  await client.ok('UID SEARCH RETURN (SAVE) 5:9')
  expect(await search('$ NOT 6 $')).toEqual([uids[4], ...uids.slice(6, 9)])
})
