/** Mailboxes over a real store in a directory of its own, with a clock that tests move. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Ambient, silentLog, systemRandom } from '../../../src/core/ambient.ts'
import { Secret } from '../../../src/core/crypto/secret.ts'
import type { Identity } from '../../../src/core/ids.ts'
import type { Flag } from '../../../src/core/mailbox/mailbox.ts'
import { createAccountMailboxes } from '../../../src/core/mailbox/first-mailboxes.ts'
import { type MailboxesOptions, type MailboxStore, openMailboxes } from '../../../src/core/mailbox/mailboxes.ts'
import { type Blobs, openBlobs } from '../../../src/core/store/blobs.ts'
import { openStore } from '../../../src/core/store/lmdb-store.ts'
import type { Store } from '../../../src/core/store/store.ts'

export const alice = 'a1'.repeat(32) as Identity
export const bob = 'b0'.repeat(32) as Identity

export interface Home extends AsyncDisposable {
  readonly store: Store
  readonly blobs: Blobs
  readonly mailboxes: MailboxStore
}

export interface House extends Disposable {
  readonly root: string
  readonly ambient: Ambient
  /** Moves the clock, milliseconds. */
  pass(ms: number): void
  open(options?: MailboxesOptions): Promise<Home>
}

export function temporaryHouse(): House {
  const root = mkdtempSync(join(tmpdir(), 'mycelium-mailbox-'))
  let nowMs = Date.now()
  const clock = { nowMs: () => nowMs, monotonicMs: () => performance.now() }
  const ambient: Ambient = { clock, random: systemRandom, log: silentLog }
  return {
    root,
    ambient,
    pass: (ms) => void (nowMs += ms),
    async open(options = {}) {
      await using parts = new AsyncDisposableStack()
      const key = new Secret(new Uint8Array(32).fill(3))
      const store = parts.use(await openStore({ path: join(root, 'store'), key }, ambient))
      const blobs = parts.use(await openBlobs({ path: join(root, 'blobs'), store }, ambient))
      const mailboxes = parts.use(await openMailboxes(store, blobs, options, ambient))
      const owned = parts.move()
      return { store, blobs, mailboxes, [Symbol.asyncDispose]: () => owned.disposeAsync() }
    },
    [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }),
  }
}

/** Two accounts with their first mailboxes. */
export async function addAccounts({ store }: Home, { ambient }: House): Promise<void> {
  await store.write((tx) => {
    createAccountMailboxes(tx, alice, ambient)
    createAccountMailboxes(tx, bob, ambient)
  })
}

/** Appends one inline message in a transaction of its own. */
export async function deliver(
  { store, mailboxes }: Home,
  text: string,
  { account = alice, to = 'INBOX', flags = [] }: { account?: Identity; to?: string; flags?: readonly Flag[] } = {},
): Promise<number> {
  const mailbox = mailboxes.byName(account, to)!.id
  return await store.write((tx) => {
    const stored = mailboxes.storeInline(tx, account, Buffer.from(text))
    return mailboxes.append(tx, account, mailbox, [{ ...stored, flags, internalDateMs: 1_700_000_000_000 }])[0]!
  })
}
