import { expect, onTestFinished, test } from 'vitest'
import type { Change } from '../../../src/core/mailbox/mailbox.ts'
import type { ContentId, ModSeq, Uid } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { createAccountMailboxes } from '../../../src/core/mailbox/first-mailboxes.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { addAccounts, alice, bob, deliver, temporaryHouse } from './support.ts'

const adjustable = limits as Record<keyof typeof limits, number>
const uid = (value: number): Uid => value as Uid

test('a new account has its mailboxes, each with a special use and subscribed', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  expect(home.mailboxes.list(alice)).toEqual([])
  await addAccounts(home, house)
  const listed = home.mailboxes.list(alice)
  expect(listed.map(({ name }) => name)).toEqual(['INBOX', 'Archive', 'Drafts', 'Junk', 'Sent', 'Trash'])
  expect(listed.every(({ subscribed, messages, uidNext }) => subscribed && messages === 0 && uidNext === 1)).toBe(true)
  expect(home.mailboxes.bySpecialUse(alice, '\\Sent')?.name).toBe('Sent')
  expect(home.mailboxes.byName(alice, 'inbox')?.name).toBe('INBOX')
})

test('delivery counts, watches, and survives a restart', async () => {
  using house = temporaryHouse()
  let id: ContentId
  {
    await using home = await house.open()
    await addAccounts(home, house)
    const seen: Change[] = []
    const stop = home.mailboxes.watch(alice, (change) => {
      // Whoever hears of a change finds it done.
      expect(home.mailboxes.byName(alice, 'INBOX')?.messages).toBe(seen.length + 1)
      seen.push(change)
    })
    await deliver(home, 'one')
    await deliver(home, 'two', { flags: ['\\Seen', 'Work'] })
    stop()
    await deliver(home, 'three', { account: bob })
    const inbox = home.mailboxes.byName(alice, 'INBOX')!
    expect(seen.map(({ event }) => event)).toEqual([
      { kind: 'appended', mailbox: inbox.id, uids: [1] },
      { kind: 'appended', mailbox: inbox.id, uids: [2] },
    ])
    expect(inbox).toMatchObject({ messages: 2, unseen: 1, deleted: 0, size: 6, uidNext: 3 })
    id = home.mailboxes.columns(alice, inbox.id).contentAt(1)
  }
  await using home = await house.open()
  const inbox = home.mailboxes.byName(alice, 'INBOX')!
  const columns = home.mailboxes.columns(alice, inbox.id)
  expect(inbox).toMatchObject({ messages: 2, unseen: 1, size: 6, uidNext: 3 })
  expect(columns.count).toBe(2)
  expect(columns.contentAt(1)).toBe(id)
  expect(columns.flagsOf(columns.flagSetAt(1))).toEqual(['Work', '\\Seen'])
  expect(columns.keywords()).toEqual(['Work'])
  expect(Buffer.from(home.mailboxes.readInline(alice, id)!).toString()).toBe('two')
  expect(() => home.mailboxes.readInline(bob, id)).toThrow(expect.objectContaining({ code: 'no-such-message' }))
  expect(home.mailboxes.changesSince(alice, 0, 10).at(-1)?.event.kind).toBe('appended')
})

test('writers of one flush see what the others did to messages whose index is in memory', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  for (let message = 1; message <= 600; message += 1) await deliver(home, `mail ${message}`)
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  const columns = home.mailboxes.columns(alice, id)
  const flagsOf = (message: number): readonly string[] =>
    columns.flagsOf(columns.flagSetAt(columns.indexOf(uid(message))))

  const uids = [255, 256, 257, 512, 513].map(uid)
  await Promise.all([
    home.mailboxes.setFlags(alice, id, uids, { mode: 'add', flags: ['\\Seen'] }),
    home.mailboxes.setFlags(alice, id, [uid(256)], { mode: 'add', flags: ['\\Deleted'] }),
    home.mailboxes.expunge(alice, id),
    home.mailboxes.setFlags(alice, id, uids, { mode: 'add', flags: ['\\Flagged'] }),
  ])
  expect(columns.count).toBe(599)
  for (const message of [255, 257, 512, 513]) expect(flagsOf(message)).toEqual(['\\Flagged', '\\Seen'])
  expect(flagsOf(514)).toEqual([])

  // as the rows say, without what is in memory
  await home[Symbol.asyncDispose]()
  await using again = await house.open()
  const stored = again.mailboxes.columns(alice, id)
  const all = Array.from({ length: 599 }, (_, index) => index)
  expect(all.map((index) => stored.uidAt(index))).toEqual(all.map((index) => columns.uidAt(index)))
  expect(all.map((index) => stored.flagSetAt(index))).toEqual(all.map((index) => columns.flagSetAt(index)))
})

