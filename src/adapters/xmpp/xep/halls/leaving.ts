/** Ways out of a hall (XEP-0045 §7.14, §8.2, §9.1, §10.9). */
import type { Client } from '../../client.ts'
import { el, type Element } from '../../element.ts'
import { fullOf } from '../../jid.ts'
import { mucUser, occupantIdNs } from '../muc/namespaces.ts'
import { type Hall, type Occupant, status, type Told } from './hall.ts'
import type { HallParts } from './parts.ts'

/** With one program: the occupant stays as long as another one is in under the same nick. */
export function leave(parts: HallParts, hall: Hall, client: Client, beside: readonly Element[] = []): void {
  const occupant = hall.of(client)
  if (occupant === undefined) return
  if (occupant.clients.size > 1) {
    hall.part(occupant, client)
    client.send(hall.goneOf(occupant, occupant, client, { beside }))
    return
  }
  remove(parts, hall, occupant, { beside })
}

/** With all its programs. */
export function remove(parts: HallParts, hall: Hall, occupant: Occupant, told: Told): void {
  hall.toAll((viewer, client) => hall.goneOf(occupant, viewer, client, told))
  hall.unseat(occupant)
  if (hall.size === 0) parts.halls.close(hall)
}

/** The hall is over: everybody is out. */
export function clear({ halls }: HallParts, hall: Hall, destroy: Element): void {
  for (const occupant of hall.occupants())
    for (const client of occupant.clients) {
      const place = fullOf(hall.place(occupant.nick))
      client.send(
        el(
          'presence',
          { type: 'unavailable', from: place, to: fullOf(client.jid) },
          el(`occupant-id ${occupantIdNs}`, { id: hall.occupantId(occupant.account) }),
          el(
            `x ${mucUser}`,
            {},
            el(`item ${mucUser}`, { affiliation: 'none', role: 'none' }),
            destroy,
            el(`status ${mucUser}`, { code: status.self }),
          ),
        ),
      )
    }
  for (const occupant of hall.occupants()) hall.unseat(occupant)
  halls.close(hall)
}
