/** What every operation works with, and how it finds the account, contact or message that a person named. */
import type { Contact } from '../core/account/contact.ts'
import type { OwnAccount } from '../core/account/own-account.ts'
import type { AuditLog } from '../audit-log.ts'
import type { Ambient } from '../core/ambient.ts'
import type { Results } from '../core/control.ts'
import type { Listeners } from '../core/control-views.ts'
import { MyceliumError } from '../core/errors.ts'
import { parseAddress } from '../core/message/address.ts'
import type { CertificatePair } from '../certificates/certificates.ts'
import type { HomeMarker, HomePaths } from '../home.ts'
import type { Knowledge, Node } from '../node.ts'

export interface OperationParts {
  readonly knowledge: Knowledge
  readonly paths: HomePaths
  readonly marker: HomeMarker
  readonly version: string
  readonly ambient: Ambient
  readonly audit: AuditLog
  /** The certificate authority, made when there is none yet. */
  readonly certificates: () => Promise<Pick<CertificatePair, 'authority'>>
  /** What only a running gateway has. */
  readonly live: LiveParts | undefined
}

export interface LiveParts {
  readonly node: Node
  readonly listeners: () => Listeners
  readonly startedAtMs: number
  readonly stop: () => void
  /** Octets that it holds for others at most, where it is a relay. */
  readonly relayBytesMax: number | undefined
  readonly checks: () => Promise<Results['doctor']>
}

/** @throws `not-running` */
export function liveOf({ live }: OperationParts): LiveParts {
  if (live === undefined) throw new MyceliumError('not-running')
  return live
}

/** By localName, address or identity; the only one when none is named. @throws `no-such-account`, `account-required` */
export function accountOf({ knowledge: { accounts } }: OperationParts, named: string | undefined): OwnAccount {
  if (named === undefined) {
    const [only, ...more] = accounts.list()
    if (only === undefined) throw new MyceliumError('no-such-account')
    if (more.length > 0) throw new MyceliumError('account-required')
    return only
  }
  const found = accounts.byUser(named) ?? accounts.list().find(({ identity }) => identity === named)
  if (found === undefined) throw new MyceliumError('no-such-account')
  return found
}

/** By address, given name or the beginning of the identity. @throws `no-such-contact`, `ambiguous` */
export function contactOf({ knowledge: { contacts } }: OperationParts, account: OwnAccount, named: string): Contact {
  const address = parseAddress(named)
  const fits = (contact: Contact): boolean =>
    contact.displayName === named ||
    contact.addresses.some((one) => one.address === address) ||
    (/^[\da-f]{8,64}$/.test(named) && contact.identity.startsWith(named))
  const found = contacts.list(account.identity).filter(fits)
  if (found.length > 1) throw new MyceliumError('ambiguous', { matches: found.length })
  if (found[0] === undefined) throw new MyceliumError('no-such-contact')
  return found[0]
}
