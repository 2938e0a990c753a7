/**
 * ◆ The account log: append-only, signed, hash-linked, linear. `verifyLog` is the only way from entries to what they
 * mean; everything here is a pure function of the entries.
 *
 * Who may sign what: the root key everything; a device with the `link` grant adds devices with grants no wider than
 * its own and revokes devices added after itself; with the `name` grant it names addresses and zones; every device may
 * revoke itself. Only a new root key, committed to before, rotates the root.
 * (2026-11-20: a stolen younger device must not lock the owner's first one out, so age limits revocation, not only the
 * choice between concurrent entries.)
 */
import { equalConstantTime, toHex } from '../bytes.ts'
import type { SigningKey } from '../crypto/sign.ts'
import { MyceliumError, unreachable } from '../errors.ts'
import type { Address, DeviceId, Identity } from '../ids.ts'
import { limits } from '../limits.ts'
import {
  agreesToJoin,
  describeDevice,
  type DeviceDescription,
  type DeviceSecrets,
  allGrants,
  type Grants,
  verifyKeyOf,
} from './device.ts'
import {
  entriesBytes,
  entryHash,
  type EntryBody,
  type EntryContent,
  identityOf,
  isSignedBy,
  readEntry,
  type SignedEntry,
  type Signer,
  signEntry,
} from './log-entry.ts'
import { rootKeyHash } from './mnemonic.ts'

export interface LogDevice {
  readonly id: DeviceId
  readonly verifyKey: Uint8Array
  readonly dhPublic: Uint8Array
  readonly grants: Grants
  /** Sequence of the entry that added it: a lower one is an older grant. */
  readonly addedAt: number
  /** Sequence of the entry that revoked it. */
  readonly revokedAt: number | undefined
}

/** What a verified log says. */
export interface LogState {
  readonly identity: Identity
  /** Current root public key. */
  readonly rootKey: Uint8Array
  readonly nextRootHash: Uint8Array
  /** How often the root was rotated. */
  readonly generation: number
  /** Revoked ones too, by id. */
  readonly devices: ReadonlyMap<DeviceId, LogDevice>
  /** In order of naming. */
  readonly addresses: readonly Address[]
  /** Zone keys as hex. */
  readonly zones: readonly string[]
  /** Hash of the last entry. */
  readonly head: Uint8Array
  /** Number of entries. */
  readonly length: number
}

export const activeDevices = (state: LogState): readonly LogDevice[] =>
  [...state.devices.values()].filter(({ revokedAt }) => revokedAt === undefined)

export const isActive = (state: LogState, device: DeviceId): boolean => {
  const found = state.devices.get(device)
  return found !== undefined && found.revokedAt === undefined
}

const zeroHash = new Uint8Array(32)
const refuse = (reason: string, sequence: number): MyceliumError => new MyceliumError('malformed', { reason, sequence })

/**
 * The state after the whole log.
 * @throws `malformed` (with `reason` and `sequence`), `signature-invalid`, `too-large`
 */
export function verifyLog(entries: readonly SignedEntry[]): LogState {
  const [first, ...rest] = entries
  if (first === undefined) throw new MyceliumError('malformed', { reason: 'empty' })
  if (entries.length > limits.logEntriesMax || entriesBytes(entries) > limits.logBytesMax) {
    throw new MyceliumError('too-large', { entries: entries.length })
  }
  return rest.reduce(extendLog, beginLog(first))
}

function beginLog(entry: SignedEntry): LogState {
  const body = readEntry(entry)
  const { content } = body
  if (content.kind !== 'create' || body.sequence !== 0 || body.signer.kind !== 'root') throw refuse('first-entry', 0)
  if (!equalConstantTime(body.previous, zeroHash)) throw refuse('first-entry', 0)
  if (!isSignedBy(entry, content.rootKey)) throw new MyceliumError('signature-invalid', { sequence: 0 })
  if (!agreesToJoin(content.device, content.rootKey)) throw new MyceliumError('signature-invalid', { sequence: 0 })
  return {
    identity: identityOf(entry),
    rootKey: content.rootKey,
    nextRootHash: content.nextRootHash,
    generation: 0,
    devices: new Map([[content.device.id, toLogDevice(content.device, 0)]]),
    addresses: [],
    zones: [],
    head: entryHash(entry),
    length: 1,
  }
}

const toLogDevice = ({ id, dhPublic, grants }: DeviceDescription, addedAt: number): LogDevice => ({
  id,
  verifyKey: verifyKeyOf(id),
  dhPublic,
  grants,
  addedAt,
  revokedAt: undefined,
})

