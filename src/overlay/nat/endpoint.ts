/** An IP address with a port, as text, as bytes, and as what the dial policy judges. */
import { isIPv4, isIPv6 } from 'node:net'
import { type Codec, type Reader, type Writer } from '../../core/codec.ts'
import { MyceliumError } from '../../core/errors.ts'
import type { ParsedLocator } from '../dial-policy.ts'

export type Family = 'ipv4' | 'ipv6'

export interface Endpoint {
  readonly family: Family
  readonly host: string
  readonly port: number
}

/** A UDP socket of this machine, on loopback or where it listens. */
export interface LocalEndpoint {
  readonly host: string
  readonly port: number
}

export const familyOf = (host: string): Family => (isIPv6(host) ? 'ipv6' : 'ipv4')
export const endpointKey = ({ host, port }: Endpoint): string => `${host} ${port}`
export const sameEndpoint = (a: Endpoint, b: Endpoint): boolean => a.host === b.host && a.port === b.port

/** The endpoint of a locator's QUIC, which is what UDP between gateways is taken for. */
export const udpLocator = ({ family, host, port }: Endpoint): ParsedLocator => ({
  locator: `/${family === 'ipv4' ? 'ip4' : 'ip6'}/${host}/udp/${port}/quic-v1`,
  family,
  host,
  port,
  transport: 'quic',
})

const familyCode = { ipv4: 4, ipv6: 6 } as const
const addressBytes = { ipv4: 4, ipv6: 16 } as const

/** family, 4 or 6 (1) | address (4 or 16) | port (2) */
export const endpointCodec: Codec<Endpoint> = {
  write(out: Writer, { family, host, port }) {
    out.u8(familyCode[family])
    out.raw(ipBytes(host))
    out.u16(port)
  },
  read(from: Reader) {
    const code = from.u8()
    const family = code === 4 ? 'ipv4' : code === 6 ? 'ipv6' : undefined
    if (family === undefined) throw new MyceliumError('malformed', { family: code })
    return { family, host: ipText(from.raw(addressBytes[family])), port: from.u16() }
  },
}

/** 4 or 16 bytes. @throws `malformed` for what is no IP address */
export function ipBytes(host: string): Uint8Array {
  if (isIPv4(host)) return Uint8Array.from(host.split('.'), Number)
  if (!isIPv6(host)) throw new MyceliumError('malformed', { reason: 'no IP address' })
  const quad = /\d+\.\d+\.\d+\.\d+$/.exec(host)?.[0]
  const [head = '', tail] = (quad === undefined ? host : host.replace(quad, quadGroups(quad))).split('::')
  const groups = (text: string | undefined): number[] =>
    text === undefined || text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  const [before, after] = [groups(head), groups(tail)]
  const all = [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]))
}

function quadGroups(quad: string): string {
  const [a, b, c, d] = quad.split('.').map(Number) as [number, number, number, number]
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

/** @param bytes 4 or 16 of them */
export function ipText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const groups = Array.from({ length: 8 }, (_, index) => view.getUint16(index * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1) // shortened as RFC 5952 has it
}
