/** The index behind searches: what it holds follows the mail, through copies, expunges, crashes and other versions. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test, vi } from 'vitest'
import type { Uid } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { foldKey, matches, type SearchKey } from '../../../src/core/mailbox/search.ts'
import { openTree } from '../../../src/core/store/snapshot.ts'
import type { Table } from '../../../src/core/store/store.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { addAccounts, alice, bob, deliver, type Home, type House, temporaryHouse } from './support.ts'

const { signal } = new AbortController()

async function find(home: Home, key: SearchKey, name = 'INBOX'): Promise<readonly Uid[]> {
  const { id } = home.mailboxes.byName(alice, name)!
  const columns = home.mailboxes.columns(alice, id)
  const uids = Array.from({ length: columns.count }, (_, index) => columns.uidAt(index))
  return await home.mailboxes.search(alice, id, uids, key, { signal })
}
const text = (text: string): SearchKey => ({ kind: 'text', text })
const header = (name: string, text: string): SearchKey => ({ kind: 'header', name, text })

const rowsOf = ({ store }: Home): number => store.read((tx) => [...tx.keys(tables.searchIndex, {})].length)

const mail = (subject: string, body: string): string => `Subject: ${subject}\r\nX-Spam-Score: seven\r\n\r\n${body}\r\n`

/** In one transaction. */
async function deliverAll({ store, mailboxes }: Home, mails: readonly string[]): Promise<void> {
  const { id } = mailboxes.byName(alice, 'INBOX')!
  await store.write((tx) => {
    const items = mails.map((text) => ({
      ...mailboxes.storeInline(tx, alice, Buffer.from(text)),
      flags: [],
      internalDateMs: 0,
    }))
    mailboxes.append(tx, alice, id, items)
  })
}

/** How many messages are read while `use` runs. */
async function readsOf({ blobs }: Home, use: () => Promise<unknown>): Promise<number> {
  const [inline, streamed] = [vi.spyOn(blobs, 'readInline'), vi.spyOn(blobs, 'read')]
  await use()
  const reads = inline.mock.calls.length + streamed.mock.calls.length
  vi.restoreAllMocks()
  return reads
}

test('an indexed message is read only when it may match, and never for a listed field', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const others = Array.from({ length: 100 }, (_, index) => mail(`number ${index}`, 'nothing of note'))
  await deliverAll(home, [...others, mail('the last', 'a zymurgist writes')])
  await home.mailboxes.indexNow()
  expect(await readsOf(home, async () => expect(await find(home, text('Zymurg'))).toEqual([101]))).toBeLessThan(10)
  expect(await readsOf(home, async () => expect(await find(home, header('subject', 'THE L'))).toEqual([101]))).toBe(0)
  expect(await readsOf(home, async () => expect(await find(home, header('x-other', ''))).toEqual([]))).toBeLessThan(10)
  expect(await find(home, header('x-spam-score', 'even'))).toHaveLength(101)
  expect(await find(home, { kind: 'not', key: text('nothing') })).toEqual([101])
})

test('a copy is found by what its original has in the index', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await deliver(home, mail('one', 'zymurgy'))
  await home.mailboxes.indexNow()
  const rows = rowsOf(home)
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  await home.mailboxes.copy(alice, id, [1 as Uid], home.mailboxes.byName(alice, 'Archive')!.id)
  expect(await readsOf(home, async () => await find(home, header('subject', 'one'), 'Archive'))).toBe(0)
  expect(await readsOf(home, async () => await home.mailboxes.indexNow())).toBe(0)
  expect(rowsOf(home)).toBe(rows)
  expect(home.mailboxes.searchIndex(alice)).toEqual({ messages: 2, waiting: 0 })
})

test('what is swept leaves the index, what is next to it stays', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await deliver(home, mail('one', 'zymurgy'), { flags: ['\\Deleted'] })
  await deliver(home, mail('two', 'xylophone'))
  await home.mailboxes.indexNow()
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  const sizes = (): number[] =>
    home.store.read((tx) => [...tx.range(tables.searchIndex, {})].map(({ value }) => value.length))
  const before = sizes()
  await home.mailboxes.expunge(alice, id)
  house.pass(limits.blobGraceMs + 1)
  await home.blobs.sweep()
  expect(sizes().every((size, index) => size < before[index]!)).toBe(true)
  expect(await readsOf(home, async () => expect(await find(home, header('subject', 'two'))).toEqual([2]))).toBe(0)
  await home.store.write((tx) => home.mailboxes.discard(tx, alice, id, [2 as Uid]))
  house.pass(limits.blobGraceMs + 1)
  await home.blobs.sweep()
  expect(rowsOf(home)).toBe(0)
})

