/** A gateway's Ed25519 key and the peer id it makes: says that a gateway is here, not whose. Rotated by the caller. */
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import type { Random } from '../core/ambient.ts'
import { signingKey } from '../core/crypto/sign.ts'
import type { GatewayId } from '../core/ids.ts'

const gatewayKeyBytes = 32

/** A new Ed25519 seed. The caller keeps it at rest as a secret. */
export const newGatewayKey = (random: Random): Uint8Array => random.bytes(gatewayKeyBytes)

export const gatewayIdOf = (key: Uint8Array): GatewayId =>
  peerIdFromPublicKey(publicKeyFromRaw(signingKey(key).publicKey)).toString() as GatewayId

/** Reads an Ed25519 peer id in its usual text form; `undefined` for anything else. */
export function parseGatewayId(text: string): GatewayId | undefined {
  if (!/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/.test(text)) return undefined
  try {
    const id = peerIdFromString(text)
    return id.type === 'Ed25519' && id.toString() === text ? (text as GatewayId) : undefined
  } catch {
    return undefined
  }
}

export const gatewayKeyOctets = 32

/** The Ed25519 public key that an id stands for. */
export const publicKeyOf = (gateway: GatewayId): Uint8Array => peerIdFromString(gateway).publicKey!.raw

/** The id of 32 octets that may be a public key. @throws when they are none */
export const gatewayIdOfPublicKey = (publicKey: Uint8Array): GatewayId =>
  peerIdFromPublicKey(publicKeyFromRaw(publicKey)).toString() as GatewayId
