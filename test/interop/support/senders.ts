/** msmtp and curl: programs that only send, each with its own way to log in and to ask for reports. */
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { MailSettings } from './mail-settings.ts'
import { type Outcome, run } from './processes.ts'
import { tempFolder } from './temp-folder.ts'

interface Sending {
  readonly to: readonly string[]
  /** Whole, CRLF line ends. */
  readonly data: string
}

const onOff = (is: boolean): string => (is ? 'on' : 'off')

export async function msmtp(
  settings: MailSettings,
  { to, data, options = [] }: Sending & { readonly options?: readonly string[] },
): Promise<Outcome> {
  await using folder = await tempFolder('msmtp')
  const config = join(folder.path, 'msmtprc')
  const authority = join(folder.path, 'ca.pem')
  await writeFile(authority, settings.authorityPem ?? '')
  const lines = [
    'account default',
    `host ${settings.smtp.host}`,
    `port ${settings.smtp.port}`,
    `from ${settings.address}`,
    `user ${settings.user}`,
    `password ${settings.password}`,
    'auth plain',
    `tls ${onOff(settings.security !== 'plain')}`,
    `tls_starttls ${onOff(settings.security === 'starttls')}`,
    ...(settings.authorityPem === undefined ? [] : [`tls_trust_file ${authority}`]),
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  await chmod(config, 0o600)
  return await run('msmtp', [`--file=${config}`, ...options, '--', ...to], { input: data.replaceAll('\r\n', '\n') })
}

export async function curl(settings: MailSettings, { to, data }: Sending): Promise<Outcome> {
  await using folder = await tempFolder('curl')
  const mail = join(folder.path, 'mail')
  const config = join(folder.path, 'config')
  const authority = join(folder.path, 'ca.pem')
  await writeFile(mail, data)
  await writeFile(authority, settings.authorityPem ?? '')
  await writeFile(config, `user = "${settings.user}:${settings.password}"\n`, { mode: 0o600 })
  const scheme = settings.security === 'tls' ? 'smtps' : 'smtp'
  const security = {
    plain: [],
    starttls: ['--ssl-reqd', '--cacert', authority],
    tls: ['--cacert', authority],
  }[settings.security]
  const url = `${scheme}://${settings.smtp.host}:${settings.smtp.port}/client.example`
  const envelope = ['--mail-from', settings.address, ...to.flatMap((one) => ['--mail-rcpt', one])]
  return await run('curl', ['-sS', '--config', config, ...security, '--url', url, ...envelope, '--upload-file', mail])
}
