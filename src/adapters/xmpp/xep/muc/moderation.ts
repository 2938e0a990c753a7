/** XEP-0425: an admin of the group takes back what another said. */
import { child } from '../../element.ts'
import type { Iq, IqHandler } from '../../feature.ts'
import { ns } from '../../messages/namespaces.ts'
import { StanzaError } from '../../stanza-error.ts'
import { groupIn } from './admin.ts'
import { roomFor } from './parts.ts'
import { moderateNs, moderateOldNs } from './sight.ts'
import type { RoomTalk } from './talk.ts'

export const moderationHandlers = (talk: RoomTalk): readonly IqHandler[] =>
  [`moderate ${moderateNs}`, `apply-to ${ns.apply}`].map((payload) => ({
    payload,
    type: 'set' as const,
    at: ['room'] as const,
    answer: async (iq: Iq) => await moderate(talk, iq),
  }))

async function moderate(talk: RoomTalk, { client, toNamed, payload, handled }: Iq): Promise<undefined> {
  const { group } = roomFor(talk.parts, client, groupIn(toNamed))
  const isNow = payload.ns === moderateNs && child(payload, `retract ${ns.retract}`) !== undefined
  const before = child(payload, `moderate ${moderateOldNs}`)
  const isBefore = before !== undefined && child(before, `retract ${ns.retractOld}`) !== undefined
  if ((!isNow && !isBefore) || payload.attrs.id === undefined)
    throw new StanzaError('bad-request', 'say which message is to be taken back')
  await talk.moderate(client.account, group, payload.attrs.id, handled)
  return undefined
}
