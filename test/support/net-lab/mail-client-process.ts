/**
 * A mail program in a namespace. Standard input is one JSON order, the answer goes to standard output. `send` hands over
 * a mail; `read` waits until a mail of that subject is in INBOX.
 */
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { ImapFlow } from 'imapflow'
import { createTransport } from 'nodemailer'

export interface MailOrder {
  readonly smtpPort: number
  readonly imapPort: number
  readonly user: string
  readonly password: string
  readonly send?: { readonly from: string; readonly to: string; readonly subject: string }
  readonly read?: string
}

export interface Seen {
  /** Unix time, milliseconds */
  readonly atMs: number
}

const waitMsMax = 60_000

async function send({ smtpPort: port, user, password, send: mail }: MailOrder): Promise<void> {
  const auth = { user, pass: password }
  const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true, auth })
  await transport.sendMail({ ...mail, text: 'From one network to the other.' })
  transport.close()
}

async function read({ imapPort: port, user, password, read: subject }: MailOrder): Promise<void> {
  const auth = { user, pass: password }
  const client = new ImapFlow({ host: '127.0.0.1', port, secure: false, doSTARTTLS: false, auth, logger: false })
  await client.connect()
  await client.mailboxOpen('INBOX')
  for (const deadline = Date.now() + waitMsMax; ; await sleep(50)) {
    await client.noop()
    const found = await client.search({ header: { subject: subject! } })
    if (Array.isArray(found) && found.length > 0) break
    if (Date.now() > deadline) throw new Error(`no mail '${subject}' within ${waitMsMax / 1000} s`)
  }
  client.close()
}

const order = JSON.parse(await text(process.stdin)) as MailOrder
await (order.send === undefined ? read(order) : send(order))
process.stdout.write(JSON.stringify({ atMs: Date.now() } satisfies Seen))
