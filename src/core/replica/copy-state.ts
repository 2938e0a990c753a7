/**
 * ◆ The state of one copy of a message, as it travels and as it is merged: in which folder it is and which flags it has,
 * each a last-writer register, and whether it was expunged, which beats everything else. Pure.
 */
import { type Codec, decode, encode, hexId, Reader, Writer } from '../codec.ts'
import { labelledHash } from '../crypto/kdf.ts'
import { toHex, toUtf8 } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import { limits } from '../limits.ts'
import type { Flag } from '../mailbox/mailbox.ts'
import { noStamp, type Stamp, stampCodec } from './hlc.ts'
import { later, type Register } from './register.ts'

/** 16 bytes as hex: 6 of Unix milliseconds, the same on every device, and 10 that no other copy of that moment has. */
export type CopyId = string
/** 16 bytes as hex: follows from the folder's first name or use, so that devices that make the same one agree. */
export type FolderId = string

export interface LiveCopy {
  readonly kind: 'live'
  readonly id: CopyId
  readonly folder: Register<FolderId>
  /** Every flag that it has or once had, under its lower-case form: keywords differ in more than case. */
  readonly flags: ReadonlyMap<string, FlagRegister>
}
/** The flag as it was spelt last. */
export interface FlagRegister extends Register<boolean> {
  readonly flag: Flag
}
export interface ExpungedCopy {
  readonly kind: 'expunged'
  readonly id: CopyId
}
export type CopyState = LiveCopy | ExpungedCopy

