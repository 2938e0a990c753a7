/**
 * ◆ The link by which a new device finds the one that takes it in: `mycelium-device:` and base64url of version, secret,
 * expiry, gateway, locators and a checksum. It is good for one device, once, and for ten minutes; whoever has it still
 * needs both people to say that they see the same digits.
 */
import { concat, equalConstantTime, fromBase64Url, toBase64Url } from '../bytes.ts'
import { array, type Codec, decode, encode, fixed, record, text, u32 } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { MyceliumError } from '../errors.ts'
import type { GatewayId } from '../ids.ts'
import { limits } from '../limits.ts'
import { gatewayIdOctetsMax } from './locators.ts'

const deviceLinkScheme = 'mycelium-device:'
const secretBytes = 16
const version = 1
const checksumBytes = 4

export interface DeviceLink {
  readonly secret: Uint8Array
  /** Unix milliseconds; whole minutes. */
  readonly expiresAtMs: number
  readonly gateway: GatewayId
  readonly locators: readonly string[]
}

const codec = record<Omit<DeviceLink, 'expiresAtMs'> & { readonly expiresAtMinutes: number }>({
  secret: fixed(secretBytes),
  expiresAtMinutes: u32,
  gateway: text(gatewayIdOctetsMax) as unknown as Codec<GatewayId>,
  locators: array(text(limits.locatorOctetsMax), limits.locatorsMax),
})
const checksumOf = (content: Uint8Array): Uint8Array =>
  labelledHash('mycelium/device-link/1', content).subarray(0, checksumBytes)

export const newLinkSecret = (random: { bytes(length: number): Uint8Array }): Uint8Array => random.bytes(secretBytes)

/** With as many locators as fit. */
export function writeDeviceLink({ secret, expiresAtMs, gateway, locators }: DeviceLink): string {
  for (let count = Math.min(locators.length, limits.locatorsMax); ; count -= 1) {
    const fields = {
      secret,
      gateway,
      expiresAtMinutes: Math.floor(expiresAtMs / 60_000),
      locators: locators.slice(0, count),
    }
    const content = concat(Uint8Array.of(version), encode(codec, fields))
    const link = deviceLinkScheme + toBase64Url(concat(content, checksumOf(content)))
    if (count === 0 || link.length <= limits.deviceLinkCharsMax) return link
  }
}

/** White space, as programs wrap lines, is passed over. @throws `link-invalid` */
export function parseDeviceLink(given: string): DeviceLink {
  const invalid = (reason: string): MyceliumError => new MyceliumError('link-invalid', { reason })
  if (given.length > 2 * limits.deviceLinkCharsMax) throw invalid('length')
  const link = given.replace(/\s+/g, '')
  if (!link.startsWith(deviceLinkScheme)) throw invalid('scheme')
  const bytes = fromBase64Url(link.slice(deviceLinkScheme.length))
  if (bytes === undefined || bytes.length < 1 + checksumBytes) throw invalid('encoding')
  const content = bytes.subarray(0, -checksumBytes)
  if (!equalConstantTime(checksumOf(content), bytes.subarray(-checksumBytes))) throw invalid('checksum')
  if (content[0] !== version) throw invalid('version')
  try {
    const { expiresAtMinutes, ...rest } = decode(codec, Uint8Array.from(content.subarray(1)))
    return { ...rest, expiresAtMs: expiresAtMinutes * 60_000 }
  } catch (cause) {
    if (cause instanceof MyceliumError) throw new MyceliumError('link-invalid', { reason: 'content' }, { cause })
    throw cause
  }
}
