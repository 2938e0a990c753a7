/** One person, several devices: how they come together, stay alike, and part. */
import { expect, test } from 'vitest'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { idOfPartner } from '../../src/core/conversation/conversations.ts'
import type { ConversationId, Uid } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import { groupConversation } from '../../src/core/message/conversation.ts'
import type { Part } from '../../src/core/message/part.ts'
import { openWorld, type TestGateway, type World } from '../support/world.ts'

const patient = { timeout: 20_000 }
const deviceOf = ({ knowledge, account }: TestGateway) => knowledge.accounts.get(account).device.id
const isConnected = (one: TestGateway, other: TestGateway) =>
  expect.poll(() => one.node.delivery.isConnected(one.account, deviceOf(other)), patient)
const shows = (gateway: TestGateway, mailbox = 'INBOX') =>
  expect.poll(async () => (await gateway.read(mailbox)).toSorted(), patient)

/** Everything that a mail program sees, but for numbers that are each gateway's own. */
async function view(gateway: TestGateway): Promise<unknown> {
  const {
    knowledge: { mailboxes },
    account,
  } = gateway
  const seen: Record<string, readonly string[]> = {}
  for (const { id, name, subscribed, specialUse } of mailboxes.list(account)) {
    const columns = mailboxes.columns(account, id)
    const flags = Array.from({ length: columns.count }, (_, index) =>
      [...columns.flagsOf(columns.flagSetAt(index))].toSorted().join(' '),
    )
    const texts = await gateway.read(name)
    seen[`${name} ${subscribed} ${specialUse}`] = texts
      .map((text, index) => `${text.slice(0, 40)} ${flags[index]}`)
      .toSorted()
  }
  return seen
}
const alike = async (...gateways: readonly TestGateway[]): Promise<void> => {
  await expect
    .poll(async () => new Set((await Promise.all(gateways.map(view))).map((one) => JSON.stringify(one))).size, patient)
    .toBe(1)
}

/** The message with this text, by its UID here. */
async function uidOf(gateway: TestGateway, mailbox: string, text: string): Promise<Uid> {
  const { mailboxes } = gateway.knowledge
  const columns = mailboxes.columns(gateway.account, mailboxes.byName(gateway.account, mailbox)!.id)
  const index = (await gateway.read(mailbox)).findIndex((one) => one.startsWith(text))
  expect(index).toBeGreaterThanOrEqual(0)
  return columns.uidAt(index)
}
const idOf = ({ knowledge, account }: TestGateway, mailbox: string) => knowledge.mailboxes.byName(account, mailbox)!.id

async function flag(gateway: TestGateway, mailbox: string, text: string, ...flags: readonly string[]): Promise<void> {
  const uid = await uidOf(gateway, mailbox, text)
  await gateway.knowledge.mailboxes.setFlags(gateway.account, idOf(gateway, mailbox), [uid], { mode: 'add', flags })
}
async function unflag(gateway: TestGateway, mailbox: string, text: string, ...flags: readonly string[]): Promise<void> {
  const uid = await uidOf(gateway, mailbox, text)
  await gateway.knowledge.mailboxes.setFlags(gateway.account, idOf(gateway, mailbox), [uid], { mode: 'remove', flags })
}
async function move(gateway: TestGateway, from: string, text: string, to: string): Promise<void> {
  const uid = await uidOf(gateway, from, text)
  await gateway.knowledge.mailboxes.move(gateway.account, idOf(gateway, from), [uid], idOf(gateway, to))
}
async function expunge(gateway: TestGateway, mailbox: string, text: string): Promise<void> {
  await flag(gateway, mailbox, text, '\\Deleted')
  await gateway.knowledge.mailboxes.expunge(gateway.account, idOf(gateway, mailbox))
}
async function append(gateway: TestGateway, mailbox: string, text: string, ...flags: readonly string[]): Promise<void> {
  const { store, mailboxes } = gateway.knowledge
  const bytes = Buffer.from(`Subject: test\r\n\r\n${text}\r\n`)
  const stored = await mailboxes.store(gateway.account, ReadableStream.from([bytes]), { bytesMax: bytes.length })
  const item = { ...stored, flags, internalDateMs: Date.UTC(2020, 1, 2) }
  await store.write((tx) => mailboxes.append(tx, gateway.account, idOf(gateway, mailbox), [item]))
}

