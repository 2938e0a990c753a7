import { expect, test } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import { forge, inline } from '../support/forged.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const settled = (...gateways: readonly TestGateway[]) =>
  expect.poll(() => gateways.flatMap(({ node }) => node.delivery.waiting())).toEqual([])

async function raws({ knowledge: { mailboxes }, account }: TestGateway, name: string): Promise<readonly string[]> {
  const columns = mailboxes.columns(account, mailboxes.byName(account, name)!.id)
  const texts: string[] = []
  for (let index = 0; index < columns.count; index += 1) {
    const parts: Uint8Array[] = []
    for await (const part of mailboxes.read(account, columns.contentAt(index))) parts.push(part)
    texts.push(Buffer.concat(parts).toString('latin1'))
  }
  return texts
}

const many = (count: number): string => 'a:\r\n'.repeat(count)

test.each([
  ['two From fields', (own: string) => `From: ${own}\r\nFrom: boss@example.org\r\n\r\nx`],
  [
    'a From after more fields than are read',
    (own: string) => `From: ${own}\r\n${many(2500)}From: boss@example.org\r\n\r\nx`,
  ],
  ['a bare CR before another From', (own: string) => `From: ${own}\r\nX: y\rFrom: boss@example.org\r\n\r\nx`],
  ['a bare LF before another From', (own: string) => `X: y\nFrom: ${own}\n\nFrom: boss@example.org\r\n\r\nx`],
  ['a NUL in the header', (own: string) => `From: ${own}\r\nSubject: \0\r\n\r\nx`],
  ['a group', (own: string) => `From: The Boss: ${own};\r\n\r\nx`],
  ['a source route', (own: string) => `From: <@boss@example.org:${own}>\r\n\r\nx`],
  ['a space in the name of a second From', (own: string) => `From: ${own}\r\nFROM : boss@example.org\r\n\r\nx`],
  ['no From', () => `Subject: x\r\n\r\nx`],
  ['an own verdict on itself', (own: string) => `From: ${own}\r\nMycelium-Trust: in-person\r\n\r\nx`],
  ['a continuation before any field', (own: string) => ` boss\r\nFrom: ${own}\r\n\r\nx`],
])('mail with %s is only shown wrapped', async (_name, make) => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await forge(bob, alice.account, { content: inline(make(bob.address)) })
  await world.introduce(alice, bob)
  await settled(bob)
  expect(await raws(alice, 'INBOX')).toEqual([])
  const [shown] = await raws(alice, 'Requests')
  expect(shown).toMatch(/^Return-Path: <>\r\nFrom: Mycelium gateway/)
})

test('an address inside a message that is not one writes no header fields', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  const from = `x@y>\r\nFrom: boss@example.org\r\nX: <`
  await forge(bob, alice.account, { from, content: inline(`From: ${bob.address}\r\n\r\nx`) })
  await forge(bob, alice.account, { from: 'boss@example.org', content: inline(`From: ${bob.address}\r\n\r\ny`) })
  await world.introduce(alice, bob)
  await settled(bob)
  const all = [...(await raws(alice, 'INBOX')), ...(await raws(alice, 'Requests'))].join('\n')
  expect(all).not.toMatch(/^From: boss/m)
  expect(all).not.toMatch(/^Return-Path: <boss/m)
})

test('a message that nobody can read does no harm to those that share its frame', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  for (const [from, text] of [
    [bob.address, 'before'],
    ['x@y>\r\nX: <', 'bad'],
    [bob.address, 'after'],
  ] as const)
    await forge(bob, alice.account, { from, content: inline(`From: ${bob.address}\r\n\r\n${text}`) })
  await world.introduce(alice, bob)
  await settled(bob)
  expect(await alice.read()).toEqual(['before', 'after'])
})

test('descriptors of blobs that cannot be are refused and hold nothing', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  const root = 'ab'.repeat(32) as never
  const key = new Uint8Array(32)
  for (const [size, chunkBytes] of [
    [100_000, 100_000],
    [0, 64 * 1024],
    [100_000, 1024 * 1024],
    [limits.mailBytesMax * 3, 256 * 1024],
  ] as const)
    await forge(bob, alice.account, { content: { kind: 'blob', root, key, size, chunkBytes } })
  await world.introduce(alice, bob)
  await settled(bob)
})

test('mail with a false sender stays out of the inbox when Requests was removed', async () => {
  await using world = await openWorld()
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await alice.knowledge.mailboxes.remove(alice.account, 'Requests')
  await forge(bob, alice.account, { content: inline('Subject: x\r\n\r\nx') })
  await world.introduce(alice, bob)
  await settled(bob)
  expect(await raws(alice, 'INBOX')).toEqual([])
  expect(await raws(alice, 'Junk')).toHaveLength(1)
})
