/** Whole gateways of people whom nobody invited: each writes one mail to somebody whose bundle it was given. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Identity } from '../../src/core/ids.ts'
import { serveParent } from './child.ts'
import { openPeerNode } from './peer-node.ts'

export interface StrangerRequest {
  readonly do: 'write'
  readonly name: string
  readonly address: string
  readonly identity: Identity
  /** As hex. */
  readonly bundle: string
  readonly withinMs: number
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Whether its mail was acknowledged in time. */
async function write({ name, address, identity, bundle, withinMs }: StrangerRequest): Promise<boolean> {
  const home = await mkdtemp(join(tmpdir(), `mycelium-bench-${name}-`))
  const { knowledge, node, account } = await openPeerNode({ home, name })
  const { contacts, people, store } = knowledge
  await store.write((tx) => people.learn(tx, account.identity, Buffer.from(bundle, 'hex'), identity))
  await store.write((tx) => contacts.using(tx).accept(account.identity, identity))
  const raw = `From: <${account.address}>\r\nTo: <${address}>\r\nSubject: ${name}\r\n\r\nMay I come in?\r\n`
  await node.delivery.submitter.submit(account.identity, {
    from: account.address,
    recipients: [{ address: address as Address, notify: ['never'] }],
    body: once(Buffer.from(raw)),
  })
  for (const until = performance.now() + withinMs; performance.now() < until; await sleep(100))
    if (node.delivery.counts.delivered > 0) break
  const { delivered } = node.delivery.counts
  await node[Symbol.asyncDispose]()
  await knowledge[Symbol.asyncDispose]()
  await rm(home, { recursive: true, force: true })
  return delivered > 0
}

serveParent(write)