/** A desk with a laptop, connected and alike. */
async function deskAndLap(world: World, prepare?: (desk: TestGateway) => Promise<void>) {
  const desk = await world.gateway('desk')
  await prepare?.(desk)
  const lap = await world.gateway('lap', { joins: desk })
  await isConnected(desk, lap).toBe(true)
  await isConnected(lap, desk).toBe(true)
  await alike(desk, lap)
  return { desk, lap }
}
function part(world: World): void {
  world.network.partition('desk', 'lap')
}
async function meet(world: World, desk: TestGateway, lap: TestGateway): Promise<void> {
  world.network.heal('desk', 'lap')
  desk.node.delivery.retry()
  lap.node.delivery.retry()
  await isConnected(desk, lap).toBe(true)
  await isConnected(lap, desk).toBe(true)
}

test('a new device joins the account by a link and digits, without words, and both find each other', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world)
  expect(lap.account).toBe(desk.account)
  expect(deviceOf(lap)).not.toBe(deviceOf(desk))
  const log = (gateway: TestGateway) => gateway.knowledge.accounts.get(gateway.account).state
  expect(log(lap).head).toEqual(log(desk).head)
})

test('whoever has the link but not the digits gets nothing, and the link is spent', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const thief = await world.gateway('thief')
  const late = await world.gateway('late')
  const { signal } = new AbortController()
  const { link } = desk.node.linking.offer(desk.account)
  await thief.node.linking.join(link, 'thief', { signal })
  await expect(late.node.linking.join(link, 'late', { signal })).rejects.toThrow(
    expect.objectContaining({ code: 'peer-misbehaved' }),
  )
  const joining = thief.node.linking.joined(true, { signal })
  const refusal = expect(joining).rejects.toThrow(expect.objectContaining({ code: 'not-confirmed' }))
  await expect(desk.node.linking.end(desk.account, false, { signal })).rejects.toThrow(
    expect.objectContaining({ code: 'not-confirmed' }),
  )
  await refusal
  expect(desk.knowledge.accounts.get(desk.account).state.devices.size).toBe(1)
})

test('mail, flags, dates and folders that were there before arrive on a new device, also long mail', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world, async (gateway) => {
    const { mailboxes } = gateway.knowledge
    await mailboxes.create(gateway.account, 'Projects/Bridge')
    await mailboxes.subscribe(gateway.account, 'Projects/Bridge', true)
    await mailboxes.remove(gateway.account, 'Junk')
    await append(gateway, 'INBOX', 'read', '\\Seen', 'Work')
    await append(gateway, 'INBOX', 'unread')
    await append(gateway, 'Projects/Bridge', `middling ${'x'.repeat(60_000)}`)
    await append(gateway, 'Archive', `long ${'y'.repeat(900_000)}`, '\\Flagged')
  })
  const dates = ({ knowledge: { mailboxes }, account }: TestGateway) => {
    const columns = mailboxes.columns(account, mailboxes.byName(account, 'Archive')!.id)
    return { date: columns.internalDateAt(0), size: columns.sizeAt(0) }
  }
  expect(await lap.read('Projects/Bridge')).toEqual(await desk.read('Projects/Bridge'))
  expect(await lap.read('Archive')).toEqual(await desk.read('Archive'))
  expect(dates(lap)).toEqual(dates(desk))
  expect(lap.knowledge.mailboxes.byName(lap.account, 'Junk')).toBeUndefined()
}, 60_000)

test('a device that is stopped in the middle of fetching goes on where it was, and has everything once', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const count = 1200
  const { store, mailboxes } = desk.knowledge
  await store.write((tx) => {
    const items = Array.from({ length: count }, (_, number) => {
      const text = `Subject: test\r\n\r\nmessage ${number} ${'x'.repeat(4000)}\r\n`
      return { ...mailboxes.storeInline(tx, desk.account, Buffer.from(text)), flags: [], internalDateMs: number * 1000 }
    })
    mailboxes.append(tx, desk.account, idOf(desk, 'INBOX'), items)
  })
  const lap = await world.gateway('lap', { joins: desk })
  const countOf = (gateway: TestGateway) => gateway.knowledge.mailboxes.byName(gateway.account, 'INBOX')!.messages
  await expect.poll(() => countOf(lap), { timeout: 20_000, interval: 1 }).toBeGreaterThan(0)
  await lap.stop()
  const before = await world.gateway('lap')
  await expect.poll(() => countOf(before), patient).toBe(count)
  await alike(desk, before)
}, 60_000)

