/** nodemailer as a user's program: submits with the account's own settings. */
import { createTransport, type SendMailOptions, type SentMessageInfo } from 'nodemailer'
import type { MailSettings } from './mail-settings.ts'

/** Sends one mail from the account. @throws with the server's reply when it is refused */
export async function submit(settings: MailSettings, mail: SendMailOptions): Promise<SentMessageInfo> {
  const transport = createTransport({
    host: settings.smtp.host,
    port: settings.smtp.port,
    secure: settings.security === 'tls',
    requireTLS: settings.security === 'starttls',
    ignoreTLS: settings.security === 'plain',
    auth: { user: settings.user, pass: settings.password },
    ...(settings.authorityPem === undefined ? {} : { tls: { ca: settings.authorityPem } }),
  })
  try {
    return await transport.sendMail({ from: { name: settings.displayName, address: settings.address }, ...mail })
  } finally {
    transport.close()
  }
}