test('an account that is removed leaves nothing in the index, another one stays', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await deliver(home, mail('one', 'zymurgy'))
  await deliver(home, mail('two', 'zymurgy'), { account: bob })
  await home.mailboxes.indexNow()
  await home.store.write((tx) => home.mailboxes.removeAccount(tx, alice))
  expect(rowsOf(home)).toBe(2)
  expect(home.store.read((tx) => [...tx.keys(tables.searchProgress, {})])).toHaveLength(1)
})

test('what was not indexed when the gateway ended is, after the next start', async () => {
  using house = temporaryHouse()
  {
    await using home = await house.open()
    await addAccounts(home, house)
    await deliver(home, mail('one', 'zymurgy'))
    await home.mailboxes.indexNow()
    await deliver(home, mail('two', 'zymurgy'))
  }
  await using home = await house.open()
  expect(home.mailboxes.searchIndex(alice)).toEqual({ messages: 2, waiting: 1 })
  expect(await find(home, text('zymurgy'))).toEqual([1, 2])
  home.mailboxes.continueIndexing(alice)
  await home.mailboxes.indexNow()
  expect(home.mailboxes.searchIndex(alice)).toEqual({ messages: 2, waiting: 0 })
  expect(await readsOf(home, async () => expect(await find(home, header('subject', 'two'))).toEqual([2]))).toBe(0)
})

test('an index of another version is made anew, and until then not believed', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await deliver(home, mail('one', 'zymurgy'))
  await home.mailboxes.indexNow()
  await home.store.write((tx) => {
    for (const table of [tables.searchIndex, tables.searchProgress])
      for (const { key, value } of tx.range(table, {}))
        tx.put(table, key, Uint8Array.of(99, ...value.subarray(1).map((octet, at) => (at > 6 ? 0 : octet))))
  })
  expect(home.mailboxes.searchIndex(alice).waiting).toBe(1)
  expect(await find(home, text('zymurgy'))).toEqual([1])
  home.mailboxes.continueIndexing(alice)
  await home.mailboxes.indexNow()
  expect(home.mailboxes.searchIndex(alice).waiting).toBe(0)
  expect(await readsOf(home, async () => expect(await find(home, header('subject', 'one'))).toEqual([1]))).toBe(0)
})

test('a long message is found by its header without being read whole, and by the end of its text', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const body = `${'A long letter indeed. '.repeat(40_000)}zymurgy`
  const source = async function* (): AsyncGenerator<Uint8Array> {
    await Promise.resolve()
    yield Buffer.from(mail('long', body))
  }
  const { content, size } = await home.mailboxes.store(alice, source(), { bytesMax: 10_000_000 })
  const { id } = home.mailboxes.byName(alice, 'INBOX')!
  await home.store.write((tx) =>
    home.mailboxes.append(tx, alice, id, [{ content, size, flags: [], internalDateMs: 0 }]),
  )
  for (const wait of [async () => {}, async () => await home.mailboxes.indexNow()]) {
    await wait()
    expect(await find(home, text('zymurgy'))).toEqual([1])
    expect(await find(home, text('xylophone'))).toEqual([])
    expect(await find(home, header('x-spam-score', 'seven'))).toEqual([1])
    expect(await find(home, header('subject', 'short'))).toEqual([])
  }
  const octets = vi.spyOn(home.blobs, 'read')
  await find(home, header('x-spam-score', 'seven'))
  expect(octets.mock.calls.map(([, , range]) => range?.to)).toEqual([limits.searchSliceBytesMax])
})

/** Flips a bit of every row of a table, in a store that nobody has open. */
async function damage({ root }: House, table: Table): Promise<number> {
  const tree = openTree(join(root, 'store'))
  const rows = [...tree.getRange({})].filter(({ key }) => key[0] === table.id)
  for (const { key, value } of rows) {
    const changed = Uint8Array.from(value)
    changed[changed.length - 1]! ^= 1
    tree.putSync(Uint8Array.from(key), changed)
  }
  await tree.close()
  return rows.length
}

