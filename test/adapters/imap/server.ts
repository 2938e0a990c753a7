/** An IMAP server on loopback over real mailboxes in a temporary folder, with one account: alice, whose password is `secret`. */
import type { LogFields } from '../../../src/core/ambient.ts'
import { systemRandom } from '../../../src/core/ambient.ts'
import { type Imap, openImap } from '../../../src/adapters/imap/adapter.ts'
import { imapSummariser } from '../../../src/adapters/imap/summary.ts'
import { openAnnotations } from '../../../src/core/mailbox/annotations.ts'
import type { Mailboxes } from '../../../src/core/mailbox/mailbox.ts'
import { addAccounts, alice, deliver, type Home, temporaryHouse } from '../../core/mailbox/support.ts'
import { selfSigned } from '../wire/certificate.ts'
import { MemoryLogins } from '../wire/memory-logins.ts'

export interface TestServer extends AsyncDisposable {
  readonly imap: Imap
  readonly home: Home
  readonly cert: string
  readonly port: number
  readonly tlsPort: number
  readonly host: string
  readonly logged: readonly string[]
  deliver(message: string, options?: { readonly to?: string; readonly flags?: readonly string[] }): Promise<number>
}

export interface TestServerOptions {
  readonly messageBytesMax?: number
  readonly hasQuota?: boolean
  /** Stands between the server and the mailboxes. */
  readonly wrap?: (mailboxes: Mailboxes) => Mailboxes
}

export async function openTestServer({
  messageBytesMax = 50 * 1024 * 1024,
  hasQuota = true,
  wrap = (mailboxes) => mailboxes,
}: TestServerOptions = {}): Promise<TestServer> {
  await using parts = new AsyncDisposableStack()
  const house = parts.use(temporaryHouse())
  const home = parts.use(await house.open({ summariser: imapSummariser }))
  await addAccounts(home, house)
  const material = await selfSigned()
  const logins = new MemoryLogins([{ user: 'alice', password: 'secret', account: alice }])
  const logged: string[] = []
  const write = (event: string, fields?: LogFields): void => void logged.push(JSON.stringify({ event, ...fields }))
  const log = { debug: write, info: write, warn: write, error: write }
  const imap = parts.use(
    await openImap(
      { imap: { host: '127.0.0.1', port: 0 }, imaps: { host: '127.0.0.1', port: 0 } },
      {
        logins,
        mailboxes: wrap(home.mailboxes),
        annotations: openAnnotations(home.store),
        append: async (account, mailbox, messages, replaced) =>
          await home.store.write((tx) => {
            if (replaced !== undefined) home.mailboxes.discard(tx, account, replaced.mailbox, [replaced.uid])
            return home.mailboxes.append(
              tx,
              account,
              mailbox,
              messages.map(({ source, flags, internalDateMs }) => ({ ...source, flags, internalDateMs })),
            )
          }),
        tls: () => material,
        messageBytesMax,
        quota: () => ({ usedBytes: 2048, limitBytes: hasQuota ? 1024 * 1024 : undefined }),
      },
      { clock: house.ambient.clock, random: systemRandom, log },
    ),
  )
  const owned = parts.move()
  return {
    imap,
    home,
    cert: material.cert,
    host: '127.0.0.1',
    port: imap.listeners.imap!.port,
    tlsPort: imap.listeners.imaps!.port,
    logged,
    deliver: async (message, options = {}) => await deliver(home, message, options),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

export const simpleMail = (subject: string, body = 'Hello'): string =>
  `From: Bob <bob@far.myc>\r\nTo: alice@home.myc\r\nSubject: ${subject}\r\nMessage-ID: <${subject.replaceAll(' ', '.')}@far.myc>\r\n` +
  `Date: Mon, 2 Feb 2026 10:00:00 +0100\r\n\r\n${body}\r\n`
