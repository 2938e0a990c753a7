/** Push rules: what an account is told of, and how programs change it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ClientEvent } from '../../../src/adapters/matrix/events/event-view.ts'
import { actionsOf, ruleFor } from '../../../src/adapters/matrix/push/evaluate.ts'
import { globMatches } from '../../../src/adapters/matrix/push/glob.ts'
import { predefinedRules } from '../../../src/adapters/matrix/push/predefined.ts'
import type { Ruleset } from '../../../src/adapters/matrix/push/rules.ts'
import { type Answer, openStages } from './support.ts'

const user = '@anna:localhost'
const context = {
  user,
  displayName: 'Anna',
  room: '!r:localhost',
  memberCount: 3,
  mayNotify: (who: string, what: string) => who === '@admin:x' && what === 'room',
}
const event = (content: Readonly<Record<string, unknown>>, more: Partial<ClientEvent> = {}): ClientEvent => ({
  type: 'm.room.message',
  event_id: '$e',
  sender: '@bob:x',
  origin_server_ts: 1,
  content,
  ...more,
})
const said = (body: string, more: object = {}) => event({ msgtype: 'm.text', body, ...more })

test.for([
  ['a message', said('Hello'), { notify: true, highlight: false }],
  ['a notice', event({ msgtype: 'm.notice', body: 'x' }), { notify: false, highlight: false }],
  ['a mention', said('Hello', { 'm.mentions': { user_ids: [user] } }), { notify: true, highlight: true }],
  ['a mention of others', said('Hello', { 'm.mentions': { user_ids: ['@x:y'] } }), { notify: true, highlight: false }],
  [
    'all, by an admin',
    { ...said('All', { 'm.mentions': { room: true } }), sender: '@admin:x' },
    { notify: true, highlight: true },
  ],
  ['all, by somebody', said('All', { 'm.mentions': { room: true } }), { notify: true, highlight: false }],
  ['a reaction', event({}, { type: 'm.reaction' }), { notify: false, highlight: false }],
  ['an edit', said('* x', { 'm.relates_to': { rel_type: 'm.replace' } }), { notify: false, highlight: false }],
  ['a call', event({}, { type: 'm.call.invite' }), { notify: true, highlight: false }],
  [
    'somebody’s coming',
    event({ membership: 'join' }, { type: 'm.room.member', state_key: '@x:y' }),
    { notify: false, highlight: false },
  ],
] as const)('of %s the rules of everybody say whether it is told', ([, of, actions]) => {
  const rule = ruleFor(predefinedRules(user), of, context)
  expect(actionsOf(rule ?? { actions: [] })).toEqual(actions)
})

test('globs are as the specification’s, and cost little whatever they are', () => {
  const cases = [
    ['ex*ple', 'example', true],
    ['ex*ple', 'An exemple, there', true],
    ['exam?le', 'example', true],
    ['lunch', 'lunchbox', false],
    ['lunch*', 'lunchbox', true],
    ['LUNCH', 'at lunch', true],
    ['', 'x', false],
  ] as const
  for (const [pattern, text, fits] of cases)
    expect([pattern, text, globMatches(pattern, text, 'words')]).toEqual([pattern, text, fits])
  expect(globMatches('@*:x', '@bob:x', 'whole')).toBe(true)
  expect(globMatches('@*:x', '@bob:xy', 'whole')).toBe(false)
  fc.assert(
    fc.property(fc.stringMatching(/^[ab*?]{0,8}$/), fc.stringMatching(/^[ab]{0,8}$/), (pattern, text) => {
      const oracle = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`)
      expect(globMatches(pattern, text, 'whole')).toBe(oracle.test(text))
    }),
  )
  fc.assert(
    fc.property(fc.stringMatching(/^[ab*?]{0,8}$/), fc.stringMatching(/^[ab -]{0,10}$/), (pattern, text) => {
      const inner = pattern.replaceAll('*', '.*').replaceAll('?', '.')
      const oracle = new RegExp(`(?<![a-z])(?:${inner})(?![a-z])`)
      expect(globMatches(pattern, text, 'words')).toBe(oracle.test(text))
    }),
  )
  expect(globMatches('a?c', 'a😀c', 'whole')).toBe(true)
  const long = 'a'.repeat(60_000)
  const began = performance.now()
  expect(globMatches('*a'.repeat(120), long, 'words')).toBe(true)
  expect(globMatches(`${'*a'.repeat(120)}b`, long, 'words')).toBe(false)
  expect(globMatches('*?'.repeat(120), long, 'words')).toBe(true)
  expect(globMatches(`*${'a'.repeat(200)}?b`, long, 'words')).toBe(false)
  // regular expressions would not come back from these
  expect(performance.now() - began).toBeLessThan(5000)
})

test('conditions look at any value, and no further than they say', () => {
  const of = (condition: object, on: ClientEvent): boolean => {
    const rule = { rule_id: 'x', default: false, enabled: true, actions: ['notify'], conditions: [condition] }
    const rules = { override: [rule], content: [], room: [], sender: [], underride: [] } as unknown as Ruleset
    return ruleFor(rules, on, context) !== undefined
  }
  const on = event(
    { body: 'Hello', 'm.odd': { 'a\\b': null, '': 'empty', list: [1, 'x', null] }, n: 1, t: true },
    { room_id: context.room },
  )
  const cases: readonly (readonly [object, boolean])[] = [
    [{ kind: 'event_match', key: 'room_id', pattern: context.room }, true],
    [{ kind: 'event_match', key: 'content.n', pattern: '*' }, false],
    [{ kind: 'event_match', key: 'content.absent', pattern: '*' }, false],
    [{ kind: 'event_match', key: 'content.__proto__.x', pattern: '*' }, false],
    [{ kind: 'event_match', key: String.raw`content.m\.odd.`, pattern: 'empty' }, true],
    [{ kind: 'event_property_is', key: String.raw`content.m\.odd.a\\b`, value: null }, true],
    [{ kind: 'event_property_is', key: 'content.n', value: 1 }, true],
    [{ kind: 'event_property_is', key: 'content.n', value: '1' }, false],
    [{ kind: 'event_property_is', key: 'content.t', value: true }, true],
    [{ kind: 'event_property_is', key: 'content.absent' }, false],
    [{ kind: 'event_property_contains', key: String.raw`content.m\.odd.list`, value: null }, true],
    [{ kind: 'event_property_contains', key: String.raw`content.m\.odd.list`, value: '1' }, false],
    [{ kind: 'event_property_contains', key: 'content.body', value: 'H' }, false],
    [{ kind: 'room_member_count', is: '>=3' }, true],
    [{ kind: 'room_member_count', is: '3' }, true],
    [{ kind: 'room_member_count', is: '<3' }, false],
    [{ kind: 'room_member_count', is: 'many' }, false],
    [{ kind: 'sender_notification_permission', key: 'room' }, false],
    [{ kind: 'org.example.unknown' }, false],
  ]
  for (const [condition, holds] of cases) expect([condition, of(condition, on)]).toEqual([condition, holds])
})

test('a person’s own rules come first, are changed, moved and removed, and are told to their programs', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  await alice.sync()
  const rule = (id: string) => `/pushrules/global/content/${id}`
  await alice.put(rule('tea'), { pattern: 'tea', actions: ['notify', { set_tweak: 'highlight' }] })
  await alice.put(rule('cake'), { pattern: 'cake', actions: [] })
  await alice.put(`${rule('milk')}?after=tea`, { pattern: 'milk', actions: [] })
  const ids = async () => (await alice.get('/pushrules/')).global.content.map(({ rule_id: id }: Answer) => id)
  expect(await ids()).toEqual(['cake', 'tea', 'milk'])
  const { account_data: data } = await alice.sync()
  const told = data.events.find(({ type }: Answer) => type === 'm.push_rules')
  expect(told.content.global.content).toHaveLength(3)
  await alice.put(`${rule('tea')}/enabled`, { enabled: false })
  expect(await alice.get(`${rule('tea')}/enabled`)).toEqual({ enabled: false })
  await alice.call('DELETE', rule('cake'))
  expect(await ids()).toEqual(['tea', 'milk'])
  expect(await alice.refused('DELETE', rule('cake'))).toBe('404 M_NOT_FOUND')
  const master = '/pushrules/global/override/.m.rule.master'
  await alice.put(`${master}/enabled`, { enabled: true })
  expect((await alice.get(master)).enabled).toBe(true)
  expect(await alice.refused('DELETE', master)).toBe('400 M_INVALID_PARAM')
  expect(await alice.refused('PUT', '/pushrules/global/content/.mine', { pattern: 'x', actions: [] })).toBe(
    '400 M_INVALID_PARAM',
  )
  expect(await alice.refused('GET', '/pushrules/global/nothing/x')).toBe('400 M_INVALID_PARAM')
})

test('nobody elsewhere is told that something came', async () => {
  await using stages = await openStages(['alice'])
  const alice = await stages.of('alice').logIn()
  const pusher = {
    app_id: 'a',
    pushkey: 'k',
    app_display_name: 'A',
    device_display_name: 'D',
    lang: 'en',
    data: { url: 'https://push.example/_matrix/push/v1/notify' },
  }
  expect(await alice.refused('POST', '/pushers/set', { ...pusher, kind: 'http' })).toBe('403 M_FORBIDDEN')
  expect(await alice.get('/pushers')).toEqual({ pushers: [] })
})
