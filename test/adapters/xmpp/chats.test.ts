/** One conversation, whatever it is said and read with: XMPP programs beside mail and the command line. */
import { expect, test } from 'vitest'
import { childText, type Element, el, serialise } from '../../../src/adapters/xmpp/element.ts'
import type { FileUrls } from '../../../src/adapters/xmpp/uploads/file-urls.ts'
import { idOfPartner } from '../../../src/core/conversation/conversations.ts'
import type { Part } from '../../../src/core/message/part.ts'
import { parseAddress } from '../../../src/core/message/address.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { createAccount } from '../../../src/operations/accounts.ts'
import { mailsIn } from '../../support/mailbox-mails.ts'
import { type BoundClient, openStages, type Stage } from './harness.ts'
import { xml } from './xml.ts'

const patience = { timeout: 20_000 }
const systemAmbient = { clock: systemClock, random: systemRandom, log: silentLog }

/** Messages that came and were not taken, as text. */
const messages = ({ inbox }: BoundClient): readonly string[] =>
  inbox.filter(({ name }) => name === 'message').map((one) => serialise(one))
const bodies = (client: BoundClient): readonly string[] =>
  client.inbox.flatMap((one) => /<body>(.*?)<\/body>/.exec(serialise(one))?.[1] ?? [])

async function there(stage: Stage, resource: string, { carbons = true } = {}): Promise<BoundClient> {
  const client = stage.bind(resource)
  await client.send(el('presence'))
  client.client.state.carbons = carbons
  client.inbox.splice(0)
  return client
}

const between = (one: Stage, other: Stage) =>
  idOfPartner(one.gateway.account, { kind: 'direct', peer: other.gateway.account })
const history = (whose: Stage, other: Stage) =>
  whose.gateway.knowledge.conversations.page(whose.gateway.account, between(whose, other), { limit: 100 })
const say = async (from: Stage, to: Stage, parts: readonly Part[] | string) =>
  (
    await from.gateway.node.delivery.chats.say(from.gateway.account, to.gateway.account, {
      parts: typeof parts === 'string' ? [{ kind: 'text', text: parts }] : parts,
    })
  ).id
const settings = async ({ gateway }: Stage, change: Record<string, boolean>) =>
  await gateway.knowledge.store.write((tx) => gateway.knowledge.conversations.setSettings(tx, gateway.account, change))

function message(to: Stage, id: string, ...children: readonly Element[]): Element {
  return el('message', { type: 'chat', to: to.jid, id }, children)
}
const body = (text: string) => el('body', {}, text)

/** What a mail program sends: an answer to a chat. */
async function answerByMail(from: Stage, to: Stage, question: string, text: string): Promise<void> {
  const { gateway } = from
  const raw = [
    `From: <${gateway.address}>`,
    'Message-ID: <own@program.example>',
    `To: <${to.gateway.address}>`,
    `In-Reply-To: <${question}@chat.invalid>`,
    'Subject: Re: Chat with bob',
    '',
    text,
    '',
  ].join('\r\n')
  await gateway.node.delivery.submitter.submit(gateway.account, {
    from: gateway.address,
    recipients: [{ address: parseAddress(to.gateway.address)! }],
    body: (async function* () {
      yield await Promise.resolve(Buffer.from(raw))
    })(),
  })
}

test('what is said from mail reaches the own programs as a carbon, and those of the other', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const theirs = await there(bob, 'desk')
  const question = await say(bob, alice, 'Shall we meet?')
  await expect.poll(() => bodies(desk), patience).toEqual(['Shall we meet?'])
  theirs.inbox.splice(0)
  desk.inbox.splice(0)
  await answerByMail(alice, bob, question, 'Yes, at six.')
  await expect.poll(() => bodies(desk), patience).toEqual(['&gt; Shall we meet?&#10;Yes, at six.'])
  expect(messages(desk)[0]).toContain("<sent xmlns='urn:xmpp:carbons:2'>")
  await expect.poll(() => bodies(theirs), patience).toEqual(['&gt; Shall we meet?&#10;Yes, at six.'])
  expect(messages(theirs)[0]).toContain(`<reply xmlns='urn:xmpp:reply:0' to='bob@localhost' id='${question}'/>`)
})

