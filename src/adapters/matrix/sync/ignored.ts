/** Whom an account does not want to hear (Client-Server API, "Ignoring Users"): what they say is kept, and not told. */
import type { Identity } from '../../../core/ids.ts'
import type { ReadTx } from '../../../core/store/store.ts'
import type { Json } from '../http/api.ts'
import type { Kept } from '../kept.ts'

/** @returns user ids; of what is not as the specification says nobody */
export function ignoredBy(kept: Kept, tx: ReadTx, account: Identity): ReadonlySet<string> {
  const users = kept.get<Json>(tx, account, 'data', '', 'm.ignored_user_list')?.value['ignored_users']
  return new Set(typeof users === 'object' && users !== null ? Object.keys(users) : [])
}
