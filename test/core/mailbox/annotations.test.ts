/** Entries of METADATA: bounded in number and size, gone with their mailbox and their account. */
import { expect, test } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import { type AnnotationChange, openAnnotations } from '../../../src/core/mailbox/annotations.ts'
import { addAccounts, alice, bob, temporaryHouse } from './support.ts'

test('entries are one account’s own, and go with it', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const annotations = openAnnotations(home.store)
  await annotations.set(alice, undefined, new Map([['/private/a', Buffer.from('x')]]))
  expect(annotations.get(bob, undefined).size).toBe(0)
  await home.store.write((tx) => home.mailboxes.removeAccount(tx, alice))
  expect(annotations.get(alice, undefined).size).toBe(0)
})

test('too many entries or too many octets change nothing', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const annotations = openAnnotations(home.store)
  const inbox = home.mailboxes.byName(alice, 'INBOX')!.id
  const many = Array.from(
    { length: limits.annotationsMax + 1 },
    (_, at) => [`/private/${at}`, Buffer.from('x')] as const,
  )
  await expect(annotations.set(alice, inbox, new Map(many))).rejects.toMatchObject({ code: 'too-large' })
  expect(annotations.get(alice, inbox).size).toBe(0)
  const large = Buffer.alloc(limits.annotationBytesMax)
  const full = Array.from(
    { length: limits.annotationsBytesMax / large.length },
    (_, at) => [`/private/${at}`, large] as const,
  )
  await expect(annotations.set(alice, inbox, new Map(full))).rejects.toMatchObject({ code: 'mailbox-full' })
  expect(annotations.get(alice, inbox).size).toBe(0)
})

test('a change is told after it is on disk', async () => {
  using house = temporaryHouse()
  await using home = await house.open()
  await addAccounts(home, house)
  const annotations = openAnnotations(home.store)
  const told: AnnotationChange[] = []
  const stop = annotations.watch(alice, (change) => told.push(change))
  await annotations.set(alice, undefined, new Map([['/private/a', Buffer.from('x')]]))
  stop()
  await annotations.set(alice, undefined, new Map([['/private/a', undefined]]))
  expect(told).toEqual([{ mailbox: undefined, names: ['/private/a'] }])
})