test('a correction, a reaction and a retraction made in XMPP show in the mail of both', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const theirs = await there(bob, 'desk')
  await desk.send(message(bob, 'm1', body('Shall we met?')))
  await desk.send(
    message(bob, 'm2', body('Shall we meet?'), xml("<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>")),
  )
  await expect.poll(() => messages(theirs).length, patience).toBe(2)
  const { id } = theirs.inbox[0]!.attrs
  await theirs.send(
    message(alice, 'b1', xml(`<reactions xmlns='urn:xmpp:reactions:0' id='${id}'><reaction>👍</reaction></reactions>`)),
  )
  for (const whose of [alice, bob]) {
    const mails = async () =>
      (await Promise.all(['INBOX', ...folders(whose)].map(async (name) => await mailsIn(whose.gateway, name)))).flat()
    await expect.poll(async () => (await mails()).map(({ words }) => words), patience).toEqual(['Shall we meet?'])
    await expect
      .poll(async () => (await mails())[0]?.notes, patience)
      .toEqual([expect.stringMatching(/^Edited /), expect.stringMatching(/^👍 /)])
  }
  await desk.send(message(bob, 'm3', xml("<retract xmlns='urn:xmpp:message-retract:1' id='m1'/>")))
  await expect
    .poll(
      async () =>
        (await Promise.all(folders(bob).map(async (name) => await mailsIn(bob.gateway, name)))).flat()[0]?.words,
      patience,
    )
    .toBe('This message was taken back.')
})

const folders = ({ gateway }: Stage): readonly string[] =>
  gateway.knowledge.mailboxes
    .list(gateway.account)
    .map(({ name }) => name)
    .filter((name) => name.startsWith('Chats/'))

test('a read mark set in mail shows as displayed marker: to own programs, and to the other where that may be known', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  await settings(alice, { tellsRead: true, hasChatClient: true })
  const desk = await there(alice, 'desk')
  const theirs = await there(bob, 'desk')
  await theirs.send(message(alice, 'b1', body('one')))
  await expect.poll(() => bodies(desk), patience).toEqual(['one'])
  const [said] = history(alice, bob)
  await expect.poll(() => folders(alice).length, patience).toBe(1)
  const { mailboxes } = alice.gateway.knowledge
  const [mail] = await mailsIn(alice.gateway, folders(alice)[0]!)
  const { id: mailbox } = mailboxes.byName(alice.gateway.account, folders(alice)[0]!)!
  desk.inbox.splice(0)
  theirs.inbox.splice(0)
  await mailboxes.setFlags(alice.gateway.account, mailbox, [mail!.uid as never], { mode: 'add', flags: ['\\Seen'] })
  await expect
    .poll(() => messages(desk), patience)
    .toContainEqual(expect.stringContaining(`<displayed xmlns='urn:xmpp:chat-markers:0' id='${said!.id}'/>`))
  expect(messages(desk)[0]).toContain("<sent xmlns='urn:xmpp:carbons:2'>")
  await expect
    .poll(() => messages(theirs), patience)
    .toEqual([
      `<message type='chat' id='displayed-${said!.id}' from='${alice.jid}' to='bob@localhost/desk'>` +
        `<displayed xmlns='urn:xmpp:chat-markers:0' id='b1'/></message>`,
    ])
})

test('a displayed marker of a program reads the mail, and is copied to the others, not to itself', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const phone = await there(alice, 'phone')
  const id = await say(bob, alice, 'one')
  await expect.poll(() => bodies(desk), patience).toEqual(['one'])
  const unread = () => alice.gateway.knowledge.conversations.get(alice.gateway.account, between(alice, bob))?.unread
  expect(unread()).toBe(1)
  for (const one of [desk, phone]) one.inbox.splice(0)
  await desk.send(message(bob, 'm1', xml(`<displayed xmlns='urn:xmpp:chat-markers:0' id='${id}'/>`)))
  expect(unread()).toBe(0)
  expect(messages(phone)).toEqual([expect.stringContaining('<displayed ')])
  expect(messages(desk)).toEqual([])
  await expect
    .poll(async () => (await mailsIn(alice.gateway, folders(alice)[0]!))[0]?.flags, patience)
    .toContain('\\Seen')
})

test('that somebody types is told where the account wants it known', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const theirs = await there(bob, 'desk')
  await say(alice, bob, 'hello')
  await expect.poll(() => bodies(theirs), patience).toEqual(['hello'])
  theirs.inbox.splice(0)
  const state = (name: string) => message(bob, 'c', xml(`<${name} xmlns='http://jabber.org/protocol/chatstates'/>`))
  await desk.send(state('composing'))
  await settings(alice, { tellsPresence: true })
  await desk.send(state('composing'))
  await expect
    .poll(() => messages(theirs), patience)
    .toEqual([expect.stringContaining(`<composing xmlns='http://jabber.org/protocol/chatstates'/>`)])
  await desk.send(state('paused'))
  await expect.poll(() => messages(theirs), patience).toHaveLength(2)
  expect(history(bob, alice)).toHaveLength(1)
})

