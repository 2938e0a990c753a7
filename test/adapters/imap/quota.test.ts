import { expect, test } from 'vitest'
import { Client } from './client.ts'
import { openTestServer } from './server.ts'

test('an account without a limit has no quota root: Thunderbird closes the connection at one with an empty list', async () => {
  await using server = await openTestServer({ hasQuota: false })
  await using client = await Client.loggedIn(server.port)
  expect(await client.ok('GETQUOTAROOT INBOX')).toEqual(['* QUOTAROOT INBOX'])
  expect((await client.run('GETQUOTA account')).end).toMatch(/^NO \[NONEXISTENT\]/)
})