test('what is done on one device is seen on the other while both are there', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world, async (gateway) => {
    for (const text of ['one', 'two', 'three', 'four']) await append(gateway, 'INBOX', text)
  })
  await flag(lap, 'INBOX', 'one', '\\Seen')
  await move(desk, 'INBOX', 'two', 'Archive')
  await expunge(lap, 'INBOX', 'three')
  await desk.knowledge.mailboxes.create(desk.account, 'New')
  await move(desk, 'INBOX', 'four', 'New')
  await append(lap, 'Drafts', 'a draft', '\\Draft')
  await alike(desk, lap)
  expect(await desk.read()).toEqual(['one'])
  expect(await lap.read('New')).toEqual(['four'])
  await lap.knowledge.mailboxes.rename(lap.account, 'New', 'Old')
  await alike(desk, lap)
  expect(await desk.read('Old')).toEqual(['four'])
  await desk.knowledge.mailboxes.remove(desk.account, 'Old')
  await alike(desk, lap)
  expect(lap.knowledge.mailboxes.byName(lap.account, 'Old')).toBeUndefined()
}, 60_000)

test('what both sides did while they were apart comes together; expunge beats a flag and a move', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world, async (gateway) => {
    for (const text of ['flagged', 'moved', 'expunged', 'both', 'kept']) await append(gateway, 'INBOX', text)
  })
  part(world)
  await flag(desk, 'INBOX', 'flagged', '\\Seen', 'Later')
  await flag(lap, 'INBOX', 'flagged', '\\Answered')
  await move(lap, 'INBOX', 'moved', 'Archive')
  await flag(desk, 'INBOX', 'moved', '\\Flagged')
  await expunge(desk, 'INBOX', 'expunged')
  await flag(lap, 'INBOX', 'expunged', '\\Flagged')
  await move(lap, 'INBOX', 'expunged', 'Archive')
  await move(desk, 'INBOX', 'both', 'Trash')
  await move(lap, 'INBOX', 'both', 'Archive')
  await append(desk, 'INBOX', 'new on the desk')
  await append(lap, 'INBOX', 'new on the lap')
  await desk.knowledge.mailboxes.create(desk.account, 'Same')
  await lap.knowledge.mailboxes.create(lap.account, 'Same')
  await append(lap, 'Same', 'in a folder that both made')
  await meet(world, desk, lap)
  await alike(desk, lap)
  expect((await desk.read()).toSorted()).toEqual(['flagged', 'kept', 'new on the desk', 'new on the lap'])
  expect((await desk.read('Archive')).toSorted()).toEqual(['both', 'moved'])
  expect(await desk.read('Same')).toEqual(['in a folder that both made'])
  const all = JSON.stringify(await view(lap))
  expect(all).not.toContain('expunged')
  expect(all).toContain('flagged Later \\\\Answered \\\\Seen')
  expect(all).toContain('moved \\\\Flagged')
  // and taking a flag away again is a change like any other
  await unflag(lap, 'INBOX', 'flagged', 'later')
  await alike(desk, lap)
  expect(JSON.stringify(await view(desk))).toContain('flagged \\\\Answered \\\\Seen')
}, 60_000)

test('a folder that was removed while mail was put into it elsewhere comes back with that mail', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world, async (gateway) => {
    await gateway.knowledge.mailboxes.create(gateway.account, 'Plans')
    await append(gateway, 'Plans', 'old')
    await append(gateway, 'INBOX', 'fresh')
  })
  part(world)
  await desk.knowledge.mailboxes.remove(desk.account, 'Plans')
  await move(lap, 'INBOX', 'fresh', 'Plans')
  await meet(world, desk, lap)
  await shows(desk, 'Plans').toEqual(['fresh'])
  await alike(desk, lap)
}, 60_000)

