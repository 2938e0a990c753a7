/** Plays test/transcripts/xmpp: see play.ts for how they are written. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type BoundClient, openStages } from './harness.ts'
import { type Captures, difference, readPlay, toSend } from './play.ts'
import { xml } from './xml.ts'

const folder = new URL('../../transcripts/xmpp/', import.meta.url)
const patienceMs = 20_000

for (const name of readdirSync(folder).filter((file) => file.endsWith('.play')))
  test(name.replace('.play', '').replaceAll('-', ' '), { timeout: 60_000 }, async () => {
    const steps = readPlay(readFileSync(new URL(name, folder), 'utf8'))
    const people = new Set(['alice', 'bob', ...steps.map(({ who }) => who.split('/')[0]!)])
    await using stages = await openStages([...people])
    const captures: Captures = new Map([...people].map((person) => [person, stages.of(person).jid]))
    const clients = new Map<string, BoundClient>()
    for (const { who } of steps) {
      const [person, resource] = who.split('/')
      if (!clients.has(who)) clients.set(who, stages.of(person!).bind(resource))
    }
    for (const step of steps) {
      const where = `${name}:${step.at}`
      const { client, inbox, leave, send } = clients.get(step.who)!
      if (step.does === 'leave') leave()
      else if (step.does === 'appear') {
        await send(xml('<presence/>'))
        for (const { inbox: seen } of clients.values())
          seen.splice(0, Infinity, ...seen.filter(({ name: kind }) => kind !== 'presence'))
      } else if (step.does === 'send') await send(toSend(step.text, captures))
      else {
        await expect.poll(() => inbox.length, { message: `${where}: nothing came`, timeout: patienceMs }).not.toBe(0)
        expect(difference(step.text, inbox.shift()!, captures), `${where} ${client.jid.resource}`).toBeUndefined()
      }
    }
    for (const [who, { take }] of clients) expect(take(), `${name}: left for ${who}`).toEqual([])
  })

test('a play sees each way in which an answer may differ', () => {
  const expected = "<iq type='result' id='{id}'><query xmlns='a'><item n='1'/>...</query><t xmlns='b'>one {x}</t></iq>"
  const fitting = "<iq type='result' id='7'><query xmlns='a'><z/><item n='1'/></query><t xmlns='b'>one two</t></iq>"
  const captures: Captures = new Map()
  expect(difference(expected, xml(fitting), captures)).toBeUndefined()
  expect(Object.fromEntries(captures)).toEqual({ id: '7', x: 'two' })
  for (const [from, to] of [
    ["id='7'", "id='8'"],
    ["type='result'", ''],
    ["type='result'", "type='result' more='x'"],
    ["n='1'", "n='2'"],
    ["xmlns='a'", "xmlns='c'"],
    ['one two', 'two one'],
    ['one two', 'one three'],
    ["<t xmlns='b'>one two</t>", ''],
    ['</iq>', '<u/></iq>'],
    ['one two', 'one two<u/>'],
  ] as const)
    expect(difference(expected, xml(fitting.replace(from, to)), captures), `${from} → ${to}`).toBeDefined()
})