test('writers of one flush see what the others appended: no UID is given twice', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const uids = await Promise.all(Array.from({ length: 300 }, (_, index) => deliver(home, `message ${index}`)))
  expect([...uids].sort((a, b) => a - b)).toEqual(Array.from({ length: 300 }, (_, index) => index + 1))
  const { id, highestModSeq } = home.mailboxes.byName(alice, 'INBOX')!
  const columns = home.mailboxes.columns(alice, id)
  expect(columns.count).toBe(300)
  expect(columns.modSeqAt(299)).toBe(highestModSeq)
  expect(new Set(Array.from({ length: 300 }, (_, index) => columns.modSeqAt(index))).size).toBe(300)
})

test('a discarded transaction leaves no trace in memory', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const inbox = home.mailboxes.byName(alice, 'INBOX')!
  home.mailboxes.columns(alice, inbox.id)
  const failed = home.store.write((tx) => {
    const stored = home.mailboxes.storeInline(tx, alice, Buffer.from('never'))
    home.mailboxes.append(tx, alice, inbox.id, [{ ...stored, flags: ['Gone'], internalDateMs: 0 }])
    throw new RangeError('no')
  })
  await expect(failed).rejects.toThrow(RangeError)
  expect(home.mailboxes.byName(alice, 'INBOX')).toEqual(inbox)
  expect(home.mailboxes.columns(alice, inbox.id).count).toBe(0)
  expect(await deliver(home, 'first')).toBe(1)
})

test('flags change with CONDSTORE, case-insensitively, and only where they differ', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  for (const text of ['a', 'b', 'c']) await deliver(home, text)
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  const columns = () => home.mailboxes.columns(alice, id)
  const flags = (index: number): readonly string[] => columns().flagsOf(columns().flagSetAt(index))
  const all = [uid(1), uid(2), uid(3), uid(9)]
  const before = columns().modSeqAt(1)
  expect(await home.mailboxes.setFlags(alice, id, all, { mode: 'add', flags: ['\\SEEN', '$Label1'] })).toMatchObject({
    changed: [1, 2, 3],
    failed: [],
  })
  expect(flags(0)).toEqual(['$Label1', '\\Seen'])
  expect(await home.mailboxes.setFlags(alice, id, all, { mode: 'add', flags: ['$LABEL1'] })).toEqual({
    changed: [],
    failed: [],
  })
  const guarded = await home.mailboxes.setFlags(
    alice,
    id,
    all,
    { mode: 'remove', flags: ['\\Seen'] },
    { unchangedSince: before },
  )
  expect(guarded).toEqual({ changed: [], failed: [1, 2, 3] })
  await home.mailboxes.setFlags(alice, id, [uid(2)], { mode: 'replace', flags: ['\\Deleted'] })
  expect(flags(1)).toEqual(['\\Deleted'])
  expect(home.mailboxes.byId(alice, id)).toMatchObject({ unseen: 1, deleted: 1 })
  await expect(home.mailboxes.setFlags(alice, id, all, { mode: 'add', flags: ['two words'] })).rejects.toThrow(
    expect.objectContaining({ code: 'malformed' }),
  )
})

test('expunge removes what is \\Deleted and leaves tombstones', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  for (const text of ['a', 'b', 'c', 'd']) await deliver(home, text)
  const { id, highestModSeq } = home.mailboxes.byName(alice, 'INBOX')!
  expect(await home.mailboxes.expunge(alice, id)).toEqual([])
  await home.mailboxes.setFlags(alice, id, [uid(2), uid(3)], { mode: 'add', flags: ['\\Deleted'] })
  expect(await home.mailboxes.expunge(alice, id, [uid(1), uid(2)])).toEqual([2])
  expect(await home.mailboxes.expunge(alice, id)).toEqual([3])
  expect(home.mailboxes.expungedSince(alice, id, highestModSeq)).toEqual([2, 3])
  expect(home.mailboxes.expungedSince(alice, id, home.mailboxes.byId(alice, id)!.highestModSeq)).toEqual([])
  expect(home.mailboxes.byId(alice, id)).toMatchObject({ messages: 2, deleted: 0, uidNext: 5 })
  expect(home.mailboxes.columns(alice, id).indexOf(uid(4))).toBe(1)
})

