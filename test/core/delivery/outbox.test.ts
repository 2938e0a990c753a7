/** The outbox against a plain list, over a store that is real: transactions that add, settle and change references. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Outbox, type OutboxRef, type OutgoingMessage, type QueuedRef } from '../../../src/core/delivery/outbox.ts'
import type { Address, DeviceId, Identity, MessageId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import { tables } from '../../../src/core/store/tables.ts'
import { temporaryStore } from '../store/support.ts'

const account = 'a'.repeat(64) as Identity
const contacts = ['b', 'c'].map((digit) => digit.repeat(64) as Identity)
const device = 'd'.repeat(64) as DeviceId
const nowMs = 1_790_000_000_000

let messages = 0
const newMessage = (): MessageId => {
  messages += 1
  return messages.toString(16).padStart(64, '0') as MessageId
}
const outgoing = (bytes: number): OutgoingMessage => ({
  encoded: new Uint8Array(bytes).fill(bytes),
  envelopeId: undefined,
  returned: 'headers',
  root: undefined,
  head: new Uint8Array(),
})
const refTo = (recipient: Identity, message: MessageId): Omit<OutboxRef, 'alone'> => ({
  account,
  recipient,
  message,
  address: 'somebody@example.org' as Address,
  notify: ['failure'],
  originalRecipient: undefined,
  submittedAtMs: nowMs,
  submittedRunMs: 0,
  expiresAtMs: nowMs + 1,
  ackedBy: [],
  refusedBy: [],
  delayReported: false,
})
const named = ({ seq, ref }: QueuedRef): string => `${seq} ${ref.recipient} ${ref.message} ${ref.ackedBy.length}`

const work = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('add' as const), to: fc.nat(1), bytes: fc.nat(6000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('change' as const), which: fc.nat() }) },
)

test('references come back in their order, as they were last changed, until they are removed', async () => {
  await using store = await temporaryStore()
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(work, { maxLength: 80 }), { maxLength: 6 }), async (transactions) => {
      const outbox = new Outbox()
      let expected: readonly QueuedRef[] = []
      for (const steps of transactions) {
        const { left, added } = await store.write((tx) => {
          const added: QueuedRef[] = []
          let left = expected
          for (const step of steps) {
            if (step.kind === 'add') {
              const message = newMessage()
              added.push(...outbox.add(tx, message, outgoing(step.bytes), [refTo(contacts[step.to]!, message)]))
              continue
            }
            const at = step.which % (left.length || 1)
            const one = left[at]
            if (one === undefined) continue
            expect(outbox.has(tx, one)).toBe(true)
            if (step.kind === 'remove') {
              expect(outbox.remove(tx, one.seq, one.ref)?.encoded).toEqual(one.ref.alone?.encoded)
              left = left.toSpliced(at, 1)
              expect(outbox.has(tx, one)).toBe(false)
            } else {
              const ref = { ...one.ref, ackedBy: [device] }
              outbox.put(tx, one.seq, ref)
              left = left.with(at, { seq: one.seq, ref })
              expect(outbox.get(tx, account, ref.recipient, one.seq)?.ackedBy).toEqual([device])
            }
          }
          return { left, added }
        })
        expected = [...left, ...added]
        const again = new Outbox()
        expect(store.read((tx) => again.count(tx))).toBe(expected.length)
        for (const contact of contacts) {
          const ofContact = expected.filter(({ ref }) => ref.recipient === contact).map(named)
          const found = await store.write((tx) => [...again.refs(tx, account, contact, 0, Infinity)].map(named))
          expect(found).toEqual(ofContact)
        }
      }
      await store.write((tx) => {
        for (const { seq, ref } of expected) outbox.remove(tx, seq, ref)
      })
      expect(store.read((tx) => outbox.isEmpty(tx))).toBe(true)
    }),
    { numRuns: 25 },
  )
})

test('a rush takes a row for every few dozen, long ones take rows of their own', async () => {
  await using store = await temporaryStore()
  const outbox = new Outbox()
  const add = async (count: number, bytes: number): Promise<number> => {
    await store.write((tx) => {
      for (let at = 0; at < count; at += 1) {
        const message = newMessage()
        outbox.add(tx, message, outgoing(bytes), [refTo(contacts[0]!, message)])
      }
    })
    return store.read((tx) => [...tx.keys(tables.outbox, {})].length)
  }
  expect(await add(2 * limits.outboxPackRefsMax, 100)).toBe(2)
  expect(await add(1, 100)).toBe(3)
  expect(await add(3, 20_000)).toBe(6)
})

test('what one transaction adds and another of the same commit removes is gone', async () => {
  await using store = await temporaryStore()
  const outbox = new Outbox()
  const added: QueuedRef[] = []
  const adding = store.write((tx) => {
    for (let at = 0; at < 3; at += 1) {
      const message = newMessage()
      added.push(...outbox.add(tx, message, outgoing(10), [refTo(contacts[0]!, message)]))
    }
  })
  const removing = store.write((tx) => outbox.remove(tx, added[1]!.seq, added[1]!.ref))
  await Promise.all([adding, removing])
  const there = async (): Promise<readonly boolean[]> =>
    await store.write((tx) => added.map((queued) => outbox.has(tx, queued)))
  expect(await there()).toEqual([true, false, true])
  await store.write((tx) => {
    for (const { seq, ref } of added) outbox.remove(tx, seq, ref)
  })
  expect(await there()).toEqual([false, false, false])
  expect(store.read((tx) => outbox.isEmpty(tx))).toBe(true)
})

test('the sweep reads no reference that is too young, and every one that is not', async () => {
  await using store = await temporaryStore()
  const outbox = new Outbox()
  await store.write((tx) => {
    for (let at = 0; at < 100; at += 1) {
      const message = newMessage()
      outbox.add(tx, message, outgoing(10), [refTo(contacts[0]!, message)])
    }
  })
  const swept = (beforeMs: number): number => {
    let count = 0
    for (let from: Uint8Array | undefined | null = null; from !== undefined;) {
      const slice = store.read((tx) => outbox.slice(tx, from ?? undefined, { rows: 2, beforeMs }))
      count += slice.refs.length
      from = slice.next
    }
    return count
  }
  expect(swept(nowMs)).toBe(0)
  expect(swept(nowMs + 1000)).toBe(100)
})
