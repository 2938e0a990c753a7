/**
 * ◆ Stamps of a hybrid logical clock: Unix milliseconds, a count within one, and the device that made it. They order
 * what several devices changed while they were apart: a change made after another was seen always has the later stamp,
 * whatever the clocks say. As 32 hex digits stamps compare like the moments that they name.
 */
import type { Clock } from '../ambient.ts'
import { type Codec, hexId } from '../codec.ts'
import type { DeviceId } from '../ids.ts'
import { limits } from '../limits.ts'

declare const brand: unique symbol
/** 12 hex digits of milliseconds, 4 of the count, 16 of the device's key. */
export type Stamp = string & { readonly [brand]: 'Stamp' }

export const stampCodec: Codec<Stamp> = hexId<Stamp>(16)
/** Before every other one: what a new device brings with it gives way to all that others say. */
export const noStamp = '0'.repeat(32) as Stamp

const msMax = 2 ** 48 - 1
const countMax = 0xffff

export const stampMs = (stamp: Stamp): number => Number.parseInt(stamp.slice(0, 12), 16)
const countOf = (stamp: Stamp): number => Number.parseInt(stamp.slice(12, 16), 16)
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

/** A clock that is far ahead would win against everybody for as long as it is: its stamps are refused. */
export const isAhead = (stamp: Stamp, nowMs: number): boolean => stampMs(stamp) > nowMs + limits.clockSkewMs

export class HybridClock {
  readonly #clock: Clock
  readonly #device: string
  #last: Stamp = noStamp

  constructor(clock: Clock, device: DeviceId) {
    this.#clock = clock
    this.#device = device.slice(0, 16)
  }

  /** Later than every stamp made or seen here, and than `previous`: what is written now takes its place. */
  next(previous: Stamp = noStamp): Stamp {
    const latest = previous > this.#last ? previous : this.#last
    const nowMs = Math.min(Math.max(0, Math.floor(this.#clock.nowMs())), msMax)
    const [ms, count] = nowMs > stampMs(latest) ? [nowMs, 0] : after(latest)
    this.#last = (hex(ms, 12) + hex(count, 4) + this.#device) as Stamp
    return this.#last
  }

  /** A stamp of another device; one that is ahead of the allowed skew is not followed. */
  saw(stamp: Stamp): void {
    if (stamp > this.#last && !isAhead(stamp, this.#clock.nowMs())) this.#last = stamp
  }
}

/**
 * For what a device does by itself with a message of that time, as every other device does too: later than nothing that a
 * person does. Among them the higher weight stands.
 */
export const stampFrom = (atMs: number, weight: number, device: DeviceId): Stamp =>
  (hex(Math.min(Math.max(0, Math.floor(atMs)), msMax), 12) + hex(weight, 4) + device.slice(0, 16)) as Stamp

function after(stamp: Stamp): readonly [ms: number, count: number] {
  const count = countOf(stamp)
  return count < countMax ? [stampMs(stamp), count + 1] : [Math.min(stampMs(stamp) + 1, msMax), 0]
}
