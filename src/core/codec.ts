/**
 * Bounded binary codecs: big-endian, no padding, every length explicit and capped. Decoding is strict: a value has
 * one encoding, and bytes left over are an error. @throws `malformed`, `too-large`
 */
import { toHex, toUtf8 } from './bytes.ts'
import { MyceliumError } from './errors.ts'

export class Writer {
  #bytes: Buffer
  #view: DataView
  #at = 0

  constructor(capacity = 256) {
    this.#bytes = Buffer.alloc(capacity)
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset)
  }

  #reserve(length: number): number {
    const at = this.#at
    const needed = at + length
    if (needed > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(needed, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer, grown.byteOffset)
    }
    this.#at = needed
    return at
  }

  u8(value: number): void {
    const at = this.#reserve(1)
    this.#bytes[at] = value
  }
  u16(value: number): void {
    const at = this.#reserve(2)
    this.#view.setUint16(at, value)
  }
  u32(value: number): void {
    const at = this.#reserve(4)
    this.#view.setUint32(at, value)
  }
  /** An integer in 0 … 2⁵³−1. */
  u64(value: number): void {
    const at = this.#reserve(8)
    this.#view.setUint32(at, Math.floor(value / 0x1_0000_0000))
    this.#view.setUint32(at + 4, value >>> 0)
  }
  raw(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length)
    this.#bytes.set(bytes, at)
  }
  /** Text as UTF-8 after its u32 length. @throws `too-large` */
  text(text: string, bytesMax: number): void {
    const length = Buffer.byteLength(text)
    if (length > bytesMax) throw new MyceliumError('too-large', { bytes: length, bytesMax })
    this.u32(length)
    const at = this.#reserve(length)
    this.#bytes.write(text, at, length, 'utf8')
  }
  /** Lower-case hex as raw bytes. @throws `malformed` unless it is `length` bytes */
  hex(text: string, length: number): void {
    const at = this.#reserve(length)
    const written = text.length === length * 2 ? this.#bytes.write(text, at, length, 'hex') : 0
    if (written !== length) throw new MyceliumError('malformed', { length: text.length, expected: length * 2 })
  }
  /** A copy-free view of what was written; valid until the writer is used again. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }
  /** Begins anew in the same buffer. */
  reset(): void {
    this.#at = 0
  }
}

export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining(): number {
    return this.#bytes.length - this.#at
  }
  get position(): number {
    return this.#at
  }

  #take(length: number): number {
    if (length > this.remaining) throw new MyceliumError('malformed', { at: this.#at })
    const at = this.#at
    this.#at += length
    return at
  }

  u8(): number {
    return this.#bytes[this.#take(1)]!
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2))
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4))
  }
  u64(): number {
    const at = this.#take(8)
    const value = this.#view.getUint32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4)
    if (!Number.isSafeInteger(value)) throw new MyceliumError('malformed', { at })
    return value
  }
  /** A view into the input, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }
  end(): void {
    if (this.remaining > 0) throw new MyceliumError('malformed', { at: this.#at })
  }
}

export interface Codec<T> {
  write(out: Writer, value: T): void
  read(from: Reader): T
}

/** One buffer serves every `encode` that is not inside another one; its contents are copied out. */
const shared = new Writer(64 * 1024)
let isSharedTaken = false

export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  if (isSharedTaken) {
    const out = new Writer()
    codec.write(out, value)
    return out.finish()
  }
  isSharedTaken = true
  try {
    codec.write(shared, value)
    return Buffer.from(shared.finish())
  } finally {
    shared.reset()
    isSharedTaken = false
  }
}

/** @throws `malformed` also when bytes remain */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const from = new Reader(bytes)
  const value = codec.read(from)
  from.end()
  return value
}

export const u8: Codec<number> = { write: (out, value) => out.u8(value), read: (from) => from.u8() }
export const u16: Codec<number> = { write: (out, value) => out.u16(value), read: (from) => from.u16() }
export const u32: Codec<number> = { write: (out, value) => out.u32(value), read: (from) => from.u32() }
export const u64: Codec<number> = { write: (out, value) => out.u64(value), read: (from) => from.u64() }
export const bool: Codec<boolean> = {
  write: (out, value) => out.u8(value ? 1 : 0),
  read: (from) => {
    const value = from.u8()
    if (value > 1) throw new MyceliumError('malformed', { at: from.position })
    return value === 1
  },
}

