/** What the core says no to, as errors of this protocol: one table, with words that say what to do. */
import { type ErrorCode, MyceliumError } from '../../../core/errors.ts'
import { type Errcode, MatrixError } from './matrix-error.ts'

interface Answer {
  readonly errcode: Errcode
  readonly text: string
  readonly status?: number
}

const answer = (errcode: Errcode, text: string, status?: number): Answer =>
  status === undefined ? { errcode, text } : { errcode, text, status }
const internal = answer('M_UNKNOWN', 'Something went wrong here; the log of the gateway says more', 500)
const unavailable = answer('M_UNKNOWN', 'Not possible right now: try again in a moment', 503)
const nobody = answer('M_NOT_FOUND', 'Nobody here is known by that address: ask them for an invitation and accept it')
const tooLarge = answer('M_TOO_LARGE', 'Too large: send what is long as a file')

/** Every core error has an answer; those that only other parts know are a surprise here. */
const answers: Readonly<Record<ErrorCode, Answer>> = {
  malformed: answer('M_INVALID_PARAM', 'Malformed'),
  'too-large': tooLarge,
  'message-too-large': tooLarge,
  'no-such-contact': nobody,
  'no-such-recipient': nobody,
  'no-such-account': nobody,
  'invalid-address': answer('M_INVALID_PARAM', 'This is no address'),
  'identity-conflict': answer(
    'M_FORBIDDEN',
    'Several people claim this address: accept an invitation of the one whom you mean',
  ),
  'key-changed': answer(
    'M_FORBIDDEN',
    'The key of this contact has changed: check it with them, and accept the new one first',
  ),
  blocked: answer('M_FORBIDDEN', 'One of you has blocked the other: unblock this contact first'),
  'mailbox-full': answer('M_RESOURCE_LIMIT_EXCEEDED', 'The mailbox is full: delete something first'),
  'disk-full': answer('M_RESOURCE_LIMIT_EXCEEDED', 'The disk of the gateway is full'),
  'no-such-message': answer('M_NOT_FOUND', 'The message that this is about is not here'),
  'not-yours': answer('M_FORBIDDEN', 'These are the words of somebody else'),
  'no-such-group': answer('M_NOT_FOUND', 'There is no such room here'),
  'not-a-member': answer('M_FORBIDDEN', 'You are not in this room: ask a member to add you'),
  'not-permitted': answer('M_FORBIDDEN', 'The rules of this room do not let you'),
  'group-full': answer('M_RESOURCE_LIMIT_EXCEEDED', 'This room holds all that a room can'),
  'clock-off': answer('M_UNKNOWN', 'The clock of this machine is wrong: set it', 500),
  'account-disabled': answer('M_USER_DEACTIVATED', 'This account is disabled'),
  'device-not-permitted': answer('M_FORBIDDEN', 'This device may not do that: do it on the first one'),
  throttled: answer('M_LIMIT_EXCEEDED', 'Too much at once: wait a moment'),
  'name-taken': answer('M_INVALID_PARAM', 'This name is taken'),
  'address-taken': answer('M_INVALID_PARAM', 'This address is taken'),
  'invitation-expired': answer('M_NOT_FOUND', 'The invitation is too old: ask for another one'),
  'invitation-used': answer('M_NOT_FOUND', 'The invitation was used: ask for another one'),
  'invitation-invalid': answer('M_INVALID_PARAM', 'This is no invitation'),
  'store-corrupt': answer('M_UNKNOWN', 'A part of the store is damaged: run doctor', 500),
  'shutting-down': unavailable,
  timeout: unavailable,
  unreachable: unavailable,
  ambiguous: answer('M_INVALID_PARAM', 'This fits more than one: give more of it'),
  'fingerprint-mismatch': answer(
    'M_FORBIDDEN',
    'These digits are NOT those of this contact: somebody may be in between; nothing was changed',
  ),
  'connection-closed': answer('M_UNKNOWN', 'The request ended before it was whole'),
  // what no request should ever bring about
  'line-too-long': internal,
  'too-many-connections': internal,
  'wrong-credentials': internal,
  'invalid-mnemonic': internal,
  'home-locked': internal,
  'key-store-locked': internal,
  'key-file-exposed': internal,
  'not-initialised': internal,
  'signature-invalid': internal,
  'log-fork': internal,
  'account-required': internal,
  'words-confirmed': internal,
  'words-wrong': internal,
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
export function asMatrixError(error: unknown): unknown {
  if (!(error instanceof MyceliumError)) return error
  const { errcode, text, status } = answers[error.code]
  return new MatrixError(errcode, text, {
    ...(status === undefined ? {} : { status }),
    ...(error.code === 'throttled' ? { fields: { retry_after_ms: 2000 } } : {}),
  })
}
