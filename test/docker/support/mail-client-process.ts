/**
 * A mail program in the engine's network. Standard input is one JSON order; the answer goes to standard output.
 * `send` hands over a mail; `read` waits until INBOX holds so many, and gives their subjects.
 */
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { ImapFlow } from 'imapflow'
import { createTransport } from 'nodemailer'

export interface MailOrder {
  readonly port: number
  readonly user: string
  readonly password: string
  /** Certificate authority of the box, PEM. */
  readonly authority: string
  readonly send?: { readonly from: string; readonly to: string; readonly subject: string }
  /** Mails to wait for. */
  readonly read?: number
}

const waitMsMax = 60_000

async function send({ port, user, password, authority, send: mail }: MailOrder): Promise<string> {
  const auth = { user, pass: password }
  const transport = createTransport({ host: 'localhost', port, secure: true, tls: { ca: authority }, auth })
  const { response } = await transport.sendMail({ ...mail, text: 'From one box to the other.' })
  transport.close()
  return response
}

async function read({ port, user, password, authority, read: wanted = 0 }: MailOrder): Promise<readonly string[]> {
  const auth = { user, pass: password }
  const client = new ImapFlow({ host: 'localhost', port, secure: true, tls: { ca: authority }, auth, logger: false })
  await client.connect()
  const deadline = Date.now() + waitMsMax
  for (;;) {
    const { exists } = await client.mailboxOpen('INBOX')
    if (exists >= wanted || Date.now() > deadline) break
    await sleep(200)
  }
  const subjects = (await client.fetchAll('1:*', { envelope: true })).map(({ envelope }) => envelope?.subject ?? '')
  await client.logout()
  return subjects
}

const order = JSON.parse(await text(process.stdin)) as MailOrder
process.stdout.write(JSON.stringify(order.send === undefined ? await read(order) : await send(order)))
