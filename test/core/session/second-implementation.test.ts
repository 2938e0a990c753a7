/**
 * A reader of docs/protocol that shares no code with src: it follows the pages with node:crypto and @noble, and opens the
 * frozen flight and frames. When it fails, either the pages or the code changed the protocol.
 */
import { chacha20poly1305 } from '@noble/ciphers/chacha.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { blake2b } from '@noble/hashes/blake2.js'
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { frozenLink, frozenSession } from './frozen.ts'

type Bytes = Uint8Array
const folder = new URL('../../vectors/session/', import.meta.url)
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), 'utf8'))
const session = read('session.json') as ReturnType<typeof frozenSession>
const link = read('link.json') as ReturnType<typeof frozenLink>

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}
const join = (...parts: readonly Bytes[]): Buffer => Buffer.concat(parts)
const ascii = (text: string): Buffer => Buffer.from(text, 'ascii')
const labelledHash = (label: string, ...parts: readonly Bytes[]): Buffer =>
  createHash('sha256')
    .update(join(ascii(label), Buffer.of(0), ...parts.flatMap((part) => [u32(part.length), part])))
    .digest()
const hkdf = (secret: Bytes, salt: Bytes, label: string, length: number): Buffer =>
  Buffer.from(nobleHkdf(sha512, secret, salt, ascii(label), length))
const keyed = (length: number, key: Bytes, message: Bytes): Buffer =>
  Buffer.from(blake2b(message, { dkLen: length, key }))
const unseal = (key: Bytes, nonce: Bytes, sealed: Bytes, ad: Bytes): Buffer =>
  Buffer.from(
    chacha20poly1305(Uint8Array.from(key), Uint8Array.from(nonce), Uint8Array.from(ad)).decrypt(
      Uint8Array.from(sealed),
    ),
  )
const dh = (secret: Bytes, point: Bytes): Buffer =>
  Buffer.from(x25519.getSharedSecret(Uint8Array.from(secret), Uint8Array.from(point)))
const field = (type: number, value: Bytes): Buffer => join(Buffer.of(type), value)

/** handshake.md, as the responder. */
function respond() {
  const { initiator, responder } = session
  const flight = hex(session.flight)
  const [ek, rk, ct] = [flight.subarray(5, 37), flight.subarray(37, 69), flight.subarray(69, 1157)]
  const first = [
    field(0x01, flight.subarray(0, 1)),
    field(0x02, flight.subarray(1, 5)),
    field(0x20, hex(responder.identity)),
    field(0x21, hex(responder.device)),
    field(0x22, hex(responder.deviceDhPublic)),
    field(0x24, hex(responder.prekey.dhPublic)),
    field(0x25, hex(responder.prekey.kemPublic)),
    field(0x14, ek),
    field(0x15, rk),
    field(0x30, ct),
  ]
  const prekey = hex(responder.prekey.dhSecret)
  const dh1 = dh(prekey, hex(initiator.deviceDhPublic))
  const dh2 = dh(hex(responder.deviceDhSecret), ek)
  const dh3 = dh(prekey, ek)
  const { secretKey } = ml_kem768.keygen(Uint8Array.from(hex(responder.prekey.kemSeed)))
  const ss = ml_kem768.decapsulate(Uint8Array.from(ct), secretKey)
  const stage = hkdf(
    join(dh2, dh3, ss),
    labelledHash('mycelium/handshake/first/1', ...first),
    'mycelium/handshake/identity/1',
    44,
  )
  const plain = unseal(stage.subarray(0, 32), stage.subarray(32), flight.subarray(1157, -16), flight.subarray(0, 1157))
  const introduction = plain.subarray(132, 132 + plain.readUInt32BE(128))
  const id = labelledHash(
    'mycelium/handshake/transcript/1',
    ...first,
    field(0x23, plain.subarray(96, 128)),
    field(0x10, plain.subarray(0, 32)),
    field(0x11, plain.subarray(32, 64)),
    field(0x12, hex(initiator.deviceDhPublic)),
    field(0x13, plain.subarray(64, 96)),
    field(0x16, introduction),
  )
  const out = hkdf(join(dh1, dh2, dh3, ss), id, 'mycelium/handshake/session/1', 204)
  const key = (index: number): Buffer => out.subarray(32 * index, 32 * index + 32)
  unseal(key(5), out.subarray(192), flight.subarray(-16), flight.subarray(0, -16))
  const step = hkdf(dh(prekey, rk), key(0), 'mycelium/session/root/1', 96)
  return { plain, introduction, id, header: key(1), epoch: key(3), contact: key(4), chain: step.subarray(32, 64) }
}

