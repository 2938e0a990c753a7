/** Items with their contents as segments carry them: read from mailboxes here, and put into mailboxes there. */
import type { Ambient } from '../ambient.ts'
import { concat } from '../bytes.ts'
import { hasCode, MyceliumError } from '../errors.ts'
import { type Identity, short } from '../ids.ts'
import { limits } from '../limits.ts'
import type { Mailboxes, StoredContent } from '../mailbox/mailbox.ts'
import { contentKeyOf } from '../replica/copies.ts'
import type { MergeSource, Replicated } from '../replica/replicas.ts'
import type { Replication } from '../replica/replication.ts'
import type { ItemId } from '../replica/set-reconciliation.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store } from '../store/store.ts'
import { chunkBytesFor } from './blob-chunks.ts'
import type { Keyring } from './needs.ts'
import type { GatewayAddress, Overlay } from './ports.ts'
import { fetchChunk, type Segments } from './segments.ts'
import { encodeRecord, type Fetchable, type SegmentContent, type SegmentRecord } from './sync-messages.ts'

interface RecordParts {
  readonly store: Store
  readonly blobs: Blobs
  readonly mailboxes: Mailboxes
  readonly replication: Replication
  readonly overlay: Overlay
  readonly keyring: Keyring
  readonly ambient: Ambient
  readonly segments: Segments
}

/** Where long contents are fetched. */
export interface ContentSource {
  /** @throws `unreachable` */
  readonly where: () => GatewayAddress
  readonly signal: AbortSignal
}

export class SegmentRecords {
  readonly #parts: RecordParts

  constructor(parts: RecordParts) {
    this.#parts = parts
  }

  async record(
    account: Identity,
    replicated: Replicated,
    id: ItemId,
    isFull: boolean,
  ): Promise<Uint8Array | undefined> {
    const state = this.#parts.store.read((tx) => replicated.state(tx, account, id))
    if (state === undefined) return undefined
    return encodeRecord({ id, state, content: isFull ? await this.#content(account, id) : { kind: 'none' } })
  }

  async #content(account: Identity, id: ItemId): Promise<SegmentContent> {
    try {
      return await this.#contentNow(account, id)
    } catch (error) {
      // expunged since
      if (hasCode(error, 'no-such-message')) return { kind: 'none' }
      throw error
    }
  }

  async #contentNow(account: Identity, id: ItemId): Promise<SegmentContent> {
    const { store, replication, mailboxes } = this.#parts
    const place = store.read((tx) => replication.copies.placeOf(tx, account, id))
    const columns = place && mailboxes.byId(account, place.mailbox) && mailboxes.columns(account, place.mailbox)
    const index = place === undefined ? -1 : (columns?.indexOf(place.uid) ?? -1)
    if (columns === undefined || index < 0) return { kind: 'none' }
    const [content, size] = [columns.contentAt(index), columns.sizeAt(index)]
    const internalDateMs = columns.internalDateAt(index)
    if (size <= limits.replicaInlineBytesMax)
      return {
        kind: 'inline',
        internalDateMs,
        bytes: concat(...(await Array.fromAsync(mailboxes.read(account, content)))),
      }
    const secret = this.#parts.keyring.own(account).party.deviceDh.secretKey
    const at: Fetchable = await this.#parts.segments.serve(contentKeyOf(secret, content), {
      size,
      chunkBytes: chunkBytesFor(size),
      read: async (from, to) => concat(...(await Array.fromAsync(mailboxes.read(account, content, { from, to })))),
    })
    return { kind: 'apart', internalDateMs, at }
  }

  /** States and contents of one segment, in one transaction: what is cut off here is asked for again. */
  async absorb(
    from: MergeSource,
    replicated: Replicated,
    records: readonly SegmentRecord[],
    source: ContentSource,
  ): Promise<void> {
    const { store, replication, mailboxes, ambient } = this.#parts
    const { copies } = replication
    const stored = new Map<ItemId, StoredContent>()
    if (replicated === copies)
      for (const { id, content } of records) {
        const long = await this.#storeLong(from, content, source)
        if (long !== undefined) stored.set(id, long)
      }
    await store.write((tx) => {
      replicated.merge(
        tx,
        from,
        records.map(({ state }) => state),
      )
      if (replicated !== copies) return
      for (const { id, content } of records) {
        if (content.kind === 'none' || !copies.isLacking(tx, from.account, id)) continue
        const { internalDateMs } = content
        const at =
          stored.get(id) ??
          (content.kind === 'inline' && content.bytes.length <= limits.storedInlineBytesMax
            ? mailboxes.storeInline(tx, from.account, content.bytes)
            : undefined)
        try {
          if (at !== undefined) copies.place(tx, from, id, { stored: at, internalDateMs })
        } catch (error) {
          // it comes when there is room
          if (!hasCode(error, 'mailbox-full')) throw error
          ambient.log.warn('sync.mailbox-full', { account: short(from.account) })
        }
      }
    })
  }

  /** Content that does not fit a row; chunks of what travels by itself stay where they are when this breaks off. */
  async #storeLong(
    { account }: MergeSource,
    content: SegmentContent,
    source: ContentSource,
  ): Promise<StoredContent | undefined> {
    const { mailboxes, blobs, overlay } = this.#parts
    if (
      content.kind === 'none' ||
      mailboxes.isFull(account, content.kind === 'inline' ? content.bytes.length : content.at.size)
    )
      return undefined
    if (content.kind === 'inline') {
      if (content.bytes.length <= limits.storedInlineBytesMax) return undefined
      return await mailboxes.store(account, oneByOne(content.bytes), { bytesMax: content.bytes.length })
    }
    const { at } = content
    if (at.size > limits.mailBytesMax + 2 * limits.mailHeaderBytesMax || at.chunkBytes !== chunkBytesFor(at.size))
      throw new MyceliumError('peer-misbehaved', { bytes: at.size })
    const incoming = await blobs.openIncoming(account, at.root, at)
    for (const index of incoming.missing()) {
      const chunk = { from: source.where(), what: at, index }
      await incoming.put(index, await fetchChunk(overlay, chunk, source))
    }
    return await incoming.finish()
  }
}

async function* oneByOne(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