test('what came while nobody was there goes to a program that reads no archive, once; one that reads it finds it there', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const simple = await there(alice, 'simple')
  await say(bob, alice, 'before')
  await expect.poll(() => bodies(simple), patience).toEqual(['before'])
  simple.leave()
  await say(bob, alice, 'missed')
  await say(bob, alice, 'missed too')
  await expect.poll(() => history(alice, bob).length, patience).toBe(3)
  const again = await there(alice, 'simple')
  await expect.poll(() => bodies(again), patience).toEqual(['missed', 'missed too'])
  expect(messages(again)[0]).toContain("<delay xmlns='urn:xmpp:delay'")
  again.leave()
  const third = await there(alice, 'simple')
  await say(bob, alice, 'after')
  await expect.poll(() => bodies(third), patience).toEqual(['after'])
  third.leave()

  await say(bob, alice, 'in the archive')
  await expect.poll(() => history(alice, bob).length, patience).toBe(5)
  const reader = alice.bind('reader')
  await reader.send(xml("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>"))
  await reader.send(el('presence'))
  await say(bob, alice, 'last')
  await expect
    .poll(() => bodies(reader), patience)
    .toEqual(['before', 'missed', 'missed too', 'after', 'in the archive', 'last'])
})

test('with its first program an account’s chats leave the inbox; who wants them back there keeps them', async () => {
  await using stages = await openStages()
  const alice = stages.of('alice')
  const { conversations } = alice.gateway.knowledge
  const hasChatClient = () => conversations.settings(alice.gateway.account).hasChatClient
  expect(hasChatClient()).toBe(false)
  alice.bind('desk')
  await expect.poll(hasChatClient, patience).toBe(true)
  await settings(alice, { hasChatClient: false })
  alice.bind('phone')
  await alice.gateway.knowledge.store.write(() => {})
  expect(hasChatClient()).toBe(false)
})

test('what cannot be said is answered with what to do', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const answered = async (stanza: Element) => (await desk.say(stanza)).map((one) => serialise(one)).join('')
  expect(await answered(el('message', { type: 'chat', to: 'nobody@nowhere.example', id: 'a' }, body('hello')))).toMatch(
    /item-not-found.*ask them for an invitation/,
  )
  expect(await answered(message(bob, 'b', body('x'.repeat(20_000))))).toMatch(/policy-violation.*as a file/)
  const { contacts, store } = alice.gateway.knowledge
  await store.write((tx) => contacts.using(tx).block(alice.gateway.account, bob.gateway.account))
  expect(await answered(message(bob, 'c', body('hello')))).toMatch(
    /not-acceptable.*unblock.*<blocked xmlns='urn:xmpp:blocking:errors'\/>/,
  )
  expect(history(alice, bob)).toEqual([])
})

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}

test('an upload that a message links to goes as a file, and each gateway has a link of its own to it', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const theirs = await there(bob, 'desk')
  const bytes = Buffer.from('a picture of a cat')
  const { account } = alice.gateway
  const { uploads } = alice.gateway.node.delivery
  const url = (alice.server.services.uploads as FileUrls).promise(account, {
    name: 'cat.png',
    mediaType: 'image/png',
    size: bytes.length,
  })
  const id = /files\/([\w-]+)\//.exec(url)![1]!
  await uploads.store(id, account, once(bytes), { name: 'cat.png', mediaType: 'image/png', size: bytes.length })
  const linked = () =>
    message(
      bob,
      'f1',
      body(url),
      xml(`<x xmlns='jabber:x:oob'><url>${url}</url></x>`),
      xml("<origin-id xmlns='urn:xmpp:sid:0' id='f1'/>"),
    )
  await desk.send(linked())
  await desk.send(linked())
  await expect.poll(() => bodies(theirs).length, patience).toBe(1)
  const [got] = theirs.inbox.splice(0)
  const link = childText(got!, 'body')!
  expect(link).toMatch(/^https:\/\/localhost:8443\/xmpp\/files\/.*\/cat\.png$/)
  expect(link).not.toBe(url)
  expect(serialise(got!)).toContain(`<x xmlns='jabber:x:oob'><url>${link}</url></x>`)
  expect(serialise(got!)).toContain('<size>18</size>')
  const [kept] = history(bob, alice)
  expect([kept?.text, kept?.file?.part.name, kept?.file?.part.mediaType]).toEqual([undefined, 'cat.png', 'image/png'])
  await expect
    .poll(async () => (await mailsIn(bob.gateway, folders(bob)[0]!))[0]?.mail.attachments[0]?.filename, patience)
    .toBe('cat.png')

  // a link to anywhere else is words
  const far = 'https://elsewhere.example/dog.png'
  await desk.send(message(bob, 'f2', body(far), xml(`<x xmlns='jabber:x:oob'><url>${far}</url></x>`)))
  await expect.poll(() => bodies(theirs), patience).toEqual([far])
  expect(messages(theirs)[0]).toContain(`<x xmlns='jabber:x:oob'><url>${far}</url></x>`)
  expect(history(bob, alice)[1]?.text).toBe(far)
})

