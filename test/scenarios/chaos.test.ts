import { expect, test } from 'vitest'
import { ChaosLedger } from '../../bench/support/chaos/chaos-ledger.ts'
import { type ChaosOptions, runChaos } from '../../bench/support/chaos/chaos-run.ts'
import { runDeadSender } from '../../bench/support/chaos/dead-sender.ts'

const small: ChaosOptions = {
  seed: 4,
  gateways: 5,
  relays: 3,
  relaysAskWork: false,
  days: 1,
  messages: 150,
  density: 1,
  writesEveryMs: 30 * 60_000,
  crashesADay: 4,
  lossMax: 0.2,
  say: () => {},
}

test('a day of comings and goings, partitions, kills and bad links loses nothing and shows nothing twice', async () => {
  const found = await runChaos(small)
  expect(found).toMatchObject({ lost: 0, shownTwice: 0, foreign: 0, halves: 0, examples: [] })
  expect(found.messages).toBeGreaterThanOrEqual(150)
  expect(found.kills).toBeGreaterThan(3)
  expect(found.splits).toBeGreaterThan(0)
}, 120_000)

test('mail to somebody who is away arrives though its sender and two of three relays are dead', async () => {
  const found = await runDeadSender({ seed: 4, messages: 60, survivor: 1 })
  expect(found).toMatchObject({ messages: 60, lost: 0, shownTwice: 0, foreign: 0 })
  expect(found.byRelay).toBeGreaterThan(0)
}, 120_000)

test('one mail that is taken from the queue, and one that is put into a mailbox twice, are noticed', async () => {
  let doubled = 0
  let taken = 0
  const found = await runChaos({
    ...small,
    gateways: 3,
    relays: 0, // what lies at one arrives all the same
    days: 2,
    messages: 40,
    onDay: async (day, gateways) => {
      if (day > 1) return
      for (const { running, account } of gateways.filter(({ isRunning }) => isRunning)) {
        const { mailboxes } = running.knowledge
        const inbox = mailboxes.byName(account!, 'INBOX')!
        const columns = mailboxes.columns(account!, inbox.id)
        if (doubled === 0 && columns.count > 0) {
          doubled += 1
          await mailboxes.copy(account!, inbox.id, [columns.uidAt(0)], inbox.id)
        }
        const [waiting] = running.node.delivery.waiting()
        if (taken > 0 || waiting === undefined) continue
        taken += 1
        await running.node.delivery.cancel(waiting)
      }
    },
  })
  expect({ taken, doubled }).toEqual({ taken: 1, doubled: 1 })
  expect(found).toMatchObject({ lost: 1, shownTwice: 1 })
}, 120_000)

test('the ledger of a chaos run names what is lost, shown twice, gone, foreign and half', () => {
  const ledger = new ChaosLedger(3)
  const mail = { from: 0, to: [1, 2], atMs: 0 }
  for (const number of [1, 2, 3, 4]) ledger.begin(number, mail)
  for (const number of [1, 2, 3]) ledger.promise(number)
  for (const at of [1, 2]) ledger.show(at, '1/1', 1, { nowMs: 10 })
  ledger.show(1, '1/2', 2, { nowMs: 10 }) // and not at 2
  for (const [at, place] of ['1/2', '1/3'].entries()) ledger.show(2, place, 3, { nowMs: 10 + at })
  ledger.show(1, '1/3', 3, { nowMs: 10 })
  ledger.show(1, '1/4', 4, { nowMs: 10 }) // never promised, and not at 2
  ledger.show(1, '1/5', 99, { nowMs: 10 })
  ledger.compare(1, new Set(['1/2', '1/3', '1/4', '1/5'])) // 1/1 is gone
  expect(ledger.close()).toMatchObject({ lost: 2, shownTwice: 1, foreign: 1, halves: 1 })
})
