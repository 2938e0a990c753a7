/**
 * ◆ An invitation link: `mycelium:` and base64url of version, identity, root key if it was rotated, one-time
 * capability, expiry, gateway, address, a few locators and a checksum. Never longer than 400 characters: locators that
 * do not fit are left out, last first.
 */
import { concat, equalConstantTime, fromBase64Url, fromUtf8, toBase64Url, toUtf8 } from '../bytes.ts'
import {
  array,
  type Codec,
  decode,
  encode,
  fixed,
  hexId,
  literal,
  optional,
  record,
  u16,
  u32,
  u8,
  union,
} from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import type { Address, GatewayId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import { gatewayOfKey, keyOfGateway } from './gateway-text.ts'
import { gatewayIdOctetsMax } from './locators.ts'
import { zoneDomain, zoneKeyOf } from './names.ts'

const invitationScheme = 'mycelium:'
export const capabilityBytes = 16

export interface Invitation {
  readonly identity: Identity
  /** Current root key where the root was rotated: then it is part of the fingerprint. */
  readonly root: { readonly generation: number; readonly rootKey: Uint8Array } | undefined
  /** What the inviter's gateway knows the invited person by; good for one identity. */
  readonly capability: Uint8Array
  /** Unix milliseconds; whole minutes. */
  readonly expiresAtMs: number
  readonly gateway: GatewayId
  readonly address: Address
  readonly locators: readonly string[]
}

/** UTF-8 after a one-byte length. */
function shortText(octetsMax: number): Codec<string> {
  return {
    write(out, value) {
      const encoded = fromUtf8(value)
      if (encoded.length > octetsMax)
        throw new MyceliumError('too-large', { bytes: encoded.length, bytesMax: octetsMax })
      out.u8(encoded.length)
      out.raw(encoded)
    },
    read(from) {
      const length = from.u8()
      const value = length > octetsMax ? undefined : toUtf8(from.raw(length))
      if (value === undefined) throw new MyceliumError('malformed', { at: from.position })
      return value
    },
  }
}

type PackedAddress =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'zone'; readonly local: string; readonly zone: Uint8Array }
const packedAddress: Codec<PackedAddress> = union<PackedAddress>({
  text: { tag: 0, codec: record({ kind: literal('text'), text: shortText(255) }) },
  zone: { tag: 1, codec: record({ kind: literal('zone'), local: shortText(64), zone: fixed(32) }) },
})

/** The usual forms in 7 bytes, those through another gateway in 39, others as text. */
type PackedLocator =
  | { readonly kind: 'text'; readonly text: string }
  | Ip4<'tcp'>
  | Ip4<'quic'>
  | Ip4<'ws'>
  | Via<'via-tcp'>
  | Via<'via-quic'>
  | Via<'via-ws'>
interface Ip4<Kind extends string> {
  readonly kind: Kind
  readonly ip: Uint8Array
  readonly port: number
}
/** Reachable through the gateway of that key, which is at that address. */
interface Via<Kind extends string> extends Ip4<Kind> {
  readonly through: Uint8Array
}
const ip4 = <const Kind extends string>(kind: Kind): Codec<Ip4<Kind>> =>
  record<Ip4<Kind>>({ kind: literal(kind), ip: fixed(4), port: u16 })
const via = <const Kind extends string>(kind: Kind): Codec<Via<Kind>> =>
  record<Via<Kind>>({ kind: literal(kind), ip: fixed(4), port: u16, through: fixed(32) })
const packedLocator: Codec<PackedLocator> = union<PackedLocator>({
  text: { tag: 0, codec: record({ kind: literal('text'), text: shortText(255) }) },
  tcp: { tag: 1, codec: ip4('tcp') },
  quic: { tag: 2, codec: ip4('quic') },
  ws: { tag: 3, codec: ip4('ws') },
  'via-tcp': { tag: 4, codec: via('via-tcp') },
  'via-quic': { tag: 5, codec: via('via-quic') },
  'via-ws': { tag: 6, codec: via('via-ws') },
})

const suffixes = { tcp: ['tcp', ''], quic: ['udp', '/quic-v1'], ws: ['tcp', '/ws'] } as const

const circuit = /^(.*)\/p2p\/([^/]+)\/p2p-circuit$/

function packLocator(text: string): PackedLocator {
  const [, direct, gateway] = circuit.exec(text) ?? []
  const through = gateway === undefined ? undefined : keyOfGateway(gateway)
  const packed = packIp4(direct ?? text)
  if (packed === undefined) return { kind: 'text', text }
  if (direct === undefined) return packed
  return through === undefined ? { kind: 'text', text } : { ...packed, kind: `via-${packed.kind}`, through }
}

