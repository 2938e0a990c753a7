/**
 * Slows down whoever tries wrong passwords. App passwords have 140 random bits, so guessing is hopeless anyway: what is
 * protected is the processor and the log, and nobody must be locked out by somebody else's failures.
 *
 * Failures empty two buckets that refill with time: one per (source, user), one per source. An empty bucket refuses at
 * once, whatever the password. A success fills the pair's bucket, and a pair that has succeeded is not held to its
 * source's bucket: on loopback every client has the same source, and one that guesses at other users must not keep the
 * owner out. There is no bucket per user across sources: anybody could empty it from afar. A mail program that retries
 * an old password every few seconds never empties a bucket; it refills faster than that.
 */
import type { Clock } from '../ambient.ts'
import { limits } from '../limits.ts'

interface Bucket {
  /** Failures still allowed, as of `atMs`. */
  readonly left: number
  readonly atMs: number
  /** Has succeeded before. */
  readonly known: boolean
  /** Failures in a row, for the growing delay. */
  readonly streak: number
}

const pairBurst = 10
const pairRefillMs = 1_000
const sourceBurst = 40
const sourceRefillMs = 500
const delayMsMax = 3_000

export class Throttle {
  readonly #clock: Clock
  readonly #entriesMax: number
  /** In order of last change, so that the longest untouched goes first. */
  readonly #buckets = new Map<string, Bucket>()

  constructor(clock: Clock, entriesMax: number = limits.throttleEntriesMax) {
    this.#clock = clock
    this.#entriesMax = entriesMax
  }

  /** May this source try this user now? */
  allows(source: string, user: string): boolean {
    const pair = this.#read(pairKey(source, user), pairBurst, pairRefillMs)
    if (pair.left < 1) return false
    return pair.known || this.#read(sourceKey(source), sourceBurst, sourceRefillMs).left >= 1
  }

  /** @returns how long to hold the answer back, milliseconds: doubles with each failure in a row */
  failed(source: string, user: string): number {
    const pair = this.#take(pairKey(source, user), pairBurst, pairRefillMs)
    this.#take(sourceKey(source), sourceBurst, sourceRefillMs)
    return Math.min(100 * 2 ** (pair.streak - 1), delayMsMax)
  }

  succeeded(source: string, user: string): void {
    this.#write(pairKey(source, user), { left: pairBurst, atMs: this.#clock.monotonicMs(), known: true, streak: 0 })
  }

  get size(): number {
    return this.#buckets.size
  }

  #read(key: string, burst: number, refillMs: number): Bucket {
    const atMs = this.#clock.monotonicMs()
    const found = this.#buckets.get(key)
    if (found === undefined) return { left: burst, atMs, known: false, streak: 0 }
    return { ...found, left: Math.min(burst, found.left + (atMs - found.atMs) / refillMs), atMs }
  }

  #take(key: string, burst: number, refillMs: number): Bucket {
    const bucket = this.#read(key, burst, refillMs)
    const streak = bucket.left >= burst ? 1 : bucket.streak + 1
    return this.#write(key, { ...bucket, left: Math.max(0, bucket.left - 1), streak })
  }

  #write(key: string, bucket: Bucket): Bucket {
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    if (this.#buckets.size > this.#entriesMax) this.#buckets.delete(this.#buckets.keys().next().value!)
    return bucket
  }
}

/** Whoever has one IPv6 address has its whole /64. */
const sourceKey = (source: string): string => {
  const plain = source.replace(/^::ffff:(?=[\d.]+$)/, '')
  return plain.includes(':') ? expandedPrefix(plain) : plain
}
const pairKey = (source: string, user: string): string => `${sourceKey(source)} ${user.slice(0, 320)}`

function expandedPrefix(ip6: string): string {
  const [head = '', tail] = ip6.split('%')[0]!.split('::')
  const groups = head === '' ? [] : head.split(':')
  const rest = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros =
    tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0')
  return [...groups, ...zeros, ...rest].slice(0, 4).join(':')
}