test('a damaged row of the index hides nothing, and is made anew', async () => {
  for (const table of [tables.searchIndex, tables.searchProgress]) {
    using house = temporaryHouse()
    {
      await using home = await house.open()
      await addAccounts(home, house)
      await deliverAll(home, [mail('one', 'zymurgy'), mail('two', 'xylophone')])
      await deliver(home, mail('three', 'zymurgy'), { to: 'Archive' })
      await home.mailboxes.indexNow()
    }
    expect(await damage(house, table)).toBeGreaterThan(0)
    await using home = await house.open()
    await deliver(home, mail('four', 'zymurgy'))
    expect(await find(home, text('zymurgy'))).toEqual([1, 3])
    expect(await find(home, header('subject', 'two'))).toEqual([2])
    home.mailboxes.continueIndexing(alice)
    await home.mailboxes.indexNow()
    expect(home.mailboxes.searchIndex(alice).waiting).toBe(0)
    expect(await readsOf(home, async () => await find(home, header('subject', 'two')))).toBe(0)
    expect(await readsOf(home, async () => await find(home, header('subject', 'three'), 'Archive'))).toBe(0)
    expect(home.store.read((tx) => [...tx.range(tables.searchIndex, {})]).length).toBe(rowsOf(home))
  }
})

test('damaged rows of the index do not keep swept content', async () => {
  using house = temporaryHouse()
  {
    await using home = await house.open()
    await addAccounts(home, house)
    await deliver(home, mail('one', 'zymurgy'), { flags: ['\\Deleted'] })
    await home.mailboxes.indexNow()
    await home.mailboxes.expunge(alice, home.mailboxes.byName(alice, 'INBOX')!.id)
  }
  await damage(house, tables.searchIndex)
  await using home = await house.open()
  house.pass(limits.blobGraceMs + 1)
  expect((await home.blobs.sweep()).contents).toBe(1)
  expect(rowsOf(home)).toBe(0)
})

/** Above what is kept in its row. */
async function deliverLong({ store, mailboxes }: Home, text: string): Promise<void> {
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.from(text))
  }
  const { content, size } = await mailboxes.store(alice, source(), { bytesMax: 100_000_000 })
  const { id } = mailboxes.byName(alice, 'INBOX')!
  await store.write((tx) => mailboxes.append(tx, alice, id, [{ content, size, flags: [], internalDateMs: 0 }]))
}

test('a damaged message, long or short, is not found, and keeps no other from the index or a search', async () => {
  for (const words of [2000, 50_000]) {
    using house = temporaryHouse()
    await using home = await house.open()
    await addAccounts(home, house)
    await deliverLong(home, mail('long', 'xylophone '.repeat(words)))
    const blobs = join(house.root, 'blobs')
    const path = join(blobs, readdirSync(blobs)[0]!)
    const file = readFileSync(path)
    for (let at = 0; at < file.length; at += 1000) file[at]! ^= 1
    writeFileSync(path, file)
    await deliver(home, mail('two', 'zymurgy'))
    for (const wait of [async () => {}, async () => await home.mailboxes.indexNow()]) {
      await wait()
      expect(await find(home, text('zymurgy'))).toEqual([2])
      expect(await find(home, text('xylophone'))).toEqual([])
    }
    expect(home.mailboxes.searchIndex(alice).waiting).toBe(0)
  }
})

test('a text too long for the index is read by each search', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  await deliverLong(home, mail('long', `${'xylophone\r\n'.repeat(800_000)}zymurgy`))
  await home.mailboxes.indexNow()
  expect(home.mailboxes.searchIndex(alice).waiting).toBe(0)
  expect(await find(home, text('zymurgy'))).toEqual([1])
  expect(await find(home, text('marimba'))).toEqual([])
  expect(await find(home, header('subject', 'long'))).toEqual([1])
}, 60_000)

