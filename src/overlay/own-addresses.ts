/** This machine's addresses, the locators they make with the listeners, and notice of their changes. */
import { networkInterfaces } from 'node:os'
import type { Locator } from '../core/delivery/ports.ts'
import { limits } from '../core/limits.ts'
import { isAnnounceable, isLoopback } from './dial-policy.ts'
import type { OwnAddress, Transport } from './dial-policy.ts'

export interface Listening {
  readonly family: 'ipv4' | 'ipv6'
  /** 0.0.0.0 or :: for every address of the family. */
  readonly host: string
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
  listener.family === own.family &&
  (listener.host === '0.0.0.0' || listener.host === '::' || listener.host === own.address)

/** No address of the listener's family that another machine could reach: whoever it talks to is on this machine. */
export function isAlone(host: string, addresses: readonly OwnAddress[]): boolean {
  const family = host.includes(':') ? 'ipv6' : 'ipv4'
  return !addresses.some((own) => own.family === family && !isLoopback(own) && isAnnounceable(own))
}

/** Calls back when the machine's addresses are not what they were. */
export function watchAddresses(onChange: (addresses: OwnAddress[]) => void): Disposable {
  let known = JSON.stringify(ownAddresses())
  const timer = setInterval(() => {
    const addresses = ownAddresses()
    const now = JSON.stringify(addresses)
    if (now === known) return
    known = now
    onChange(addresses)
  }, limits.interfacePollMs).unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}