test('copies share content, moves are in one place, content goes an hour after its last use', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const [inbox, archive, trash] = ['INBOX', 'Archive', 'Trash'].map((name) => home.mailboxes.byName(alice, name)!.id)
  await deliver(home, 'text', { flags: ['\\Flagged', 'Blue'] })
  const content = home.mailboxes.columns(alice, inbox!).contentAt(0)
  expect(await home.mailboxes.copy(alice, inbox!, [uid(1), uid(7)], archive!)).toEqual([{ from: 1, to: 1 }])
  expect(await home.mailboxes.move(alice, inbox!, [uid(1)], trash!)).toEqual([{ from: 1, to: 1 }])
  const moved = home.mailboxes.columns(alice, trash!)
  expect(moved.flagsOf(moved.flagSetAt(0))).toEqual(['Blue', '\\Flagged'])
  expect(moved.contentAt(0)).toBe(content)
  expect(home.mailboxes.byId(alice, inbox!)?.messages).toBe(0)
  await home.store.write((tx) => home.mailboxes.retain(tx, alice, content))
  for (const mailbox of [archive!, trash!])
    await home.store.write((tx) => home.mailboxes.discard(tx, alice, mailbox, [uid(1)]))
  house.pass(2 * limits.blobGraceMs)
  expect(await home.blobs.sweep()).toEqual({ contents: 0, files: 0 })
  await home.store.write((tx) => home.mailboxes.release(tx, alice, content))
  expect(await home.blobs.sweep()).toMatchObject({ contents: 0 })
  expect(home.mailboxes.readInline(alice, content)).toBeDefined()
  house.pass(2 * limits.blobGraceMs)
  expect(await home.blobs.sweep()).toMatchObject({ contents: 1 })
  expect(() => home.mailboxes.readInline(alice, content)).toThrow(expect.objectContaining({ code: 'no-such-message' }))
})

test('quota is counted over all mailboxes and refuses before anything changes', async () => {
  using house = temporaryHouse()
  await using home = await house.open({ quotaBytes: () => 10 })
  await addAccounts(home, house)
  await deliver(home, '12345678')
  await expect(deliver(home, 'abc', { to: 'Sent' })).rejects.toThrow(expect.objectContaining({ code: 'mailbox-full' }))
  await deliver(home, 'ab', { to: 'Sent' })
  expect(home.mailboxes.usedBytes(alice)).toBe(10)
  const [inbox, sent] = ['INBOX', 'Sent'].map((name) => home.mailboxes.byName(alice, name)!.id)
  await expect(home.mailboxes.copy(alice, sent!, [uid(1)], inbox!)).rejects.toThrow(
    expect.objectContaining({ code: 'mailbox-full' }),
  )
  await home.mailboxes.move(alice, sent!, [uid(1)], inbox!)
  await home.store.write((tx) => home.mailboxes.discard(tx, alice, inbox!, [uid(1)]))
  expect(home.mailboxes.usedBytes(alice)).toBe(2)
})

test('many messages are copied in several transactions, and all of them or none', async () => {
  using house = temporaryHouse()
  await using home = await house.open({ quotaBytes: () => 49 })
  await addAccounts(home, house)
  for (let message = 1; message <= 10; message += 1) await deliver(home, 'abcd'.slice(0, message % 2 === 0 ? 4 : 2))
  const [inbox, archive] = ['INBOX', 'Archive'].map((name) => home.mailboxes.byName(alice, name)!.id)
  const uids = Array.from({ length: 10 }, (_, index) => uid(index + 1))
  const atOnce = limits.mailboxCopiedAtOnce
  onTestFinished(() => {
    adjustable.mailboxCopiedAtOnce = atOnce
  })
  adjustable.mailboxCopiedAtOnce = 3
  await expect(home.mailboxes.copy(alice, inbox!, uids, archive!)).rejects.toThrow(
    expect.objectContaining({ code: 'mailbox-full' }),
  )
  expect(home.mailboxes.byId(alice, archive!)?.messages).toBe(0)
  expect(home.mailboxes.usedBytes(alice)).toBe(30)

  const some = uids.slice(4)
  const pairs = await home.mailboxes.copy(alice, inbox!, some.toReversed(), archive!)
  expect(pairs.map(({ from }) => from)).toEqual(some)
  const { uidNext } = home.mailboxes.byId(alice, archive!)!
  expect(pairs.map(({ to }) => to)).toEqual(some.map((_, index) => uidNext - some.length + index))
  expect(home.mailboxes.usedBytes(alice)).toBe(48)
})