test('of a mail with a large attachment, a window at a time is read', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const attachment = 'QUJDREVGR0hJSktM'.repeat(100).concat('\r\n').repeat(2000)
  await deliverLong(
    home,
    'Subject: large\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nzymurgy\r\n' +
      `--b\r\nContent-Type: application/zip; name=a.zip\r\n\r\n${attachment}--b\r\n\r\nxylophone\r\n--b--\r\n`,
  )
  const octets = vi.spyOn(home.blobs, 'read')
  for (const wait of [async () => {}, async () => await home.mailboxes.indexNow()]) {
    await wait()
    for (const word of ['zymurgy', 'xylophone', 'a.zip']) expect(await find(home, text(word))).toEqual([1])
    expect(await find(home, text('QUJDREVG'))).toEqual([])
  }
  const lengths = octets.mock.calls.map(([, , range]) => (range === undefined ? Infinity : range.to - range.from))
  expect(Math.max(...lengths)).toBeLessThanOrEqual(256 * 1024)
  vi.restoreAllMocks()
})

const word = fc.oneof(
  fc.constantFrom(
    'tea',
    'Käse',
    'ΟΔΟΣ',
    'Straße',
    'привет',
    '日本語',
    'ｶﾞｽ',
    'zymurgy',
    '=?utf-8?B?w6Q=?=',
    '&auml;',
    '<b>',
  ),
  fc.string({ minLength: 1, maxLength: 6 }),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }),
)
const line = fc.array(word, { maxLength: 8 }).map((words) => words.join(' ').replaceAll(/[\r\n]/g, ''))
const entity = fc
  .record({
    type: fc.constantFrom('text/plain', 'text/html', 'application/pdf; name="Käse.pdf"', 'message/rfc822'),
    encoding: fc.constantFrom('8bit', 'base64', 'quoted-printable'),
    lines: fc.array(line, { maxLength: 6 }),
  })
  .map(({ type, encoding, lines }) => {
    const body = lines.join('\r\n')
    const written = encoding === 'base64' ? Buffer.from(body).toString('base64') : body
    return `Content-Type: ${type}\r\nContent-Transfer-Encoding: ${encoding}\r\n\r\n${written}`
  })
const anyMail = fc
  .record({ subject: line, from: line, other: line, parts: fc.array(entity, { maxLength: 3 }) })
  .map(({ subject, from, other, parts }) => {
    const head = `Subject: ${subject}\r\nFrom: ${from}\r\nX-Other: ${other}\r\nDate: Mon, 2 Feb 2026 10:00:00 +0100\r\n`
    const body = parts.map((part) => `--b\r\n${part}\r\n`).join('')
    return parts.length === 1
      ? `${head}${parts[0]!}`
      : `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n${body}--b--\r\n`
  })

test('with an index, a search finds what reading every message finds', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const corpus = fc.sample(anyMail, { numRuns: 80, seed: 20_261_121 })
  await deliverAll(home, corpus)
  await home.mailboxes.indexNow()
  const piece = fc
    .tuple(fc.constantFrom(...corpus), fc.nat(500), fc.integer({ min: 1, max: 12 }))
    .map(([written, from, length]) => written.slice(from % written.length).slice(0, length))
  const needle = fc.oneof(word, line, piece)
  const leaf: fc.Arbitrary<SearchKey> = fc.oneof(
    needle.map((text): SearchKey => ({ kind: 'text', text })),
    needle.map((text): SearchKey => ({ kind: 'body', text })),
    fc
      .tuple(fc.constantFrom('subject', 'from', 'x-other', 'cc', 'date'), fc.oneof(needle, fc.constant('')))
      .map(([name, text]): SearchKey => ({ kind: 'header', name, text })),
    fc.constantFrom(1, 3).map((day): SearchKey => ({ kind: 'sent-date', period: { from: Date.UTC(2026, 1, day) } })),
  )
  const key = fc.oneof(
    leaf,
    leaf.map((key): SearchKey => ({ kind: 'not', key })),
    fc
      .tuple(fc.constantFrom('and' as const, 'or' as const), fc.array(leaf, { minLength: 2, maxLength: 3 }))
      .map(([kind, keys]): SearchKey => ({ kind, keys })),
  )
  await fc.assert(
    fc.asyncProperty(key, async (key) => {
      const expected = corpus.flatMap((written, index) =>
        matches(foldKey(key), Buffer.from(written)) ? [index + 1] : [],
      )
      expect(await find(home, key)).toEqual(expected)
    }),
    { numRuns: 200 },
  )
})