test('what a program publishes as read is read in mail', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const id = await say(bob, alice, 'one')
  await expect.poll(() => bodies(desk), patience).toEqual(['one'])
  const mds = 'urn:xmpp:mds:displayed:0'
  const item =
    `<item id='${bob.jid}'><displayed xmlns='${mds}'>` +
    `<stanza-id xmlns='urn:xmpp:sid:0' by='alice@localhost' id='${id}'/></displayed></item>`
  await desk.send(
    xml(
      `<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='${mds}'>${item}</publish></pubsub></iq>`,
    ),
  )
  const { conversations } = alice.gateway.knowledge
  await expect.poll(() => conversations.get(alice.gateway.account, between(alice, bob))?.unread, patience).toBe(0)
  await expect
    .poll(async () => (await mailsIn(alice.gateway, folders(alice)[0]!))[0]?.flags, patience)
    .toContain('\\Seen')
})

test('a program that is resumed after the gateway has started again gets what it missed, and not what it said itself', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const phone = await there(alice, 'phone')
  await say(bob, alice, 'before')
  await expect.poll(() => bodies(desk), patience).toEqual(['before'])
  alice.server.hub.remove(desk.client)
  await desk.send(
    message(bob, 'own-1', body('said by the desk'), xml("<origin-id xmlns='urn:xmpp:sid:0' id='own-1'/>")),
  )
  await phone.send(message(bob, 'own-2', body('said by the phone')))
  await say(bob, alice, 'meanwhile')
  await expect.poll(() => history(alice, bob).length, patience).toBe(4)
  desk.inbox.splice(0)
  alice.server.hub.add(desk.client)
  for (const feature of alice.server.features) feature.bound?.(desk.client)
  await expect.poll(() => bodies(desk).toSorted(), patience).toEqual(['meanwhile', 'said by the phone'])
  await say(bob, alice, 'after')
  await expect.poll(() => bodies(desk).toSorted(), patience).toEqual(['after', 'meanwhile', 'said by the phone'])
})

test('a program whose first presence the process before took with it gets what came since it was bound, in order', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = alice.bind('desk')
  desk.client.state.upTo = alice.gateway.knowledge.conversations.lastNumber(alice.gateway.account)
  // as a start of the gateway restores it
  for (const feature of alice.server.features) feature.bound?.(desk.client)
  for (const text of ['one', 'two']) await say(bob, alice, text)
  await expect.poll(() => history(alice, bob).length, patience).toBe(2)
  expect(bodies(desk)).toEqual([])
  await desk.send(el('presence'))
  await say(bob, alice, 'three')
  await expect.poll(() => bodies(desk), patience).toEqual(['one', 'two', 'three'])
})

test('what nobody takes comes back as an error with the id that its program gave it', async () => {
  await using stages = await openStages()
  const [alice, bob] = [stages.of('alice'), stages.of('bob')]
  const desk = await there(alice, 'desk')
  const { store, quotas, mailboxes } = bob.gateway.knowledge
  const { account } = bob.gateway
  await store.write((tx) => quotas.set(tx, account, mailboxes.usedBytes(account) + 10))
  await desk.send(message(bob, 'm1', body('is there room?'), xml("<request xmlns='urn:xmpp:receipts'/>")))
  await expect
    .poll(() => messages(desk), patience)
    .toEqual([
      expect.stringMatching(/^<message type='error' id='m1' from='bob@.*<recipient-unavailable .*not delivered/),
    ])
})

test('two accounts of one gateway talk as any two, and the receipt comes when the other has it', async () => {
  await using stages = await openStages(['alice'])
  const alice = stages.of('alice')
  const { knowledge } = alice.gateway
  await createAccount(knowledge, systemAmbient, { localName: 'carol', address: undefined, displayName: undefined })
  const { identity } = knowledge.accounts.byUser('carol')!
  const desk = await there(alice, 'desk')
  await desk.send(
    el(
      'message',
      { type: 'chat', to: 'carol@localhost', id: 'm1' },
      body('hello'),
      xml("<request xmlns='urn:xmpp:receipts'/>"),
    ),
  )
  expect(messages(desk)).toEqual([
    expect.stringMatching(/from='carol@localhost'.*<received xmlns='urn:xmpp:receipts' id='m1'\/>/),
  ])
  const [said] = knowledge.conversations.page(identity, knowledge.conversations.list(identity)[0]!.id, { limit: 1 })
  expect(said?.text).toBe('hello')
})
