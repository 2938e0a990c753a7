/** What the Matrix server needs from the rest of the gateway. */
import type { Accounts } from '../../core/account/accounts.ts'
import type { Contacts } from '../../core/account/contacts.ts'
import type { Logins } from '../../core/account/logins.ts'
import type { Conversations } from '../../core/conversation/conversations.ts'
import type { GroupBook } from '../../core/conversation/group-book.ts'
import type { CallSignals } from '../../core/delivery/call-signals.ts'
import type { Chats } from '../../core/delivery/chats.ts'
import type { Files } from '../../core/delivery/files.ts'
import type { Groups } from '../../core/delivery/groups/groups.ts'
import type { People } from '../../core/delivery/people.ts'
import type { Profiles } from '../../core/delivery/profiles.ts'
import type { Signals } from '../../core/delivery/signals.ts'
import type { Uploads } from '../../core/delivery/uploads.ts'
import type { Store } from '../../core/store/store.ts'
import type { ExternalService } from '../wire/external-service.ts'

export interface MatrixServices {
  readonly store: Store
  readonly logins: Logins
  readonly accounts: Accounts
  readonly contacts: Contacts
  readonly people: People
  readonly conversations: Conversations
  readonly groupBook: GroupBook
  readonly chats: Chats
  readonly groups: Groups
  readonly files: Files
  readonly signals: Signals
  readonly callSignals: CallSignals
  readonly uploads: Uploads
  readonly profiles: Profiles
  /** STUN and TURN servers for calls. */
  readonly externalServices: readonly ExternalService[]
  /** Calls say where programs are in their own networks (`xmpp.hostCandidates`). */
  readonly hostCandidates: boolean
  /** Of own user ids: `@localName:domain`. */
  readonly domain: string
}
