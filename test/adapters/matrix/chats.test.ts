/** Chats of two people on two gateways, each in a program of this protocol. */
import { expect, test } from 'vitest'
import { type Answer, openStages } from './support.ts'

async function openChat() {
  const stages = await openStages()
  const [alice, bob] = [await stages.of('alice').logIn(), await stages.of('bob').logIn()]
  await alice.sync()
  await bob.sync()
  const ofAlice = Object.keys((await alice.get('/sync')).rooms.join)
  const room = ofAlice.length === 1 ? ofAlice[0]! : 'none'
  return { stages, alice, bob, room, [Symbol.asyncDispose]: () => stages[Symbol.asyncDispose]() }
}

test('a contact is a room that both have under the same id, marked as a chat of two', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const [ofAlice, ofBob] = [await alice.get('/sync'), await bob.get('/sync')]
  expect(Object.keys(ofBob.rooms.join)).toEqual([room])
  const direct = (answer: Answer) =>
    answer.account_data.events.find(({ type }: Answer) => type === 'm.direct')?.content as Record<string, string[]>
  const [peer] = ofAlice.rooms.join[room].summary['m.heroes']
  expect(direct(ofAlice)).toEqual({ [peer]: [room] })
  expect(Object.values(direct(ofBob))).toEqual([[room]])
  expect(await alice.chatWith(peer)).toBe(room)
})

test('what one says the other reads, answers, reacts to, edits and takes back', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const said = await alice.say(room, 'Tea at four?')
  const come = await bob.event(({ content }) => content.body === 'Tea at four?')
  expect(come).toMatchObject({ event_id: said, type: 'm.room.message', content: { msgtype: 'm.text' } })
  expect(come.unsigned?.transaction_id).toBeUndefined()

  const answer = await bob.say(room, 'Yes', { 'm.relates_to': { 'm.in_reply_to': { event_id: said } } })
  const answered = await alice.event(({ event_id: id }) => id === answer)
  expect(answered.content['m.relates_to']).toEqual({ 'm.in_reply_to': { event_id: said } })

  const like = { 'm.relates_to': { rel_type: 'm.annotation', event_id: said, key: '👍' } }
  const reaction = await bob.send(room, like, 'm.reaction')
  const reacted = await alice.event(({ event_id: id }) => id === reaction)
  expect(reacted).toMatchObject({ type: 'm.reaction', content: like })

  const edit = {
    'm.new_content': { msgtype: 'm.text', body: 'Tea at five?' },
    'm.relates_to': { rel_type: 'm.replace', event_id: said },
  }
  await alice.say(room, '* Tea at five?', edit)
  const edited = await bob.event(({ content }) => content['m.new_content'] !== undefined)
  expect(edited.content).toMatchObject({ body: '* Tea at five?', ...edit })

  const unreaction = await bob.redact(room, reaction)
  const unreacted = await alice.event(({ type }) => type === 'm.room.redaction')
  expect(unreacted).toMatchObject({ event_id: unreaction, redacts: reaction })

  await bob.redact(room, answer)
  await alice.event(({ redacts }) => redacts === answer)
  expect((await alice.get(`/rooms/${room}/event/${answer}`)).content).toEqual({})
  expect(await alice.words(room)).toEqual(['Tea at five?', undefined])
})

test('two reactions of one person are two events, and each is taken back by itself', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const said = await alice.say(room, 'Look')
  await bob.event(({ event_id: id }) => id === said)
  const react = (key: string) =>
    bob.send(room, { 'm.relates_to': { rel_type: 'm.annotation', event_id: said, key } }, 'm.reaction')
  const [first, second] = [await react('👍'), await react('🎉')]
  expect(
    await bob.refused('PUT', `/rooms/${room}/send/m.reaction/again`, {
      'm.relates_to': { rel_type: 'm.annotation', event_id: said, key: '👍' },
    }),
  ).toBe('400 M_DUPLICATE_ANNOTATION')
  await alice.event(({ event_id: id }) => id === second)
  await bob.redact(room, first)
  await alice.event(({ redacts }) => redacts === first)
  expect((await alice.get(`/rooms/${room}/event/${second}`)).content['m.relates_to'].key).toBe('🎉')
  expect(await alice.refused('PUT', `/rooms/${room}/redact/${second}/x`, {})).toBe('403 M_FORBIDDEN')
})

test('a transaction that is asked for again says the same and is said once', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const ask = () => alice.put(`/rooms/${room}/send/m.room.message/same`, { msgtype: 'm.text', body: 'Once' })
  const all = await Promise.all([ask(), ask(), ask()])
  expect(new Set(all.map(({ event_id: id }) => id)).size).toBe(1)
  await alice.say(room, 'Then')
  await bob.event(({ content }) => content.body === 'Then')
  expect(await bob.words(room)).toEqual(['Once', 'Then'])
  const own = await alice.event(({ content }) => content.body === 'Once')
  expect(own.unsigned.transaction_id).toBe('same')
})

