/** What goes of the delivery path when an account goes: its mail on the way out and in, what that mail holds, its sessions. */
import type { Ambient } from '../ambient.ts'
import type { Identity } from '../ids.ts'
import type { Mailboxes } from '../mailbox/mailbox.ts'
import type { Store, WriteTx } from '../store/store.ts'
import { tables } from '../store/tables.ts'
import { forgetArrivals } from './arrivals.ts'
import { BlobSource } from './blob-source.ts'
import type { FileUse } from '../account/file-use.ts'
import { forgetFiles } from './files.ts'
import { allHeld, removeHeld } from './held.ts'
import { forgetReports } from './long-reports.ts'
import { Outbox } from './outbox.ts'
import { forgetRelays } from './relay/book.ts'
import { Profiles } from './profiles.ts'
import { forgetSessions } from './session-book.ts'
import { forgetUploads } from './uploads.ts'

/** Tombstones stay until their time is over: their keys do not say whose they are. */
export function forgetAccount(
  tx: WriteTx,
  account: Identity,
  parts: {
    readonly store: Store
    readonly mailboxes: Mailboxes
    readonly ambient: Ambient
    readonly fileUse: FileUse
    readonly contacts: readonly Identity[]
  },
): void {
  const outbox = new Outbox()
  const blobSource = new BlobSource(parts)
  for (const contact of parts.contacts) {
    for (const { seq, ref } of outbox.refs(tx, account, contact, 0, Infinity)) {
      const gone = outbox.remove(tx, seq, ref)
      if (gone?.root !== undefined) blobSource.release(tx, gone.root)
    }
  }
  for (const held of allHeld(tx)) {
    if (held.account !== account) continue
    removeHeld(tx, held)
    if (held.outgoing.root !== undefined) blobSource.release(tx, held.outgoing.root)
  }
  forgetArrivals(tx, account, parts.mailboxes)
  forgetFiles(tx, account, parts)
  forgetUploads(tx, account, parts)
  forgetReports(tx, account)
  forgetSessions(tx, account)
  forgetRelays(tx, account)
  Profiles.removeAccount(tx, account)
  const prefix = tx.opaque(Buffer.from(account, 'hex'))
  const tokens = Array.from(tx.keys(tables.xmppTokens, { prefix }))
  for (const key of tokens) tx.remove(tables.xmppTokens, key)
}
