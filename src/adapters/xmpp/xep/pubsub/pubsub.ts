/**
 * XEP-0060 as a service of its own: nodes that accounts of this gateway make for each other. An account's own nodes, which contacts
 * elsewhere see too, are personal events (xep/pep).
 */
import { el } from '../../element.ts'
import type { Feature, Server } from '../../feature.ts'
import { StanzaError } from '../../stanza-error.ts'
import { factsForm, queryNs } from '../disco.ts'
import { pubsubNs } from '../pep/pep.ts'
import { barred, change, changeAsOwner, nodeIn, nodesIn, ownerNs, read, readAsOwner } from './requests.ts'
import { readItems } from './rows.ts'

/** XEP-0060 §10. */
const features = [
  'access-open',
  'access-presence',
  'access-whitelist',
  'config-node',
  'config-node-max',
  'create-and-configure',
  'create-nodes',
  'delete-items',
  'delete-nodes',
  'instant-nodes',
  'item-ids',
  'manage-subscriptions',
  'member-affiliation',
  'meta-data',
  'modify-affiliations',
  'multi-items',
  'outcast-affiliation',
  'persistent-items',
  'publish',
  'publisher-affiliation',
  'purge-nodes',
  'retract-items',
  'retrieve-affiliations',
  'retrieve-default',
  'retrieve-items',
  'retrieve-subscriptions',
  'subscribe',
].map((name) => `${pubsubNs}#${name}`)

export function pubsub(server: Server): Feature {
  const at = ['pubsub'] as const
  const { store } = server.services
  return {
    iq: [
      { payload: `pubsub ${pubsubNs}`, type: 'get', at, answer: (iq) => read(server, iq) },
      { payload: `pubsub ${pubsubNs}`, type: 'set', at, answer: async (iq) => await change(server, iq) },
      { payload: `pubsub ${ownerNs}`, type: 'get', at, answer: (iq) => readAsOwner(server, iq) },
      { payload: `pubsub ${ownerNs}`, type: 'set', at, answer: async (iq) => await changeAsOwner(server, iq) },
    ],
    disclose(_to, named, _client, name) {
      if (named.kind !== 'pubsub') return undefined
      if (name === undefined)
        return {
          identities: [{ category: 'pubsub', type: 'service', name: 'Nodes of this gateway' }],
          features: [pubsubNs, ...features],
        }
      return store.read((tx) => {
        const node = nodeIn(server, tx, name)
        return {
          identities: [{ category: 'pubsub', type: 'leaf' }],
          features: [pubsubNs],
          forms: [factsForm(`${pubsubNs}#meta-data`, { 'pubsub#title': node.config.title })],
        }
      })
    },
    items(_to, named, client, name) {
      if (named.kind !== 'pubsub') return []
      const jid = server.names.pubsub
      return store.read((tx) => {
        if (name === undefined)
          return nodesIn(server, tx)
            .filter((node) => barred(server, tx, node, client.account) === undefined)
            .map((node) =>
              el(`item ${queryNs.items}`, {
                jid,
                node: node.name,
                name: node.config.title === '' ? undefined : node.config.title,
              }),
            )
        const node = nodeIn(server, tx, name)
        if (barred(server, tx, node, client.account) !== undefined) throw new StanzaError('forbidden')
        return readItems(tx, name).map(({ id }) => el(`item ${queryNs.items}`, { jid, name: id }))
      })
    },
  }
}
