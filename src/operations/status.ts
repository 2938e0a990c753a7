/** What is running, who is connected, what is wrong. */
import { gatewaysOfContact, isChosen } from '../core/account/contact.ts'
import type { GatewayId } from '../core/ids.ts'
import type { Operations, Results } from '../core/control.ts'
import type { ContactsReached, Listeners, RelaysReached } from '../core/control-views.ts'
import type { RelayInUse } from '../core/delivery/relay/desk.ts'
import { fingerprintOf } from '../certificates/authority.ts'
import { viewAccount } from './accounts.ts'
import { liveOf, type OperationParts } from './context.ts'
import { homeChecks } from './checks.ts'
import { gatewayNames, reachOf } from './reach.ts'
import { relaysNow } from './relays.ts'

const noListeners: Listeners = { overlay: [] }

type StatusOperations = Pick<Operations, 'status' | 'peers' | 'routes' | 'doctor' | 'stop' | 'trustExport'>

function searchIndexOf({ knowledge: { accounts, mailboxes } }: OperationParts): Results['status']['searchIndex'] {
  const states = accounts.list().map(({ identity }) => mailboxes.searchIndex(identity))
  return {
    messages: states.reduce((sum, { messages }) => sum + messages, 0),
    waiting: states.reduce((sum, { waiting }) => sum + waiting, 0),
  }
}

function reachedOf(parts: OperationParts): ContactsReached | undefined {
  if (parts.live === undefined) return undefined
  const { accounts, contacts } = parts.knowledge
  const counts = { direct: 0, relayed: 0, unreachable: 0, idle: 0 }
  for (const { identity } of accounts.list()) {
    for (const contact of contacts.list(identity)) {
      if (!isChosen(contact)) continue
      const reach = reachOf(parts, identity, contact)
      if (reach?.state === 'connected') counts[reach.how ?? 'direct'] += 1
      else counts[reach?.state === 'waiting' || reach?.problem !== undefined ? 'unreachable' : 'idle'] += 1
    }
  }
  return counts
}

function relaysReachedOf({ knowledge, live }: OperationParts): RelaysReached | undefined {
  const relays = live?.node.delivery.relays
  if (relays === undefined) return undefined
  const gateways = (found: readonly RelayInUse[]): number =>
    new Set(found.map(({ choice }) => choice.relay.gateway)).size
  const { current, watched } = relaysNow(relays.inUse())
  const active = knowledge.accounts.list().filter(({ disabled }) => !disabled)
  return {
    inUse: gateways(current),
    watched: gateways(watched),
    accountsWithout: active.filter(({ identity }) => !current.some(({ choice }) => choice.account === identity)).length,
  }
}

/** Names of the contacts of any account here that live at a gateway. */
function contactNames({ knowledge: { accounts, contacts } }: OperationParts): (gateway: GatewayId) => string[] {
  const everybody = accounts.list().flatMap(({ identity }) => contacts.list(identity))
  return (gateway) =>
    everybody.filter((contact) => gatewaysOfContact(contact).includes(gateway)).map(({ displayName }) => displayName)
}

export function statusOperations(parts: OperationParts): StatusOperations {
  const { knowledge, paths, marker, version, live } = parts
  const { accounts, contacts } = knowledge
  return {
    async status() {
      return {
        running: live !== undefined,
        version,
        home: paths.home,
        pid: live === undefined ? undefined : process.pid,
        startedAtMs: live?.startedAtMs,
        keyStore: marker.keyStore,
        accounts: accounts.list().map((account) => {
          const all = contacts.list(account.identity)
          const requests = all.filter(({ state, blocked }) => state === 'request' && !blocked).length
          return {
            ...viewAccount(knowledge, account),
            contacts: all.filter(isChosen).length,
            requests,
          }
        }),
        listeners: live?.listeners() ?? noListeners,
        contactsReached: reachedOf(parts),
        peersConnected: live?.node.overlay.peers().filter(({ state }) => state === 'connected').length ?? 0,
        reachability: live?.node.overlay.reachability?.(),
        relays: relaysReachedOf(parts),
        queued: live?.node.delivery.queued() ?? 0,
        searchIndex: searchIndexOf(parts),
      }
    },
    async peers() {
      const nameOf = gatewayNames(accounts.list().flatMap(({ identity }) => contacts.list(identity)))
      const { overlay } = liveOf(parts).node
      const namesAt = contactNames(parts)
      return overlay.peers().map((peer) => ({ ...peer, via: peer.via.map(nameOf), contacts: namesAt(peer.gateway) }))
    },
    async routes() {
      const { overlay } = liveOf(parts).node
      const namesAt = contactNames(parts)
      return (overlay.routes?.() ?? []).map((route) => ({
        ...route,
        contacts: namesAt(route.destination),
        nextHopContacts: route.nextHop === undefined ? [] : namesAt(route.nextHop),
      }))
    },
    doctor: async () => [...(await homeChecks(parts)), ...((await live?.checks()) ?? [])],
    async stop() {
      const { stop } = liveOf(parts)
      setImmediate(stop)
      return { stopping: true }
    },
    async trustExport() {
      const { authority } = await parts.certificates()
      return {
        certificate: authority.certificatePem,
        fingerprint: fingerprintOf(authority),
        notAfterMs: authority.notAfterMs,
      }
    },
  }
}
