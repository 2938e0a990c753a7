/** What the XMPP server needs from the rest of the gateway. */
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
import type { Store } from '../../core/store/store.ts'
import type { TlsMaterial } from '../wire/tls.ts'
import type { CommandOperations } from './xep/commands/step.ts'
import type { ExternalService } from '../wire/external-service.ts'
import type { Uploads } from './uploads/uploads.ts'

export interface XmppServices {
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
  /** Verbs of the command line, for commands of programs; made after the server. */
  readonly operations: () => CommandOperations
  /** STUN and TURN servers for calls. */
  readonly externalServices: readonly ExternalService[]
  readonly tls: TlsMaterial
  /** Of own JIDs: `localName@domain`. */
  readonly domain: string
  /** Calls say where programs are in their own networks (`xmpp.hostCandidates`). */
  readonly hostCandidates: boolean
  /** Programs find the rooms among accounts of this gateway before groups (`xmpp.openRoomsFirst`). */
  readonly openRoomsFirst: boolean
}
