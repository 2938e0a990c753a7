/** All parts of the server, in the order in which they are asked. */
import type { Feature, Server } from './feature.ts'
import { archive } from './xep/archive.ts'
import { blocking } from './xep/blocking.ts'
import { bookmarks } from './xep/bookmarks.ts'
import { calls } from './xep/calls/calls.ts'
import { carbons } from './xep/carbons.ts'
import { chats } from './xep/chats.ts'
import { commands } from './xep/commands/commands.ts'
import { disco } from './xep/disco.ts'
import { displayed } from './xep/displayed.ts'
import { entityTime } from './xep/entity-time.ts'
import { externalServices } from './xep/external-services.ts'
import { halls } from './xep/halls/halls.ts'
import { httpUpload } from './xep/http-upload.ts'
import { interests } from './xep/interests.ts'
import { lastActivity } from './xep/last-activity.ts'
import { muc } from './xep/muc/muc.ts'
import { pep } from './xep/pep/requests.ts'
import { ping } from './xep/ping.ts'
import { presence } from './xep/presence.ts'
import { privateStorage } from './xep/private-storage.ts'
import { pubsub } from './xep/pubsub/pubsub.ts'
import { push } from './xep/push.ts'
import { registration } from './xep/registration.ts'
import { roster } from './xep/roster.ts'
import { subscriptions } from './xep/subscriptions.ts'
import { trustNotices } from './xep/trust-notices.ts'
import { vcard } from './xep/vcard.ts'
import { version } from './xep/version.ts'

// rooms hear of a client's presence before the others: it ends with it
export const featureMakers: readonly ((server: Server) => Feature)[] = [
  disco,
  ping,
  version,
  entityTime,
  lastActivity,
  registration,
  muc,
  halls,
  roster,
  subscriptions,
  interests,
  calls, // before chats, which would take its messages for some of their own
  chats, // before presence: what was missed is known by who is there already
  presence,
  pep,
  pubsub,
  vcard,
  bookmarks,
  privateStorage,
  blocking,
  push,
  trustNotices,
  archive,
  displayed,
  carbons,
  externalServices,
  httpUpload,
  commands,
]
