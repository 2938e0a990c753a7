/**
 * The frozen transcripts that docs/protocol refers to: every byte of a session whose randomness is SHA-256 of a counter.
 * `node test/core/session/frozen.ts` writes test/vectors/session anew: only with a new version of the format.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { toHex } from '../../../src/core/bytes.ts'
import { useImplementation } from '../../../src/core/crypto/sodium.ts'
import type { GatewayId } from '../../../src/core/ids.ts'
import { limits } from '../../../src/core/limits.ts'
import type { FrameClass } from '../../../src/core/session/frame.ts'
import { flightCacheKey } from '../../../src/core/session/handshake.ts'
import { HelloExchange, type HelloStep } from '../../../src/core/session/hello.ts'
import { encodeItem } from '../../../src/core/session/items.ts'
import { signReset } from '../../../src/core/session/reset.ts'
import type { Session } from '../../../src/core/session/session.ts'
import { accept, begin, device, type Device, seededRandom, startMs } from './support.ts'

type Side = 'initiator' | 'responder'
interface FrozenFrame {
  readonly from: Side
  /** Text of a payload; the name of a ratchet frame. */
  readonly text?: string
  readonly control?: 'confirm, offer or answer'
  readonly arrives: boolean
  readonly frame: string
}

const deviceFields = ({ party, signing, prekeyId, prekey, peer }: Device) => ({
  identity: party.identity,
  device: party.device,
  deviceSeed: toHex(signing.secretKey.subarray(0, 32)),
  deviceDhSecret: toHex(party.deviceDh.secretKey),
  deviceDhPublic: toHex(party.deviceDh.publicKey),
  logHead: toHex(party.logHead),
  prekey: {
    id: prekeyId,
    dhSecret: toHex(prekey.dh),
    dhPublic: toHex(peer.prekey.dh),
    kemSeed: toHex(prekey.kem),
    kemPublic: toHex(peer.prekey.kem),
  },
})

/** A whole session: flight, both first bursts, a lost frame, DH steps, one ML-KEM epoch. */
export function frozenSession() {
  const random = seededRandom('mycelium frozen session 1')
  const moment = { random, nowMs: startMs }
  const devices = { initiator: device(random, 1), responder: device(random, 0x01020304) }
  const introduction = Buffer.from('an introduction is opaque to the handshake')
  const { session, flight } = begin(devices.initiator, devices.responder, random, introduction)
  const ends: Record<Side, Session> = {
    initiator: session,
    responder: accept(flight, devices.initiator, devices.responder, random),
  }
  const states = { initiator: toHex(session.encode()), responder: toHex(ends.responder.encode()) }
  const frames: FrozenFrame[] = []
  const carry = (from: Side, frame: Uint8Array, arrives: boolean, what: Pick<FrozenFrame, 'text' | 'control'>) => {
    frames.push({ from, ...what, arrives, frame: toHex(frame) })
    const to = from === 'initiator' ? 'responder' : 'initiator'
    if (arrives && ends[to].open(frame, moment).kind === 'refused') throw new TypeError('a frozen frame was refused')
  }
  const say = (
    from: Side,
    text: string,
    { arrives = true, classMin }: { arrives?: boolean; classMin?: FrameClass } = {},
  ): void =>
    carry(from, ends[from].seal(Buffer.from(text), { ...moment, classMin: classMin ?? 128 }), arrives, { text })
  const maintain = (from: Side): void => {
    for (const frame of ends[from].maintenance(moment))
      carry(from, frame, true, { control: 'confirm, offer or answer' })
  }
  say('initiator', 'one')
  say('initiator', 'two, padded to the class of a chat', { classMin: 512 })
  maintain('responder')
  say('responder', 'three')
  say('initiator', 'lost', { arrives: false })
  for (let count = 0; count < limits.kemEpochMessages; count += 1)
    say(count % 5 < 3 ? 'initiator' : 'responder', `n${count}`)
  for (const side of ['initiator', 'responder', 'initiator'] as const) maintain(side)
  say('responder', 'under the new epoch')
  say('initiator', 'under the new epoch too')
  return {
    format: 1,
    introduction: toHex(introduction),
    initiator: deviceFields(devices.initiator),
    responder: deviceFields(devices.responder),
    flight: toHex(flight),
    flightCacheKey: toHex(flightCacheKey(flight)!),
    sessionId: session.id,
    contactKey: session.withContactKey(toHex),
    states,
    frames,
    epochs: [ends.initiator.kemEpoch, ends.responder.kemEpoch],
    counters: Object.entries(ends).map(([side, { sent, received }]) => ({ side, sent, received })),
  }
}

/** What goes around the frames: items, tags, the hello of one link, a reset statement. */
export function frozenLink() {
  const random = seededRandom('mycelium frozen link 1')
  const moment = { random, nowMs: startMs }
  const [a, b] = [device(random), device(random)]
  const { session, flight } = begin(a, b, random)
  const other = accept(flight, a, b, random)
  const gateways = { initiator: '12D3KooWInitiator' as GatewayId, responder: '12D3KooWResponder' as GatewayId }
  const first = new HelloExchange(session, {
    self: gateways.initiator,
    peer: gateways.responder,
    isInitiator: true,
    random,
  })
  const second = new HelloExchange(other, {
    self: gateways.responder,
    peer: gateways.initiator,
    isInitiator: false,
    random,
  })
  const bytesOf = (step: HelloStep): Uint8Array => {
    if (step.kind === 'refused' || step.bytes === undefined) throw new TypeError('a frozen hello was refused')
    return step.bytes
  }
  const open = first.start()
  const answer = bytesOf(second.read(open))
  const confirm = bytesOf(first.read(answer))
  second.read(confirm)
  const frame = session.seal(Buffer.from('in an item'), moment)
  const about = { from: a.party.device, to: b.party.device, session: session.id, atMs: startMs }
  return {
    format: 1,
    nowMs: startMs,
    gateways,
    contactKey: session.withContactKey(toHex),
    initiatorSends: toHex(session.sendTag(startMs)),
    responderSends: toHex(other.sendTag(startMs)),
    responderAccepts: other.receiveTags(startMs).map(toHex),
    hello: { open: toHex(open), answer: toHex(answer), confirm: toHex(confirm) },
    item: toHex(encodeItem(session.sendTag(startMs), frame)),
    reset: {
      ...about,
      signingSeed: toHex(a.signing.secretKey.subarray(0, 32)),
      statement: toHex(signReset(a.signing, about, moment)),
    },
  }
}

export const frozenFolder = new URL('../../vectors/session/', import.meta.url)

if (import.meta.main) {
  useImplementation('portable')
  mkdirSync(frozenFolder, { recursive: true })
  writeFileSync(new URL('session.json', frozenFolder), `${JSON.stringify(frozenSession(), undefined, 1)}\n`)
  writeFileSync(new URL('link.json', frozenFolder), `${JSON.stringify(frozenLink(), undefined, 1)}\n`)
}
