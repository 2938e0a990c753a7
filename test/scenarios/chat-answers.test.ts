/** Answering a chat from a mail program: what becomes a message of the conversation, and what stays a mail. */
import { expect, test } from 'vitest'
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import type { ShownMessage } from '../../src/core/conversation/view.ts'
import type { Address, GroupId, Identity, MessageId } from '../../src/core/ids.ts'
import { parseAddress } from '../../src/core/message/address.ts'
import type { Part } from '../../src/core/message/part.ts'
import { type KnownGroup, knownGroups, takeFromGroup } from '../support/chat-groups.ts'
import { mailsIn } from '../support/mailbox-mails.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const patience = { timeout: 20_000 }

interface Written {
  readonly to: readonly string[]
  readonly fields: readonly string[]
  readonly body: string
  readonly notify?: readonly ['success']
}

async function write(from: TestGateway, { to, fields, body, notify }: Written): Promise<void> {
  const raw = [`From: <${from.address}>`, 'Message-ID: <own@program.example>', ...fields, '', body].join('\r\n')
  await from.node.delivery.submitter.submit(from.account, {
    from: from.address,
    recipients: to.map((one) => ({ address: parseAddress(one)!, ...(notify === undefined ? {} : { notify }) })),
    body: (async function* () {
      yield await Promise.resolve(Buffer.from(raw))
    })(),
  })
}

async function say(from: TestGateway, to: TestGateway, text: string): Promise<MessageId> {
  return (await from.node.delivery.chats.say(from.account, to.account, { parts: [{ kind: 'text', text }] })).id
}

const history = (whose: TestGateway, other: TestGateway): readonly ShownMessage[] =>
  whose.knowledge.conversations.page(
    whose.account,
    idOfPartner(whose.account, { kind: 'direct', peer: other.account }),
    { limit: 100 },
  )
const inbox = (whose: TestGateway) =>
  expect.poll(async () => (await mailsIn(whose, 'INBOX')).map((found) => found.mail.subject), patience)

/** Bob has asked Alice something, which her mail program shows in INBOX. */
async function asked() {
  const world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  const question = await say(bob, alice, 'shall we meet?\nat six')
  await expect.poll(() => history(alice, bob).length, patience).toBe(1)
  const answering = [`To: <${bob.address}>`, `In-Reply-To: <${question}@chat.invalid>`, 'Subject: Re: Chat with bob']
  return {
    world,
    alice,
    bob,
    question,
    answering,
    [Symbol.asyncDispose]: async () => await world[Symbol.asyncDispose](),
  }
}

test('an answer is said in the chat, without what it quotes and the signature, and Sent has it as it was written', async () => {
  await using scope = await asked()
  const { alice, bob, question, answering } = scope
  const body = [
    `On 1 Dec 2026, bob@b.example ${bob.address} wrote:`,
    '> shall we',
    '> meet?',
    '> at six',
    '',
    'Yes, at six.',
    '',
    'Bring your map.',
    '-- ',
    'Alice',
    'Hill 1',
    '',
  ].join('\r\n')
  await write(alice, { to: [bob.address], fields: answering, body })
  await expect
    .poll(() => history(bob, alice).map(({ text }) => text), patience)
    .toEqual(['shall we meet?\nat six', 'Yes, at six.\n\nBring your map.'])
  expect(history(bob, alice)[1]?.relations).toEqual([{ kind: 'reply', to: question }])
  await inbox(bob).toEqual([expect.stringMatching(/^Chat with /)])
  const sent = await mailsIn(alice, 'Sent')
  expect(sent).toHaveLength(1)
  expect(sent[0]?.mail.messageId).toBe('<own@program.example>')
  expect(sent[0]?.source).toContain('Hill 1')
  const [answer] = await mailsIn(bob, 'INBOX')
  expect(answer?.mail.inReplyTo).toBe(`<${question}@chat.invalid>`)
})

test('with a chat program the folder shows the answer once, in the thread of its question', async () => {
  await using scope = await asked()
  const { alice, bob, question, answering } = scope
  await alice.knowledge.store.write((tx) =>
    alice.knowledge.conversations.setSettings(tx, alice.account, { hasChatClient: true }),
  )
  await say(bob, alice, 'well?')
  await expect.poll(() => history(alice, bob).length, patience).toBe(2)
  await write(alice, { to: [bob.address], fields: answering, body: 'yes\r\n' })
  const folder = alice.knowledge.mailboxes.list(alice.account).find(({ name }) => name.startsWith('Chats/'))!.name
  await expect
    .poll(async () => (await mailsIn(alice, folder)).map(({ words }) => words), patience)
    .toEqual(['well?', 'yes'])
  expect((await mailsIn(alice, folder))[1]?.mail.inReplyTo).toBe(`<${question}@chat.invalid>`)
  expect(await mailsIn(alice, 'Sent')).toHaveLength(1)
})

test('flowed lines, charsets, HTML and files arrive as they were meant', async () => {
  await using scope = await asked()
  const { alice, bob, answering } = scope
  const part = (fields: readonly string[], body: string) => ['--b', ...fields, '', body].join('\r\n')
  const alternative = [
    'Content-Type: multipart/alternative; boundary="a"',
    '',
    '--a',
    'Content-Type: text/plain; charset=iso-8859-1; format=flowed; delsp=yes',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'One long line that goes =20\r\non here, gr=FC=DFe.',
    '--a',
    'Content-Type: text/html; charset=utf-8',
    '',
    '<p>One <b>long</b> line</p>',
    '--a--',
  ].join('\r\n')
  const body = [
    `--b\r\n${alternative}`,
    part(
      [
        'Content-Type: image/png',
        "Content-Disposition: attachment; filename*=UTF-8''%E2%82%AC.png",
        'Content-Transfer-Encoding: base64',
      ],
      Buffer.from('picture').toString('base64'),
    ),
    part(['Content-Type: text/plain', 'Content-Disposition: attachment; filename=../notes.txt'], 'notes'),
    '--b--',
    '',
  ].join('\r\n')
  const mime = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="b"']
  await write(alice, { to: [bob.address], fields: [...answering, ...mime], body })
  const shape = ({ text, html, file }: ShownMessage) => {
    const content = file?.part.content
    const octets = content?.kind === 'inline' ? Buffer.from(content.bytes).toString() : undefined
    return { text, html, name: file?.part.name, type: file?.part.mediaType, octets }
  }
  await expect
    .poll(() => history(bob, alice).slice(1).map(shape), patience)
    .toEqual([
      { text: 'One long line that goes on here, grüße.', html: '<p>One <b>long</b> line</p>' },
      { name: '€.png', type: 'image/png', octets: 'picture' },
      { name: '.._notes.txt', type: 'text/plain', octets: 'notes' },
    ])
})

test('a long file of an answer is fetched by the other side, and is in their mail', async () => {
  await using scope = await asked()
  const { alice, bob, answering } = scope
  const octets = Buffer.from(Array.from({ length: 150_000 }, (_, index) => (index * 7) % 256))
  const body = [
    '--b\r\nContent-Type: text/plain\r\n\r\nhere it is\r\n--b\r\nContent-Type: application/pdf; name=map.pdf',
    'Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n',
    octets.toString('base64').replaceAll(/.{76}/g, '$&\r\n'),
    '--b--',
  ].join('\r\n')
  const mime = ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=b']
  await write(alice, { to: [bob.address], fields: [...answering, ...mime], body })
  const attached = async () => (await mailsIn(bob, 'INBOX')).flatMap(({ mail }) => mail.attachments)
  await expect
    .poll(async () => (await attached()).map(({ filename, content }) => ({ filename, content })), patience)
    .toEqual([{ filename: 'map.pdf', content: octets }])
  expect(history(bob, alice).map(({ text }) => text)).toEqual(['shall we meet?\nat six', 'here it is', undefined])
})

