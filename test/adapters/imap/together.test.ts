/** What two do in the same moment, and what one leaves for the next on the same connection. */
import { expect, test, vi } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import type { Mailboxes } from '../../../src/core/mailbox/mailbox.ts'
import { Client } from './client.ts'
import { openTestServer, simpleMail } from './server.ts'

/** Mailboxes of which some methods are others. */
const replacing =
  (methods: (target: Mailboxes) => Partial<Mailboxes>) =>
  (mailboxes: Mailboxes): Mailboxes => {
    const own = methods(mailboxes)
    return new Proxy(mailboxes, {
      get(target, key) {
        const value: unknown = Reflect.get(Object.hasOwn(own, key) ? own : target, key)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  }

test('a silent STORE keeps silent about itself, and not about what others do to the message in the same commit', async () => {
  const wrap = replacing((target) => ({
    setFlags: async (account, mailbox, uids, change) => {
      const [own] = await Promise.all([
        target.setFlags(account, mailbox, uids, change),
        target.setFlags(account, mailbox, uids, { mode: 'add', flags: ['\\Answered'] }),
      ])
      return own
    },
  }))
  await using server = await openTestServer({ wrap })
  await server.deliver(simpleMail('one'))
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  expect(await client.ok('STORE 1 +FLAGS.SILENT (\\Flagged)')).toEqual([
    '* 1 FETCH (UID 1 FLAGS (\\Answered \\Flagged))',
  ])
})

test('a literal is asked for after what is being pushed, never inside it', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  await client.ok('NOTIFY SET (SELECTED (MessageNew (BODY.PEEK[]) MessageExpunge))')
  client.socket.pause()
  const message = simpleMail('large', `${'x'.repeat(76)}\r\n`.repeat(200_000))
  await using other = await Client.loggedIn(server.port)
  await other.ok(`APPEND INBOX {${message.length}+}\r\n${message}`)
  // Its command comes while it is told of the message: it does not read, so that takes as long as we like.
  await other.ok('STATUS INBOX (MESSAGES)')
  client.write('a SEARCH SUBJECT {5}\r\n')
  await other.ok('NOOP')
  client.socket.resume()
  expect(await client.line()).toBe('* 1 EXISTS')
  expect(await client.line()).toBe('* 1 RECENT')
  expect(await client.line()).toBe(`* 1 FETCH (UID 1 BODY[] {${message.length}}`)
  expect((await client.octets(message.length)) === message).toBe(true)
  expect(await client.line()).toBe(')')
  expect(await client.line()).toBe('+ Go on')
  client.write('large\r\n')
  expect(await client.line()).toBe('* SEARCH 1')
  expect(await client.line()).toBe('a OK Searched')
})

test('whoever logs out of an old connection has as long to log in again as on a new one', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  const now = performance.now.bind(performance)
  const later = vi.spyOn(performance, 'now').mockImplementation(() => now() + 10 * limits.imapLoginMs)
  try {
    await client.ok('UNAUTHENTICATE')
    await new Promise((resolve) => setTimeout(resolve, 20))
    await client.ok('LOGIN alice secret')
  } finally {
    later.mockRestore()
  }
})

test('what would not fit into the account is not stored first', async () => {
  let stored = 0
  const wrap = replacing((target) => ({
    isFull: (_account, octets) => octets > 1000,
    store: async (account, source, options) => {
      const content = await target.store(account, source, options)
      stored += 1
      return content
    },
  }))
  await using server = await openTestServer({ wrap })
  await using client = await Client.loggedIn(server.port)
  const { end } = await client.run('APPEND INBOX {1001}')
  expect(end).toMatch(/^NO \[OVERQUOTA\]/)
  const piece = `{600+}\r\n${'x'.repeat(600)}`
  expect((await client.run(`APPEND INBOX ${piece} ${piece}`)).end).toMatch(/^NO \[OVERQUOTA\]/)
  expect(stored).toBe(1)
  expect((await client.run(`APPEND INBOX CATENATE (TEXT ${piece} TEXT ${piece})`)).end).toMatch(/^NO \[OVERQUOTA\]/)
  expect(stored).toBe(1)
  await client.ok(`APPEND INBOX ${piece}`)
})

test('where expunges are no longer remembered, all that is not there is told', async () => {
  await using server = await openTestServer({ wrap: replacing(() => ({ expungedSince: () => undefined })) })
  for (let count = 0; count < 6; count += 1) await server.deliver(simpleMail('one'))
  await using client = await Client.loggedIn(server.port)
  await client.ok('ENABLE QRESYNC')
  const lines = await client.ok('SELECT INBOX')
  const uidValidity = /UIDVALIDITY (\d+)/.exec(lines.join(' '))![1]
  await client.ok('STORE 1,3,4,6 +FLAGS.SILENT (\\Deleted)')
  await client.ok('EXPUNGE')
  const vanished = async (known: string): Promise<string | undefined> => {
    const answer = await client.ok(`SELECT INBOX (QRESYNC (${uidValidity} 1${known}))`)
    return answer.find((line) => line.startsWith('* VANISHED'))
  }
  expect(await vanished('')).toBe('* VANISHED (EARLIER) 1,3:4,6')
  expect(await vanished(' 2:3,5:99')).toBe('* VANISHED (EARLIER) 3,6')
  expect(await vanished(' 2')).toBeUndefined()
})
