/** Large accounts stay whole: 100,000 messages in one mailbox, 1,000 folders, 50 mail programs of one person at once. */
import { expect, test } from 'vitest'
import type { ContentId } from '../../../src/core/ids.ts'
import { alice } from '../../core/mailbox/support.ts'
import { Client } from './client.ts'
import { openTestServer, simpleMail, type TestServer } from './server.ts'

/** Copies of one message, `batch` in each commit. */
async function fill({ home }: TestServer, count: number, batch = 5000): Promise<void> {
  const { store, mailboxes } = home
  const { id } = mailboxes.byName(alice, 'INBOX')!
  let stored: { content: ContentId; size: number } | undefined
  for (let done = 0; done < count; done += batch)
    await store.write((tx) => {
      stored ??= mailboxes.storeInline(tx, alice, Buffer.from(simpleMail('many')))
      const item = { ...stored, flags: ['\\Seen'], internalDateMs: 1_700_000_000_000 }
      mailboxes.append(
        tx,
        alice,
        id,
        Array.from({ length: Math.min(batch, count - done) }, () => item),
      )
    })
}

test('a mailbox of 100,000 messages is selected, listed, flagged by somebody else and made smaller', async () => {
  await using server = await openTestServer()
  await fill(server, 100_000)
  await using one = await Client.loggedIn(server.port)
  await using two = await Client.loggedIn(server.port)
  for (const client of [one, two]) expect(await client.ok('SELECT INBOX')).toContain('* 100000 EXISTS')
  expect(await one.ok('UID FETCH 1:* (FLAGS)')).toHaveLength(100_000)
  expect(await one.ok('UID SEARCH UNSEEN')).toEqual(['* SEARCH'])
  // more than a session keeps in mind: it looks at all, and still tells each change once
  await two.ok('STORE 1:10000 +FLAGS.SILENT (\\Deleted)')
  const told = await one.ok('NOOP')
  expect(told).toHaveLength(10_000)
  expect(told.at(-1)).toBe('* 10000 FETCH (UID 10000 FLAGS (\\Deleted \\Seen))')
  expect(await one.ok('NOOP')).toEqual([])
  await two.ok('STORE 99999 -FLAGS.SILENT (\\Seen)')
  await two.ok('EXPUNGE')
  expect(await one.ok('NOOP')).toHaveLength(10_001)
  expect(await one.ok('UID FETCH 99999 (FLAGS)')).toEqual(['* 89999 FETCH (UID 99999 FLAGS ())'])
  const again = await two.ok('SELECT INBOX')
  expect(again).toEqual(expect.arrayContaining(['* 90000 EXISTS', '* OK [UNSEEN 89999] First unseen']))
})

test('1,000 folders are listed with their counts, and follow what happens in them', async () => {
  await using server = await openTestServer()
  const { mailboxes } = server.home
  for (let at = 0; at < 1000; at += 1) await mailboxes.create(alice, `Projects/${at}`)
  await using client = await Client.loggedIn(server.port)
  expect(await client.ok('LIST "" "Projects/%"')).toHaveLength(1000)
  await server.deliver(simpleMail('one'), { to: 'Projects/500' })
  const listed = await client.ok('LIST "" "Projects/%" RETURN (STATUS (MESSAGES UNSEEN))')
  expect(listed).toHaveLength(2000)
  expect(listed.filter((line) => line.includes('MESSAGES 1 '))).toEqual(['* STATUS Projects/500 (MESSAGES 1 UNSEEN 1)'])
  await client.ok('RENAME Projects Archived')
  expect(await client.ok('LIST "" "Projects/%"')).toEqual([])
  expect(await client.ok('STATUS Archived/500 (MESSAGES)')).toEqual(['* STATUS Archived/500 (MESSAGES 1)'])
})

test('50 connections of one user all hear of a message, and of what one of them does to it', async () => {
  await using server = await openTestServer()
  await using clients = new AsyncDisposableStack()
  await server.deliver(simpleMail('first'))
  const programs: Client[] = []
  for (let at = 0; at < 50; at += 1) programs.push(clients.use(await Client.loggedIn(server.port)))
  await Promise.all(
    programs.map(async (client) => {
      expect(await client.ok('SELECT INBOX')).toContain('* 1 EXISTS')
      expect(await client.ok('UID FETCH 1:* (ENVELOPE)')).toHaveLength(1)
    }),
  )
  const [actor, ...watchers] = programs
  for (const client of watchers) {
    client.write('i IDLE\r\n')
    expect(await client.line()).toBe('+ Idling')
  }
  await server.deliver(simpleMail('second'))
  for (const client of watchers) expect(await client.line()).toBe('* 2 EXISTS')
  await actor!.ok('NOOP')
  await actor!.ok('STORE 2 +FLAGS.SILENT (\\Deleted)')
  await actor!.ok('EXPUNGE')
  for (const client of watchers) {
    let line = await client.line()
    while (line?.endsWith('RECENT') === true || line?.includes('FETCH') === true) line = await client.line()
    expect(line).toBe('* 2 EXPUNGE')
  }
})
