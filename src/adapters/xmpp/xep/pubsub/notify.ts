/** What subscribers of a node hear (XEP-0060 §7.1.2.2): their programs that are there. Whoever was away asks for the items. */
import type { WriteTx } from '../../../../core/store/store.ts'
import { el, type Element } from '../../element.ts'
import type { Server } from '../../feature.ts'
import { bareOf } from '../../jid.ts'
import { pubsubNs } from '../pep/pep.ts'
import { type Node, readSubscriptions } from './rows.ts'

export const eventNs = `${pubsubNs}#event`

/** Once what it is about is kept. */
export function notify({ hub, names }: Server, tx: WriteTx, { name }: Node, event: Element): void {
  const subscriptions = readSubscriptions(tx, name)
  const message = el('message', { type: 'headline', from: names.pubsub }, el(`event ${eventNs}`, {}, event))
  tx.afterCommit(() => {
    for (const { account, resource } of subscriptions)
      hub.toAll(
        account,
        { ...message, attrs: { ...message.attrs, to: bareOf(names.own(account)) } },
        ({ jid, state }) => state.presence !== undefined && (resource === '' || jid.resource === resource),
      )
  })
}
