/** imapflow with the few questions that the tests ask. */
import { ImapFlow, type FetchMessageObject } from 'imapflow'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MailSettings } from './mail-settings.ts'

export interface Mail {
  readonly uid: number
  readonly subject: string
  readonly messageId: string
  readonly flags: ReadonlySet<string>
}

export class Imap implements AsyncDisposable {
  /** For what only one test needs. */
  readonly client: ImapFlow

  private constructor(client: ImapFlow) {
    this.client = client
  }

  static async open(settings: MailSettings): Promise<Imap> {
    const client = new ImapFlow({
      host: settings.imap.host,
      port: settings.imap.port,
      secure: settings.security === 'tls',
      doSTARTTLS: settings.security === 'starttls',
      auth: { user: settings.user, pass: settings.password },
      ...(settings.authorityPem === undefined ? {} : { tls: { ca: settings.authorityPem } }),
      logger: false,
    })
    // A gateway that is killed under its clients is part of the tests; commands then fail by themselves.
    client.on('error', () => undefined)
    await client.connect()
    return new Imap(client)
  }

  /** All messages of a folder, in order of arrival. */
  async list(folder: string): Promise<readonly Mail[]> {
    const lock = await this.client.getMailboxLock(folder)
    try {
      // Untagged news waits for a command; without one an open folder would stay as it was when it was opened.
      await this.client.noop()
      const { mailbox } = this.client
      // In an empty folder 1:* names a message that does not exist, which a server may refuse.
      if (!mailbox || mailbox.exists === 0) return []
      const mails: Mail[] = []
      for await (const message of this.client.fetch('1:*', { uid: true, flags: true, envelope: true })) {
        mails.push(mailOf(message))
      }
      return mails
    } finally {
      lock.release()
    }
  }

  /** Waits until a folder holds a message with this subject. @throws after `timeoutMs` */
  async sees(folder: string, subject: string, timeoutMs = 15_000): Promise<Mail> {
    return await this.until(
      folder,
      `message "${subject}"`,
      (mails) => mails.find((mail) => mail.subject === subject),
      timeoutMs,
    )
  }

  /** Waits until a folder's messages answer `found`. @throws after `timeoutMs`, with what was there instead */
  async until<T>(
    folder: string,
    what: string,
    found: (mails: readonly Mail[]) => T | undefined,
    timeoutMs = 15_000,
  ): Promise<T> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const mails = await this.list(folder)
      const value = found(mails)
      if (value !== undefined) return value
      if (performance.now() > deadline) {
        const there = mails.map(({ subject, flags }) => `${subject} (${[...flags].join(' ')})`)
        throw new Error(`${folder}: no ${what} within ${timeoutMs} ms; there: ${there.join('; ') || 'nothing'}`)
      }
      await sleep(50)
    }
  }

  /** The message as the server keeps it. */
  async source(folder: string, uid: number): Promise<Buffer> {
    const lock = await this.client.getMailboxLock(folder)
    try {
      const message = await this.client.fetchOne(String(uid), { source: true }, { uid: true })
      if (!message || message.source === undefined) throw new Error(`${folder}: no message ${uid}`)
      return message.source
    } finally {
      lock.release()
    }
  }

  /** Runs `use` with a folder open. */
  async inFolder<T>(folder: string, use: (client: ImapFlow) => Promise<T>): Promise<T> {
    const lock = await this.client.getMailboxLock(folder)
    try {
      return await use(this.client)
    } finally {
      lock.release()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close()
    await Promise.resolve()
  }
}

/** \Recent tells which session was first to see a message, nothing about the message: left out. */
function mailOf({ uid, flags, envelope }: FetchMessageObject): Mail {
  const kept = [...(flags ?? [])].filter((flag) => flag !== String.raw`\Recent`)
  return { uid, subject: envelope?.subject ?? '', messageId: envelope?.messageId ?? '', flags: new Set(kept) }
}
