/** A last-writer register: of two values the one with the later stamp stands, on every device the same. */
import { type Codec, record } from '../codec.ts'
import { type Stamp, stampCodec } from './hlc.ts'

export interface Register<T> {
  readonly value: T
  readonly stamp: Stamp
}

export const registerCodec = <T>(value: Codec<T>): Codec<Register<T>> =>
  record<Register<T>>({ value, stamp: stampCodec })

/** Stamps of two devices are never equal, so the order of the arguments makes no difference. */
export const later = <T>(a: Register<T>, b: Register<T>): Register<T> => (b.stamp > a.stamp ? b : a)
