/** STUN binding requests and answers (RFC 8489 §5, §14.2): how a socket learns the address that others see it at. */
import { type Endpoint, ipBytes, ipText } from './endpoint.ts'

const cookie = 0x2112_a442
const headerBytes = 20
export const transactionBytes = 12
const bindingRequest = 0x0001
const bindingSuccess = 0x0101
const xorMappedAddress = 0x0020

export type StunMessage =
  | { readonly kind: 'request'; readonly transaction: Uint8Array }
  | { readonly kind: 'success'; readonly transaction: Uint8Array; readonly mapped: Endpoint }

/** @param transaction 12 random bytes */
export function encodeRequest(transaction: Uint8Array): Uint8Array {
  return header(bindingRequest, 0, transaction)
}

/** As long as its request and an address: nobody is worth flooding with it. */
export function encodeSuccess(transaction: Uint8Array, { family, host, port }: Endpoint): Uint8Array {
  const address = xorAddress(ipBytes(host), transaction)
  const length = 4 + 4 + address.length
  const bytes = Buffer.alloc(headerBytes + length)
  bytes.set(header(bindingSuccess, length, transaction))
  bytes.writeUInt16BE(xorMappedAddress, headerBytes)
  bytes.writeUInt16BE(4 + address.length, headerBytes + 2)
  bytes[headerBytes + 5] = family === 'ipv4' ? 1 : 2
  bytes.writeUInt16BE(port ^ (cookie >>> 16), headerBytes + 6)
  bytes.set(address, headerBytes + 8)
  return bytes
}

/** Whether a datagram is STUN at all, without reading on. */
export function isStun(bytes: Uint8Array): boolean {
  if (bytes.length < headerBytes || bytes[0]! > 3) return false
  const view = viewOf(bytes)
  return view.readUInt32BE(4) === cookie && view.readUInt16BE(2) === bytes.length - headerBytes
}

/** `undefined` for anything that is neither a binding request nor an answer with an address. */
export function decodeStun(bytes: Uint8Array): StunMessage | undefined {
  if (!isStun(bytes)) return undefined
  const view = viewOf(bytes)
  const transaction = new Uint8Array(bytes.subarray(8, headerBytes))
  const type = view.readUInt16BE(0)
  if (type === bindingRequest) return { kind: 'request', transaction }
  if (type !== bindingSuccess) return undefined
  for (let at = headerBytes; at + 4 <= bytes.length;) {
    const attribute = view.readUInt16BE(at)
    const length = view.readUInt16BE(at + 2)
    if (at + 4 + length > bytes.length) return undefined
    if (attribute === xorMappedAddress) {
      const mapped = addressIn(bytes.subarray(at + 4, at + 4 + length), transaction)
      return mapped === undefined ? undefined : { kind: 'success', transaction, mapped }
    }
    at += 4 + Math.ceil(length / 4) * 4
  }
  return undefined
}

function addressIn(value: Uint8Array, transaction: Uint8Array): Endpoint | undefined {
  const family =
    value[1] === 1 && value.length === 8 ? 'ipv4' : value[1] === 2 && value.length === 20 ? 'ipv6' : undefined
  if (family === undefined) return undefined
  const port = viewOf(value).readUInt16BE(2) ^ (cookie >>> 16)
  return { family, host: ipText(xorAddress(value.subarray(4), transaction)), port }
}

function header(type: number, length: number, transaction: Uint8Array): Buffer {
  const bytes = Buffer.alloc(headerBytes)
  bytes.writeUInt16BE(type, 0)
  bytes.writeUInt16BE(length, 2)
  bytes.writeUInt32BE(cookie, 4)
  bytes.set(transaction, 8)
  return bytes
}

/** With the cookie, and for IPv6 the transaction after it. */
function xorAddress(address: Uint8Array, transaction: Uint8Array): Uint8Array {
  const mask = header(0, 0, transaction).subarray(4)
  return address.map((byte, index) => byte ^ mask[index]!)
}

const viewOf = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
