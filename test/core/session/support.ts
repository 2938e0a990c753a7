/** Two devices that share a session, with randomness that a seed decides. */
import { createHash } from 'node:crypto'
import type { Random } from '../../../src/core/ambient.ts'
import { dhKeyPair } from '../../../src/core/crypto/dh.ts'
import { kemKeyPair } from '../../../src/core/crypto/kem.ts'
import { signingKey, type SigningKey } from '../../../src/core/crypto/sign.ts'
import type { DeviceId, Identity } from '../../../src/core/ids.ts'
import { initiate, type Party, type Peer, type PrekeySecrets, readFlight } from '../../../src/core/session/handshake.ts'
import type { Session } from '../../../src/core/session/session.ts'

/** SHA-256 in counter mode over a seed: the same bytes on every run. */
export function seededRandom(seed: string): Random {
  let counter = 0
  return {
    bytes(length) {
      const out = Buffer.alloc(length)
      for (let at = 0; at < length; at += 32) {
        createHash('sha256').update(`${seed}/${counter}`).digest().copy(out, at)
        counter += 1
      }
      return out
    },
  }
}

export const startMs = Date.UTC(2026, 0, 1)

export interface Device {
  readonly party: Party & { readonly logHead: Uint8Array }
  readonly signing: SigningKey
  readonly prekeyId: number
  readonly prekey: PrekeySecrets
  readonly peer: Peer
}

export function device(random: Random, prekeyId = 7): Device {
  const signing = signingKey(random.bytes(32))
  const party = {
    identity: Buffer.from(random.bytes(32)).toString('hex') as Identity,
    device: Buffer.from(signing.publicKey).toString('hex') as DeviceId,
    deviceDh: dhKeyPair(random.bytes(32)),
    logHead: random.bytes(32),
  }
  const dh = dhKeyPair(random.bytes(32))
  const kem = kemKeyPair(random.bytes(64))
  return {
    party,
    signing,
    prekeyId,
    prekey: { dh: dh.secretKey, kem: kem.seed },
    peer: {
      identity: party.identity,
      device: party.device,
      deviceDhPublic: party.deviceDh.publicKey,
      logHead: party.logHead,
      prekey: { id: prekeyId, dh: dh.publicKey, kem: kem.publicKey },
    },
  }
}

export const findPrekey =
  ({ prekeyId, prekey }: Device) =>
  (id: number): PrekeySecrets | undefined =>
    id === prekeyId ? prekey : undefined

export function begin(
  from: Device,
  to: Device,
  random: Random,
  introduction: Uint8Array = Buffer.from('introduction'),
) {
  return initiate({ self: from.party, peer: to.peer, introduction, random, nowMs: startMs })
}

export function accept(flight: Uint8Array, from: Device, to: Device, random: Random): Session {
  const claim = readFlight(flight, { self: to.party, prekey: findPrekey(to) })
  return claim.finish({ deviceDhPublic: from.peer.deviceDhPublic, logHead: claim.logHead }, { random, nowMs: startMs })
}

/** Alice started, Bob answered; nothing was sent yet. */
export function pair(random: Random): { alice: Session; bob: Session } {
  const [a, b] = [device(random), device(random)]
  const { session, flight } = begin(a, b, random)
  return { alice: session, bob: accept(flight, a, b, random) }
}
