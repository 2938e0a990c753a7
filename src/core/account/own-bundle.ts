/** What this gateway tells others of its own accounts: bundles and introductions, signed anew when something changed. */
import { toHex } from '../bytes.ts'
import type { SigningKey } from '../crypto/sign.ts'
import type { Address, GatewayId } from '../ids.ts'
import { limits } from '../limits.ts'
import { type DeviceRecords, encodeBundle } from '../identity/bundle.ts'
import { signLocators, type SignedLocatorRecord } from '../identity/locators.ts'
import { type SignedName, signName, speaksFor, verifyName } from '../identity/names.ts'
import type { SignedPrekey } from '../identity/prekeys.ts'
import type { OwnAccount } from './own-account.ts'
import type { Sibling } from './siblings.ts'

/** Where the account's gateway is now. */
export interface Whereabouts {
  readonly gateway: GatewayId
  readonly locators: readonly string[]
}

/** What belongs to an account beside its log. */
export interface OwnRecords {
  /** Of this device. */
  readonly prekeys: readonly SignedPrekey[]
  /** The account's other devices. */
  readonly siblings: readonly Sibling[]
}

const renewMs = 6 * 3600_000
/** Of another device in a bundle: enough until it has introduced itself. */
const siblingPrekeys = 3

interface Announced {
  readonly what: string
  readonly record: SignedLocatorRecord
  readonly issuedAtMs: number
  readonly sequence: number
}

export class OwnBundles {
  readonly #zone: SigningKey
  readonly #announced = new Map<string, Announced>()

  constructor(zone: SigningKey) {
    this.#zone = zone
  }

  /** The whole log, every published prekey that fits, locators and names; of other devices, as many as fit one item. */
  bundle(account: OwnAccount, { prekeys, siblings }: OwnRecords, at: Whereabouts, nowMs: number): Uint8Array {
    const entries = account.entries
    const names = this.#names(account, siblings, nowMs)
    const others = siblings.flatMap(({ records }) =>
      records === undefined ? [] : [{ ...records, prekeys: records.prekeys.slice(0, siblingPrekeys) }],
    )
    for (let count = others.length; ; count -= 1) {
      const devices = [this.#records(account, prekeys, at, nowMs), ...others.slice(0, count)]
      const encoded = encodeBundle({ entries, devices, names })
      if (count === 0 || encoded.length <= limits.bundleSharedBytesMax) return encoded
    }
  }

  /**
   * The same in at most 12 KB: this week's and the next prekey, and as much of the log's end as fits. All of it fits up
   * to about 25 entries; beyond, only who knows the beginning can verify it and others ask for the bundle.
   */
  introduction(account: OwnAccount, { prekeys, siblings }: OwnRecords, at: Whereabouts, nowMs: number): Uint8Array {
    const devices = [this.#records(account, prekeys.slice(0, 2), at, nowMs)]
    const names = this.#names(account, siblings, nowMs).slice(0, 4)
    for (let skip = 0; ; skip += 1) {
      const encoded = encodeBundle({ entries: account.entries.slice(skip), devices, names })
      if (encoded.length <= limits.introductionWrittenBytesMax) return encoded
    }
  }

  /** The device's signed locator record alone, for contacts who have a session. */
  locators(account: OwnAccount, at: Whereabouts, nowMs: number): SignedLocatorRecord {
    const locators = at.locators.slice(0, limits.locatorsMax)
    const what = [at.gateway, toHex(account.state.head), ...locators].join(' ')
    const last = this.#announced.get(account.identity)
    if (last?.what === what && nowMs >= last.issuedAtMs && nowMs < last.issuedAtMs + renewMs) return last.record
    const sequence = Math.max(nowMs, (last?.sequence ?? 0) + 1)
    const record = signLocators(account.device, {
      identity: account.identity,
      gateway: at.gateway,
      locators,
      sequence,
      issuedAtMs: nowMs,
      logHead: account.state.head,
      logLength: account.state.length,
    })
    this.#announced.set(account.identity, { what, record, issuedAtMs: nowMs, sequence })
    return record
  }

  #records(account: OwnAccount, prekeys: readonly SignedPrekey[], at: Whereabouts, nowMs: number): DeviceRecords {
    return { device: account.device.id, prekeys, locators: this.locators(account, at, nowMs) }
  }

  /** Of this gateway's zone, and those of other devices' zones as they gave them. */
  #names(account: OwnAccount, siblings: readonly Sibling[], nowMs: number): readonly SignedName[] {
    const isOwn = (address: Address): boolean => speaksFor(this.#zone.publicKey, address)
    const given = new Map<Address, SignedName>()
    for (const name of siblings.flatMap(({ names }) => names)) {
      const record = verifyName(name, nowMs)
      if (record !== undefined && account.addresses.includes(record.address) && !isOwn(record.address))
        given.set(record.address, name)
    }
    const own = account.addresses.filter(isOwn)
    return [...own.map((address) => signName(this.#zone, address, account.identity, nowMs)), ...given.values()]
  }
}
