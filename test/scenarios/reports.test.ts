/** What a sender hears of their mail (RFC 3461, RFC 3464), and what never makes a report. */
import { simpleParser } from 'mailparser'
import { expect, test } from 'vitest'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import type { DsnNotify, Submission, SubmissionRecipient } from '../../src/core/delivery/submission.ts'
import type { Address } from '../../src/core/ids.ts'
import { limits } from '../../src/core/limits.ts'
import { tables } from '../../src/core/store/tables.ts'
import { createAccount } from '../../src/operations/accounts.ts'
import { openWorld, type TestGateway } from '../support/world.ts'

const ambient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const adjustable = limits as Record<keyof typeof limits, number>

/** Every mail in INBOX as it is stored, oldest first. */
async function inbox({ knowledge: { mailboxes }, account }: TestGateway): Promise<readonly string[]> {
  const columns = mailboxes.columns(account, mailboxes.byName(account, 'INBOX')!.id)
  const mails: string[] = []
  for (let index = 0; index < columns.count; index += 1) {
    const pieces: Uint8Array[] = []
    for await (const piece of mailboxes.read(account, columns.contentAt(index))) pieces.push(piece)
    mails.push(Buffer.concat(pieces).toString('latin1'))
  }
  return mails
}

async function submit(
  { node, account, address }: TestGateway,
  recipients: readonly SubmissionRecipient[],
  options: Partial<Submission> & { readonly text?: string } = {},
): Promise<void> {
  const { text = 'x', ...envelope } = options
  const raw = Buffer.from(`From: <${address}>\r\nSubject: test\r\nMessage-ID: <one@test>\r\n\r\n${text}\r\n`)
  async function* body(): AsyncGenerator<Uint8Array> {
    yield raw
  }
  await node.delivery.submitter.submit(account, { from: address, recipients, body: body(), ...envelope })
}

const asking = (address: Address, ...notify: DsnNotify[]): SubmissionRecipient => ({
  address,
  notify,
  originalRecipient: `rfc822;alias-of-${address}`,
})

/** Alice is a contact of Bob's and has blocked him: what he sends her comes back. */
async function blockedPair(world: Awaited<ReturnType<typeof openWorld>>) {
  const alice = await world.gateway('alice')
  const bob = await world.gateway('bob')
  await world.introduce(alice, bob)
  await bob.submit(alice.address, 'first')
  await expect.poll(() => alice.read()).toEqual(['first'])
  await alice.knowledge.store.write((tx) => alice.knowledge.contacts.using(tx).block(alice.account, bob.account))
  return { alice, bob }
}

const isIdle = ({ node }: TestGateway) => expect.poll(() => node.delivery.isIdle()).toBe(true)
const long = Array.from({ length: 4000 }, (_, line) => `line ${line} of a long letter`).join('\r\n')

test.each([
  ['short', 'x'],
  ['long', long],
])(
  'success is reported for %s mail to a contact and to another account here, each under its own address',
  async (_, text) => {
    await using world = await openWorld()
    const alice = await world.gateway('alice')
    const bob = await world.gateway('bob')
    await world.introduce(alice, bob)
    await createAccount(bob.knowledge, ambient, { localName: 'carol', address: undefined, displayName: undefined })
    const carol = bob.knowledge.accounts.byUser('carol')!.address
    await submit(bob, [asking(alice.address, 'success'), asking(carol, 'success', 'failure')], {
      envelopeId: 'envelope 1',
      returned: 'full',
      text,
    })
    const reports = async () => (await inbox(bob)).toSorted()
    await expect.poll(async () => (await reports()).length).toBe(2)
    for (const address of [alice.address, carol]) {
      const report = (await reports()).find((one) => one.includes(`Final-Recipient: rfc822; ${address}\r\n`))!
      expect(report).toContain('Return-Path: <>\r\n')
      expect(report).toContain('Original-Envelope-Id: envelope 1\r\n')
      expect(report).toContain(`Original-Recipient: rfc822;alias-of-${address}\r\n`)
      expect(report).toContain('Action: delivered\r\nStatus: 2.0.0\r\n')
      // RFC 3461 §4.3: RET applies to failures
      expect(report).toContain('Content-Type: text/rfc822-headers\r\n')
      expect(report).not.toContain('line 3999')
    }
  },
)

test('nobody hears of success who did not ask, and NEVER means never', async () => {
  await using world = await openWorld()
  const { alice, bob } = await blockedPair(world)
  await submit(bob, [{ address: bob.address }])
  await submit(bob, [asking(alice.address, 'never')])
  await submit(bob, [asking(alice.address, 'success', 'delay')])
  await isIdle(bob)
  expect((await inbox(bob)).filter((mail) => mail.includes('delivery-status'))).toEqual([])
})

test('nothing ever returns to an empty sender', async () => {
  await using world = await openWorld()
  const { alice, bob } = await blockedPair(world)
  await submit(bob, [asking(alice.address, 'failure')], { from: '' })
  await submit(bob, [asking(bob.address, 'success')], { from: '' })
  await isIdle(bob)
  const mails = await inbox(bob)
  expect(mails).toHaveLength(1)
  expect(mails[0]).toMatch(/^Return-Path: <>\r\nAuthentication-Results: localhost; x-mycelium=pass/)
})

test('long mail comes back whole when that was asked for, and as its header section otherwise', async () => {
  await using world = await openWorld()
  const { alice, bob } = await blockedPair(world)
  await submit(bob, [asking(alice.address, 'failure')], { returned: 'full', text: long })
  await expect.poll(async () => (await inbox(bob)).length).toBe(1)
  const whole = await simpleParser((await inbox(bob))[0]!)
  const returned = whole.attachments.find(({ contentType }) => contentType === 'message/rfc822')!
  expect((await simpleParser(returned.content)).text?.trim()).toBe(long.replaceAll('\r\n', '\n'))

  await submit(bob, [asking(alice.address, 'failure')], { text: long })
  await expect.poll(async () => (await inbox(bob)).length).toBe(2)
  expect((await inbox(bob))[1]).toContain('Content-Type: text/rfc822-headers\r\n')
  expect((await inbox(bob))[1]!.length).toBeLessThan(3000)
  await isIdle(bob)
  expect(bob.knowledge.store.read((tx) => [...tx.keys(tables.longReports, {})])).toEqual([])
})

test('mail over the bound comes back as its header section', async () => {
  const { reportReturnedBytesMax } = limits
  adjustable.reportReturnedBytesMax = 50_000
  try {
    await using world = await openWorld()
    const { alice, bob } = await blockedPair(world)
    await submit(bob, [asking(alice.address, 'failure')], { returned: 'full', text: long })
    await expect.poll(async () => (await inbox(bob)).length).toBe(1)
    expect((await inbox(bob))[0]).toContain('Content-Type: text/rfc822-headers\r\n')
  } finally {
    adjustable.reportReturnedBytesMax = reportReturnedBytesMax
  }
})
