/**
 * Registration with a room (XEP-0045 §7.10), the standard's word for membership: members are registered, whoever takes the
 * registration back leaves the group, and nobody registers without being added.
 */
import { child, el, type Element } from '../../element.ts'
import type { Iq } from '../../feature.ts'
import { StanzaError } from '../../stanza-error.ts'
import { groupIn } from './admin.ts'
import { registerNs } from './namespaces.ts'
import { asRoom, type MucParts, roomFor } from './parts.ts'

/** @throws StanzaError */
export async function register(
  parts: MucParts,
  { client, toNamed, payload, type, handled }: Iq,
): Promise<Element | undefined> {
  const room = parts.rooms.find(client.account, groupIn(toNamed))
  if (room?.row.state === 'left') throw new StanzaError('not-allowed', 'one of the members has to add you')
  const { group } = roomFor(parts, client, groupIn(toNamed))
  if (type === 'get') {
    const nick = parts.rooms.occupants(client.account, room!).get(client.account)?.nick ?? ''
    return el(`query ${registerNs}`, {}, el(`registered ${registerNs}`), el(`username ${registerNs}`, {}, nick))
  }
  if (child(payload, `remove ${registerNs}`) === undefined) return undefined
  await asRoom(
    async () =>
      await parts.server.services.store.write((tx) => {
        parts.server.services.groups.leaveIn(tx, client.account, group)
        handled(tx)
      }),
  )
  return undefined
}
