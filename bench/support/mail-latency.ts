/** From the 250 of one gateway's SMTP server to the EXISTS that the other gateway's IMAP server pushes, through real processes. */
import { ImapFlow } from 'imapflow'
import { createTransport } from 'nodemailer'
import { twoGateways } from '../../test/interop/support/two-gateways.ts'

const arrivalMsMax = 10_000

/** @returns milliseconds for each mail, in order */
export async function smtpToExists(mails: number): Promise<readonly number[]> {
  await using pair = await twoGateways()
  const { alice, bob } = pair
  const submission = await alice.settings('plain')
  const reading = await bob.settings('plain')
  const transport = createTransport({
    host: submission.smtp.host,
    port: submission.smtp.port,
    pool: true,
    maxConnections: 1,
    ignoreTLS: true,
    auth: { user: submission.user, pass: submission.password },
  })
  const imap = new ImapFlow({
    host: reading.imap.host,
    port: reading.imap.port,
    secure: false,
    doSTARTTLS: false,
    auth: { user: reading.user, pass: reading.password },
    logger: false,
  })
  await imap.connect()
  await imap.mailboxOpen('INBOX')
  let exists = 0
  let arrivedAt = 0
  let wake = (): void => {}
  imap.on('exists', ({ count }: { readonly count: number }) => {
    exists = count
    arrivedAt = performance.now()
    wake()
  })
  void imap.idle().catch(() => {})
  const arrival = async (mail: number): Promise<void> => {
    const timeout = setTimeout(() => wake(), arrivalMsMax)
    if (exists < mail) await new Promise<void>((resolve) => (wake = resolve))
    clearTimeout(timeout)
    if (exists < mail) throw new Error(`mail ${mail} did not arrive within ${arrivalMsMax} ms`)
  }
  const took: number[] = []
  for (let sent = 1; sent <= mails; sent += 1) {
    await transport.sendMail({ from: alice.address, to: bob.address, subject: `${sent}`, text: 'x'.repeat(512) })
    const acceptedAt = performance.now()
    await arrival(sent)
    took.push(Math.max(0, arrivedAt - acceptedAt))
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  transport.close()
  await imap.logout()
  return took
}
