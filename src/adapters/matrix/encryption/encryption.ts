/** What concerns keys of devices in /sync: how many are left, whose have changed, and what devices say to each other. */
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx, WriteTx } from '../../../core/store/store.ts'
import type { Viewer } from '../events/event-view.ts'
import type { Caller, Json } from '../http/api.ts'
import type { Kept } from '../kept.ts'
import type { Names } from '../names.ts'
import type { MatrixServices } from '../services.ts'
import type { Numbered, Stream } from '../stream/stream.ts'
import type { EncryptionSync } from '../sync/sync.ts'
import type { Token } from '../sync/token.ts'
import { counts, removeDevice, unusedFallbacks } from './device-keys.ts'
import { listsAfter, neighboursOf } from './device-lists.ts'
import { forget, forgetAll, hasHeard, sentTo, type ToDevice } from './to-device.ts'

export interface EncryptionParts {
  readonly services: MatrixServices
  readonly kept: Kept
  readonly names: Names
  readonly stream: Stream
}

export class Encryption implements EncryptionSync {
  readonly #parts: EncryptionParts

  constructor(parts: EncryptionParts) {
    this.#parts = parts
  }

  fields(tx: ReadTx, { account, device }: Viewer, entries: readonly Numbered[], isInitial: boolean): Json {
    const { kept } = this.#parts
    const lists = isInitial ? undefined : listsAfter(this.#parts, tx, account, entries)
    const unused = unusedFallbacks(kept, tx, { account, device })
    return {
      ...(lists === undefined ? {} : { device_lists: lists }),
      device_one_time_keys_count: counts(kept, tx, { account, device }),
      device_unused_fallback_key_types: unused,
      'org.matrix.msc2732.device_unused_fallback_key_types': unused,
    }
  }

  toDevice(tx: ReadTx, { account, device }: Viewer, after: number): ToDevice {
    return sentTo(tx, { account, device }, after)
  }

  /** A program has come back with a token: what was told before it has come. */
  heard({ account, device }: Caller, { number, toDevice }: Token): void {
    const { services, stream } = this.#parts
    const { store } = services
    const isOver = store.read(
      (tx) => number <= stream.progress(tx, account).last && hasHeard(tx, { account, device }, toDevice),
    )
    if (!isOver) return
    store.write((tx) => forget(tx, { account, device }, toDevice)).catch(() => undefined) // with the next token then
  }

  /** Keys of an account's devices are others: its programs hear of it, and those of accounts here that are in a room with it. */
  changed(tx: WriteTx, who: Identity): void {
    const { stream } = this.#parts
    for (const account of [who, ...neighboursOf(this.#parts, tx, who)])
      if (stream.isBegun(tx, account)) stream.append(tx, account, { kind: 'keys', who })
  }

  /** This account has signed somebody's key: that concerns its own programs alone. */
  vouched(tx: WriteTx, account: Identity, whose: Identity): void {
    this.#parts.stream.append(tx, account, { kind: 'keys', who: whose })
  }

  deviceEnded(tx: WriteTx, account: Identity, device: string): void {
    forgetAll(tx, { account, device })
    if (removeDevice(this.#parts.kept, tx, account, device)) this.changed(tx, account)
  }
}
