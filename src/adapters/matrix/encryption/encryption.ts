/** Keys of an account's own programs, and what they say to each other. */
import type { ReadTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import type { Viewer } from '../events/event-view.ts'
import type { Numbered } from '../stream/stream.ts'
import type { EncryptionSync } from '../sync/sync.ts'

export class Encryption implements EncryptionSync {
  fields(_tx: ReadTx, _viewer: Viewer, _entries: readonly Numbered[], _isInitial: boolean): Json {
    return { device_one_time_keys_count: {}, device_unused_fallback_key_types: [] }
  }

  toDevice(_tx: ReadTx, _viewer: Viewer, _after: number): readonly Json[] {
    return []
  }
}
