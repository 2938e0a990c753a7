/** Gateways that are away, killed and back, seen from the mail programs of their users. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Gateway } from './support/gateway-process.ts'
import { Imap } from './support/imap.ts'
import { requirePeer } from './support/peers.ts'
import { submit } from './support/submit.ts'
import { swaks } from './support/swaks.ts'
import { twoGateways, type TwoGateways } from './support/two-gateways.ts'

const parts = new AsyncDisposableStack()
let world: TwoGateways
beforeAll(async () => {
  world = parts.use(await twoGateways())
}, 120_000)
afterAll(async () => {
  await parts.disposeAsync()
})

async function inboxOf(gateway: Gateway, subjectPrefix: string): Promise<readonly string[]> {
  await using imap = await Imap.open(await gateway.settings('plain'))
  const mails = await imap.list('INBOX')
  return mails.map((mail) => mail.subject).filter((subject) => subject.startsWith(subjectPrefix))
}

/** Waits until as many have arrived, then a little longer for what must not come. */
async function arrived(gateway: Gateway, subjectPrefix: string, count: number): Promise<readonly string[]> {
  await expect.poll(() => inboxOf(gateway, subjectPrefix), { timeout: 30_000, interval: 100 }).toHaveLength(count)
  await new Promise((resolve) => setTimeout(resolve, 1000))
  return await inboxOf(gateway, subjectPrefix)
}

test('what swaks was told is queued reaches a gateway that was off, once, and the queue says why it waits', async (context) => {
  requirePeer(context, 'swaks')
  const { alice, bob } = world
  await bob.stop()
  const settings = await alice.settings('starttls')
  const subjects = ['away 1', 'away 2', 'away 3']
  for (const subject of subjects) {
    const data = `From: ${alice.address}\r\nTo: ${bob.address}\r\nSubject: ${subject}\r\n\r\nhello\r\n`
    expect((await swaks(settings, { to: bob.address, data })).code).toBe(0)
  }
  const waiting = await alice.verb<readonly { readonly reason: string }[]>('queue', 'list')
  expect(waiting).toHaveLength(3)
  for (const { reason } of waiting) expect(reason).toMatch(/\w/)

  await bob.start()
  expect([...(await arrived(bob, 'away', 3))].sort()).toEqual(subjects)
  await expect.poll(() => alice.verb<readonly unknown[]>('queue', 'list'), { timeout: 15_000 }).toEqual([])
}, 90_000)

test('mail accepted just before the sender is killed is delivered, once, after both were killed and started', async () => {
  const { alice, bob } = world
  await bob.kill()
  const settings = await alice.settings('plain')
  for (let number = 0; number < 5; number += 1) {
    await submit(settings, { to: bob.address, subject: `killed ${number}`, text: 'hello' })
  }
  await alice.kill()
  await Promise.all([alice.start(), bob.start()])
  const subjects = [...(await arrived(bob, 'killed', 5))].sort()
  expect(subjects).toEqual(['killed 0', 'killed 1', 'killed 2', 'killed 3', 'killed 4'])

  await using imap = await Imap.open(await alice.settings('plain'))
  const sent = (await imap.list('Sent')).filter((mail) => mail.subject.startsWith('killed'))
  expect(sent).toHaveLength(5)
}, 90_000)

test('an answer goes back at once after all these restarts', async () => {
  const { alice, bob } = world
  await submit(await bob.settings('plain'), { to: alice.address, subject: 'answer at last', text: 'hello' })
  expect(await arrived(alice, 'answer', 1)).toEqual(['answer at last'])
}, 60_000)
