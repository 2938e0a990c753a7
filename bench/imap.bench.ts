/** How soon one mail program sees what another one did: from the OK of an APPEND to the EXISTS on a connection in IDLE. */
import { ImapFlow } from 'imapflow'
import type { Bench } from '../scripts/bench.ts'
import { Gateway } from '../test/interop/support/gateway-process.ts'

async function connect(gateway: Gateway): Promise<ImapFlow> {
  const { imap, user, password } = await gateway.settings('plain')
  const client = new ImapFlow({
    ...imap,
    secure: false,
    doSTARTTLS: false,
    auth: { user, pass: password },
    logger: false,
  })
  await client.connect()
  return client
}

export const bench: Bench = async ({ quick, say }) => {
  await using gateway = await Gateway.create('alice')
  await gateway.start()
  const writer = await connect(gateway)
  const watcher = await connect(gateway)
  await watcher.mailboxOpen('INBOX')
  let arrived = Promise.withResolvers<number>()
  watcher.on('exists', () => arrived.resolve(performance.now()))
  void watcher.idle().catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 500))
  const took: number[] = []
  for (let mail = 0; mail < (quick ? 200 : 1000); mail += 1) {
    arrived = Promise.withResolvers<number>()
    await writer.append('INBOX', `Subject: ${mail}\r\n\r\n${'x'.repeat(512)}\r\n`)
    const doneAt = performance.now()
    took.push(Math.max(0, (await arrived.promise) - doneAt))
  }
  await Promise.all([writer.logout(), watcher.logout()])
  const sorted = took.slice(20).toSorted((a, b) => a - b)
  say(`${sorted.length} pushes, median ${sorted[Math.floor(sorted.length / 2)]!.toFixed(2)} ms`)
  return [
    { name: 'idle_push_p95', unit: 'ms', value: Math.round(sorted[Math.floor(sorted.length * 0.95)]! * 100) / 100 },
  ]
}