test('two folders that were given the same name while apart are both kept', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world, async (gateway) => {
    for (const name of ['A', 'B']) {
      await gateway.knowledge.mailboxes.create(gateway.account, name)
      await append(gateway, name, `in ${name}`)
    }
  })
  part(world)
  await desk.knowledge.mailboxes.rename(desk.account, 'A', 'C')
  await lap.knowledge.mailboxes.rename(lap.account, 'B', 'C')
  await meet(world, desk, lap)
  const contents = async (gateway: TestGateway) => {
    const names = gateway.knowledge.mailboxes.list(gateway.account).map(({ name }) => name)
    const mail = await Promise.all(names.filter((name) => name.startsWith('C')).map((name) => gateway.read(name)))
    return mail.flat().toSorted()
  }
  for (const gateway of [desk, lap]) await expect.poll(() => contents(gateway), patient).toEqual(['in A', 'in B'])
}, 60_000)

test('a contact learns of a new device and writes to both; each mail is one copy, and both can write to it', async () => {
  await using world = await openWorld()
  const bob = await world.gateway('bob')
  const { desk, lap } = await deskAndLap(world, async (gateway) => {
    await world.introduce(gateway, bob)
    await bob.submit(gateway.address, 'before')
    await shows(gateway).toEqual(['before'])
  })
  const devices = () => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices.length
  await expect.poll(devices, patient).toBe(2)
  await bob.submit(desk.address, 'to both')
  for (const gateway of [desk, lap]) await shows(gateway).toEqual(['before', 'to both'])
  await lap.submit(bob.address, 'from the lap')
  await desk.submit(bob.address, 'from the desk')
  await shows(bob).toEqual(['from the desk', 'from the lap'])
  for (const gateway of [desk, lap]) await shows(gateway, 'Sent').toEqual(['from the desk', 'from the lap'])
  await alike(desk, lap)
  expect(await lap.read('Requests')).toEqual([])
  await expect.poll(() => [desk, lap, bob].every(({ node }) => node.delivery.isIdle()), patient).toBe(true)
}, 60_000)

test('mail that came while a device was off is fetched from the other one, once, also when its sender is gone', async () => {
  await using world = await openWorld()
  const bob = await world.gateway('bob')
  const { desk, lap } = await deskAndLap(world, async (gateway) => await world.introduce(gateway, bob))
  const devices = () => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices.length
  await expect.poll(devices, patient).toBe(2)
  await lap.stop()
  await bob.submit(desk.address, 'while you were off')
  await shows(desk).toEqual(['while you were off'])
  await move(desk, 'INBOX', 'while', 'Archive')
  world.network.kill('bob')
  const again = await world.gateway('lap')
  await shows(again, 'Archive').toEqual(['while you were off'])
  await bob.stop()
  // its own copy for this device comes late, and is known
  const back = await world.gateway('bob')
  await expect.poll(() => back.node.delivery.isIdle(), patient).toBe(true)
  await alike(desk, again)
  expect(await again.read()).toEqual([])
}, 60_000)

test('contacts are the same on every device: invited, renamed, blocked, accepted, removed', async () => {
  await using world = await openWorld()
  const bob = await world.gateway('bob')
  const { desk, lap } = await deskAndLap(world)
  await world.introduce(desk, bob)
  await bob.submit(desk.address, 'hello')
  for (const gateway of [desk, lap]) await shows(gateway).toEqual(['hello'])
  const known = ({ knowledge, account }: TestGateway) => knowledge.contacts.byIdentity(account, bob.account)
  const change = async (
    { knowledge, account }: TestGateway,
    use: (writer: ReturnType<typeof knowledge.contacts.using>, account: TestGateway['account']) => void,
  ) => await knowledge.store.write((tx) => use(knowledge.contacts.using(tx), account))
  await change(lap, (writer, account) => writer.rename(account, bob.account, 'Bobby'))
  await expect.poll(() => known(desk)?.displayName, patient).toBe('Bobby')
  await change(desk, (writer, account) => writer.block(account, bob.account))
  await expect.poll(() => known(lap)?.blocked, patient).toBe(true)
  await change(lap, (writer, account) => writer.unblock(account, bob.account))
  await expect.poll(() => known(desk)?.blocked, patient).toBe(false)
  await change(desk, (writer, account) => writer.verify(account, bob.account, known(desk)!.fingerprint))
  await expect.poll(() => known(lap)?.tier, patient).toBe('verified')
  await change(lap, (writer, account) => writer.remove(account, bob.account))
  await expect.poll(() => known(desk), patient).toBeUndefined()
}, 60_000)

