/**
 * The first opening of a home that came out of a backup. Its device keys and sessions may have been used further than it
 * knows, by the gateway it was copied from: every account goes on as a new device, with new sessions and new UIDVALIDITY.
 * A crash in between does it again, which does no harm.
 */
import type { Ambient } from './core/ambient.ts'
import { forgetRelays } from './core/delivery/relay/book.ts'
import { forgetSessions } from './core/delivery/session-book.ts'
import { hasCode } from './core/errors.ts'
import type { WriteTx } from './core/store/store.ts'
import { clearRestored, type HomePaths, isRestored } from './home.ts'
import type { Knowledge } from './node.ts'

type Parts = Pick<Knowledge, 'store' | 'accounts' | 'mailboxes'>

export async function renewIfRestored(paths: HomePaths, parts: Parts, ambient: Ambient): Promise<void> {
  if (!isRestored(paths)) return
  await renewDevices(parts, ambient)
  clearRestored(paths)
}

async function renewDevices({ store, accounts, mailboxes }: Parts, ambient: Ambient): Promise<void> {
  for (const { identity } of accounts.list()) {
    const retire = (tx: WriteTx): void => {
      forgetSessions(tx, identity)
      // their keys are in two hands, and what waits there is for a device that is gone
      forgetRelays(tx, identity)
      mailboxes.bumpUidValidity(tx, identity)
    }
    try {
      await accounts.replaceDevice(identity, retire, { isCertain: true })
    } catch (error) {
      if (!hasCode(error, 'throttled')) throw error
      ambient.log.warn('home.device-kept', { reason: 'log-full' })
      await store.write(retire)
    }
  }
  await accounts.rotatePrekeys(ambient.clock.nowMs())
}