test('what a chat cannot hold, is to others too, or is about something else, stays a mail', async () => {
  await using scope = await asked()
  const { world, alice, bob, answering } = scope
  const carol = await world.gateway('carol')
  await world.introduce(alice, carol)
  await expect
    .poll(() => alice.knowledge.contacts.byIdentity(alice.account, carol.account)?.state, patience)
    .toBe('active')
  const [to, reply] = answering as [string, string, string]
  const typed = (type: string) => [
    to,
    reply,
    'Subject: Re: Chat with bob',
    'MIME-Version: 1.0',
    `Content-Type: ${type}`,
  ]
  const toBob = [bob.address]
  const mails: readonly Written[] = [
    { to: toBob, fields: [to, reply, 'Subject: Something else'], body: 'x' },
    { to: toBob, fields: [to, 'Subject: Re: Chat with bob'], body: 'x' },
    {
      to: toBob,
      fields: [to, 'Subject: Re: Chat with bob', `In-Reply-To: <${'0'.repeat(64)}@chat.invalid>`],
      body: 'x',
    },
    { to: toBob, fields: [...answering, `Cc: ${carol.address}`], body: 'x' },
    { to: [bob.address, carol.address], fields: answering, body: 'x' },
    { to: toBob, fields: [...answering, `Disposition-Notification-To: ${alice.address}`], body: 'x' },
    { to: toBob, fields: answering, body: 'x', notify: ['success'] },
    { to: toBob, fields: answering, body: 'x'.repeat(20_000).replaceAll(/.{70}/g, '$&\r\n') },
    {
      to: toBob,
      fields: typed('multipart/signed; boundary=s; protocol="x/y"'),
      body: '--s\r\n\r\nx\r\n--s\r\n\r\ny\r\n--s--',
    },
    { to: toBob, fields: typed('text/calendar'), body: 'BEGIN:VCALENDAR' },
    { to: toBob, fields: typed('application/pkcs7-mime'), body: 'x' },
    { to: toBob, fields: typed('text/plain; charset=unknown'), body: 'x' },
    {
      to: toBob,
      fields: typed('multipart/mixed; boundary=s'),
      body: '--s\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny\r\n--s--',
    },
    { to: toBob, fields: answering, body: '' },
  ]
  for (const mail of mails) await write(alice, mail)
  await expect.poll(async () => (await mailsIn(bob, 'INBOX')).length, patience).toBe(mails.length)
  expect(history(bob, alice)).toHaveLength(1)
})

test('an answer that nobody takes comes back to its author as a report, like a mail', async () => {
  await using scope = await asked()
  const { alice, bob, answering } = scope
  await bob.knowledge.store.write((tx) => bob.knowledge.contacts.using(tx).block(bob.account, alice.account))
  await write(alice, { to: [bob.address], fields: answering, body: 'yes, at six\r\n' })
  await inbox(alice).toEqual([expect.stringMatching(/^Chat with /), 'Not delivered'])
  const report = (await mailsIn(alice, 'INBOX'))[1]
  expect(report?.source).toContain(`Final-Recipient: rfc822; ${bob.address}`)
  expect(report?.source).toContain('The recipient does not accept messages from you.')
  expect(report?.source).toContain('yes, at six')
})

const hikes: KnownGroup = {
  group: '12'.repeat(32) as GroupId,
  name: 'Our/hikes',
  address: `hikes@${'1'.repeat(20)}.group.myc` as Address,
  members: [],
}

/** Alice is in a group with Mallory, who says to be called as Alice's contact Bob. */
async function grouped() {
  const world = await openWorld()
  const bob = await world.gateway('bob')
  const mallory = 'ad'.repeat(32) as Identity
  const dora = 'd0'.repeat(32) as Identity
  const members = [
    { identity: mallory, name: 'Mallory', address: bob.address },
    { identity: dora, name: 'Dora', address: 'dora@d.example' as Address },
  ]
  const closed: KnownGroup = {
    ...hikes,
    group: '34'.repeat(32) as GroupId,
    address: 'closed@g.myc' as Address,
    mayPost: 'not-permitted',
  }
  const alice = await world.gateway('alice', { groups: knownGroups([{ ...hikes, members }, closed]) })
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'hello') // they have met
  await inbox(alice).toEqual(['test'])
  const hears = async (author: Identity, parts: readonly Part[]) =>
    await alice.knowledge.store.write((tx) =>
      takeFromGroup(tx, alice.knowledge, { account: alice.account, author, group: hikes.group, parts }),
    )
  return {
    world,
    alice,
    bob,
    mallory,
    dora,
    hears,
    [Symbol.asyncDispose]: async () => await world[Symbol.asyncDispose](),
  }
}

const said = ({ knowledge: { conversations }, account }: TestGateway) =>
  conversations.page(account, idOfPartner(account, { kind: 'group', group: hikes.group }), { limit: 100 })

