/** Time, randomness and the log, passed in so that tests can hold them still. */
import { randomFillSync } from 'node:crypto'

export interface Clock {
  /** Unix time, milliseconds. May jump when the machine's clock is set. */
  nowMs(): number
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonicMs(): number
}
export interface Random {
  bytes(length: number): Uint8Array
}
/** Events with fields, never with content: ids short, no addresses, subjects, bodies or keys. */
export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
}
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>
export interface Ambient {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export const systemClock: Clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }
const poolBytes = 16 * 1024
const pool = new Uint8Array(poolBytes)
let poolUsed = poolBytes

/** From the system's generator, drawn in blocks: a call for 16 bytes costs more than the bytes. Given bytes are wiped from the block. */
function pooledBytes(length: number): Uint8Array {
  if (length > poolBytes / 4) return randomFillSync(new Uint8Array(length))
  if (poolUsed + length > poolBytes) {
    randomFillSync(pool)
    poolUsed = 0
  }
  const bytes = pool.slice(poolUsed, poolUsed + length)
  pool.fill(0, poolUsed, poolUsed + length)
  poolUsed += length
  return bytes
}

export const systemRandom: Random = { bytes: pooledBytes }
const nothing = (): void => {}
export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing }
