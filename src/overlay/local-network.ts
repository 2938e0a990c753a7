/**
 * Finds gateways on the local network with multicast DNS (RFC 6762), under a service name of our own: other programs
 * there neither see nor disturb us. It needs no router: each interface has sockets of its own, for IPv4 and IPv6, that
 * send through that interface. Anybody there can announce anything, so that what is heard is only a hint to dial, and
 * bounded.
 */
import { createSocket, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, type Packet } from 'dns-packet'
import type { Random } from '../core/ambient.ts'
import { toHex } from '../core/bytes.ts'
import type { Locator } from '../core/delivery/ports.ts'
import type { GatewayId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { parseGatewayId } from './gateway-key.ts'
import { peerIn, withoutPeer } from './multiaddr-text.ts'

const port = 5353
const group = { ipv4: '224.0.0.251', ipv6: 'ff02::fb' } as const
type Family = keyof typeof group
const kinds = { ipv4: { type: 'udp4' }, ipv6: { type: 'udp6', ipv6Only: true } } as const
const serviceName = '_mycelium._udp.local'
const nameLifeSeconds = 120
const addressText = 'dnsaddr='

export interface LocalNetworkParts {
  readonly self: GatewayId
  readonly random: Random
  readonly locators: () => readonly Locator[]
  readonly onSeen: (gateway: GatewayId, locators: readonly Locator[]) => void
}

export interface LocalNetwork extends Disposable {
  /** Own addresses are not what they were, or the machine slept: joins new interfaces, asks, and tells everybody. */
  refresh(): void
}

/** One interface in one family. */
interface Membership {
  readonly socket: Socket
  readonly family: Family
  /** When it last told who we are, monotonic milliseconds. */
  toldAtMs: number
}

export function openLocalNetwork(parts: LocalNetworkParts): LocalNetwork {
  return new MulticastNetwork(parts)
}

class MulticastNetwork implements LocalNetwork {
  readonly #parts: LocalNetworkParts
  /** By interface, family and, for IPv4, address. */
  readonly #members = new Map<string, Membership>()
  readonly #isNews = newsFilter()
  readonly #instance: string
  readonly #timers: readonly NodeJS.Timeout[]

  constructor(parts: LocalNetworkParts) {
    this.#parts = parts
    this.#instance = `${toHex(parts.random.bytes(16))}.${serviceName}`
    this.#timers = [
      setInterval(() => this.#join(), limits.interfacePollMs).unref(),
      setInterval(() => this.#ask(), limits.mdnsQueryMs).unref(),
    ]
    this.#join()
  }

  refresh(): void {
    this.#join()
    this.#ask()
    this.#tellAll()
    // once more, as RFC 6762 §8.3 has it: a network that has just come up loses the first packets
    setTimeout(() => this.#tellAll(), limits.mdnsRepeatMs * 2).unref()
  }

  [Symbol.dispose](): void {
    for (const timer of this.#timers) clearInterval(timer)
    for (const { socket } of this.#members.values()) socket.close()
    this.#members.clear()
  }

  #join(): void {
    const wanted = interfaces()
    for (const [key, { socket }] of this.#members) {
      if (wanted.has(key)) continue
      this.#members.delete(key)
      socket.close()
    }
    for (const [key, place] of wanted) if (!this.#members.has(key)) this.#listen(key, place)
  }

  #listen(key: string, { family, address, scope }: Place): void {
    const socket = createSocket({ ...kinds[family], reuseAddr: true })
    const member: Membership = { socket, family, toldAtMs: -Infinity }
    this.#members.set(key, member)
    const forget = (): void => {
      if (this.#members.get(key) === member) this.#members.delete(key)
      closeQuietly(socket)
    }
    socket.on('error', forget)
    socket.on('message', (bytes) => this.#onMessage(member, bytes))
    socket.bind(port, () => {
      try {
        socket.addMembership(group[family], family === 'ipv4' ? address : `::%${scope}`)
        socket.setMulticastInterface(family === 'ipv4' ? address : `::%${scope}`)
        socket.setMulticastTTL(255)
        socket.setMulticastLoopback(true) // another gateway of this machine
      } catch {
        return forget() // the interface has just gone, or takes no multicast
      }
      this.#send(member, query())
      this.#tell(member)
    })
    socket.unref()
  }

  #onMessage(member: Membership, bytes: Uint8Array): void {
    const packet = parse(bytes)
    if (packet?.type === 'query' && asksForUs(packet)) this.#tell(member)
    if (packet?.type !== 'response') return
    for (const { gateway, locators } of gatewaysIn(packet)) {
      if (gateway !== this.#parts.self && this.#isNews(`${gateway} ${locators.join(' ')}`, performance.now()))
        this.#parts.onSeen(gateway, locators)
    }
  }

  #ask(): void {
    for (const member of this.#members.values()) this.#send(member, query())
  }

  #tellAll(): void {
    for (const member of this.#members.values()) {
      member.toldAtMs = -Infinity
      this.#tell(member)
    }
  }

  /** At most once in `mdnsRepeatMs` on one interface (RFC 6762 §6), whoever asks. */
  #tell(member: Membership): void {
    const nowMs = performance.now()
    const locators = this.#parts.locators()
    if (locators.length === 0 || nowMs - member.toldAtMs < limits.mdnsRepeatMs) return
    member.toldAtMs = nowMs
    this.#send(member, announcement(this.#instance, this.#parts.self, locators))
  }

  #send({ socket, family }: Membership, bytes: Uint8Array): void {
    try {
      socket.send(bytes, port, group[family], () => {}) // the next poll finds out when the interface is gone
    } catch {
      // not bound yet, or closed
    }
  }
}

interface Place {
  readonly family: Family
  readonly address: string
  /** How the system names an IPv6 zone: the interface, on Windows its number. */
  readonly scope: string
}

/** Every interface that could have neighbours, at most `mdnsInterfacesMax` of them. */
function interfaces(): Map<string, Place> {
  const places = new Map<string, Place>()
  for (const [name, entries] of Object.entries(networkInterfaces())) {
    for (const entry of entries ?? []) {
      if (entry.internal || places.size >= limits.mdnsInterfacesMax) continue
      if (entry.family === 'IPv4')
        places.set(`${name} ${entry.address}`, { family: 'ipv4', address: entry.address, scope: name })
      else {
        const scope = process.platform === 'win32' ? String(entry.scopeid) : name
        places.set(`${name} ipv6`, { family: 'ipv6', address: entry.address, scope })
      }
    }
  }
  return places
}

const query = (): Uint8Array =>
  encode({ type: 'query', id: 0, flags: 0, questions: [{ name: serviceName, type: 'PTR' }] })

function announcement(instance: string, self: GatewayId, locators: readonly Locator[]): Uint8Array {
  const texts = locators.map((locator) => `${addressText}${locator}/p2p/${self}`).filter((text) => text.length <= 255)
  const answers: Answer[] = [
    { name: serviceName, type: 'PTR', class: 'IN', ttl: nameLifeSeconds, data: instance },
    ...texts.map((data): Answer => ({ name: instance, type: 'TXT', class: 'IN', ttl: nameLifeSeconds, data })),
  ]
  return encode({ type: 'response', id: 0, flags: AUTHORITATIVE_ANSWER, answers })
}

function parse(bytes: Uint8Array): Packet | undefined {
  if (bytes.length > limits.mdnsPacketBytesMax) return undefined
  try {
    return decode(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
  } catch {
    return undefined
  }
}

const asksForUs = ({ questions = [] }: Packet): boolean =>
  questions.slice(0, limits.mdnsRecordsMax).some(({ name, type }) => name === serviceName && type === 'PTR')

/** Who is announced in a response, and where. */
function gatewaysIn({ answers = [], additionals = [] }: Packet): { gateway: GatewayId; locators: Locator[] }[] {
  if (!answers.some(({ name, type }) => name === serviceName && type === 'PTR')) return []
  const found = new Map<GatewayId, Locator[]>()
  for (const answer of [...answers, ...additionals].slice(0, limits.mdnsRecordsMax)) {
    if (answer.type !== 'TXT' || !answer.name.endsWith(serviceName)) continue
    for (const data of [answer.data].flat()) {
      const text = data.toString()
      if (!text.startsWith(addressText)) continue
      const address = text.slice(addressText.length)
      const gateway = parseGatewayId(peerIn(address) ?? '')
      if (gateway !== undefined) found.set(gateway, [...(found.get(gateway) ?? []), withoutPeer(address)])
    }
  }
  return [...found].map(([gateway, locators]) => ({ gateway, locators }))
}

function closeQuietly(socket: Socket): void {
  try {
    socket.close()
  } catch {
    // closed already
  }
}

/** The same news count once in a query interval, and no more than so many. */
export function newsFilter(): (news: string, nowMs: number) => boolean {
  const heardMs = new Map<string, number>()
  return (news, nowMs) => {
    for (const [known, atMs] of heardMs) {
      if (nowMs - atMs < limits.mdnsQueryMs / 2) break
      heardMs.delete(known)
    }
    if (heardMs.has(news) || heardMs.size >= limits.mdnsPeersMax) return false
    heardMs.set(news, nowMs)
    return true
  }
}
