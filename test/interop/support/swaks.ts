/** swaks, the SMTP test program: one transaction, with every answer of the server. */
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { run } from './processes.ts'
import { tempFolder } from './temp-folder.ts'
import type { MailSettings } from './mail-settings.ts'

export interface Transaction {
  readonly to: string
  /** Envelope sender; the account's own address unless given. */
  readonly from?: string
  /** The whole message with CRLF line ends; swaks makes one up without it. */
  readonly data?: string
  readonly mechanism?: 'PLAIN' | 'LOGIN'
}

export interface Dialogue {
  /** 0 when the server took the message; 24 recipient refused, 23 sender refused, 28 login refused. */
  readonly code: number
  /** Both sides of the conversation. */
  readonly text: string
}

const tlsOption = { plain: [], starttls: ['--tls'], tls: ['--tls-on-connect'] } as const

export async function swaks(settings: MailSettings, transaction: Transaction): Promise<Dialogue> {
  const { to, from = settings.address, data, mechanism = 'PLAIN' } = transaction
  await using folder = await tempFolder('swaks')
  const args = ['--server', settings.smtp.host, '--port', String(settings.smtp.port), '--to', to, '--from', from]
  args.push('--auth', mechanism, '--auth-user', settings.user, ...tlsOption[settings.security])
  if (settings.authorityPem !== undefined) {
    const path = join(folder.path, 'ca.pem')
    await writeFile(path, settings.authorityPem)
    args.push('--tls-verify', '--tls-ca-path', path)
  }
  if (data !== undefined) {
    const path = join(folder.path, 'data')
    // swaks ends the data with a line end of its own.
    await writeFile(path, data.replace(/\r\n$/, ''))
    args.push('--data', `@${path}`)
  }
  const { code, stdout, stderr } = await run('swaks', args, {
    env: { SWAKS_OPT_auth_password: settings.password, HOME: folder.path },
  })
  return { code, text: stdout + stderr }
}