function packIp4(text: string): Ip4<keyof typeof suffixes> | undefined {
  const match = /^\/ip4\/(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(tcp|udp)\/(\d{1,5})(\/quic-v1|\/ws|)$/.exec(text)
  if (match === null) return undefined
  const [, a, b, c, d, transport, port, suffix] = match
  const kinds = ['tcp', 'quic', 'ws'] as const
  const kind = kinds.find((name) => suffixes[name][0] === transport && suffixes[name][1] === suffix)
  if (kind === undefined) return undefined
  const packed = { kind, ip: Uint8Array.from([a, b, c, d].map(Number)), port: Number(port) & 0xffff }
  return unpackIp4(packed) === text ? packed : undefined
}

const unpackIp4 = ({ kind, ip, port }: Ip4<keyof typeof suffixes>): string =>
  `/ip4/${ip.join('.')}/${suffixes[kind][0]}/${port}${suffixes[kind][1]}`

function unpackLocator(packed: PackedLocator): string {
  if (packed.kind === 'text') return packed.text
  if (!('through' in packed)) return unpackIp4(packed)
  const kind = packed.kind.slice('via-'.length) as keyof typeof suffixes
  return `${unpackIp4({ ...packed, kind })}/p2p/${gatewayOfKey(packed.through)}/p2p-circuit`
}

interface Packed {
  readonly identity: Identity
  readonly root: { readonly generation: number; readonly rootKey: Uint8Array } | undefined
  readonly capability: Uint8Array
  readonly expiresAtMinutes: number
  readonly gateway: string
  readonly address: PackedAddress
  readonly locators: readonly PackedLocator[]
}
const packedCodec = record<Packed>({
  identity: hexId<Identity>(32),
  root: optional(record({ generation: u8, rootKey: fixed(32) })),
  capability: fixed(capabilityBytes),
  expiresAtMinutes: u32,
  gateway: shortText(gatewayIdOctetsMax),
  address: packedAddress,
  locators: array(packedLocator, limits.locatorsMax),
})

const version = 1
const checksumBytes = 4
const checksumOf = (content: Uint8Array): Uint8Array =>
  labelledHash('mycelium/invitation/1', content).subarray(0, checksumBytes)

/** One of each kind first, so that both fit: whoever is behind a NAT has a direct one that leads nowhere from outside. */
function mixed(locators: readonly string[]): readonly string[] {
  const through = locators.find((locator) => circuit.test(locator))
  const [first, ...others] = locators.filter((locator) => locator !== through)
  return [first, through, ...others].filter((locator) => locator !== undefined)
}

/** The link, with as many locators as fit. @throws `too-large` when even none do (an overlong address) */
export function writeInvitation(invitation: Invitation): string {
  for (let count = Math.min(invitation.locators.length, limits.locatorsMax); count >= 0; count -= 1) {
    const content = concat(Uint8Array.of(version), encode(packedCodec, pack(invitation, count)))
    const link = invitationScheme + toBase64Url(concat(content, checksumOf(content)))
    if (link.length <= limits.inviteLinkCharsMax) return link
  }
  throw new MyceliumError('too-large', { charsMax: limits.inviteLinkCharsMax })
}

function pack(invitation: Invitation, locatorCount: number): Packed {
  const { identity, root, capability, expiresAtMs, gateway, address } = invitation
  const locators = mixed(invitation.locators)
  const at = address.lastIndexOf('@')
  const zone = zoneKeyOf(address.slice(at + 1))
  return {
    identity,
    root,
    capability,
    expiresAtMinutes: Math.floor(expiresAtMs / 60_000),
    gateway,
    address: zone === undefined ? { kind: 'text', text: address } : { kind: 'zone', local: address.slice(0, at), zone },
    locators: locators.slice(0, locatorCount).map(packLocator),
  }
}

/**
 * Reads a link; white space around and inside it (as mail programs wrap lines) is passed over. The address is as the
 * link has it: parse it before use. Whether it has expired is the caller's question.
 * @throws `invitation-invalid` with `reason` scheme, length, encoding, checksum, version or content
 */
export function parseInvitation(link: string): Invitation {
  const refuse = (reason: string): MyceliumError => new MyceliumError('invitation-invalid', { reason })
  if (link.length > 2 * limits.inviteLinkCharsMax) throw refuse('length')
  const compact = link.replace(/\s+/g, '')
  if (compact.slice(0, invitationScheme.length).toLowerCase() !== invitationScheme) throw refuse('scheme')
  if (compact.length > limits.inviteLinkCharsMax) throw refuse('length')
  const bytes = fromBase64Url(compact.slice(invitationScheme.length))
  if (bytes === undefined) throw refuse('encoding')
  if (bytes.length < 1 + checksumBytes) throw refuse('length')
  const content = bytes.subarray(0, -checksumBytes)
  if (!equalConstantTime(checksumOf(content), bytes.subarray(-checksumBytes))) throw refuse('checksum')
  if (content[0] !== version) throw refuse('version')
  try {
    return unpack(decode(packedCodec, Uint8Array.from(content.subarray(1))))
  } catch (cause) {
    if (cause instanceof MyceliumError) throw new MyceliumError('invitation-invalid', { reason: 'content' }, { cause })
    throw cause
  }
}

function unpack(packed: Packed): Invitation {
  const { identity, root, capability, expiresAtMinutes, gateway, address, locators } = packed
  const text = address.kind === 'text' ? address.text : `${address.local}@${zoneDomain(address.zone)}`
  if (root?.generation === 0 || gateway === '' || !/^[^@\s]+@[^@\s]+$/.test(text)) {
    throw new MyceliumError('malformed', { reason: 'invitation' })
  }
  return {
    identity,
    root,
    capability,
    expiresAtMs: expiresAtMinutes * 60_000,
    gateway: gateway as GatewayId,
    address: text as Address,
    locators: locators.map(unpackLocator),
  }
}
