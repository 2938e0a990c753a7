/** Results in windows and results that are kept up to date, held against what a fresh search says. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import type { Mailboxes } from '../../../src/core/mailbox/mailbox.ts'
import { Client } from './client.ts'
import { openTestServer, simpleMail } from './server.ts'

/** `4:6,2` in its order. */
const numbersIn = (set: string): number[] =>
  set.split(',').flatMap((range) => {
    const [from, to = from] = range.split(':').map(Number)
    return Array.from({ length: to! - from! + 1 }, (_none, at) => from! + at)
  })

const allOf = (lines: readonly string[]): number[] => {
  const set = / ALL ([\d:,]+)/.exec(lines.find((line) => line.startsWith('* ESEARCH')) ?? '')?.[1]
  return set === undefined ? [] : numbersIn(set)
}

/** What a client makes of ADDTO and REMOVEFROM (RFC 5267 §4.3). */
function applyUpdates(results: number[], lines: readonly string[], tag: string): void {
  for (const line of lines) {
    if (!line.startsWith(`* ESEARCH (TAG "${tag}")`)) continue
    for (const [, kind, pairs] of line.matchAll(/(ADDTO|REMOVEFROM) \(([^)]*)\)/g)) {
      const words = pairs!.split(' ')
      for (let at = 0; at < words.length; at += 2) {
        const position = Number(words[at])
        const uids = numbersIn(words[at + 1]!)
        if (kind === 'ADDTO') {
          if (position === 0) results.splice(0, results.length, ...[...results, ...uids].sort((a, b) => a - b))
          else results.splice(position - 1, 0, ...uids)
        } else {
          const start = position === 0 ? undefined : position - 1
          for (const uid of uids) {
            expect(results).toContain(uid)
            if (start !== undefined) expect(results[start]).toBe(uid)
            results.splice(start ?? results.indexOf(uid), 1)
          }
        }
      }
    }
  }
}

const subjects = ['apples', 'Re: apples', 'bananas', 'cherries', 'Äpfel']
const step = fc.oneof(
  fc.record({ kind: fc.constant('mail' as const), subject: fc.constantFrom(...subjects), times: fc.nat({ max: 3 }) }),
  fc.record({
    kind: fc.constantFrom('flag' as const, 'unflag' as const, 'delete' as const),
    which: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 6 }),
    byOther: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('expunge' as const), byOther: fc.boolean() }),
)

test('a client that applies every update has what a fresh search finds', async () => {
  await using server = await openTestServer()
  for (let mail = 0; mail < 10; mail += 1) await server.deliver(simpleMail(subjects[mail % subjects.length]!))
  await using client = await Client.loggedIn(server.port)
  await using other = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  await other.ok('SELECT INBOX')
  const contexts = [
    'UID SEARCH RETURN (UPDATE ALL) FLAGGED',
    'UID SEARCH RETURN (UPDATE ALL) OR SUBJECT apples NOT FLAGGED',
    'UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT) UTF-8 UNDELETED',
    'UID SORT RETURN (UPDATE ALL) (SUBJECT REVERSE SIZE) UTF-8 OR FLAGGED SUBJECT bananas',
  ]
  const kept: { tag: string; results: number[] }[] = []
  for (const [at, command] of contexts.entries())
    kept.push({ tag: `t${at + 3}`, results: allOf(await client.ok(command)) })
  const told = (lines: readonly string[]): void => {
    for (const { tag, results } of kept) applyUpdates(results, lines, tag)
  }
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 8 }), async (steps) => {
      for (const given of steps) {
        if (given.kind === 'mail') {
          for (let mail = 0; mail <= given.times; mail += 1) await server.deliver(simpleMail(given.subject))
          continue
        }
        const change =
          given.kind === 'expunge'
            ? 'EXPUNGE'
            : `UID STORE ${given.which.map((at) => at + 1).join(',')} ${given.kind === 'unflag' ? '-' : '+'}FLAGS (${given.kind === 'delete' ? '\\Deleted' : '\\Flagged'})`
        const lines = await (given.byOther ? other : client).ok(change)
        if (!given.byOther) told(lines)
      }
      told(await client.ok('NOOP'))
      for (const [at, command] of contexts.entries()) {
        expect(kept[at]!.results).toEqual(allOf(await client.ok(command.replace('UPDATE ', ''))))
      }
    }),
    { numRuns: 40 },
  )
})

