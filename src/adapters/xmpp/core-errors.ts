/** What the core says no to, as stanza errors: one table, with words that say what to do. */
import { type ErrorCode, MyceliumError } from '../../core/errors.ts'
import { el } from './element.ts'
import { type Condition, StanzaError } from './stanza-error.ts'

interface Answer {
  readonly condition: Condition
  readonly text: string
}

const answer = (condition: Condition, text: string): Answer => ({ condition, text })
const internal = answer('internal-server-error', 'Something went wrong here; the log of the gateway says more')
const unavailable = answer('recipient-unavailable', 'Not possible right now: try again in a moment')
const nobody = answer(
  'item-not-found',
  'Nobody here is known by that address: ask them for an invitation and accept it',
)

/** Every core error has an answer; those that only other parts know are a surprise here. */
const answers: Readonly<Record<ErrorCode, Answer>> = {
  malformed: answer('bad-request', 'Malformed'),
  'too-large': answer('policy-violation', 'Too large: send what is long as a file'),
  'message-too-large': answer('policy-violation', 'Too large: send what is long as a file'),
  'no-such-contact': nobody,
  'no-such-recipient': nobody,
  'no-such-account': nobody,
  'invalid-address': answer('jid-malformed', 'This is no address'),
  'identity-conflict': answer(
    'not-acceptable',
    'Several people claim this address: accept an invitation of the one whom you mean',
  ),
  'key-changed': answer(
    'not-acceptable',
    'The key of this contact has changed: check it with them, and accept the new one first',
  ),
  blocked: answer('not-acceptable', 'One of you has blocked the other: unblock this contact first'),
  'mailbox-full': answer('resource-constraint', 'The mailbox is full: delete something first'),
  'disk-full': answer('resource-constraint', 'The disk of the gateway is full'),
  'no-such-message': answer('item-not-found', 'The message that this is about is not here'),
  'not-yours': answer('forbidden', 'These are the words of somebody else'),
  'no-such-group': answer('item-not-found', 'There is no such room here'),
  'not-a-member': answer('forbidden', 'You are not in this room: ask a member to add you'),
  'not-permitted': answer('forbidden', 'The rules of this room do not let you'),
  'group-full': answer('resource-constraint', 'This room holds all that a room can'),
  'clock-off': answer('not-acceptable', 'The clock of this machine is wrong: set it'),
  'account-disabled': answer('not-allowed', 'This account is disabled'),
  'device-not-permitted': answer('not-allowed', 'This device may not do that: do it on the first one'),
  throttled: answer('resource-constraint', 'Too much at once: wait a moment'),
  'name-taken': answer('conflict', 'This name is taken'),
  'address-taken': answer('conflict', 'This address is taken'),
  'invitation-expired': answer('item-not-found', 'The invitation is too old: ask for another one'),
  'invitation-used': answer('item-not-found', 'The invitation was used: ask for another one'),
  'invitation-invalid': answer('bad-request', 'This is no invitation'),
  'store-corrupt': answer('internal-server-error', 'A part of the store is damaged: run doctor'),
  'shutting-down': unavailable,
  timeout: unavailable,
  unreachable: unavailable,
  // what no stanza should ever bring about
  'line-too-long': internal,
  'too-many-connections': internal,
  'connection-closed': internal,
  'wrong-credentials': internal,
  'invalid-mnemonic': internal,
  'home-locked': internal,
  'key-store-locked': internal,
  'key-file-exposed': internal,
  'not-initialised': internal,
  'signature-invalid': internal,
  'log-fork': internal,
  'account-required': internal,
  ambiguous: answer('not-acceptable', 'This fits more than one: give more of it'),
  'words-confirmed': internal,
  'words-wrong': internal,
  'fingerprint-mismatch': answer(
    'not-acceptable',
    'These digits are NOT those of this contact: somebody may be in between; nothing was changed',
  ),
  'no-such-password': internal,
  'no-such-invitation': internal,
  'no-such-queue-item': internal,
  'no-such-relay': internal,
  'no-such-device': internal,
  'link-invalid': internal,
  'not-confirmed': internal,
  'not-running': internal,
  'home-invalid': internal,
  'port-in-use': internal,
  'certificate-invalid': internal,
  'session-unknown': internal,
  'handshake-refused': internal,
  'decryption-failed': internal,
  replayed: internal,
  'jump-too-far': internal,
  'group-fork': internal,
  'past-cut': internal,
  'epoch-stale': internal,
  'group-key-missing': internal,
  'no-such-mailbox': internal,
  'mailbox-exists': internal,
  'mailbox-reserved': internal,
  expired: internal,
  'not-held': internal,
  'not-your-address': internal,
  'peer-misbehaved': internal,
}

/** What is no failure of the world stays what it is. */
export function asStanzaError(error: unknown): unknown {
  if (!(error instanceof MyceliumError)) return error
  const { condition, text } = answers[error.code]
  // XEP-0191 §3.4
  const detail = error.code === 'blocked' ? el('blocked urn:xmpp:blocking:errors') : undefined
  return new StanzaError(condition, text, detail)
}

export const unknownAddress = (): StanzaError => new StanzaError(nobody.condition, nobody.text)
