/** This machine's addresses, the locators they make with the listeners, and notice of changes. */
import { networkInterfaces } from 'node:os'
import type { Clock } from '../core/ambient.ts'
import type { Locator } from '../core/delivery/ports.ts'
import { limits } from '../core/limits.ts'
import { isAnnounceable, isLoopback } from './dial-policy.ts'
import type { OwnAddress, ParsedLocator, Transport } from './dial-policy.ts'

export interface Listening {
  readonly family: 'ipv4' | 'ipv6'
  /** Where it is reached; every address of the family where absent. */
  readonly host: string | undefined
  readonly port: number
  readonly transport: Transport
}

export function ownAddresses(): OwnAddress[] {
  return Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .flatMap(({ address, family, cidr }) => {
      const prefix = Number(cidr?.split('/')[1])
      if (Number.isNaN(prefix) || address.includes('%')) return []
      return [{ address, family: family === 'IPv4' ? ('ipv4' as const) : ('ipv6' as const), prefix }]
    })
}

const suffixOf = (transport: Transport, port: number): string =>
  transport === 'quic' ? `/udp/${port}/quic-v1` : transport === 'ws' ? `/tcp/${port}/ws` : `/tcp/${port}`

const toLocator = (family: 'ipv4' | 'ipv6', host: string, { transport, port }: Listening): Locator =>
  `/${family === 'ipv4' ? 'ip4' : 'ip6'}/${host}${suffixOf(transport, port)}`

/** Own locators in the order in which others should try them: configured ones, then TCP before QUIC before WebSocket. */
export function ownLocators(
  listening: readonly Listening[],
  addresses: readonly OwnAddress[],
  { announce, allowLoopback }: { readonly announce: readonly Locator[]; readonly allowLoopback: boolean },
): Locator[] {
  const usable = addresses.filter((own) => (isLoopback(own) ? allowLoopback : isAnnounceable(own)))
  const order: readonly Transport[] = ['tcp', 'quic', 'ws']
  const found = order.flatMap((transport) =>
    usable.flatMap((own) =>
      listening
        .filter((listener) => listener.transport === transport && isReachedAt(listener, own))
        .map((listener) => toLocator(own.family, own.address, listener)),
    ),
  )
  return [...new Set([...announce, ...found])].slice(0, limits.locatorsMax)
}

const isReachedAt = (listener: Listening, own: OwnAddress): boolean =>
  listener.family === own.family && (listener.host === undefined || listener.host === own.address)

const wildcards = { ipv4: '0.0.0.0', ipv6: '::' } as const
const isWildcard = (host: string): boolean => host === wildcards.ipv4 || host === wildcards.ipv6

/** What to listen on for a configured host: either wildcard means every address of both families. */
export const hostsOf = (host: string): readonly string[] => (isWildcard(host) ? Object.values(wildcards) : [host])

/** The listeners behind the multiaddrs that a node listening on `host` reports, one for each address it found. */
export function listenersOf(reported: readonly ParsedLocator[], host: string): Listening[] {
  const listening = reported.map(({ family, port, transport }) => ({
    family,
    host: isWildcard(host) ? undefined : host,
    port,
    transport,
  }))
  return listening.filter(
    (one, index) => listening.findIndex((other) => JSON.stringify(other) === JSON.stringify(one)) === index,
  )
}

/** No address of the listener's families that another machine could reach: whoever it talks to is on this machine. */
export function isAlone(host: string, addresses: readonly OwnAddress[]): boolean {
  const family = isWildcard(host) ? undefined : host.includes(':') ? 'ipv6' : 'ipv4'
  return !addresses.some(
    (own) => (family === undefined || own.family === family) && !isLoopback(own) && isAnnounceable(own),
  )
}

export interface NetworkWatcher {
  /** The machine's addresses are not what they were. */
  readonly onAddresses: (addresses: OwnAddress[]) => void
  /** The machine slept: what it knew of its connections is old. */
  readonly onWoke: () => void
}

/** Wall time that passes unseen between two polls before it counts as sleep. */
const sleptMs = 10_000

export function watchNetwork({ onAddresses, onWoke }: NetworkWatcher, { nowMs }: Pick<Clock, 'nowMs'>): Disposable {
  let known = JSON.stringify(ownAddresses())
  let polledAtMs = nowMs()
  const timer = setInterval(() => {
    const slept = nowMs() - polledAtMs > sleptMs
    polledAtMs = nowMs()
    const addresses = ownAddresses()
    const now = JSON.stringify(addresses)
    if (now !== known) {
      known = now
      onAddresses(addresses)
    }
    if (slept) onWoke()
  }, limits.interfacePollMs).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
