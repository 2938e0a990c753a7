/** Several gateways' nodes on the memory network, each with real stores in a temporary folder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ambient, silentLog, systemClock, systemRandom } from '../../src/core/ambient.ts'
import { Secret } from '../../src/core/crypto/secret.ts'
import type { ChatGroups } from '../../src/core/delivery/chat-mail/groups.ts'
import type { GatewayAddress, Overlay } from '../../src/core/delivery/ports.ts'
import type { Address, Identity } from '../../src/core/ids.ts'
import { parseInvitation } from '../../src/core/identity/invitation.ts'
import { parseAddress } from '../../src/core/message/address.ts'
import type { openStore } from '../../src/core/store/lmdb-store.ts'
import { type Knowledge, type Node, openKnowledge, openNode } from '../../src/node.ts'
import { createAccount } from '../../src/operations/accounts.ts'
import { adoptAccount } from '../../src/operations/devices.ts'
import { knownGateways } from '../../src/known-gateways.ts'
import { memoryNetwork, type MemoryNetwork } from '../../src/overlay/memory-overlay.ts'
import type { RelayHost } from '../../src/overlay/relay-mailbox/server.ts'

export interface TestGateway {
  readonly name: string
  readonly folder: string
  readonly knowledge: Knowledge
  readonly node: Node
  readonly account: Identity
  readonly address: Address
  /** Closes it, as at a clean shutdown. */
  stop(): Promise<void>
  submit(to: string | readonly string[], text: string, extraFields?: string): Promise<void>
  /** Texts of the messages in a mailbox, oldest first. */
  read(mailbox?: string): Promise<readonly string[]>
}

export interface TestGatewayOptions {
  readonly wrap?: (overlay: Overlay) => Overlay
  /** Takes an account on from this one, as another device of it. */
  readonly joins?: TestGateway
  /** It holds entries for others, as with `overlay.relay`; for contacts unless it is said for whom. */
  readonly relay?: boolean | Partial<Pick<RelayHost, 'bytesMax' | 'isKnown'>>
  /** Carries everybody's connections on. */
  readonly isRelay?: boolean
  /** Relays of its configuration. */
  readonly relays?: readonly TestGateway[]
  /** Made once its account exists. */
  readonly groups?: (knowledge: Knowledge) => ChatGroups
  /** Another store than the real one as it is. */
  readonly openStore?: typeof openStore
  /** Never straight to a contact's relay (`overlay.hideFromRelays`). */
  readonly isHidden?: boolean
}

export interface World extends AsyncDisposable {
  readonly network: MemoryNetwork
  gateway(name: string, options?: TestGatewayOptions): Promise<TestGateway>
  /** Both become contacts: b accepts a's invitation. */
  introduce(a: TestGateway, b: TestGateway): Promise<void>
}

const testAmbient: Ambient = { clock: systemClock, random: systemRandom, log: silentLog }
const storeBytes = 256 * 1024 * 1024

