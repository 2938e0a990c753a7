/** A group of any size on one machine: its operations, the keys of its founder and one member, and a session to each device. */
import { toHex } from '../../src/core/bytes.ts'
import { dhKeyPair } from '../../src/core/crypto/dh.ts'
import { kemKeyPair } from '../../src/core/crypto/kem.ts'
import { osRandom } from '../../src/core/crypto/random.ts'
import { signingKey } from '../../src/core/crypto/sign.ts'
import { foundGroup, Group, type GroupAuthor } from '../../src/core/group/group.ts'
import type { GroupAction } from '../../src/core/group/op.ts'
import type { DeviceId, Identity } from '../../src/core/ids.ts'
import { initiate } from '../../src/core/session/handshake.ts'
import { Session } from '../../src/core/session/session.ts'

export const nowMs = Date.UTC(2026, 0, 1)
export const moment = { random: osRandom, nowMs }

export interface Crowd {
  readonly group: Group
  readonly founder: GroupAuthor
  readonly others: readonly GroupAuthor[]
  /** The founder's, one for each other member. */
  readonly sessions: readonly Session[]
  /** What the founder does, taken by its own replica. */
  readonly act: (action: GroupAction) => void
}

function person(): GroupAuthor {
  const key = signingKey(osRandom.bytes(32))
  return { identity: toHex(osRandom.bytes(32)) as Identity, device: toHex(key.publicKey) as DeviceId, key }
}

/** The sending half of a session, as the initiator has it after its first flight. */
function newSession(): Uint8Array {
  const logHead = osRandom.bytes(32)
  const [dh, kem] = [dhKeyPair(osRandom.bytes(32)), kemKeyPair(osRandom.bytes(64))]
  const party = () => ({
    identity: toHex(osRandom.bytes(32)) as Identity,
    device: toHex(osRandom.bytes(32)) as DeviceId,
  })
  const { session } = initiate({
    self: { ...party(), deviceDh: dhKeyPair(osRandom.bytes(32)), logHead },
    peer: {
      ...party(),
      deviceDhPublic: dh.publicKey,
      logHead,
      prekey: { id: 1, dh: dh.publicKey, kem: kem.publicKey },
    },
    introduction: new Uint8Array(1024),
    ...moment,
  })
  return session.encode()
}

export function crowdOf(size: number): Crowd {
  const [founder, others] = [person(), Array.from({ length: size - 1 }, person)]
  const first = foundGroup(
    founder,
    {
      name: 'Crowd',
      policy: { post: 'members', add: 'admins', sharesHistory: false, readReceipts: false },
      nonce: osRandom.bytes(16),
    },
    nowMs,
  )
  const group = Group.open(first, { hasDevice: () => true })
  const act = (action: GroupAction): void => {
    const { kind } = group.add(group.compose(founder, action, nowMs), nowMs)
    if (kind !== 'added') throw new Error(kind)
  }
  for (const { identity } of others) act({ kind: 'add', member: identity, logHead: osRandom.bytes(32) })
  const state = newSession()
  return { group, founder, others, act, sessions: others.map(() => Session.decode(state)) }
}
