/** What programs say to single devices (Client-Server API, "Send-to-Device messaging"): kept until the device has asked for what follows. */
import { concat, fromUtf8 } from '../../../core/bytes.ts'
import { decode, encode, text, u64 } from '../../../core/codec.ts'
import type { Identity } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import { tables } from '../../../core/store/tables.ts'
import type { Json } from '../http/api.ts'
import { keys } from '../stream/rows.ts'
import type { Stream } from '../stream/stream.ts'

const content = text(limits.matrixEventBytesMax)
const prefixOf = (tx: ReadTx, account: Identity, device: string): Uint8Array =>
  concat(keys.account(tx, account), tx.opaque(fromUtf8(device)))
const keyOf = (tx: ReadTx, account: Identity, device: string, number: number): Uint8Array =>
  concat(prefixOf(tx, account, device), encode(u64, number))

/** The oldest goes where there are too many: a device that never comes takes no more than that. */
export function send(
  stream: Stream,
  tx: WriteTx,
  to: { readonly account: Identity; readonly device: string },
  event: Json,
): void {
  const prefix = prefixOf(tx, to.account, to.device)
  const known = [...tx.keys(tables.matrixToDevice, { prefix })]
  const over = known.length + 1 - limits.matrixToDeviceMax
  for (const key of known.slice(0, Math.max(0, over))) tx.remove(tables.matrixToDevice, key)
  const number = stream.append(tx, to.account, { kind: 'to-device', device: to.device })
  tx.put(tables.matrixToDevice, keyOf(tx, to.account, to.device, number), encode(content, JSON.stringify(event)))
}

/** In order, after a number. */
export function sentTo(tx: ReadTx, account: Identity, device: string, after: number): readonly Json[] {
  const range = { prefix: prefixOf(tx, account, device), from: keyOf(tx, account, device, after + 1) }
  return Array.from(tx.range(tables.matrixToDevice, range), ({ value }) => JSON.parse(decode(content, value)) as Json)
}

export const hasHeard = (tx: ReadTx, account: Identity, device: string, upTo: number): boolean =>
  [...tx.keys(tables.matrixToDevice, { ...heard(tx, account, device, upTo), limit: 1 })].length > 0

/** The device has them: it has come back with a later token. */
export function forget(tx: WriteTx, account: Identity, device: string, upTo: number): void {
  for (const key of tx.keys(tables.matrixToDevice, heard(tx, account, device, upTo)))
    tx.remove(tables.matrixToDevice, key)
}

export function forgetAll(tx: WriteTx, account: Identity, device: string): void {
  for (const key of tx.keys(tables.matrixToDevice, { prefix: prefixOf(tx, account, device) }))
    tx.remove(tables.matrixToDevice, key)
}

const heard = (tx: ReadTx, account: Identity, device: string, upTo: number) => ({
  prefix: prefixOf(tx, account, device),
  to: keyOf(tx, account, device, upTo + 1),
})
