/** XEP-0313 for rooms: what was said in a group, for its members, whether or not they have entered. */
import type { Iq, IqHandler } from '../../feature.ts'
import { bareOf } from '../../jid.ts'
import { answerQuery, type Archive, archiveOf, metadataOf, queryForm, readQuery } from '../../messages/archive.ts'
import { ns } from '../../messages/namespaces.ts'
import { StanzaError } from '../../stanza-error.ts'
import { groupIn } from './admin.ts'
import { roomFor } from './parts.ts'
import { archivedStanza, type SightParts } from './sight.ts'
import { conversationOf } from './talk.ts'

export function archiveHandlers(parts: SightParts): readonly IqHandler[] {
  const { server } = parts
  /** @throws StanzaError `forbidden` */
  const archive = ({ client, to, toNamed }: Iq): Archive => {
    const { account } = client
    const room = roomFor(parts, client, groupIn(toNamed))
    const view = { room, jid: to, account }
    return {
      ...archiveOf(server, account, conversationOf(account, room.group), (tx, stored) =>
        archivedStanza(tx, parts, view, stored),
      ),
      from: bareOf(to),
    }
  }
  const at = ['room', 'vacant'] as const
  return [
    {
      payload: `query ${ns.mam}`,
      type: 'get',
      at,
      answer({ client, toNamed }) {
        roomFor(parts, client, groupIn(toNamed))
        return queryForm()
      },
    },
    {
      payload: `query ${ns.mam}`,
      type: 'set',
      at,
      answer(iq) {
        const query = readQuery(iq.payload)
        if (query.with !== undefined)
          throw new StanzaError('feature-not-implemented', 'a room is searched by time and id')
        return answerQuery(server, archive(iq), query, iq.client)
      },
    },
    { payload: `metadata ${ns.mam}`, type: 'get', at, answer: (iq) => metadataOf(server, archive(iq)) },
  ]
}
