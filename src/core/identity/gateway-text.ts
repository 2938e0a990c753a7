/** A gateway's id in text ↔ the 32-octet Ed25519 key in it: base58btc of a libp2p peer id with the key inline. */
import type { GatewayId } from '../ids.ts'

const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** Identity multihash of 36 octets; protobuf: type Ed25519, 32 octets of key. */
const prefix = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
const keyOctets = 32
/** Every such id has the same length, for the prefix is the same. */
const textPattern = /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/

/** The key of an id in its one text form; `undefined` for anything else. */
export function keyOfGateway(text: string): Uint8Array | undefined {
  if (!textPattern.test(text)) return undefined
  let value = 0n
  for (const character of text) value = value * 58n + BigInt(alphabet.indexOf(character))
  const octets = Buffer.from(value.toString(16).padStart((prefix.length + keyOctets) * 2, '0'), 'hex')
  const key = Uint8Array.from(octets.subarray(-keyOctets))
  return gatewayOfKey(key) === text ? key : undefined
}

export function gatewayOfKey(key: Uint8Array): GatewayId {
  let value = BigInt(`0x${Buffer.concat([prefix, key]).toString('hex')}`)
  let text = ''
  for (; value > 0n; value /= 58n) text = alphabet[Number(value % 58n)]! + text
  // the leading zero octet
  return `1${text}` as GatewayId
}
