/** The servers that are compared, each with the same mails. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Gateway } from '../../test/interop/support/gateway-process.ts'
import { startDovecot } from './dovecot.ts'
import { type Mail, syntheticMails } from './mails.ts'
import { processorMs } from '../support/processor-time.ts'
import { RawClient } from './raw-client.ts'

export interface Server {
  readonly name: 'gateway' | 'dovecot'
  readonly pid: number
  readonly client: RawClient
  readonly logIn: () => Promise<RawClient>
}

const appendMails = 500
const quietMs = 500

export async function openGateway(scope: AsyncDisposableStack): Promise<Server> {
  const gateway = scope.use(await Gateway.create('alice'))
  await gateway.start()
  const { imap, user, password } = await gateway.settings('plain')
  const logIn = async (): Promise<RawClient> => await RawClient.logIn(imap, user, password)
  return { name: 'gateway', pid: gateway.pid, logIn, client: scope.use(await logIn()) }
}

/** `undefined` where Dovecot is not installed. */
export async function openDovecot(
  scope: AsyncDisposableStack,
  say: (line: string) => void,
): Promise<Server | undefined> {
  const dovecot = await startDovecot()
  if (dovecot === undefined) {
    say('Dovecot (Debian package dovecot-imapd) is not installed: our figures only')
    return undefined
  }
  scope.use(dovecot)
  say(`compared with Dovecot ${dovecot.version}, sdbox`)
  return { name: 'dovecot', pid: dovecot.pid, logIn: dovecot.logIn, client: scope.use(await dovecot.logIn()) }
}

/** @returns octets */
export async function fill(servers: readonly Server[], count: number): Promise<number> {
  let octets = 0
  let batch: Mail[] = []
  const send = async (): Promise<void> => {
    await Promise.all(servers.map(async ({ client }) => await client.append('INBOX', batch)))
    batch = []
  }
  for (const mail of syntheticMails(count)) {
    octets += mail.bytes.length
    batch.push(mail)
    if (batch.length === appendMails) await send()
  }
  if (batch.length > 0) await send()
  return octets
}

/** What a delivery leaves to be done in quiet times is not charged to whoever asks next. */
export async function settled({ pid }: Server, msMax: number): Promise<void> {
  const until = performance.now() + msMax
  let before = processorMs(pid)
  while (performance.now() < until) {
    await sleep(quietMs)
    const now = processorMs(pid)
    if (now - before < quietMs / 20) return
    before = now
  }
}