export async function openWorld(ambient: Ambient = testAmbient): Promise<World> {
  const root = await mkdtemp(join(tmpdir(), 'mycelium-world-'))
  const network = memoryNetwork(ambient)
  const running = new Map<string, TestGateway>()
  const keyOf = (name: string): Secret => new Secret(Buffer.alloc(32, name))
  return {
    network,
    async gateway(name, { wrap = (overlay: Overlay) => overlay, isRelay = false, ...options } = {}) {
      const folder = join(root, name)
      const paths = { store: join(folder, 'store'), blobs: join(folder, 'blobs') }
      const knowledge = await openKnowledge(
        {
          paths,
          key: keyOf(name),
          storeBytesMax: storeBytes,
          ...(options.openStore === undefined ? {} : { openStore: options.openStore }),
        },
        ambient,
      )
      const known = knowledge.accounts.list()[0]
      if (known === undefined && options.joins === undefined)
        await createAccount(knowledge, ambient, { localName: name, address: undefined, displayName: undefined })
      const { relay = false, relays = [], isHidden = false } = options
      const joined = await network.join(name, {
        serves: () => isRelay,
        ...(relay === false ? {} : { relay: relayHost(knowledge, relay, ambient.clock) }),
      })
      const node = await openNode(knowledge, wrap(joined), ambient, {
        relays: { relays: relays.map(addressOf), isHidden },
        ...(options.groups === undefined ? {} : { groups: options.groups(knowledge) }),
      })
      if (known === undefined && options.joins !== undefined)
        await joinAccount({ knowledge, node }, options.joins, ambient)
      const { identity: account, address } = knowledge.accounts.list()[0]!
      const made: TestGateway = {
        name,
        folder,
        knowledge,
        node,
        account,
        address,
        async stop() {
          running.delete(name)
          await node[Symbol.asyncDispose]()
          await knowledge[Symbol.asyncDispose]()
        },
        submit: async (to, text, extraFields = '') =>
          await submitMail(made, typeof to === 'string' ? [to] : to, text, extraFields),
        read: async (mailbox = 'INBOX') => await readMailbox(made, mailbox),
      }
      running.set(name, made)
      return made
    },
    async introduce(a, b) {
      const at = { gateway: a.node.overlay.self, locators: a.node.overlay.locators() }
      const { link } = await a.knowledge.invitations.create(a.knowledge.accounts.get(a.account), at)
      await b.knowledge.store.write((tx) => b.knowledge.contacts.using(tx).addPending(b.account, parseInvitation(link)))
    },
    async [Symbol.asyncDispose]() {
      for (const gateway of running.values()) await gateway.stop()
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** Both people see the same digits and say so. */
async function joinAccount(
  { knowledge, node }: Pick<TestGateway, 'knowledge' | 'node'>,
  first: TestGateway,
  ambient: Ambient,
): Promise<void> {
  const { signal } = new AbortController()
  const { link } = first.node.linking.offer(first.account)
  const shown = await node.linking.join(link, 'another', { signal })
  const { digits } = await first.node.linking.digits(first.account, { signal })
  if (digits !== shown.digits) throw new Error('the digits differ')
  const [handedOver] = await Promise.all([
    node.linking.joined(true, { signal }),
    first.node.linking.end(first.account, true, { signal }),
  ])
  await adoptAccount(knowledge, ambient, handedOver)
  node.linking.settled()
}

const relayHost = (knowledge: Knowledge, relay: TestGatewayOptions['relay'], clock: Ambient['clock']): RelayHost => ({
  store: knowledge.store,
  bytesMax: 64 * 1024 * 1024,
  isKnown: knownGateways(knowledge, clock),
  ...(typeof relay === 'object' ? relay : {}),
})

const addressOf = ({ node }: TestGateway): GatewayAddress => ({
  gateway: node.overlay.self,
  locators: node.overlay.locators(),
})

async function submitMail(
  { node, account, address }: TestGateway,
  to: readonly string[],
  text: string,
  extraFields: string,
): Promise<void> {
  const raw = `From: <${address}>\r\nTo: ${to.map((one) => `<${one}>`).join(', ')}\r\n${extraFields}Subject: test\r\n\r\n${text}\r\n`
  await node.delivery.submitter.submit(account, {
    from: address,
    recipients: to.map((one) => ({ address: parseAddress(one)! })),
    body: pieces(Buffer.from(raw)),
  })
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 16_384) yield bytes.subarray(at, at + 16_384)
}

/** The text after the last empty line of each message. */
async function readMailbox(
  { knowledge: { mailboxes }, account }: TestGateway,
  name: string,
): Promise<readonly string[]> {
  const info = mailboxes.byName(account, name)
  if (info === undefined) return []
  const columns = mailboxes.columns(account, info.id)
  const contents = Array.from({ length: columns.count }, (_, index) => columns.contentAt(index))
  const texts: string[] = []
  for (const content of contents) {
    const parts: Uint8Array[] = []
    for await (const part of mailboxes.read(account, content)) parts.push(part)
    texts.push(Buffer.concat(parts).toString().split('\r\n\r\n').slice(1).join('\r\n\r\n').trimEnd())
  }
  return texts
}