test('three devices: what one does reaches the third through whichever is there', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world, async (gateway) => await append(gateway, 'INBOX', 'first'))
  const phone = await world.gateway('phone', { joins: lap })
  await alike(desk, lap, phone)
  await isConnected(phone, desk).toBe(true)
  world.network.partition('desk', 'phone')
  await flag(phone, 'INBOX', 'first', '\\Seen')
  await append(phone, 'INBOX', 'from the phone')
  await alike(desk, lap, phone)
  expect(await desk.read()).toContain('from the phone')
}, 60_000)

test('a revoked device is cut off: neither its siblings nor contacts speak to it, in the middle of what it sends', async () => {
  await using world = await openWorld()
  const bob = await world.gateway('bob')
  const { desk, lap } = await deskAndLap(world, async (gateway) => {
    await world.introduce(gateway, bob)
    await bob.submit(gateway.address, 'hello')
    await shows(gateway).toEqual(['hello'])
  })
  await lap.submit(bob.address, 'while it was ours')
  await shows(bob).toEqual(['while it was ours'])
  world.network.partition('lap', 'bob')
  await lap.submit(bob.address, 'on its way')
  await shows(desk, 'Sent').toEqual(['on its way', 'while it was ours'])
  await desk.knowledge.accounts.revokeDevice(desk.account, deviceOf(lap))
  const devices = () => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices.length
  await expect.poll(devices, patient).toBe(1)
  world.network.heal('lap', 'bob')
  lap.node.delivery.retry()
  await isConnected(desk, lap).toBe(false)
  await append(lap, 'INBOX', 'written by a thief')
  await append(desk, 'INBOX', 'not for a thief')
  await bob.submit(desk.address, 'to the desk alone')
  await desk.submit(bob.address, 'still me')
  await shows(desk).toEqual(['hello', 'not for a thief', 'to the desk alone'])
  await shows(bob).toEqual(['still me', 'while it was ours'])
  await expect.poll(() => [desk, bob].every(({ node }) => node.delivery.isIdle()), patient).toBe(true)
  expect((await lap.read()).toSorted()).toEqual(['hello', 'written by a thief'])
  expect(await bob.read()).not.toContain('on its way')
  expect(lap.node.delivery.isIdle()).toBe(false)
}, 60_000)

test('a newer device cuts the first one off with the recovery words, and not without them', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world)
  const words = desk.knowledge.accounts.recoveryWords(desk.account)
  const revoke = async (given?: string): Promise<void> =>
    await lap.knowledge.accounts.revokeDevice(lap.account, deviceOf(desk), given)
  const code = (expected: string) => expect.objectContaining({ code: expected })
  await expect(revoke()).rejects.toThrow(code('device-not-permitted'))
  const others = `${'abandon '.repeat(23)}art`
  await expect(revoke(others)).rejects.toThrow(code('words-wrong'))
  await expect(revoke('not words')).rejects.toThrow(code('invalid-mnemonic'))
  await revoke(words)
  await isConnected(lap, desk).toBe(false)
  await append(lap, 'INBOX', 'alone now')
  expect(lap.knowledge.accounts.siblings(lap.account)).toEqual([])
  expect(await desk.read()).toEqual([])
}, 60_000)

test('two devices that both changed the account’s log while apart agree on one, and nothing said is lost', async () => {
  await using world = await openWorld()
  const { desk, lap } = await deskAndLap(world)
  part(world)
  await desk.knowledge.accounts.addAddress(desk.account, 'me@desk.example')
  await lap.knowledge.accounts.addAddress(lap.account, 'me@lap.example')
  await meet(world, desk, lap)
  const log = ({ knowledge, account }: TestGateway) => knowledge.accounts.get(account)
  await expect
    .poll(() => [desk, lap].map((gateway) => log(gateway).addresses.slice(1).toSorted()), patient)
    .toEqual([
      ['me@desk.example', 'me@lap.example'],
      ['me@desk.example', 'me@lap.example'],
    ])
  await expect.poll(() => Buffer.compare(log(desk).state.head, log(lap).state.head), patient).toBe(0)
}, 60_000)

