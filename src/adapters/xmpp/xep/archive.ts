/** XEP-0313 for accounts: the archive of all chats, the same that mail and Matrix show. */
import type { ConversationId, Identity } from '../../../core/ids.ts'
import { idOfPartner } from '../../../core/conversation/conversations.ts'
import type { Client } from '../client.ts'
import type { Feature, Server } from '../feature.ts'
import { parseJid } from '../jid.ts'
import {
  answerQuery,
  type Archive,
  archiveFeatures,
  archiveOf,
  archiveOfAll,
  metadataOf,
  preferences,
  type Query,
  queryForm,
  readQuery,
} from '../messages/archive.ts'
import { ClientIds } from '../messages/client-ids.ts'
import { ns } from '../messages/namespaces.ts'
import { Progress } from '../messages/progress.ts'
import { dated, directSight, peerOf } from '../messages/stored.ts'
import { toXmpp } from '../messages/to-xmpp.ts'
import { StanzaError } from '../stanza-error.ts'

export function archive(server: Server): Feature {
  const { services } = server
  const ids = new ClientIds(services.conversations)
  const progress = new Progress(services.conversations)
  const at = ['self'] as const

  const partners = (account: Identity) => {
    const known = new Map<ConversationId, Identity | undefined>()
    return (conversation: ConversationId): Identity | undefined => {
      if (!known.has(conversation)) known.set(conversation, peerOf(services.conversations.get(account, conversation)))
      return known.get(conversation)
    }
  }

  const stanzaFor =
    (account: Identity, peerIn: (conversation: ConversationId) => Identity | undefined): Archive['stanza'] =>
    (tx, stored, conversation) => {
      const peer = peerIn(conversation)
      if (peer === undefined) return undefined
      const stanza = toXmpp(stored, directSight(tx, server, ids, account, peer))
      return stanza && dated(server, stored, stanza)
    }

  const whole = (account: Identity): Archive => {
    const peerIn = partners(account)
    return archiveOfAll(server, account, (one) => peerIn(one) !== undefined, stanzaFor(account, peerIn))
  }

  /** With one person; nothing at all with who is not known here. @throws StanzaError */
  const narrowed = ({ account }: Client, query: Query): Archive => {
    if (query.with === undefined) return whole(account)
    const jid = parseJid(query.with)
    if (jid === undefined) throw new StanzaError('jid-malformed')
    const named = server.names.named(account, jid)
    if (named.kind !== 'person' && named.kind !== 'self')
      return { account, entries: () => [], count: () => 0, stanza: () => undefined }
    const peer = named.kind === 'self' ? account : named.identity
    return archiveOf(
      server,
      account,
      idOfPartner(account, { kind: 'direct', peer }),
      stanzaFor(account, () => peer),
    )
  }

  return {
    iq: [
      {
        payload: `query ${ns.mam}`,
        at,
        async answer({ client, type, payload }) {
          if (type === 'get') return queryForm()
          const query = readQuery(payload)
          if (!reads(server, progress, client))
            await services.store.write((tx) => progress.setReadsArchive(tx, client.login, true))
          return answerQuery(server, narrowed(client, query), query, client)
        },
      },
      {
        payload: `metadata ${ns.mam}`,
        type: 'get',
        at,
        answer: ({ client }) => metadataOf(server, whole(client.account)),
      },
      { payload: `prefs ${ns.mam}`, at, answer: preferences },
    ],
    disclose: (_to, { kind }) => (kind === 'self' || kind === 'server' ? { features: archiveFeatures } : undefined),
  }
}

const reads = ({ services }: Server, progress: Progress, { login }: Client): boolean =>
  services.store.read((tx) => progress.readsArchive(tx, login)) === true
