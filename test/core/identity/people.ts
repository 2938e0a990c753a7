/** People for identity tests: words, root keys, a first device, and a log that grows. */
import { systemRandom } from '../../../src/core/ambient.ts'
import { signingKey, type SigningKey } from '../../../src/core/crypto/sign.ts'
import type { Address, GatewayId } from '../../../src/core/ids.ts'
import { createLog, extendLog, type LogState, nextEntry, verifyLog } from '../../../src/core/identity/account-log.ts'
import { type Bundle, encodeBundle } from '../../../src/core/identity/bundle.ts'
import {
  allGrants,
  describeDevice,
  type DeviceSecrets,
  type Grants,
  makeDevice,
} from '../../../src/core/identity/device.ts'
import { signLocators } from '../../../src/core/identity/locators.ts'
import type { EntryContent, SignedEntry } from '../../../src/core/identity/log-entry.ts'
import { rootKeyHash, rootKeyOf } from '../../../src/core/identity/mnemonic.ts'
import { signName, zoneDomain } from '../../../src/core/identity/names.ts'
import { makePrekey, prekeyIdAt, signPrekey } from '../../../src/core/identity/prekeys.ts'

export const nowMs = Date.UTC(2026, 10, 20)
export const gateway = '12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo' as GatewayId

export interface Person {
  readonly entropy: Uint8Array
  readonly device: DeviceSecrets
  readonly log: readonly SignedEntry[]
  readonly state: LogState
}

export function makePerson(random = systemRandom): Person {
  const entropy = random.bytes(32)
  const device = makeDevice(random)
  const log = [createLog(rootKeyOf(entropy, 0), rootKeyHash(rootKeyOf(entropy, 1).publicKey), device, nowMs)]
  return { entropy, device, log, state: verifyLog(log) }
}

const grown = (person: Person, entry: SignedEntry): Person => ({
  ...person,
  log: [...person.log, entry],
  state: extendLog(person.state, entry),
})

/** The person's log and one entry more, signed by a device. */
export function byDevice(person: Person, device: DeviceSecrets, content: EntryContent, atMs = nowMs): Person {
  return grown(person, nextEntry(person.state, { kind: 'device', device: device.id }, device.signing, content, atMs))
}
export function byRoot(person: Person, content: EntryContent, atMs = nowMs): Person {
  const { generation } = person.state
  const key = rootKeyOf(person.entropy, content.kind === 'rotate-root' ? generation + 1 : generation)
  return grown(person, nextEntry(person.state, { kind: 'root' }, key, content, atMs))
}

export const adding = (person: Person, device: DeviceSecrets, grants: Grants = allGrants): EntryContent => ({
  kind: 'add-device',
  device: describeDevice(device, person.state.rootKey, grants),
})
export const naming = (address: string, present = true): EntryContent => ({
  kind: 'name-address',
  address: address as Address,
  present,
})
export function rotating(person: Person): EntryContent {
  const { generation } = person.state
  return {
    kind: 'rotate-root',
    rootKey: rootKeyOf(person.entropy, generation + 1).publicKey,
    nextRootHash: rootKeyHash(rootKeyOf(person.entropy, generation + 2).publicKey),
  }
}

export const makeZone = (): SigningKey => signingKey(systemRandom.bytes(32))
export const addressIn = (zone: SigningKey, label: string): Address =>
  `${label}@${zoneDomain(zone.publicKey)}` as Address

export interface BundleOptions {
  readonly zone?: SigningKey
  readonly device?: DeviceSecrets
  readonly locators?: readonly string[]
  readonly atMs?: number
  readonly weeks?: number
}

/** What the person's gateway would serve. */
export function bundleOf(
  person: Person,
  { zone, device = person.device, locators = [], atMs = nowMs, weeks = 2 }: BundleOptions = {},
): Bundle {
  const { identity, head, length, addresses } = person.state
  const week = prekeyIdAt(atMs)
  return {
    entries: person.log,
    devices: [
      {
        device: device.id,
        prekeys: Array.from({ length: weeks }, (_, ahead) =>
          signPrekey(identity, device, makePrekey(week + ahead, systemRandom)),
        ),
        locators: signLocators(device, {
          identity,
          gateway,
          locators,
          sequence: atMs,
          issuedAtMs: atMs,
          logHead: head,
          logLength: length,
        }),
      },
    ],
    names: zone === undefined ? [] : addresses.map((address) => signName(zone, address, identity, atMs)),
  }
}
export const bundleBytes = (person: Person, options: BundleOptions = {}): Uint8Array =>
  encodeBundle(bundleOf(person, options))
