/** How a contact is reached now, or why not and what to do: from its courier and the gateways that it lives at. */
import { type Contact, gatewaysOfContact } from '../core/account/contact.ts'
import type { ReachView } from '../core/control-views.ts'
import type { CourierStatus } from '../core/delivery/courier.ts'
import type { PeerStatus } from '../core/delivery/ports.ts'
import type { GatewayId, Identity } from '../core/ids.ts'
import type { OperationParts } from './context.ts'

/** A failure in words, and what a person can do about it. */
export interface Trouble {
  readonly problem: string
  readonly remedy: string
}

const itself = 'nothing: it is tried again by itself, and at once when they call or are seen'
const doctorThere = 'nothing, if they are away; if they are on: run doctor at both ends'

/** By the overlay's reason, which says more, or by the courier's code. */
const troubles: Readonly<Record<string, Trouble>> = {
  'nobody answers': { problem: 'their gateway does not answer: it is off, or out of reach', remedy: doctorThere },
  'no usable locator': {
    problem: 'none of the addresses that they gave can be called from here',
    remedy: 'be on one network with them, or let one side forward a port and set overlay.announce',
  },
  'tried a moment ago': { problem: 'their gateway did not answer a moment ago', remedy: itself },
  'connection lost': { problem: 'the connection to their gateway broke', remedy: itself },
  'no answer in time': { problem: 'their gateway answered too slowly', remedy: itself },
  busy: { problem: 'their gateway is busy with others', remedy: itself },
  refused: {
    problem: 'their gateway refused: the invitation was used or has expired, or they removed or blocked you',
    remedy: 'ask them for a new invitation',
  },
  unreachable: { problem: 'their gateway cannot be reached now', remedy: doctorThere },
  timeout: { problem: 'their gateway did not answer in time', remedy: itself },
  'peer-misbehaved': {
    problem: 'their gateway refused, or answered what cannot be read',
    remedy: 'ask them whether they still have you as a contact, and for a new invitation if not',
  },
  'handshake-refused': { problem: 'their gateway takes no new session yet', remedy: itself },
  'session-unknown': { problem: 'their gateway does not know our session; a new one is being made', remedy: itself },
  'disk-full': { problem: 'the disk is full here', remedy: 'free some space' },
  'signature-invalid': {
    problem: 'what their gateway says of them is not signed by them',
    remedy: 'do not trust it; ask them in person',
  },
}

/** @param code of the last attempt @param reason what the overlay last said of their gateway */
export function troubleOf(code: string, reason: string | undefined): Trouble {
  const byReason = code === 'unreachable' || code === 'peer-misbehaved' ? troubles[reason ?? ''] : undefined
  return byReason ?? troubles[code] ?? { problem: `it failed (${code})`, remedy: 'see the log of the gateway' }
}

/** The gateways at which a contact lives, as far as they were met since the start. */
export function peersOf(contact: Contact, peers: readonly PeerStatus[]): readonly PeerStatus[] {
  const gateways = new Set(gatewaysOfContact(contact))
  if (contact.invitation !== undefined) gateways.add(contact.invitation.gateway)
  return peers.filter(({ gateway }) => gateways.has(gateway))
}

/** What is shown of a gateway in between: whose it is, else the end of its id. */
export type NameGateway = (gateway: GatewayId) => string

export function gatewayNames(contacts: readonly Contact[]): NameGateway {
  const names = new Map(
    contacts.flatMap((contact) => gatewaysOfContact(contact).map((gateway) => [gateway, contact.displayName] as const)),
  )
  return (gateway) => names.get(gateway) ?? gateway.slice(-8)
}

/** `undefined` on a stopped home. */
export function reachOf(parts: OperationParts, account: Identity, contact: Contact): ReachView | undefined {
  const { live } = parts
  if (live === undefined) return undefined
  const courier = live.node.delivery.courierOf(account, contact.identity)
  const peers = peersOf(contact, live.node.overlay.peers())
  return viewReach(courier, peers, gatewayNames(parts.knowledge.contacts.list(account)))
}

export function viewReach(
  courier: CourierStatus | undefined,
  peers: readonly PeerStatus[],
  nameOf: NameGateway,
): ReachView {
  const best = peers.find(({ rttMs }) => rttMs !== undefined) ?? peers.find(({ state }) => state === 'connected')
  if (courier?.state === 'connected' && best?.state === 'connected') {
    const { how, hops, transport, rttMs, sinceMs, via } = best
    return { state: 'connected', how, hops, via: via.map(nameOf), transport, rttMs, sinceMs }
  }
  const sinceMs = latest(peers.flatMap((peer) => peer.sinceMs ?? []))
  const state = courier?.state === 'trying' || courier?.state === 'waiting' ? courier.state : 'idle'
  if (courier?.lastError === undefined) return { state, via: [], sinceMs }
  const { problem, remedy } = troubleOf(courier.lastError, peers.find(({ lastError }) => lastError)?.lastError)
  const { attempts, nextAttemptAtMs: nextAttemptMs } = courier
  return { state, via: [], sinceMs, problem, remedy, attempts, nextAttemptMs }
}

const latest = (times: readonly number[]): number | undefined => (times.length === 0 ? undefined : Math.max(...times))