/** Exactly `length` bytes; decoding gives a view, so copy what outlives the input. */
export function fixed(length: number): Codec<Uint8Array> {
  return {
    write(out, value) {
      if (value.length !== length) throw new MyceliumError('malformed', { length: value.length, expected: length })
      out.raw(value)
    },
    read: (from) => from.raw(length),
  }
}

/** Up to `bytesMax` bytes after a u32 length; decoding gives a view. */
export function bytes(bytesMax: number): Codec<Uint8Array> {
  return {
    write(out, value) {
      if (value.length > bytesMax) throw new MyceliumError('too-large', { bytes: value.length, bytesMax })
      out.u32(value.length)
      out.raw(value)
    },
    read(from) {
      const length = from.u32()
      if (length > bytesMax) throw new MyceliumError('too-large', { bytes: length, bytesMax })
      return from.raw(length)
    },
  }
}

/** Well-formed UTF-8 of up to `bytesMax` octets after a u32 length. */
export function text(bytesMax: number): Codec<string> {
  const inner = bytes(bytesMax)
  return {
    write: (out, value) => out.text(value, bytesMax),
    read(from) {
      const value = toUtf8(inner.read(from))
      if (value === undefined) throw new MyceliumError('malformed', { at: from.position })
      return value
    },
  }
}

/** A hex id of `length` bytes, raw on the wire. */
export function hexId<Id extends string>(length: number): Codec<Id> {
  return {
    write: (out, value) => out.hex(value, length),
    read: (from) => toHex(from.raw(length)) as Id,
  }
}

export function array<T>(item: Codec<T>, countMax: number): Codec<readonly T[]> {
  return {
    write(out, values) {
      if (values.length > countMax) throw new MyceliumError('too-large', { count: values.length, countMax })
      out.u32(values.length)
      for (const value of values) item.write(out, value)
    },
    read(from) {
      const count = from.u32()
      if (count > countMax) throw new MyceliumError('too-large', { count, countMax })
      return Array.from({ length: count }, () => item.read(from))
    },
  }
}

export function optional<T>(inner: Codec<T>): Codec<T | undefined> {
  return {
    write(out, value) {
      bool.write(out, value !== undefined)
      if (value !== undefined) inner.write(out, value)
    },
    read: (from) => (bool.read(from) ? inner.read(from) : undefined),
  }
}

/** Fields in the order in which they are named. */
export function record<T extends object>(fields: { readonly [Name in keyof T]-?: Codec<T[Name]> }): Codec<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  return {
    write(out, value) {
      for (const name of names) fields[name].write(out, value[name])
    },
    read(from) {
      const value: Partial<T> = {}
      for (const name of names) value[name] = fields[name].read(from)
      return value as T
    },
  }
}

/** A one-byte tag, then the member that it names; members share a `kind` field. */
export function union<T extends { readonly kind: string }>(members: {
  readonly [Kind in T['kind']]: { readonly tag: number; readonly codec: Codec<Extract<T, { readonly kind: Kind }>> }
}): Codec<T> {
  type Member = { readonly tag: number; readonly codec: Codec<T> }
  const byKind = new Map(Object.entries<Member>(members))
  const byTag = new Map([...byKind.values()].map((member) => [member.tag, member]))
  return {
    write(out, value) {
      const member = byKind.get(value.kind)!
      out.u8(member.tag)
      member.codec.write(out, value)
    },
    read(from) {
      const tag = from.u8()
      const member = byTag.get(tag)
      if (member === undefined) throw new MyceliumError('malformed', { tag })
      return member.codec.read(from)
    },
  }
}

/** A literal that takes no bytes: the `kind` of a union member. */
export const literal = <const T>(value: T): Codec<T> => ({ write: () => {}, read: () => value })

/** A format's version as its first byte. @throws `malformed` for any other, unless `refuse` makes another error */
export const versionByte = <const Version extends number>(
  expected: Version,
  refuse = (found: number): MyceliumError => new MyceliumError('malformed', { version: found }),
): Codec<Version> => ({
  write: (out) => out.u8(expected),
  read: (from) => {
    const found = from.u8()
    if (found !== expected) throw refuse(found)
    return expected
  },
})
