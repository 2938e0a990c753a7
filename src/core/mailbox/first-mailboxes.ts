/** What an account has from the beginning. */
import { type Ambient, systemClock, systemRandom } from '../ambient.ts'
import type { Identity } from '../ids.ts'
import type { WriteTx } from '../store/store.ts'
import { AccountWork } from './account-work.ts'
import type { SpecialUse } from './mailbox.ts'
import { inbox } from './names.ts'

export const initialMailboxes: readonly { readonly name: string; readonly specialUse?: SpecialUse }[] = [
  { name: inbox },
  { name: 'Sent', specialUse: '\\Sent' },
  { name: 'Drafts', specialUse: '\\Drafts' },
  { name: 'Trash', specialUse: '\\Trash' },
  { name: 'Junk', specialUse: '\\Junk' },
  { name: 'Archive', specialUse: '\\Archive' },
]

/** The mailboxes of a new account, all subscribed. */
export function createAccountMailboxes(
  tx: WriteTx,
  account: Identity,
  { clock, random }: Pick<Ambient, 'clock' | 'random'> = { clock: systemClock, random: systemRandom },
): void {
  const work = new AccountWork(tx, account)
  for (const { name, specialUse } of initialMailboxes) {
    work.create(name, { specialUse, random, nowMs: clock.nowMs() })
    work.subscribe(name, true)
  }
  work.finish()
}
