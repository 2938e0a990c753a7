/** Calls between programs of two gateways: each step once on both sides, and of one's own network nothing. */
import { expect, test } from 'vitest'
import { withoutHosts } from '../../../src/adapters/matrix/calls/candidates.ts'
import { type Answer, openStages } from './support.ts'

const host = 'candidate:1 1 udp 2122260223 192.168.1.7 50000 typ host generation 0'
const relayed = 'candidate:2 1 udp 41885439 203.0.113.9 60000 typ relay raddr 192.168.1.7 rport 50000'
const sdp = `v=0\r\na=candidate:1 1 udp 1 192.168.1.7 5 typ host\r\na=${relayed}\r\na=mid:0\r\n`

async function openChat() {
  const stages = await openStages()
  const [alice, bob] = [await stages.of('alice').logIn(), await stages.of('bob').logIn()]
  await bob.sync()
  const room = Object.keys((await alice.sync()).rooms.join)[0]!
  return { stages, alice, bob, room, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

test('a call is made, answered and ended, and is one line of the conversation', async () => {
  await using chat = await openChat()
  const { alice, bob, room, stages } = chat
  const base = { call_id: 'c1', version: '1', party_id: 'A' }
  const invite = await alice.send(room, { ...base, lifetime: 60_000, offer: { type: 'offer', sdp } }, 'm.call.invite')
  const rings = await bob.event(({ type }) => type === 'm.call.invite')
  expect(rings).toMatchObject({ event_id: invite, content: { call_id: 'c1', offer: { type: 'offer' } } })
  expect(rings.content.offer.sdp).not.toContain('192.168')
  expect(rings.content.offer.sdp).toContain('203.0.113.9')
  await alice.send(room, { ...base, candidates: [{ candidate: host }, { candidate: relayed }] }, 'm.call.candidates')
  const { content } = await bob.event(({ type }) => type === 'm.call.candidates')
  expect(content.candidates).toHaveLength(1)
  await bob.send(room, { ...base, party_id: 'B', answer: { type: 'answer', sdp: 'v=0' } }, 'm.call.answer')
  expect((await alice.event(({ type }) => type === 'm.call.answer')).content.party_id).toBe('B')
  await alice.send(room, { ...base, reason: 'user_hangup' }, 'm.call.hangup')
  await bob.event(({ type }) => type === 'm.call.hangup')

  const { chunk } = await bob.get(`/rooms/${room}/messages?dir=b&limit=20`)
  expect(chunk.filter(({ type }: Answer) => type === 'm.call.invite')).toHaveLength(1)
  expect(chunk.filter(({ content: { body } }: Answer) => body === 'Called.')).toHaveLength(0)
  const { knowledge, account } = stages.of('bob').gateway
  const [conversation] = knowledge.conversations.list(account)
  expect(
    knowledge.conversations.page(account, conversation!.id, { limit: 5 }).map(({ call }) => call?.protocol),
  ).toEqual(['matrix'])
})

test('where nobody is, the program that calls hears so at once', async () => {
  await using chat = await openChat()
  const { alice, room, stages } = chat
  const { gateway } = stages.of('alice')
  await stages.of('bob').gateway.stop()
  const [contact] = gateway.knowledge.contacts.list(gateway.account)
  await expect
    .poll(() => gateway.node.delivery.courierOf(gateway.account, contact!.identity)?.state, { timeout: 20_000 })
    .not.toBe('connected')
  await alice.send(
    room,
    { call_id: 'c2', version: '1', party_id: 'A', offer: { type: 'offer', sdp: '' } },
    'm.call.invite',
  )
  const hangup = await alice.event(({ type }) => type === 'm.call.hangup')
  expect(hangup).toMatchObject({ content: { call_id: 'c2', reason: 'invite_timeout' } })
  expect(hangup.sender).not.toBe(alice.user)
})

test('nobody calls a group', async () => {
  await using chat = await openChat()
  const { room_id: group } = await chat.alice.post('/createRoom', { name: 'Team' })
  expect(await chat.alice.refused('PUT', `/rooms/${group}/send/m.call.invite/1`, { call_id: 'x' })).toBe(
    '403 M_FORBIDDEN',
  )
})

test('a program gets a login at the server that relays', async () => {
  await using chat = await openChat()
  const given = await chat.alice.get('/voip/turnServer')
  expect(given).toMatchObject({ uris: ['turn:turn.example:3478?transport=udp'], ttl: expect.any(Number) })
  expect(given.username).toMatch(/^\d+:/)
})

test('whatever a program writes of candidates is taken', () => {
  expect(withoutHosts({ candidates: ['x', null, { candidate: 7 }, { candidate: '' }], offer: 'none' })).toEqual({
    candidates: ['x', null, { candidate: 7 }, { candidate: '' }],
    offer: 'none',
  })
})