test('mailboxes are created, renamed with their children, and removed', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const { mailboxes } = home
  const created = await mailboxes.create(alice, 'Work/2026/März')
  expect(created.name).toBe('Work/2026/März')
  await expect(mailboxes.create(alice, 'Work')).rejects.toThrow(expect.objectContaining({ code: 'mailbox-exists' }))
  await expect(mailboxes.create(alice, 'inbox')).rejects.toThrow(expect.objectContaining({ code: 'mailbox-exists' }))
  for (const bad of ['', '/a', 'a/', 'a//b', 'a\u0000b', 'a\nb', '\ud800', 'x'.repeat(1001), 'a/'.repeat(40) + 'b'])
    await expect(mailboxes.create(alice, bad)).rejects.toThrow(expect.objectContaining({ code: 'malformed' }))
  await deliver(home, 'kept', { to: 'Work/2026/März' })
  await mailboxes.rename(alice, 'Work', 'Old/Job')
  expect(mailboxes.list(alice).map(({ name }) => name)).toEqual(
    expect.arrayContaining(['Old', 'Old/Job', 'Old/Job/2026', 'Old/Job/2026/März']),
  )
  expect(mailboxes.byName(alice, 'Work')).toBeUndefined()
  expect(mailboxes.byId(alice, created.id)).toMatchObject({ name: 'Old/Job/2026/März', messages: 1 })
  await expect(mailboxes.rename(alice, 'Old', 'Old/Below')).rejects.toThrow(
    expect.objectContaining({ code: 'malformed' }),
  )
  await expect(mailboxes.remove(alice, 'INBOX')).rejects.toThrow(expect.objectContaining({ code: 'mailbox-reserved' }))
  await mailboxes.remove(alice, 'Old/Job/2026/März')
  expect(mailboxes.byId(alice, created.id)).toBeUndefined()
  expect(() => mailboxes.columns(alice, created.id)).toThrow(expect.objectContaining({ code: 'no-such-mailbox' }))
  const again = await mailboxes.create(alice, 'Old/Job/2026/März')
  expect(again.uidValidity).toBeGreaterThan(created.uidValidity)
  expect(again.id).not.toBe(created.id)
})

test('renaming INBOX moves its messages and leaves it', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await deliver(home, 'a')
  await deliver(home, 'b', { flags: ['\\Seen'] })
  await home.mailboxes.rename(alice, 'INBOX', 'Before')
  expect(home.mailboxes.byName(alice, 'INBOX')).toMatchObject({ messages: 0, uidNext: 3 })
  expect(home.mailboxes.byName(alice, 'Before')).toMatchObject({ messages: 2, unseen: 1 })
})

test('subscriptions outlive their mailboxes', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await home.mailboxes.create(alice, 'Lists')
  await home.mailboxes.subscribe(alice, 'Lists', true)
  await home.mailboxes.subscribe(alice, 'Junk', false)
  await home.mailboxes.remove(alice, 'Lists')
  expect(home.mailboxes.subscriptions(alice)).toEqual(['Archive', 'Drafts', 'INBOX', 'Lists', 'Sent', 'Trash'])
  expect(home.mailboxes.byName(alice, 'Junk')?.subscribed).toBe(false)
})

test('a rolled-back home gets higher UIDVALIDITY everywhere, even when its clock was set back', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const before = home.mailboxes.list(alice)
  house.pass(-1_000_000_000)
  await home.store.write((tx) => home.mailboxes.bumpUidValidity(tx, alice))
  const highest = Math.max(...before.map(({ uidValidity }) => uidValidity))
  expect(home.mailboxes.list(alice).every(({ uidValidity }) => uidValidity > highest)).toBe(true)
  expect(home.mailboxes.list(bob).every(({ uidValidity }) => uidValidity <= highest)).toBe(true)
})