test('what was read is told, and counts as unread no more', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const { stages } = chat
  const { knowledge, account } = stages.of('bob').gateway
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, account, { tellsRead: true }))
  const said = await alice.say(room, 'Have you seen this?')
  const unread = await bob.until(
    (answer) => answer.rooms?.join[room]?.unread_notifications.notification_count || undefined,
  )
  expect(unread).toBe(1)
  await bob.post(`/rooms/${room}/receipt/m.read/${said}`)
  const now = await bob.until((answer) => answer.rooms?.join[room])
  expect(now.unread_notifications.notification_count).toBe(0)
  const receipt = await alice.until((answer) =>
    answer.rooms?.join[room]?.ephemeral.events.find(({ type }: Answer) => type === 'm.receipt'),
  )
  expect(Object.keys(receipt.content)).toEqual([said])
  expect(Object.keys(receipt.content[said]['m.read'])).toHaveLength(1)
})

test('what is read privately is told to nobody, whatever the settings are', async () => {
  await using chat = await openChat()
  const { alice, bob, room, stages } = chat
  const { knowledge, account } = stages.of('bob').gateway
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, account, { tellsRead: true }))
  const first = await alice.say(room, 'One')
  await bob.event(({ event_id: id }) => id === first)
  await bob.post(`/rooms/${room}/receipt/m.read.private/${first}`)
  const seen = await bob.until((answer) => answer.rooms?.join[room])
  expect(seen.unread_notifications.notification_count).toBe(0)
  const second = await alice.say(room, 'Two')
  await bob.event(({ event_id: id }) => id === second)
  await bob.post(`/rooms/${room}/receipt/m.read/${second}`)
  const receipts: string[] = []
  await alice.until((answer) => {
    for (const { content, type } of answer.rooms?.join[room]?.ephemeral.events ?? [])
      if (type === 'm.receipt') receipts.push(...Object.keys(content))
    return receipts.includes(second) || undefined
  })
  expect(receipts).toEqual([second])
})

test('who types is shown, and no more once they have stopped', async () => {
  await using chat = await openChat()
  const { alice, bob, room, stages } = chat
  const { knowledge, account } = stages.of('alice').gateway
  await knowledge.store.write((tx) => knowledge.conversations.setSettings(tx, account, { tellsPresence: true }))
  const typing = (isOn: boolean) => alice.put(`/rooms/${room}/typing/${alice.user}`, { typing: isOn, timeout: 20_000 })
  const heard = () =>
    bob.until((answer) => answer.rooms?.join[room]?.ephemeral.events.find(({ type }: Answer) => type === 'm.typing'))
  const first = await bob.say(room, 'Hello?')
  await alice.event(({ event_id: id }) => id === first)
  await typing(true)
  expect((await heard()).content.user_ids).toHaveLength(1)
  await typing(false)
  expect((await heard()).content.user_ids).toEqual([])
})

test('a thread is told to all programs, with the answer it hangs on for those without threads', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const root = await alice.say(room, 'Plans')
  const related = { rel_type: 'm.thread', event_id: root, is_falling_back: true, 'm.in_reply_to': { event_id: root } }
  const second = await alice.say(room, 'First of them', { 'm.relates_to': related })
  const come = await bob.event(({ event_id: id }) => id === second)
  expect(come.content['m.relates_to']).toMatchObject({ rel_type: 'm.thread', event_id: root, is_falling_back: true })
})

test('words of other kinds come as they were written', async () => {
  await using chat = await openChat()
  const { alice, bob, room } = chat
  const contents = [
    { msgtype: 'm.emote', body: 'waves' },
    { msgtype: 'm.notice', body: 'From a program' },
    { msgtype: 'm.text', body: 'Plain', format: 'org.matrix.custom.html', formatted_body: '<b>Plain</b>' },
    { msgtype: 'm.text', body: 'You', 'm.mentions': { user_ids: ['@bob:localhost'] } },
    { msgtype: 'm.location', body: 'Here', geo_uri: 'geo:51.5,-0.1' },
  ]
  for (const content of contents) await alice.send(room, content)
  const poll = { 'm.text': 'Which?', 'm.poll': { answers: [{ 'm.id': 'a' }] } }
  const asked = await alice.send(room, poll, 'm.poll.start')
  await bob.event(({ event_id: id }) => id === asked)
  const { chunk } = await bob.get(`/rooms/${room}/messages?dir=b&limit=6`)
  expect(chunk.map(({ content }: Answer) => content).toReversed()).toEqual([...contents, poll])
  expect(chunk[0].type).toBe('m.poll.start')
  const { knowledge, account } = chat.stages.of('bob').gateway
  const [conversation] = knowledge.conversations.list(account)
  const texts = knowledge.conversations.page(account, conversation!.id, { limit: 10 }).map(({ text }) => text)
  expect(texts).toEqual(['waves', 'From a program', 'Plain', 'You', 'Here', 'Which?'])
})

test('an event without words passes between programs and is shown nowhere else', async () => {
  await using chat = await openChat()
  const { alice, bob, room, stages } = chat
  const said = await alice.say(room, 'Vote')
  const vote = { 'm.selections': ['a'], 'm.relates_to': { rel_type: 'm.reference', event_id: said } }
  const voted = await alice.send(room, vote, 'm.poll.response')
  expect((await bob.event(({ event_id: id }) => id === voted)).content).toEqual(vote)
  const { knowledge, account } = stages.of('bob').gateway
  const [conversation] = knowledge.conversations.list(account)
  expect(conversation!.shown).toBe(1)
})