test('a device that is silent for 30 days holds up no mail, and catches up from the other one when it is back', async () => {
  let aheadMs = 0
  const clock = { nowMs: () => systemClock.nowMs() + aheadMs, monotonicMs: () => systemClock.monotonicMs() }
  const ambient: Ambient = { clock, random: systemRandom, log: silentLog }
  await using world = await openWorld(ambient)
  const bob = await world.gateway('bob')
  const { desk, lap } = await deskAndLap(world, async (gateway) => await world.introduce(gateway, bob))
  const devices = () => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices ?? []
  await expect.poll(() => devices().filter(({ locators }) => locators !== undefined).length, patient).toBe(2)
  for (const gateway of [lap, desk, bob]) await gateway.stop()
  aheadMs = limits.deviceSilentMs + 86_400_000
  // the desk says on a new link where it is; the laptop does not
  const writer = await world.gateway('bob')
  const reader = await world.gateway('desk')
  const known = () => writer.knowledge.contacts.byIdentity(writer.account, reader.account)?.devices ?? []
  const fresh = () => known().filter(({ locators }) => clock.nowMs() - locators!.issuedAtMs < 86_400_000)
  await expect.poll(() => fresh().map(({ id }) => id), patient).toEqual([deviceOf(reader)])
  await writer.submit(reader.address, 'after a month')
  await shows(reader).toEqual(['after a month'])
  await expect.poll(() => writer.node.delivery.isIdle(), patient).toBe(true)
  const again = await world.gateway('lap')
  await shows(again).toEqual(['after a month'])
}, 60_000)

const chatsAt = (whose: TestGateway, conversation: ConversationId) =>
  whose.knowledge.conversations
    .page(whose.account, conversation, { limit: 100 })
    .map(({ id, text, reactions }) => ({ id, text, reactions: reactions.length }))

test('both devices show the same chats, what either said included, each as one mail; what one has read the other has read', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const bob = await world.gateway('bob')
  await world.introduce(desk, bob)
  const say = async (from: TestGateway, to: TestGateway, part: Part) =>
    (await from.node.delivery.chats.say(from.account, to.account, { parts: [part] })).id
  await say(bob, desk, { kind: 'text', text: 'before' })
  const conversation = idOfPartner(desk.account, { kind: 'direct', peer: bob.account })
  const patience = { timeout: 30_000, interval: 50 }
  await expect.poll(() => chatsAt(desk, conversation).map(({ text }) => text), patience).toEqual(['before'])
  const lap = await world.gateway('lap', { joins: desk })
  await expect.poll(() => chatsAt(lap, conversation).map(({ text }) => text), patience).toEqual(['before'])
  await expect
    .poll(() => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices.length, patience)
    .toBe(2)
  const typo = await say(lap, bob, { kind: 'text', text: 'from lap' })
  await expect.poll(() => chatsAt(desk, conversation).length, patience).toBe(2)
  await say(desk, bob, { kind: 'edit', target: typo, body: [{ kind: 'text', text: 'from the lap' }] })
  await expect.poll(() => chatsAt(lap, conversation).at(-1)?.text, patience).toBe('from the lap')
  await expect.poll(() => chatsAt(bob, conversation).at(-1)?.text, patience).toBe('from the lap')
  await say(bob, desk, { kind: 'reaction', target: typo, reactions: ['+1'] })
  const last = await say(bob, desk, { kind: 'text', text: 'after' })
  await expect.poll(() => chatsAt(bob, conversation).length, patience).toBe(3)
  for (const device of [desk, lap])
    await expect.poll(() => chatsAt(device, conversation), patience).toEqual(chatsAt(bob, conversation))
  await lap.node.delivery.chats.markRead(lap.account, conversation, last)
  await expect.poll(() => desk.knowledge.conversations.get(desk.account, conversation)?.unread, patience).toBe(0)
  for (const device of [desk, lap]) {
    await expect.poll(async () => (await device.read()).length, patience).toBe(2)
    await expect.poll(async () => (await device.read('Sent')).length, patience).toBe(1)
  }
}, 120_000)