test('windows over a result, put together, are the whole result', async () => {
  await using server = await openTestServer()
  for (let mail = 0; mail < 23; mail += 1) await server.deliver(simpleMail(subjects[(mail * 7) % subjects.length]!))
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  const searches = ['SEARCH RETURN (X) OR SUBJECT apples 3:9', 'UID SORT RETURN (X) (SUBJECT) UTF-8 ALL']
  for (const search of searches) {
    const whole = allOf(await client.ok(search.replace('X', 'ALL')))
    for (const size of [1, 2, 5, 23, 100]) {
      const windows = async (sign: '' | '-'): Promise<number[][]> => {
        const found: number[][] = []
        for (let from = 1; from <= whole.length; from += size) {
          const range = `${sign}${from}:${sign}${from + size - 1}`
          const [line] = await client.ok(search.replace('X', `PARTIAL ${range}`))
          found.push(numbersIn(/PARTIAL \(\S+ ([\d:,]+)\)/.exec(line!)![1]!))
        }
        return found
      }
      expect((await windows('')).flat()).toEqual(whole)
      expect((await windows('-')).toReversed().flat()).toEqual(whole)
    }
  }
})

test('too many results to keep up to date are refused by name, and still answered', async () => {
  await using server = await openTestServer()
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  for (let at = 0; at < limits.imapContextsMax; at += 1) {
    expect((await client.ok('SEARCH RETURN (UPDATE COUNT) ALL')).length).toBe(1)
  }
  const lines = await client.ok('SEARCH RETURN (UPDATE COUNT) ALL')
  expect(lines[0]).toMatch(/COUNT 0$/)
  expect(lines[1]).toMatch(/^\* NO \[NOUPDATE "t\d+"\]/)
})

/** Mailboxes whose search waits until it is let go, or told to end. */
function slowSearch(begun: () => void, goOn: Promise<void>): (mailboxes: Mailboxes) => Mailboxes {
  return (mailboxes) =>
    new Proxy(mailboxes, {
      get(target, key) {
        const search: Mailboxes['search'] = async (...given) => {
          begun()
          const ended = new Promise<never>((_resolve, reject) => {
            const { signal } = given[4]
            signal.addEventListener('abort', () => reject(signal.reason as Error))
          })
          await Promise.race([goOn, ended])
          return await target.search(...given)
        }
        const value: unknown = key === 'search' ? search : Reflect.get(target, key)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
}

test('a long search ends when its client has gone', async () => {
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  await using server = await openTestServer({ wrap: slowSearch(begun.resolve, goOn.promise) })
  await server.deliver(simpleMail('x'))
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  client.write('long SEARCH ALL\r\n')
  await begun.promise
  client.socket.destroy()
  await expect.poll(() => server.imap.connections).toBe(0)
})

const word = fc.constantFrom(
  ...'RETURN ( ) () (MIN (MAX ALL COUNT SAVE PARTIAL 1:2 -1:-2 UPDATE CONTEXT (SUBJECT) (REVERSE DATE UTF-8 CHARSET'.split(
    ' ',
  ),
  ...'UID NOT OR $ 1 * 2:* SUBJECT x "y" {3} FLAGGED IN (selected (mailboxes INBOX) personal REFERENCES 500 FUZZY (RELEVANCY (RELEVANCY)'.split(
    ' ',
  ),
)
const verb = fc.constantFrom(
  ...'SEARCH,UID SEARCH,SORT,UID SORT,THREAD,UID THREAD,ESEARCH,UIDBATCHES,CANCELUPDATE'.split(','),
)

test('whatever is written as a search is answered, and the next command too', async () => {
  await using server = await openTestServer()
  await server.deliver(simpleMail('x'))
  await using client = await Client.loggedIn(server.port)
  await client.ok('SELECT INBOX')
  await fc.assert(
    fc.asyncProperty(verb, fc.array(word, { maxLength: 10 }), async (name, words) => {
      const { end } = await client.run([name, ...words].join(' ').replaceAll('{3}', 'zzz'))
      expect(end).not.toContain('SERVERBUG')
      await client.ok('NOOP')
    }),
    { numRuns: 400 },
  )
})
