/**
 * Geary as a person uses it, against a real gateway whose user has a contact on another one. What it does is looked for
 * on the gateway by a second program; what others do must appear on its screen by itself.
 */
import { afterAll, beforeAll, beforeEach, expect, test, type TestContext } from 'vitest'
import { simpleParser } from 'mailparser'
import { Geary } from './support/geary.ts'
import { Imap, type Mail } from './support/imap.ts'
import { requirePeer } from './support/peers.ts'
import { submit } from './support/submit.ts'
import { twoGateways, type TwoGateways } from './support/two-gateways.ts'
import { openDisplay } from './support/xvfb.ts'

/** Geary acts some seconds after it is told to, and later on a loaded machine. */
const actMsMax = 60_000

const parts = new AsyncDisposableStack()
let world: TwoGateways
let alicesMail: Imap
let running: Geary | undefined

beforeAll(async () => {
  world = parts.use(await twoGateways())
  alicesMail = parts.use(await Imap.open(await world.alice.settings('plain')))
  await alicesMail.client.mailboxCreate('Travel')
}, 240_000)
afterAll(async () => {
  await parts.disposeAsync()
})
// Each test begins with an empty inbox, so that rows of the list can be counted.
beforeEach(async () => {
  await emptyInbox()
  await running?.inbox()
  await running?.sees('an empty list', ({ conversations }) => conversations === 0)
}, 120_000)

async function emptyInbox(): Promise<void> {
  const uids = (await alicesMail.list('INBOX')).map((mail) => mail.uid).join(',')
  if (uids !== '') await alicesMail.inFolder('INBOX', (client) => client.messageDelete(uids, { uid: true }))
}

/** The first test that needs it starts it. */
async function alicesGeary(context: TestContext): Promise<Geary> {
  requirePeer(context, 'geary', 'Xvfb', 'dbus-run-session', 'gnome-keyring-daemon', 'secret-tool')
  requirePeer(context, '/usr/lib/python3/dist-packages/pyatspi')
  if (running !== undefined) return running
  const display = parts.use(await openDisplay('1600x1000'))
  running = parts.use(await Geary.open(display, await world.alice.settings('plain')))
  return running
}

/** Bob sends a mail, which appears in Alice's Geary as the only one, and is displayed. */
async function arrives(geary: Geary, subject: string): Promise<string> {
  await submit(await world.bob.settings('plain'), { to: world.alice.address, subject, text: `about ${subject}` })
  await geary.sees('the new conversation', ({ conversations }) => conversations === 1)
  await geary.select(0)
  return await geary.reads(subject)
}

const flagged = async (subject: string, flag: string): Promise<Mail> =>
  await alicesMail.until(
    'INBOX',
    `${flag} from Geary`,
    (mails) => mails.find((mail) => mail.subject === subject && mail.flags.has(flag)),
    actMsMax,
  )

test('mail appears in Geary when it comes, and what is displayed there is read everywhere', async (context) => {
  const geary = await alicesGeary(context)
  expect(await arrives(geary, 'Grüße')).toContain('about Grüße')
  await flagged('Grüße', String.raw`\Seen`)
  await geary.keepScreenshot('read')
}, 240_000)

test('a star that Geary gives is a flag for others', async (context) => {
  const geary = await alicesGeary(context)
  await arrives(geary, 'a star')
  await geary.command('mark-conversation-starred')
  await flagged('a star', String.raw`\Flagged`)
}, 240_000)

test('what Geary archives, moves and deletes is in Archive, in the chosen folder and in Trash', async (context) => {
  const geary = await alicesGeary(context)
  const ways = [
    ['please archive', 'Archive', () => geary.command('archive-conversation')],
    ['please move', 'Travel', () => geary.move('Travel')],
    ['please delete', 'Trash', () => geary.command('trash-conversation')],
  ] as const
  for (const [subject, folder, act] of ways) {
    await arrives(geary, subject)
    await act()
    await alicesMail.sees(folder, subject, actMsMax)
    await alicesMail.until('INBOX', 'end of it here', (mails) => mails.length === 0 || undefined, actMsMax)
    await geary.sees('an empty list', ({ conversations }) => conversations === 0)
  }
}, 240_000)

test('a message that another program deletes disappears from Geary by itself', async (context) => {
  const geary = await alicesGeary(context)
  await arrives(geary, 'soon gone')
  await emptyInbox()
  await geary.sees('an empty list', ({ conversations }) => conversations === 0)
}, 240_000)

test('Geary finds a message by a word of its text', async (context) => {
  const geary = await alicesGeary(context)
  await submit(await world.bob.settings('plain'), { to: world.alice.address, subject: 'animals', text: 'one zebra' })
  await submit(await world.bob.settings('plain'), { to: world.alice.address, subject: 'plants', text: 'one oak' })
  await geary.sees('both', ({ conversations }) => conversations === 2)
  await geary.search('zebra')
  await geary.sees('one result', ({ conversations }) => conversations === 1)
  await geary.select(0)
  expect(await geary.reads('animals')).toContain('one zebra')
  await geary.keepScreenshot('search')
}, 240_000)

test('what Geary sends arrives once, and Sent holds one copy', async (context) => {
  const geary = await alicesGeary(context)
  await geary.send(world.bob.address, 'from Geary', 'Dear Bob, hello')
  await using bobsMail = await Imap.open(await world.bob.settings('plain'))
  const { uid } = await bobsMail.sees('INBOX', 'from Geary', actMsMax)
  expect((await simpleParser(await bobsMail.source('INBOX', uid))).text).toContain('Dear Bob, hello')
  for (const [mail, folder] of [
    [bobsMail, 'INBOX'],
    [alicesMail, 'Sent'],
  ] as const) {
    expect(
      (await mail.list(folder)).filter((one) => one.subject === 'from Geary'),
      folder,
    ).toHaveLength(1)
  }
}, 240_000)
