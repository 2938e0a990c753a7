/** CPU time of one ratchet operation, class framing included; the peer is the same operation on the portable (noble) primitives. */
import type { Bench, Result } from '../scripts/bench.ts'
import { dhKeyPair } from '../src/core/crypto/dh.ts'
import { kemKeyPair } from '../src/core/crypto/kem.ts'
import { osRandom } from '../src/core/crypto/random.ts'
import { useImplementation } from '../src/core/crypto/sodium.ts'
import { toHex } from '../src/core/bytes.ts'
import type { DeviceId, Identity } from '../src/core/ids.ts'
import { initiate, readFlight } from '../src/core/session/handshake.ts'
import { Session } from '../src/core/session/session.ts'

const moment = { random: osRandom, nowMs: Date.now() }
const payload = Buffer.alloc(34, 0x61)

function device() {
  const deviceDh = dhKeyPair(osRandom.bytes(32))
  const [dh, kem] = [dhKeyPair(osRandom.bytes(32)), kemKeyPair(osRandom.bytes(64))]
  const ids = { identity: toHex(osRandom.bytes(32)) as Identity, device: toHex(osRandom.bytes(32)) as DeviceId }
  const logHead = osRandom.bytes(32)
  return {
    party: { ...ids, deviceDh, logHead },
    peer: {
      ...ids,
      deviceDhPublic: deviceDh.publicKey,
      logHead,
      prekey: { id: 1, dh: dh.publicKey, kem: kem.publicKey },
    },
    prekey: { dh: dh.secretKey, kem: kem.seed },
  }
}

/** Both halves of a handshake: what the two devices compute together. */
function handshake(from = device(), to = device()): { alice: Session; bob: Session } {
  const { session, flight } = initiate({
    self: from.party,
    peer: to.peer,
    introduction: new Uint8Array(1024),
    ...moment,
  })
  const claim = readFlight(flight, { self: to.party, prekey: () => to.prekey })
  const known = { deviceDhPublic: from.party.deviceDh.publicKey, logHead: from.party.logHead }
  return { alice: session, bob: claim.finish(known, moment) }
}

const cpuUs = (work: () => void): number => {
  const started = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(started)
  return user + system
}

/** Median of `rounds` rounds, after one that warms up. */
const median = (rounds: number, round: () => number): number => {
  round()
  const all = Array.from({ length: rounds }, round).toSorted((a, b) => a - b)
  return all[Math.floor(rounds / 2)]!
}

function measure(count: number, rounds: number): Record<string, number> {
  const start = handshake()
  const [alice, bob] = [start.alice.encode(), start.bob.encode()]
  const frames: Uint8Array[] = []
  const seal = (): number => {
    const session = Session.decode(alice)
    frames.length = 0
    return cpuUs(() => {
      for (let index = 0; index < count; index += 1) frames.push(session.seal(payload, moment))
    })
  }
  const open = (): number => {
    const session = Session.decode(bob)
    return cpuUs(() => {
      for (const frame of frames) {
        if (session.open(frame, moment).kind !== 'payload') throw new TypeError('a frame did not open')
      }
    })
  }
  const turn = (): number => {
    const sessions = { a: Session.decode(alice), b: Session.decode(bob) }
    return cpuUs(() => {
      for (let index = 0; index < count / 20; index += 1) {
        sessions.b.open(sessions.a.seal(payload, moment), moment)
        sessions.a.open(sessions.b.seal(payload, moment), moment)
      }
    })
  }
  const [from, to] = [device(), device()]
  const shakes = Math.max(3, Math.floor(count / 100))
  const shake = (): number =>
    cpuUs(() => {
      for (let index = 0; index < shakes; index += 1) handshake(from, to)
    })
  const store = (): number =>
    cpuUs(() => {
      for (let index = 0; index < count; index += 1) Session.decode(alice).encode()
    })
  const seal128 = median(rounds, seal) / count
  const open128 = median(rounds, open) / count
  // each half of an exchange turns one ratchet: what is left after its seal and its open is the DH step
  const dhStep = median(rounds, turn) / Math.ceil(count / 20) / 2 - seal128 - open128
  return {
    seal_128: seal128,
    open_128: open128,
    dh_step: dhStep,
    handshake: median(rounds, shake) / shakes,
    decode_encode: median(rounds, store) / count,
  }
}

export const bench: Bench = async ({ quick, say }) => {
  useImplementation('native')
  say('native')
  const ours = measure(quick ? 10_000 : 40_000, quick ? 5 : 9)
  useImplementation('portable')
  say('noble')
  const noble = measure(quick ? 400 : 2_000, 3)
  useImplementation('native')
  const round = (value: number): number => Math.round(value * 100) / 100
  const results = Object.entries(ours).map(([name, value]): Result => {
    const peerValue = noble[name]!
    const shown = { name, unit: 'us', value: round(value) }
    if (name === 'decode_encode') return shown
    return { ...shown, peer: 'noble', peerValue: round(peerValue), ratio: Math.round((value / peerValue) * 1e4) / 1e4 }
  })
  return await Promise.resolve(results)
}
