/** What programs say to single devices (Client-Server API, "Send-to-Device messaging"): kept until the device has asked for what follows. */
import { concat, fromUtf8 } from '../../../core/bytes.ts'
import { decode, encode, text, u64 } from '../../../core/codec.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import type { Json } from '../http/api.ts'
import { MatrixError } from '../http/matrix-error.ts'
import { keys } from '../stream/rows.ts'
import type { Stream } from '../stream/stream.ts'
import type { Device } from './device-keys.ts'

export interface ToDevice {
  readonly events: readonly Json[]
  /** Number of the last of these where more wait; undefined where these are all. */
  readonly upTo: number | undefined
}

const content = text(limits.matrixEventBytesMax)
/** Before all of its messages: how many there are. */
const prefixOf = (tx: ReadTx, { account, device }: Device): Uint8Array =>
  concat(keys.account(tx, account), tx.opaque(fromUtf8(device)))
const keyOf = (tx: ReadTx, of: Device, number: number): Uint8Array => concat(prefixOf(tx, of), encode(u64, number))
const numberAt = (key: Uint8Array): number => Number(Buffer.from(key).readBigUInt64BE(key.length - 8))
const from = (tx: ReadTx, of: Device, number: number) => ({ prefix: prefixOf(tx, of), from: keyOf(tx, of, number) })
const upTo = (tx: ReadTx, of: Device, number: number) => ({ ...from(tx, of, 0), to: keyOf(tx, of, number + 1) })

/**
 * The oldest goes where too many wait: a device that never comes takes no more than that, and keeps nobody from writing
 * to the others. @throws MatrixError `M_TOO_LARGE`
 */
export function send(stream: Stream, tx: WriteTx, to: Device, event: Json): void {
  const json = JSON.stringify(event)
  if (Buffer.byteLength(json) > limits.matrixEventBytesMax)
    throw new MatrixError('M_TOO_LARGE', `A message to a device has ${limits.matrixEventBytesMax} octets at most`)
  const over = waitingFor(tx, to) + 1 - limits.matrixToDeviceMax
  if (over > 0) removeKeys(tx, to, [...tx.keys(tables.matrixToDevice, { ...from(tx, to, 0), limit: over })])
  const waiting = waitingFor(tx, to)
  const number = stream.append(tx, to.account, { kind: 'to-device', device: to.device })
  tx.put(tables.matrixToDevice, keyOf(tx, to, number), encode(content, json))
  tx.put(tables.matrixToDevice, prefixOf(tx, to), encode(u64, waiting + 1))
}

/** In order, after a number, and no more than one answer holds. */
export function sentTo(tx: ReadTx, of: Device, after: number): ToDevice {
  const max = limits.matrixToDeviceAtOnce
  const found = [...tx.range(tables.matrixToDevice, { ...from(tx, of, after + 1), limit: max + 1 })]
  const told = found.slice(0, max)
  return {
    events: told.map(({ value }) => JSON.parse(decode(content, value)) as Json),
    upTo: found.length > max ? numberAt(told.at(-1)!.key) : undefined,
  }
}

export const hasHeard = (tx: ReadTx, of: Device, number: number): boolean =>
  [...tx.keys(tables.matrixToDevice, { ...upTo(tx, of, number), limit: 1 })].length > 0

/** The device has them: it has come back with a later token. */
export const forget = (tx: WriteTx, of: Device, number: number): void =>
  removeKeys(tx, of, [...tx.keys(tables.matrixToDevice, upTo(tx, of, number))])

export function forgetAll(tx: WriteTx, of: Device): void {
  removeKeys(tx, of, [...tx.keys(tables.matrixToDevice, from(tx, of, 0))])
  tx.remove(tables.matrixToDevice, prefixOf(tx, of))
}

function waitingFor(tx: ReadTx, of: Device): number {
  const count = tx.get(tables.matrixToDevice, prefixOf(tx, of))
  return count === undefined ? [...tx.keys(tables.matrixToDevice, from(tx, of, 0))].length : decode(u64, count)
}

function removeKeys(tx: WriteTx, of: Device, found: readonly Uint8Array[]): void {
  if (found.length === 0) return
  tx.put(tables.matrixToDevice, prefixOf(tx, of), encode(u64, waitingFor(tx, of) - found.length))
  for (const key of found) tx.remove(tables.matrixToDevice, key)
}