/** ratchet.md and frames.md: a frame of the chain whose next key is `chain`. */
function openFrame(frame: Buffer, headerKey: Bytes, chain: Bytes, epoch: Bytes) {
  const header = unseal(headerKey, frame.subarray(0, 12), frame.subarray(12, 76), Buffer.alloc(0))
  const step = keyed(64, chain, ascii('mycelium/session/chain/1'))
  const input = join(ascii('mycelium/session/message/1'), epoch, frame.subarray(0, 12), header.subarray(44))
  const key = keyed(64, step.subarray(32), input)
  const body = unseal(key.subarray(0, 32), key.subarray(32, 44), frame.subarray(76), frame.subarray(0, 76))
  const prefix = body.readUInt16BE(0)
  return {
    chain: step.subarray(0, 32),
    number: header.readUInt32BE(32),
    epoch: header.readUInt32BE(40),
    kind: prefix >> 12,
    payload: body.subarray(2, 2 + (prefix & 0xfff)),
    padding: body.subarray(2 + (prefix & 0xfff)),
  }
}

test('handshake.md: the flight opens in both stages and gives the session id and the contact key', () => {
  const { plain, introduction, id, contact } = respond()
  expect(plain.subarray(0, 32).toString('hex')).toBe(session.initiator.identity)
  expect(plain.subarray(96, 128).toString('hex')).toBe(session.responder.logHead)
  expect(introduction.toString('hex')).toBe(session.introduction)
  expect(id.toString('hex')).toBe(session.sessionId)
  expect(contact.toString('hex')).toBe(session.contactKey)
})

test('ratchet.md, frames.md: the first frames open', () => {
  let { header, epoch, chain } = respond()
  const frames = session.frames.filter(({ from }) => from === 'initiator').slice(0, 2)
  for (const [index, { frame, text }] of frames.entries()) {
    const opened = openFrame(hex(frame), header, chain, epoch)
    expect(opened).toMatchObject({ number: index, epoch: 0, kind: 0 })
    expect(opened.payload.toString()).toBe(text)
    expect(opened.padding.every((byte) => byte === 0)).toBe(true)
    chain = opened.chain
  }
})

test('frames.md: tags, item and the opening hello', () => {
  const contact = hex(link.contactKey)
  const week = Math.floor(link.nowMs / 604_800_000)
  const tag = (direction: number): string =>
    keyed(16, contact, join(ascii('mycelium/session/tag/1'), Buffer.of(direction), u32(week))).toString('hex', 0, 8)
  expect([tag(0), tag(1)]).toEqual([link.initiatorSends, link.responderSends])
  expect(hex(link.item).toString('hex', 0, 9)).toBe(`01${tag(0)}`)
  const gateways = labelledHash(
    'mycelium/session/hello-gateways/1',
    ascii(link.gateways.initiator),
    ascii(link.gateways.responder),
  )
  const nonces = { open: hex(link.hello.open).subarray(1, 17), answer: hex(link.hello.answer).subarray(1, 17) }
  for (const [kind, name] of [
    [1, 'open'],
    [2, 'answer'],
    [3, 'confirm'],
  ] as const) {
    const hello = hex(link.hello[name])
    const other = name === 'open' ? Buffer.alloc(16) : nonces.answer
    const input = join(ascii('mycelium/session/hello/1'), Buffer.of(kind), gateways, nonces.open, other)
    const plain = unseal(keyed(32, contact, input), Buffer.alloc(12), hello.subarray(17), hello.subarray(0, 17))
    expect(plain.toString('hex')).toBe(`0001${'00'.repeat(29)}`)
  }
})
