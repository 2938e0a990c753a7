/** mbsync and offlineimap against a real gateway: Maildir and account become the same, whichever side changed. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Imap } from './support/imap.ts'
import { Mbsync } from './support/mbsync.ts'
import { Offlineimap } from './support/offlineimap.ts'
import type { Maildir } from './support/maildir.ts'
import { requirePeer } from './support/peers.ts'
import { submit } from './support/submit.ts'
import { twoGateways, type TwoGateways } from './support/two-gateways.ts'

const parts = new AsyncDisposableStack()
let world: TwoGateways
beforeAll(async () => {
  world = parts.use(await twoGateways())
}, 120_000)
afterAll(async () => {
  await parts.disposeAsync()
})

const subjectsIn = async (mail: Maildir, folder: string): Promise<readonly string[]> =>
  (await mail.messages(folder)).map((message) => message.subject).sort()

const openers = { mbsync: Mbsync, offlineimap: Offlineimap } as const
const cases = [
  ['mbsync', 'plain'],
  ['mbsync', 'starttls'],
  ['mbsync', 'tls'],
  ['offlineimap', 'plain'],
  ['offlineimap', 'tls'],
] as const

for (const [program, security] of cases) {
  test(`${program} over ${security} keeps folder and account the same in both directions`, async (context) => {
    requirePeer(context, program)
    const { alice, bob } = world
    const name = (text: string): string => `${program} ${security} ${text}`
    for (const text of ['one', 'two', 'three', 'four', 'five']) {
      await submit(await bob.settings('plain'), { to: alice.address, subject: name(text), text })
    }
    await using imap = await Imap.open(await alice.settings('plain'))
    for (const text of ['one', 'two', 'three', 'four', 'five']) await imap.sees('INBOX', name(text))

    await using synced = await openers[program].open(await alice.settings(security))
    const { mail } = synced
    await synced.sync()
    expect(await mail.folders()).toEqual(
      expect.arrayContaining(['Archive', 'Drafts', 'INBOX', 'Junk', 'Sent', 'Trash']),
    )
    const local = (await mail.messages('INBOX')).filter((message) =>
      message.subject.startsWith(`${program} ${security} `),
    )
    expect(local.map((message) => message.subject).sort()).toEqual(['five', 'four', 'one', 'three', 'two'].map(name))

    // Changed here: one is read and flagged, two is deleted, four is moved, a note is added.
    const find = (text: string) => local.find((message) => message.subject === name(text))!
    await mail.setFlags(find('one'), 'FS')
    await mail.remove(find('two'))
    await mail.move(find('four'), 'Archive')
    await mail.add(
      'Archive',
      `${program}.${security}.note`,
      `From: ${alice.address}\nSubject: ${name('note')}\n\nkept\n`,
    )
    // Changed there, at the same time: three is answered, five is moved.
    const five = await imap.sees('INBOX', name('five'))
    await imap.inFolder('INBOX', (client) => client.messageMove(String(five.uid), 'Archive', { uid: true }))
    const three = await imap.sees('INBOX', name('three'))
    await imap.inFolder('INBOX', (client) =>
      client.messageFlagsAdd(String(three.uid), [String.raw`\Answered`], { uid: true }),
    )
    await synced.sync()

    const remote = await imap.list('INBOX')
    const one = remote.find((mail) => mail.subject === name('one'))
    expect([...(one?.flags ?? [])]).toEqual(expect.arrayContaining([String.raw`\Flagged`, String.raw`\Seen`]))
    expect(remote.some((mail) => mail.subject === name('two'))).toBe(false)
    const note = await imap.sees('Archive', name('note'))
    expect((await imap.source('Archive', note.uid)).toString()).toMatch(/\r\n\r\nkept\r\n$/)
    expect(remote.some((mail) => mail.subject === name('four'))).toBe(false)
    expect((await imap.list('Archive')).filter((mail) => mail.subject === name('four'))).toHaveLength(1)
    const localFive = async (folder: string): Promise<number> =>
      (await subjectsIn(mail, folder)).filter((subject) => subject === name('five')).length
    expect([await localFive('INBOX'), await localFive('Archive')]).toEqual([0, 1])
    const localThree = (await mail.messages('INBOX')).find((message) => message.subject === name('three'))
    expect(localThree?.flags).toContain('R')

    // Nothing is left to do: the next run changes neither side.
    const before = [await subjectsIn(mail, 'INBOX'), await subjectsIn(mail, 'Archive'), await imap.list('INBOX')]
    await synced.sync()
    expect([await subjectsIn(mail, 'INBOX'), await subjectsIn(mail, 'Archive'), await imap.list('INBOX')]).toEqual(
      before,
    )
  }, 60_000)
}

test('after a kill and a restart of the gateway mbsync finds what it knew, and nothing to do', async (context) => {
  requirePeer(context, 'mbsync')
  const { alice, bob } = world
  await submit(await bob.settings('plain'), { to: alice.address, subject: 'before the kill', text: 'hello' })
  await using before = await Imap.open(await alice.settings('plain'))
  await before.sees('INBOX', 'before the kill')
  await using synced = await Mbsync.open(await alice.settings('plain'))
  await synced.sync()
  const known = await subjectsIn(synced.mail, 'INBOX')
  const uids = (await before.list('INBOX')).map((mail) => mail.uid)

  await alice.kill()
  await alice.start()
  await synced.sync()
  await using after = await Imap.open(await alice.settings('plain'))
  expect((await after.list('INBOX')).map((mail) => mail.uid)).toEqual(uids)
  expect(await subjectsIn(synced.mail, 'INBOX')).toEqual(known)
}, 60_000)
