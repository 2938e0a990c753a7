/** The process behind peer.ts: submits and counts. */
import { unreachable } from '../../src/core/errors.ts'
import { serveParent } from './child.ts'
import { openPeerNode } from './peer-node.ts'
import type { PeerRequest } from './peer.ts'

const [home, name] = process.argv.slice(2) as [string, string]
const { knowledge, node, account, invite, accept } = await openPeerNode({ home, name })

const backlogMax = 2000

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function send({
  count,
  bytes,
  atOnce,
  firstNumber,
}: Extract<PeerRequest, { do: 'send' }>): Promise<{ readonly tookMs: number }> {
  const contact = knowledge.contacts.list(account.identity)[0]!
  const to = contact.addresses[0]!.address
  const startedAt = performance.now()
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < count) {
      const number = firstNumber + next
      next += 1
      // a client waits for its server: without this the run would first pile everything up and then send it
      while (node.delivery.backlog() > backlogMax) await new Promise((resolve) => setTimeout(resolve, 1))
      const head = `From: <${account.address}>\r\nTo: <${to}>\r\nMessage-ID: <${number}@bench>\r\nDate: Fri, 20 Nov 2026 00:00:00 +0000\r\nSubject: ${number}\r\n\r\n`
      const body = 'x'.repeat(bytes - 2)
      await node.delivery.submitter.submit(account.identity, {
        from: account.address,
        recipients: [{ address: to }],
        body: once(Buffer.from(`${head}${body}\r\n`)),
      })
    }
  }
  await Promise.all(Array.from({ length: atOnce }, lane))
  while (!node.delivery.isIdle()) await new Promise((resolve) => setTimeout(resolve, 5))
  return { tookMs: performance.now() - startedAt }
}

async function answer(request: PeerRequest): Promise<unknown> {
  switch (request.do) {
    case 'invite':
      return await invite()
    case 'accept':
      await accept(request.link)
      return null
    case 'send':
      return await send(request)
    case 'received':
      return knowledge.mailboxes.byName(account.identity, 'INBOX')?.messages ?? 0
    case 'cpu':
      return process.cpuUsage()
    default:
      return unreachable(request)
  }
}

serveParent(answer)
