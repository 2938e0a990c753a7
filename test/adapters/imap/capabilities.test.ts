/** docs/imap.md says what the server says. */
import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { Client } from './client.ts'
import { openTestServer } from './server.ts'

const rows = readFileSync(new URL('../../../docs/imap.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => /^\| [A-Z]/.test(line) && !line.startsWith('| Capability '))
  .map((line) => line.split(' | '))

test('every capability stands in the table, and nothing else', async () => {
  await using server = await openTestServer()
  await using client = await Client.connect(server.port)
  await client.line()
  const offered = async (): Promise<string[]> => (await client.ok('CAPABILITY'))[0]!.split(' ').slice(2)
  const all = new Set([...(await offered()), 'COMPRESS=DEFLATE'])
  await client.ok('LOGIN alice secret')
  for (const name of await offered()) all.add(name.replace(/^APPENDLIMIT=\d+$/, 'APPENDLIMIT'))
  const listed = rows.flatMap(([names]) => names!.replace('| ', '').split(', '))
  expect(listed.toSorted()).toEqual([...all].toSorted())
})

test('every transcript and test that the table names is there', () => {
  for (const row of rows) {
    const named = [...row.at(-1)!.matchAll(/`([^`]+)`/g)].map((found) => found[1]!)
    expect(named.length, row[0]).toBeGreaterThan(0)
    for (const name of named) {
      const path = name.includes('/') ? name : `test/transcripts/imap/${name}.txt`
      expect(existsSync(new URL(`../../../${path}`, import.meta.url)), path).toBe(true)
    }
  }
})
