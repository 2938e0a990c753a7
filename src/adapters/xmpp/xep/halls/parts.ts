/** What all parts of halls have at hand, and which halls there are. */
import type { Identity } from '../../../../core/ids.ts'
import { limits } from '../../../../core/limits.ts'
import type { Client } from '../../client.ts'
import type { Server } from '../../feature.ts'
import { bareOf, type Jid, parseJid, withResource } from '../../jid.ts'
import { StanzaError } from '../../stanza-error.ts'
import { Hall } from './hall.ts'
import { History } from './history.ts'
import type { Relay } from './relay.ts'

export interface HallParts {
  readonly server: Server
  readonly halls: Halls
  readonly relay: Relay
}

export class Halls {
  readonly #halls = new Map<string, Hall>()
  readonly #histories = new WeakMap<Hall, History>()
  readonly #server: Server

  constructor(server: Server) {
    this.#server = server
  }

  find = ({ local }: Jid): Hall | undefined => this.#halls.get(local)
  list = (): readonly Hall[] => [...this.#halls.values()]

  /** In which a client is. */
  of = (client: Client): readonly Hall[] => this.list().filter((hall) => hall.of(client) !== undefined)

  /** @throws StanzaError */
  open({ local }: Jid, founder: Identity): Hall {
    const own = bareOf(this.#server.names.own(founder))
    const isFull = this.#halls.size >= limits.xmppHallsMax
    const owned = this.list().filter((hall) => hall.affiliationOf(own) === 'owner')
    if (isFull || owned.length >= limits.xmppHallsPerAccountMax)
      throw new StanzaError('resource-constraint', 'no more rooms')
    const jid = { local, domain: this.#server.names.halls, resource: '' }
    const hall = new Hall(jid, this.#server.ambient.random.bytes(32))
    hall.stand(own, { affiliation: 'owner' })
    this.#halls.set(local, hall)
    return hall
  }

  close(hall: Hall): void {
    if (this.#halls.get(hall.jid.local) === hall) this.#halls.delete(hall.jid.local)
  }

  historyOf(hall: Hall): History {
    const history = this.#histories.get(hall) ?? new History()
    this.#histories.set(hall, history)
    return history
  }
}

/** @throws StanzaError `item-not-found` */
export function hallAt({ halls }: Pick<HallParts, 'halls'>, to: Jid): Hall {
  const hall = halls.find(to)
  if (hall === undefined) throw new StanzaError('item-not-found', 'there is no such room')
  return hall
}

/** As what it stands in the lists of halls. */
export const ownJid = ({ server }: Pick<HallParts, 'server'>, account: Identity): string =>
  bareOf(server.names.own(account))

/** Of another account of this gateway, or of anybody: as lists name them. @throws StanzaError */
export function bareJid(text: string | undefined): string {
  const jid = text === undefined ? undefined : parseJid(text)
  if (jid === undefined) throw new StanzaError('jid-malformed')
  return bareOf(withResource(jid, ''))
}
