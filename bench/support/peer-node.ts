/** A real store, real sessions and libp2p on loopback, in the process that asks for it, with one account. */
import { join } from 'node:path'
import { type Log, silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { Secret } from '../../src/core/crypto/secret.ts'
import type { OwnAccount } from '../../src/core/account/own-account.ts'
import type { Overlay } from '../../src/core/delivery/ports.ts'
import { parseInvitation } from '../../src/core/identity/invitation.ts'
import { type Knowledge, type Node, openKnowledge, openNode } from '../../src/node.ts'
import { createAccount } from '../../src/operations/accounts.ts'
import { openOverlay } from '../../src/overlay/overlay.ts'

export interface PeerNode {
  readonly knowledge: Knowledge
  readonly node: Node
  readonly account: OwnAccount
  readonly invite: () => Promise<string>
  readonly accept: (link: string) => Promise<void>
}

export interface PeerNodeOptions {
  readonly home: string
  readonly name: string
  /** 0 picks a free one. */
  readonly port?: number
  readonly log?: Log
  readonly wrap?: (overlay: Overlay) => Overlay
}

export async function openPeerNode(options: PeerNodeOptions): Promise<PeerNode> {
  const { home, name, port = 0, log = silentLog, wrap = (overlay: Overlay) => overlay } = options
  const ambient = { clock: systemClock, random: systemRandom, log }
  const key = Buffer.alloc(32, name)
  const knowledge = await openKnowledge(
    { paths: { store: join(home, 'store'), blobs: join(home, 'blobs') }, key: new Secret(Buffer.from(key)) },
    ambient,
  )
  if (knowledge.accounts.list().length === 0)
    await createAccount(knowledge, ambient, { localName: name, address: undefined, displayName: undefined })
  const account = knowledge.accounts.list()[0]!
  const config = {
    host: '127.0.0.1',
    port,
    webSocketPort: 0,
    mdns: false,
    bootstrap: [],
    relays: [],
    announce: [],
    loopback: true,
    routing: true,
    relay: false,
  }
  const overlay = await openOverlay({ config, key, ambient, transports: ['tcp'] })
  const node = await openNode(knowledge, wrap(overlay), ambient)
  return {
    knowledge,
    node,
    account,
    async invite() {
      const at = { gateway: node.overlay.self, locators: node.overlay.locators() }
      return (await knowledge.invitations.create(account, at)).link
    },
    async accept(link) {
      await knowledge.store.write((tx) =>
        knowledge.contacts.using(tx).addPending(account.identity, parseInvitation(link)),
      )
    },
  }
}