/** The state after one more entry. @throws as `verifyLog` */
export function extendLog(state: LogState, entry: SignedEntry): LogState {
  const body = readEntry(entry)
  const { sequence, content } = body
  if (sequence !== state.length || !equalConstantTime(body.previous, state.head)) throw refuse('link', state.length)
  if (!isSignedBy(entry, signerKey(state, body))) throw new MyceliumError('signature-invalid', { sequence })
  if (!mayAppend(state, body)) throw refuse('not-permitted', sequence)
  return { ...state, ...changeBy(state, content, sequence), head: entryHash(entry), length: sequence + 1 }
}

function signerKey(state: LogState, { signer, content, sequence }: EntryBody): Uint8Array {
  if (signer.kind === 'root') return content.kind === 'rotate-root' ? content.rootKey : state.rootKey
  const device = state.devices.get(signer.device)
  if (device === undefined || device.revokedAt !== undefined) throw refuse('unknown-signer', sequence)
  return device.verifyKey
}

const within = (inner: Grants, outer: Grants): boolean => (!inner.link || outer.link) && (!inner.name || outer.name)

/** A device revokes itself, and with the `link` grant those that were added after it. */
export function mayRevoke({ devices }: LogState, by: DeviceId, revoked: DeviceId): boolean {
  const [signer, target] = [devices.get(by), devices.get(revoked)]
  if (signer === undefined || target === undefined) return false
  return by === revoked || (signer.grants.link && target.addedAt > signer.addedAt)
}

function mayAppend(state: LogState, { signer, content }: EntryBody): boolean {
  if (content.kind === 'create') return false
  if (signer.kind === 'root') return true
  const by = state.devices.get(signer.device)!
  switch (content.kind) {
    case 'add-device':
      return by.grants.link && within(content.device.grants, by.grants)
    case 'revoke-device':
      return mayRevoke(state, by.id, content.device)
    case 'name-address':
    case 'name-zone':
      return by.grants.name
    case 'rotate-root':
      return false
    default:
      return unreachable(content)
  }
}

/** What the content changes. @throws `malformed` when it says nothing new or oversteps a bound, `signature-invalid` */
function changeBy(state: LogState, content: EntryContent, sequence: number): Partial<LogState> {
  switch (content.kind) {
    case 'create':
      throw refuse('create', sequence)
    case 'add-device': {
      const { device } = content
      if (state.devices.has(device.id)) throw refuse('device-known', sequence)
      if (activeDevices(state).length >= limits.devicesMax) throw refuse('devices', sequence)
      if (!agreesToJoin(device, state.rootKey)) throw new MyceliumError('signature-invalid', { sequence })
      return { devices: new Map(state.devices).set(device.id, toLogDevice(device, sequence)) }
    }
    case 'revoke-device': {
      const device = state.devices.get(content.device)
      if (device === undefined || device.revokedAt !== undefined) throw refuse('device-unknown', sequence)
      return { devices: new Map(state.devices).set(device.id, { ...device, revokedAt: sequence }) }
    }
    case 'name-address':
      return { addresses: toggled(state.addresses, content.address, content.present, sequence) }
    case 'name-zone':
      return { zones: toggled(state.zones, toHex(content.zone), content.present, sequence) }
    case 'rotate-root':
      if (!equalConstantTime(rootKeyHash(content.rootKey), state.nextRootHash)) throw refuse('root-key', sequence)
      return { rootKey: content.rootKey, nextRootHash: content.nextRootHash, generation: state.generation + 1 }
    default:
      return unreachable(content)
  }
}

function toggled<T>(list: readonly T[], item: T, present: boolean, sequence: number): readonly T[] {
  if (list.includes(item) === present) throw refuse('nothing-new', sequence)
  if (!present) return list.filter((other) => other !== item)
  if (list.length >= limits.identityAddressesMax) throw refuse('names', sequence)
  return [...list, item]
}

/** The first entry of a new account: its first device holds every grant, so that linking needs no words. */
export function createLog(
  root: SigningKey,
  nextRootHash: Uint8Array,
  device: DeviceSecrets,
  atMs: number,
): SignedEntry {
  const rootKey = root.publicKey
  return signEntry(root, {
    sequence: 0,
    previous: zeroHash,
    atMs,
    signer: { kind: 'root' },
    content: { kind: 'create', rootKey, nextRootHash, device: describeDevice(device, rootKey, allGrants) },
  })
}

/** The next entry after `state`; check it with `extendLog` before it is kept. */
export function nextEntry(
  state: LogState,
  signer: Signer,
  key: SigningKey,
  content: EntryContent,
  atMs: number,
): SignedEntry {
  return signEntry(key, { sequence: state.length, previous: state.head, atMs, signer, content })
}
