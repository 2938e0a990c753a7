import type { LogFields } from '../../../src/core/ambient.ts'
import { systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { openSmtp, type Smtp } from '../../../src/adapters/smtp/adapter.ts'
import { selfSigned } from '../wire/certificate.ts'
import { identityOf, MemoryLogins } from '../wire/memory-logins.ts'
import { MemorySubmitter } from './memory-submitter.ts'

export interface TestServer extends AsyncDisposable {
  readonly smtp: Smtp
  readonly submitter: MemorySubmitter
  readonly logins: MemoryLogins
  readonly cert: string
  readonly port: number
  readonly tlsPort: number
  readonly host: string
  /** Every log line, as text. */
  readonly logged: readonly string[]
}

/** A submission server on loopback with one account: alice, whose password is `secret`. */
export async function openTestServer({ messageBytesMax = 50 * 1024 * 1024 } = {}): Promise<TestServer> {
  const material = await selfSigned()
  const logins = new MemoryLogins([{ user: 'alice', password: 'secret', account: identityOf('alice') }])
  const submitter = new MemorySubmitter(['alice@home.myc', 'älice@home.myc'])
  const logged: string[] = []
  const write = (event: string, fields?: LogFields): void => void logged.push(JSON.stringify({ event, ...fields }))
  const log = { debug: write, info: write, warn: write, error: write }
  const smtp = await openSmtp(
    { smtp: { host: '127.0.0.1', port: 0 }, smtps: { host: '127.0.0.1', port: 0 }, messageBytesMax },
    { logins, submitter, hostname: 'home.myc', tls: () => material },
    { clock: systemClock, random: systemRandom, log },
  )
  return {
    smtp,
    submitter,
    logins,
    cert: material.cert,
    host: '127.0.0.1',
    port: smtp.listeners.smtp!.port,
    tlsPort: smtp.listeners.smtps!.port,
    logged,
    [Symbol.asyncDispose]: async () => await smtp[Symbol.asyncDispose](),
  }
}

export const plainLogin = Buffer.from('\0alice\0secret').toString('base64')
