/**
 * What two gateways tell each other over `/mycelium/punch/1` before they send probes (docs/protocol/overlay.md §7): an
 * offer, an answer of the same form, and one byte that says go. The connection below is encrypted from end to end, so
 * that a gateway that carries it learns none of it.
 */
import { type Codec, decode, encode, type Reader, type Writer } from '../../core/codec.ts'
import type { Locator } from '../../core/delivery/ports.ts'
import { MyceliumError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'
import { type Endpoint, endpointCodec } from './endpoint.ts'
import { sessionBytes } from './probe.ts'

const version = 1
export const secretBytes = 32
/** Longer than any offer within the limits. */
export const offerBytesMax = 4 * 1024
export const go = 1

export interface Offer {
  /** Chosen by the opener; the answer repeats it. */
  readonly session: Uint8Array
  /** Random, of whoever sends it. */
  readonly secret: Uint8Array
  /** Where the sender's punch sockets may be heard from. */
  readonly endpoints: readonly Endpoint[]
  /** Where it listens itself, for a connection without a detour. */
  readonly locators: readonly Locator[]
}

const offerCodec: Codec<Offer> = {
  write(out: Writer, { session, secret, endpoints, locators }) {
    out.u8(version)
    out.raw(session)
    out.raw(secret)
    out.u8(endpoints.length)
    for (const endpoint of endpoints) endpointCodec.write(out, endpoint)
    out.u8(locators.length)
    for (const locator of locators) out.text(locator, limits.locatorOctetsMax)
  },
  read(from: Reader) {
    if (from.u8() !== version) throw new MyceliumError('malformed', { reason: 'another version' })
    const session = new Uint8Array(from.raw(sessionBytes))
    const secret = new Uint8Array(from.raw(secretBytes))
    const endpoints = Array.from({ length: countIn(from, limits.punchEndpointsMax) }, () => endpointCodec.read(from))
    const locators = Array.from({ length: countIn(from, limits.locatorsMax) }, () => textIn(from))
    return { session, secret, endpoints, locators }
  },
}

function countIn(from: Reader, max: number): number {
  const count = from.u8()
  if (count > max) throw new MyceliumError('too-large', { count, max })
  return count
}

function textIn(from: Reader): string {
  const octets = from.u32()
  if (octets > limits.locatorOctetsMax) throw new MyceliumError('too-large', { octets })
  return Buffer.from(from.raw(octets)).toString('latin1')
}

export const encodeOffer = (offer: Offer): Uint8Array => encode(offerCodec, offer)

/** @throws `malformed`, `too-large` */
export const decodeOffer = (bytes: Uint8Array): Offer => decode(offerCodec, bytes)
