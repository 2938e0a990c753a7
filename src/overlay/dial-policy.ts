/**
 * Which locators of other gateways may be dialled. A locator is a stranger's text: it must not make this machine talk
 * to itself, to its link or to networks it only happens to reach. Written as an allow-list over a strict grammar.
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net'
import type { GatewayAddress, Locator } from '../core/delivery/ports.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { parseGatewayId } from './gateway-key.ts'

export type Transport = 'tcp' | 'ws' | 'quic'

export interface ParsedLocator {
  readonly locator: Locator
  readonly family: 'ipv4' | 'ipv6'
  readonly host: string
  readonly port: number
  readonly transport: Transport
}

/** One address of this machine with the network it is in. */
export interface OwnAddress {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly prefix: number
}

export interface DialPolicy {
  /** Several gateways on one machine: tests, demo, a gateway that listens on loopback only. */
  readonly allowLoopback: boolean
  readonly ownAddresses: readonly OwnAddress[]
  /** What the owner wrote into the configuration. */
  readonly trusted?: ReadonlySet<Locator>
}

const transportOf: Readonly<Record<string, Transport>> = { tcp: 'tcp', 'tcp/ws': 'ws', 'udp/quic-v1': 'quic' }

/**
 * Reads /ip4|ip6/ADDRESS/tcp/PORT, …/tcp/PORT/ws or /udp/PORT/quic-v1; `undefined` for anything else: names, zones
 * and nesting are not dialled.
 */
export function parseLocator(text: string): ParsedLocator | undefined {
  if (text.length > limits.locatorOctetsMax) return undefined
  const found = /^\/(ip4|ip6)\/([\da-fA-F.:]{2,45})\/(tcp|udp)\/([1-9]\d{0,4})(?:\/(ws|quic-v1))?$/.exec(text)
  if (found === null) return undefined
  const [, ip, host, layer, digits, upper] = found as unknown as string[]
  const transport = transportOf[upper === undefined ? layer! : `${layer}/${upper}`]
  const port = Number(digits)
  if (transport === undefined || port > 65_535) return undefined
  if (ip === 'ip4' ? !isIPv4(host!) : !isIPv6(host!)) return undefined
  return { locator: text, family: ip === 'ip4' ? 'ipv4' : 'ipv6', host: host!, port, transport }
}

const viaSuffix = '/p2p-circuit'

/** "Reachable through that gateway": its direct locator, `/p2p/` with its id, `/p2p-circuit`. `undefined` for anything else. */
export function parseViaLocator(text: string): GatewayAddress | undefined {
  if (text.length > limits.locatorOctetsMax || !text.endsWith(viaSuffix)) return undefined
  const [direct, id, rest] = text.slice(0, -viaSuffix.length).split('/p2p/')
  const locator = parseLocator(direct!)
  const gateway = rest === undefined ? parseGatewayId(id ?? '') : undefined
  return locator === undefined || gateway === undefined ? undefined : { gateway, locators: [locator.locator] }
}

export const viaLocator = (gateway: GatewayId, locator: Locator): Locator => `${locator}/p2p/${gateway}${viaSuffix}`

const block = (family: 'ipv4' | 'ipv6', ...subnets: readonly string[]): BlockList => {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network, prefix] = subnet.split('/')
    list.addSubnet(network!, Number(prefix), family)
  }
  return list
}

const loopback4 = block('ipv4', '127.0.0.0/8')
const loopback6 = block('ipv6', '::1/128')
/** RFC 1918 and RFC 6598; RFC 4193. Reached only where an own interface is in the same subnet. */
const private4 = block('ipv4', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10')
const private6 = block('ipv6', 'fc00::/7')
/** IANA special-purpose registries (RFC 6890), without the private ranges above. */
const special4 = block(
  'ipv4',
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
)
const global6 = block('ipv6', '2000::/3')
/** Inside 2000::/3: protocol assignments with Teredo, documentation, 6to4 (which carries an IPv4 address). */
const special6 = block('ipv6', '2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20')

/** Whether the policy lets this machine open a connection to the locator. */
export function mayDial(locator: ParsedLocator, policy: DialPolicy): boolean {
  if (policy.trusted?.has(locator.locator) === true) return true
  const { host, family } = locator
  if (family === 'ipv4') {
    if (loopback4.check(host, 'ipv4')) return policy.allowLoopback
    if (special4.check(host, 'ipv4')) return false
    return !private4.check(host, 'ipv4') || isShared(locator, policy)
  }
  if (loopback6.check(host, 'ipv6')) return policy.allowLoopback
  if (private6.check(host, 'ipv6')) return isShared(locator, policy)
  return global6.check(host, 'ipv6') && !special6.check(host, 'ipv6')
}

/** Whether an address could be given to other machines: neither loopback nor bound to one link nor special. */
export function isAnnounceable(address: OwnAddress): boolean {
  if (address.family === 'ipv4') return !special4.check(address.address, 'ipv4')
  return (
    private6.check(address.address, 'ipv6') ||
    (global6.check(address.address, 'ipv6') && !special6.check(address.address, 'ipv6'))
  )
}

export const isLoopback = (address: OwnAddress): boolean =>
  address.family === 'ipv4' ? loopback4.check(address.address, 'ipv4') : loopback6.check(address.address, 'ipv6')

/** The locators that may be dialled, at most `limits.locatorsMax`, in the order in which to try them. */
export function dialable(locators: readonly Locator[], policy: DialPolicy): ParsedLocator[] {
  const parsed = [...new Set(locators)].slice(0, limits.locatorsMax * 4).flatMap((text) => parseLocator(text) ?? [])
  const rank: Readonly<Record<Transport, number>> = { tcp: 0, quic: 1, ws: 2 }
  return parsed
    .filter((locator) => mayDial(locator, policy))
    .sort((a, b) => rank[a.transport] - rank[b.transport])
    .slice(0, limits.locatorsMax)
}

function isShared({ host, family }: ParsedLocator, policy: DialPolicy): boolean {
  const shared = new BlockList()
  for (const own of policy.ownAddresses) {
    if (own.family === family) shared.addSubnet(own.address, own.prefix, family)
  }
  return shared.check(host, family)
}
