/** A message in the store as one that is read in pieces. */
import { concat } from '../bytes.ts'
import { MyceliumError } from '../errors.ts'
import type { ContentId, Identity } from '../ids.ts'
import type { MessageSource } from '../message/mime-source.ts'
import type { Blobs } from '../store/blobs.ts'

/** @throws `no-such-message`, and reading it also `store-corrupt` */
export function storedSource(blobs: Blobs, account: Identity, content: ContentId): MessageSource {
  const size = blobs.sizeOf(account, content)
  if (size === undefined) throw new MyceliumError('no-such-message')
  return {
    size,
    read: async (from, to) => concat(...(await Array.fromAsync(blobs.read(account, content, { from, to })))),
  }
}