test('a group is a folder of its own, also without a chat program; nobody’s address is shown for another’s', async () => {
  await using scope = await grouped()
  const { alice, bob, mallory, dora, hears } = scope
  await hears(dora, [{ kind: 'text', text: 'to the lake?' }])
  await hears(mallory, [{ kind: 'text', text: 'it is me, bob' }])
  const mails = await mailsIn(alice, 'Groups/Our-hikes')
  expect(mails.map(({ mail, flags, words }) => ({ from: mail.from?.value[0], flags, words }))).toEqual([
    { from: { name: 'Dora', address: 'dora@d.example' }, flags: ['$MyceliumTrust-unverified'], words: 'to the lake?' },
    {
      from: { name: 'Mallory', address: `${mallory.slice(0, 16)}@identity.invalid` },
      flags: ['$MyceliumTrust-false'],
      words: 'it is me, bob',
    },
  ])
  expect(mails.some(({ source }) => source.includes(bob.address))).toBe(false)
  expect(mails[0]?.mail.replyTo?.value[0]?.address).toBe(hikes.address)
})

test('a mail to a group is said in it, as an answer where it is one; whoever else it is to gets the mail', async () => {
  await using scope = await grouped()
  const { alice, bob, dora, hears } = scope
  const question = await hears(dora, [{ kind: 'text', text: 'to the lake?' }])
  const to = `To: <${hikes.address}>`
  const quoting = 'On Tuesday, Dora wrote:\r\n> to the lake?\r\n\r\nyes\r\n'
  const reply = [to, `In-Reply-To: <${question}@chat.invalid>`, 'Subject: Re: Our/hikes']
  await write(alice, { to: [hikes.address], fields: reply, body: quoting })
  await write(alice, { to: [hikes.address, bob.address], fields: [to, 'Subject: Lunch'], body: 'at one\r\n' })
  expect(said(alice).map(({ text, relations }) => ({ text, relations }))).toEqual([
    { text: 'to the lake?', relations: [] },
    { text: 'yes', relations: [{ kind: 'reply', to: question }] },
    { text: 'Lunch\n\nat one', relations: [] },
  ])
  await inbox(bob).toEqual(['Lunch'])
  expect((await mailsIn(alice, 'Groups/Our-hikes')).map(({ words }) => words)).toEqual([
    'to the lake?',
    'yes',
    'Lunch\n\nat one',
  ])
})

test('a group gets what a chat cannot hold as the mail itself, and what is too long not at all', async () => {
  await using scope = await grouped()
  const { alice } = scope
  const signed = ['MIME-Version: 1.0', 'Content-Type: multipart/signed; boundary=s; protocol="x/y"', 'Subject: Signed']
  const body = '--s\r\n\r\nwords\r\n--s\r\n\r\nsignature\r\n--s--\r\n'
  await write(alice, { to: [hikes.address], fields: [...signed, `Bcc: x@y.example`], body })
  const [message] = said(alice)
  expect(message?.file?.part).toMatchObject({ name: 'Signed.eml', mediaType: 'message/rfc822' })
  const content = message?.file?.part.content
  const original = content?.kind === 'inline' ? Buffer.from(content.bytes).toString() : ''
  expect(original).toContain(`From: <${alice.address}>\r\n`)
  expect(original.endsWith(body)).toBe(true)
  expect(original).not.toContain('Bcc')
  const long = (lines: number) => ({ to: [hikes.address], fields: ['Subject: long'], body: 'words \r\n'.repeat(lines) })
  await write(alice, long(5000))
  expect(said(alice)[1]?.file?.part).toMatchObject({ name: 'long.eml', content: { kind: 'blob' } })
  await expect(write(alice, long(1_100_000))).rejects.toMatchObject({ code: 'message-too-large' })
  expect(said(alice)).toHaveLength(2)
  expect(await mailsIn(alice, 'Sent')).toHaveLength(1)
})

test('who may not post is refused when naming the group, and a group that nobody knows is no recipient', async () => {
  await using scope = await grouped()
  const { alice } = scope
  const asks = (address: string) => alice.node.delivery.submitter.recipient(alice.account, parseAddress(address)!)
  expect(asks(hikes.address)).toEqual({ kind: 'ok' })
  expect(asks('closed@g.myc')).toEqual({ kind: 'refused', code: 'not-permitted' })
  expect(asks('other@g.myc')).toEqual({ kind: 'refused', code: 'no-such-recipient' })
})
