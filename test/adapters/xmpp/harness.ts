/** The XMPP server of a gateway of the test world, with clients that are bound already: no streams in between. */
import type { Client } from '../../../src/adapters/xmpp/client.ts'
import { newClientState } from '../../../src/adapters/xmpp/client.ts'
import { type Element, serialise } from '../../../src/adapters/xmpp/element.ts'
import type { ExternalService } from '../../../src/adapters/wire/external-service.ts'
import { withResource } from '../../../src/adapters/xmpp/jid.ts'
import { routeStanza } from '../../../src/adapters/xmpp/router.ts'
import { openServer, type XmppServer } from '../../../src/adapters/xmpp/server.ts'
import type { XmppServices } from '../../../src/adapters/xmpp/services.ts'
import type { Identity } from '../../../src/core/ids.ts'
import type { AuditLog } from '../../../src/audit-log.ts'
import type { Listeners } from '../../../src/core/control-views.ts'
import { homePaths } from '../../../src/home.ts'
import { operationsOver } from '../../../src/operations.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import { expect } from 'vitest'
import { openWorld, type TestGateway, type World } from '../../support/world.ts'
import { fileUrlsOf } from './file-urls.ts'

const ambient = { clock: systemClock, random: systemRandom, log: silentLog }

/** One with a login that lasts for a while, one without any. */
const externalServices: readonly ExternalService[] = [
  { type: 'stun', host: 'stun.example', port: 3478, transport: 'udp', username: '', secret: () => undefined },
  { type: 'turn', host: 'turn.example', port: 3478, transport: 'udp', username: '', secret: () => Buffer.from('s') },
]

export interface BoundClient {
  readonly client: Client
  /** Everything that it was sent and has not taken yet. */
  readonly inbox: Element[]
  /** Sends a stanza, until the server is done with it. */
  readonly send: (stanza: Element) => Promise<void>
  /** Sends a stanza and gives what came to it until that was done with. */
  readonly say: (stanza: Element) => Promise<readonly Element[]>
  /** All that came since, as text. */
  readonly take: () => readonly string[]
  /** Its stream is over, and nobody will resume it. */
  readonly leave: () => void
}

export interface TestXmpp extends Disposable {
  readonly server: XmppServer
  /** @param account the first of the gateway by default */
  readonly bind: (resource?: string, account?: Identity) => BoundClient
}

/** @param given services in the place of the gateway's own */
export function openTestXmpp(whose: TestGateway, domain = 'localhost', given: Partial<XmppServices> = {}): TestXmpp {
  const { knowledge, node } = whose
  const { store, logins, accounts, contacts, people, conversations, groupBook } = knowledge
  const { chats, groups, files, signals, callSignals, profiles } = node.delivery
  const server = openServer(
    {
      store,
      logins,
      accounts,
      contacts,
      people,
      conversations,
      groupBook,
      chats,
      groups,
      files,
      signals,
      callSignals,
      hostCandidates: false,
      openRoomsFirst: false,
      uploads: fileUrlsOf(whose, ambient),
      externalServices,
      profiles,
      domain,
      operations: () => operationsOf(whose),
      ...given,
      tls: () => {
        throw new TypeError('no streams here')
      },
    },
    ambient,
  )
  return {
    server,
    bind(resource = 'test', account = whose.account) {
      const inbox: Element[] = []
      const client: Client = {
        account,
        login: { account, passwordId: 'test' },
        jid: withResource(server.names.own(account), resource),
        state: newClientState(),
        send: (stanza) => void inbox.push(stanza),
        close: () => void server.hub.remove(client),
      }
      server.hub.add(client)
      for (const feature of server.features) feature.bound?.(client)
      return {
        client,
        inbox,
        send: async (stanza) => await routeStanza(server, client, stanza),
        async say(stanza) {
          await routeStanza(server, client, stanza)
          return inbox.splice(0)
        },
        take: () => inbox.splice(0).map((stanza) => serialise(stanza)),
        leave() {
          if (server.hub.remove(client)) for (const feature of server.features) feature.gone?.(client)
        },
      }
    },
    [Symbol.dispose]: () => server[Symbol.dispose](),
  }
}

const operationsOf = ({ knowledge, node, folder }: TestGateway) =>
  operationsOver({
    knowledge,
    paths: homePaths(folder),
    marker: {
      format: 'mycelium-gateway home',
      version: 1,
      createdAtMs: 0,
      keyStore: 'key-file',
      serviceDomain: 'localhost',
    },
    version: 'test',
    ambient: { clock: systemClock, random: systemRandom, log: silentLog },
    audit: { append: () => {}, read: () => [] } as unknown as AuditLog,
    certificates: () => {
      throw new TypeError('no certificates here')
    },
    live: {
      node,
      listeners: () => ({}) as Listeners,
      startedAtMs: 0,
      stop: () => {},
      relayBytesMax: undefined,
      checks: async () => await Promise.resolve([]),
    },
  })

/** One gateway of a world, and its XMPP server. */
export interface Stage extends TestXmpp {
  readonly gateway: TestGateway
  /** Its JID as contacts see it. */
  readonly jid: string
}

/** Gateways of which everybody is everybody's contact. */
export interface Stages extends AsyncDisposable {
  readonly world: World
  of(name: string): Stage
}

export async function openStages(names: readonly string[] = ['alice', 'bob']): Promise<Stages> {
  const world = await openWorld()
  const stages = new Map<string, Stage>()
  for (const name of names) {
    const gateway = await world.gateway(name)
    stages.set(name, { ...openTestXmpp(gateway), gateway, jid: gateway.address })
  }
  const gateways = [...stages.values()].map(({ gateway }) => gateway)
  for (const [index, one] of gateways.entries())
    for (const other of gateways.slice(index + 1)) {
      await world.introduce(one, other)
      await expect.poll(() => isContact(one, other) && isContact(other, one), { timeout: 20_000 }).toBe(true)
    }
  return {
    world,
    of(name) {
      const stage = stages.get(name)
      if (stage === undefined) throw new TypeError(`nobody is called ${name}`)
      return stage
    },
    async [Symbol.asyncDispose]() {
      for (const stage of stages.values()) stage[Symbol.dispose]()
      await world[Symbol.asyncDispose]()
    },
  }
}

/** And connected, so that what is said for the moment comes too. */
const isContact = ({ knowledge, node, account }: TestGateway, other: TestGateway): boolean =>
  knowledge.contacts.byIdentity(account, other.account)?.state === 'active' &&
  node.delivery.courierOf(account, other.account)?.state === 'connected'
