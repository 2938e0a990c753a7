/** PCP (RFC 6887), its MAP request alone: asks the router for a port. */
import { ipBytes, ipText } from './endpoint.ts'
import { askRouter, type Mapper, type Mapping, type MappingRequest, refusedBy } from './mapping.ts'
import type { Router } from './default-gateway.ts'

const version = 2
const mapOpcode = 1
const answerBit = 0x80
const headerBytes = 24
const mapBytes = 36
export const nonceBytes = 12
const protocols = { tcp: 6, udp: 17 } as const

export const pcp: Mapper = async (router, request, signal) => {
  const question = encodeMap(router, request)
  return await askRouter(router, question, (answer) => decodeMap(answer, question), signal)
}

/** §7.1 and §11.1. */
function encodeMap({ own }: Router, { protocol, port, nonce, lifetimeSeconds }: MappingRequest): Buffer {
  const bytes = Buffer.alloc(headerBytes + mapBytes)
  bytes[0] = version
  bytes[1] = mapOpcode
  bytes.writeUInt32BE(lifetimeSeconds, 4)
  bytes.set(mapped(own), 8)
  bytes.set(nonce, headerBytes)
  bytes[headerBytes + 12] = protocols[protocol]
  bytes.writeUInt16BE(port, headerBytes + 16)
  bytes.writeUInt16BE(lifetimeSeconds === 0 ? 0 : port, headerBytes + 18)
  bytes.set(mapped('0.0.0.0'), headerBytes + 20)
  return bytes
}

/** §7.2 and §11.1; `undefined` for the answer to something else. */
function decodeMap(answer: Uint8Array, question: Buffer): Mapping | undefined {
  const view = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength)
  // a router that knows NAT-PMP alone answers with version 0 and "unsupported version"
  if (answer.length >= 4 && view[0] !== version) refusedBy('PCP version', view[0]!)
  if (answer.length < headerBytes + mapBytes || view[1] !== (answerBit | mapOpcode)) return undefined
  if (view[3] !== 0) refusedBy('PCP', view[3]!)
  const isOurs = view.subarray(headerBytes, headerBytes + 18).equals(question.subarray(headerBytes, headerBytes + 18))
  if (!isOurs) return undefined
  const address = ipText(view.subarray(headerBytes + 20, headerBytes + 36))
  return {
    externalPort: view.readUInt16BE(headerBytes + 18),
    externalHost: isMapped(view.subarray(headerBytes + 20))
      ? view.subarray(headerBytes + 32, headerBytes + 36).join('.')
      : address,
    lifetimeSeconds: view.readUInt32BE(4),
  }
}

const mappedPrefix = Buffer.from('00000000000000000000ffff', 'hex')
const mapped = (host: string): Uint8Array => Buffer.concat([mappedPrefix, ipBytes(host)])
const isMapped = (bytes: Uint8Array): boolean => Buffer.from(bytes).subarray(0, 12).equals(mappedPrefix)