test('a removed account leaves nothing but content that the sweep takes, the other account stays', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await deliver(home, 'alice')
  await deliver(home, 'bob', { account: bob })
  await home.store.write((tx) => home.mailboxes.removeAccount(tx, alice))
  expect(home.mailboxes.list(alice)).toEqual([])
  expect(home.mailboxes.changesSince(alice, 0, 10)).toEqual([])
  expect(home.mailboxes.byName(bob, 'INBOX')?.messages).toBe(1)
  house.pass(2 * limits.blobGraceMs)
  expect(await home.blobs.sweep()).toMatchObject({ contents: 1 })
  for (const table of [tables.mailboxes, tables.mailboxCounters, tables.mailboxAccounts, tables.contents])
    expect(home.store.read((tx) => [...tx.keys(table, {})].length)).toBe(
      table === tables.mailboxes || table === tables.mailboxCounters ? 6 : 1,
    )
  await home.store.write((tx) => createAccountMailboxes(tx, alice, house.ambient))
  expect(await deliver(home, 'again')).toBe(1)
})

test('what is not there is refused by name', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const inbox = home.mailboxes.byName(alice, 'INBOX')!.id
  const append = (content: string, mailbox = inbox): Promise<unknown> =>
    home.store.write((tx) =>
      home.mailboxes.append(tx, alice, mailbox, [
        { content: content as ContentId, size: 1, flags: [], internalDateMs: 0 },
      ]),
    )
  await expect(append('ff'.repeat(32))).rejects.toThrow(expect.objectContaining({ code: 'no-such-message' }))
  const other = home.mailboxes.byName(bob, 'INBOX')!.id
  await expect(append('ff'.repeat(32), other)).rejects.toThrow(expect.objectContaining({ code: 'no-such-mailbox' }))
  expect(() => home.mailboxes.expungedSince(alice, other, 0 as ModSeq)).toThrow()
})

test('summaries are made on demand, in the background, and anew for a new version', async () => {
  using house = temporaryHouse()
  let made = 0
  const summariser = (version: number) => ({
    version,
    summarise: (message: Uint8Array) => {
      made += 1
      return Buffer.from(`${version}:${message.length}`)
    },
    summariseLarge: async () => await Promise.reject(new Error('these are small')),
  })
  {
    await using home = await house.open({ summariser: summariser(1) })
    await addAccounts(home, house)
    for (let index = 0; index < 70; index += 1) await deliver(home, 'x'.repeat(index + 1))
    const { id } = home.mailboxes.byName(alice, 'INBOX')!
    const summary = await home.mailboxes.summary(alice, id, 5 as Uid)
    expect(Buffer.from(summary).toString()).toBe('1:5')
    await expect.poll(() => made).toBe(70)
    await expect.poll(() => home.mailboxes.summaryNow(alice, id, 70 as Uid)?.length).toBe(4)
    await home.store.write(() => {})
  }
  {
    await using home = await house.open({ summariser: summariser(1) })
    const { id } = home.mailboxes.byName(alice, 'INBOX')!
    const found = Array.from({ length: 70 }, (_, index) => home.mailboxes.summaryNow(alice, id, (index + 1) as Uid))
    expect(found.map((summary) => summary && Buffer.from(summary).toString())).toEqual(
      Array.from({ length: 70 }, (_, index) => `1:${index + 1}`),
    )
    expect(made).toBe(70)
  }
  await using home = await house.open({ summariser: summariser(2) })
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  expect(home.mailboxes.summaryNow(alice, id, 1 as Uid)).toBeUndefined()
  expect(Buffer.from(await home.mailboxes.summary(alice, id, 1 as Uid)).toString()).toBe('2:1')
  await expect(home.mailboxes.summary(alice, id, 71 as Uid)).rejects.toThrow(
    expect.objectContaining({ code: 'no-such-message' }),
  )
})

test('what one commit expunged is told, however much it was', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  const uids = await home.store.write((tx) => {
    const stored = home.mailboxes.storeInline(tx, alice, Buffer.from('text'))
    const item = { ...stored, flags: [], internalDateMs: 0 }
    return home.mailboxes.append(
      tx,
      alice,
      id,
      Array.from({ length: 150_000 }, () => item),
    )
  })
  const { highestModSeq } = home.mailboxes.byId(alice, id)!
  await home.store.write((tx) => home.mailboxes.discard(tx, alice, id, uids))
  expect(home.mailboxes.expungedSince(alice, id, highestModSeq)).toEqual(uids)
})