test('a device that comes later is in the groups of its account, and reads and writes there', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const bob = await world.gateway('bob')
  await world.introduce(desk, bob)
  await bob.submit(desk.address, 'hello')
  await shows(desk).toEqual(['hello'])
  const patience = { timeout: 30_000, interval: 50 }
  const group = await desk.node.delivery.groups.create(desk.account, 'friends')
  await desk.node.delivery.groups.add(desk.account, group, [bob.account])
  const say = async (who: TestGateway, text: string) =>
    await who.node.delivery.groups.say(who.account, group, { parts: [{ kind: 'text', text }] })
  const texts = (who: TestGateway) => chatsAt(who, groupConversation(group)).map(({ text }) => text)
  await say(desk, 'one')
  await expect.poll(() => texts(bob), patience).toEqual(['one'])
  const lap = await world.gateway('lap', { joins: desk })
  await expect.poll(() => texts(lap), patience).toEqual(['one'])
  await expect
    .poll(() => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices.length, patience)
    .toBe(2)
  await say(bob, 'two')
  for (const device of [desk, lap]) await expect.poll(() => texts(device), patience).toEqual(['one', 'two'])
  await expect.poll(() => lap.node.delivery.groups.row(lap.account, group)?.state, patience).toBe('joined')
  await say(lap, 'three')
  for (const who of [bob, desk]) await expect.poll(() => texts(who), patience).toEqual(['one', 'two', 'three'])
}, 120_000)

test('who is removed by a device that came later keeps what was said before', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const bob = await world.gateway('bob')
  const carol = await world.gateway('carol')
  const patience = { timeout: 30_000, interval: 50 }
  for (const one of [bob, carol]) {
    await world.introduce(desk, one)
    await one.submit(desk.address, `hello from ${one.name}`)
  }
  await shows(desk).toEqual(['hello from bob', 'hello from carol'])
  const { groups } = desk.node.delivery
  const group = await groups.create(desk.account, 'friends')
  await groups.add(desk.account, group, [bob.account, carol.account])
  const texts = (who: TestGateway) => chatsAt(who, groupConversation(group)).map(({ text }) => text)
  for (const who of [bob, carol])
    await expect.poll(() => who.node.delivery.groups.row(who.account, group)?.state, patience).toBe('joined')
  await bob.node.delivery.groups.say(bob.account, group, { parts: [{ kind: 'text', text: 'one' }] })
  for (const who of [desk, carol]) await expect.poll(() => texts(who), patience).toEqual(['one'])
  const lap = await world.gateway('lap', { joins: desk })
  await expect.poll(() => texts(lap), patience).toEqual(['one'])
  await expect.poll(() => lap.node.delivery.groups.row(lap.account, group)?.state, patience).toBe('joined')
  await lap.node.delivery.groups.remove(lap.account, group, bob.account)
  for (const who of [desk, carol])
    await expect
      .poll(() => who.knowledge.groupBook.groupNow(who.account, group)?.state.members.has(bob.account), patience)
      .toBe(false)
  for (const who of [desk, lap, carol]) expect(texts(who)).toEqual(['one'])
}, 120_000)

test('what was said past a removal shows on no device of an account, whichever had it', async () => {
  await using world = await openWorld()
  const desk = await world.gateway('desk')
  const bob = await world.gateway('bob')
  const patience = { timeout: 30_000, interval: 50 }
  await world.introduce(desk, bob)
  await bob.submit(desk.address, 'hello')
  await shows(desk).toEqual(['hello'])
  const group = await desk.node.delivery.groups.create(desk.account, 'friends')
  await desk.node.delivery.groups.add(desk.account, group, [bob.account])
  const say = async (who: TestGateway, text: string) =>
    await who.node.delivery.groups.say(who.account, group, { parts: [{ kind: 'text', text }] })
  const texts = (who: TestGateway) => chatsAt(who, groupConversation(group)).map(({ text }) => text)
  const members = (who: TestGateway) => who.knowledge.groupBook.groupNow(who.account, group)?.state.members
  await say(desk, 'one')
  await expect.poll(() => texts(bob), patience).toEqual(['one'])
  const lap = await world.gateway('lap', { joins: desk })
  await expect.poll(() => texts(lap), patience).toEqual(['one'])
  await expect
    .poll(() => bob.knowledge.contacts.byIdentity(bob.account, desk.account)?.devices.length, patience)
    .toBe(2)
  world.network.partition('desk', 'bob')
  world.network.partition('desk', 'lap')
  await say(bob, 'late')
  await expect.poll(() => texts(lap), patience).toEqual(['one', 'late'])
  await desk.node.delivery.groups.remove(desk.account, group, bob.account)
  world.network.heal('desk', 'lap')
  await expect.poll(() => members(lap)?.has(bob.account), patience).toBe(false)
  await say(desk, 'two')
  for (const device of [desk, lap]) await expect.poll(() => texts(device), patience).toEqual(['one', 'two'])
}, 120_000)
