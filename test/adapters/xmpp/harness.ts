/** The XMPP server of a gateway of the test world, with clients that are bound already: no streams in between. */
import type { Client } from '../../../src/adapters/xmpp/client.ts'
import { newClientState } from '../../../src/adapters/xmpp/client.ts'
import { type Element, serialise } from '../../../src/adapters/xmpp/element.ts'
import { withResource } from '../../../src/adapters/xmpp/jid.ts'
import { routeStanza } from '../../../src/adapters/xmpp/router.ts'
import { openServer, type XmppServer } from '../../../src/adapters/xmpp/server.ts'
import { silentLog, systemClock, systemRandom } from '../../../src/core/ambient.ts'
import type { TestGateway } from '../../support/world.ts'

export interface BoundClient {
  readonly client: Client
  /** Everything that it was sent and has not taken yet. */
  readonly inbox: Element[]
  /** Sends a stanza and gives what came to it until that was done with. */
  say(stanza: Element): Promise<readonly Element[]>
  /** All that came since, as text. */
  take(): readonly string[]
}

export interface TestXmpp extends Disposable {
  readonly server: XmppServer
  bind(resource?: string): BoundClient
}

/** @param whose one of its accounts; the first by default */
export function openTestXmpp(whose: TestGateway, domain = 'localhost'): TestXmpp {
  const { knowledge, node } = whose
  const { store, logins, accounts, contacts, people, conversations, groupBook } = knowledge
  const { chats, groups, files, signals, callSignals } = node.delivery
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
      domain,
      tls: () => {
        throw new TypeError('no streams here')
      },
    },
    { clock: systemClock, random: systemRandom, log: silentLog },
  )
  return {
    server,
    bind(resource = 'test') {
      const inbox: Element[] = []
      const client: Client = {
        account: whose.account,
        login: { account: whose.account, passwordId: 'test' },
        jid: withResource(server.names.own(whose.account), resource),
        state: newClientState(),
        send: (stanza) => void inbox.push(stanza),
        close: () => void server.hub.remove(client),
      }
      server.hub.add(client)
      for (const feature of server.features) feature.bound?.(client)
      return {
        client,
        inbox,
        async say(stanza) {
          await routeStanza(server, client, stanza)
          return inbox.splice(0)
        },
        take: () => inbox.splice(0).map((stanza) => serialise(stanza)),
      }
    },
    [Symbol.dispose]: () => server[Symbol.dispose](),
  }
}