/** @param unique 10 bytes */
export const copyIdOf = (atMs: number, unique: Uint8Array): CopyId =>
  Math.min(Math.max(0, Math.floor(atMs)), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0') + toHex(unique)
export const copyTimeMs = (id: CopyId): number => Number.parseInt(id.slice(0, 12), 16)

const fold = (flag: Flag): string => flag.toLowerCase()
const idCodec = hexId<string>(16)
const kinds = ['live', 'expunged'] as const
const flagsMax = 255
const tierPrefix = '$myceliumtrust-'

/** Stamps are written once each: most copies have one or two. */
const copyStateCodec: Codec<CopyState> = {
  write(out, state) {
    idCodec.write(out, state.id)
    out.u8(kinds.indexOf(state.kind))
    if (state.kind === 'expunged') return
    const flags = [...state.flags].sort(([a], [b]) => (a < b ? -1 : 1))
    if (flags.length > flagsMax) throw new MyceliumError('too-large', { flags: flags.length })
    const stamps = [...new Set([state.folder.stamp, ...flags.map(([, { stamp }]) => stamp)])]
    idCodec.write(out, state.folder.value)
    out.u16(stamps.length)
    for (const stamp of stamps) stampCodec.write(out, stamp)
    out.u8(flags.length)
    for (const [, { flag, value, stamp }] of flags) {
      const name = Buffer.from(flag)
      out.u8(name.length)
      out.raw(name)
      out.u16(stamps.indexOf(stamp) * 2 + (value ? 1 : 0))
    }
  },
  read(from) {
    const id = idCodec.read(from)
    const kind = kinds[from.u8()]
    if (kind === undefined) throw new MyceliumError('malformed', { at: from.position })
    if (kind === 'expunged') return { kind, id }
    const folder = idCodec.read(from)
    const stamps = readStamps(from)
    const flags = new Map<string, FlagRegister>()
    let last = ''
    for (let left = from.u8(); left > 0; left -= 1) {
      const flag = toUtf8(from.raw(from.u8()))
      const packed = from.u16()
      const stamp = stamps[packed >> 1]
      const name = flag === undefined ? '' : fold(flag)
      if (flag === undefined || name <= last || name.length > limits.keywordOctetsMax || stamp === undefined)
        throw new MyceliumError('malformed', { at: from.position })
      last = name
      flags.set(name, { flag, value: packed % 2 === 1, stamp })
    }
    return { kind, id, folder: { value: folder, stamp: stamps[0]! }, flags }
  },
}

function readStamps(from: Reader): readonly Stamp[] {
  const count = from.u16()
  if (count < 1 || count > flagsMax + 1) throw new MyceliumError('malformed', { stamps: count })
  return Array.from({ length: count }, () => stampCodec.read(from))
}

export const encodeCopyState = (state: CopyState): Uint8Array => encode(copyStateCodec, state)
/** @throws `malformed` */
export const decodeCopyState = (bytes: Uint8Array): CopyState => decode(copyStateCodec, bytes)

/** Equal for equal states, on every device. */
export const copyVersion = (encoded: Uint8Array): string =>
  toHex(labelledHash('mycelium/copy-version/1', encoded).subarray(0, 16))

/** What both sides' changes come to: the same whatever the order, and however often. */
export function mergeCopies(a: CopyState, b: CopyState): CopyState {
  if (a.kind === 'expunged' || b.kind === 'expunged') return { kind: 'expunged', id: a.id }
  const flags = new Map(a.flags)
  for (const [name, register] of b.flags) {
    const known = flags.get(name)
    if (known === undefined || register.stamp > known.stamp) flags.set(name, register)
  }
  return { ...a, folder: later(a.folder, b.folder), flags }
}

/**
 * Flags that are on, by their lower-case form. Two devices may have known a sender differently when its mail came: of
 * their words for it the latest is shown, as the latest folder is.
 */
function shown({ flags }: LiveCopy): ReadonlyMap<string, FlagRegister> {
  const on = new Map([...flags].filter(([, { value }]) => value))
  const tiers = [...on].filter(([name]) => name.startsWith(tierPrefix))
  const latest = tiers.reduce<Stamp>((last, [, { stamp }]) => (stamp > last ? stamp : last), noStamp)
  for (const [name, { stamp }] of tiers) if (stamp !== latest) on.delete(name)
  return on
}

export const flagsOn = (state: LiveCopy): readonly Flag[] => [...shown(state).values()].map(({ flag }) => flag)

/** The flags as they are now; where that differs from what the registers say, stamped anew. */
export function withFlags(state: LiveCopy, now: readonly Flag[], stamp: () => Stamp): LiveCopy {
  const before = shown(state)
  const present = new Map(now.map((flag) => [fold(flag), flag]))
  const flags = new Map(state.flags)
  for (const [name, flag] of present) if (!before.has(name)) flags.set(name, { flag, value: true, stamp: stamp() })
  const isTierShown = [...present.keys()].some((name) => name.startsWith(tierPrefix))
  for (const [name, register] of state.flags) {
    if (!register.value || present.has(name)) continue
    // an older word for the tier stays behind the one that is shown
    if (before.has(name) || !isTierShown) flags.set(name, { ...register, value: false, stamp: stamp() })
  }
  return { ...state, flags }
}

/** Every stamp in it. */
export const stampsOf = (state: CopyState): readonly Stamp[] =>
  state.kind === 'expunged' ? [] : [state.folder.stamp, ...[...state.flags.values()].map(({ stamp }) => stamp)]

/** How a copy lies in the store: its version and where it is first, so that many can be gone through quickly. */
export interface CopyRow {
  readonly state: CopyState
  /** Where it is in a mailbox here; none while its content is still to come, or it was expunged. */
  readonly place: { readonly mailbox: Uint8Array; readonly uid: number } | undefined
}
const headBytes = 16 + 1

export function encodeCopyRow({ state, place }: CopyRow): Uint8Array {
  const encoded = encodeCopyState(state)
  const out = new Writer(headBytes + 20 + encoded.length)
  out.hex(copyVersion(encoded), 16)
  out.u8(place !== undefined ? 1 : state.kind === 'live' ? 2 : 0)
  if (place !== undefined) {
    out.raw(place.mailbox)
    out.u32(place.uid)
  }
  out.raw(encoded)
  return Uint8Array.from(out.finish())
}

export function decodeCopyRow(bytes: Uint8Array): CopyRow {
  const from = new Reader(bytes)
  from.raw(16)
  const place = from.u8() === 1 ? { mailbox: Uint8Array.from(from.raw(16)), uid: from.u32() } : undefined
  return { state: copyStateCodec.read(from), place }
}

/** What a row says without its registers being read. */
export function copyRowHead(bytes: Uint8Array): {
  readonly id: CopyId
  readonly version: string
  readonly atMs: number
  readonly isLacking: boolean
} {
  const version = toHex(bytes.subarray(0, 16))
  const id = toHex(copyRowState(bytes).subarray(0, 16))
  return { id, version, atMs: copyTimeMs(id), isLacking: bytes[16] === 2 }
}
/** The state in a row, as it travels. */
export const copyRowState = (bytes: Uint8Array): Uint8Array =>
  bytes.subarray(bytes[16] === 1 ? headBytes + 20 : headBytes)
