/** Tagged endings of commands, and what each core error becomes (RFC 9051 §7.1, RFC 5530). */
import type { ErrorCode, MyceliumError } from '../../core/errors.ts'

export interface Tagged {
  readonly status: 'OK' | 'NO' | 'BAD'
  /** Response code without brackets. */
  readonly code?: string
  readonly text: string
}

const tagged =
  (status: Tagged['status']) =>
  (text: string, code?: string): Tagged =>
    code === undefined ? { status, text } : { status, text, code }

export const ok = tagged('OK')
export const no = tagged('NO')
export const bad = tagged('BAD')

export const formatTagged = (tag: string, { status, code, text }: Tagged): string =>
  `${tag} ${status} ${code === undefined ? '' : `[${code}] `}${text}`

/** RFC 9586 §3. */
export const uidRequired = bad('Messages are named by UID only', 'UIDREQUIRED')

/** A command cannot go on, and this is its answer. */
export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly answer: Tagged
  constructor(answer: Tagged) {
    super(answer.text)
    this.answer = answer
  }
}

const internal = no('Something went wrong here; the log of the gateway says more', 'SERVERBUG')
const unavailable = no('Not possible right now', 'UNAVAILABLE')

/** Every core error has an answer; those that only other parts know are a surprise here. */
const answers: Record<ErrorCode, Tagged> = {
  malformed: bad('Malformed'),
  'too-large': no('Too large', 'LIMIT'),
  'wrong-credentials': no('Wrong user name or password', 'AUTHENTICATIONFAILED'),
  throttled: no('Too many wrong passwords: wait a moment', 'UNAVAILABLE'),
  'account-disabled': no('This account is disabled', 'CONTACTADMIN'),
  'no-such-account': no('Wrong user name or password', 'AUTHENTICATIONFAILED'),
  'message-too-large': no('The message is too large', 'TOOBIG'),
  'mailbox-full': no('The mailbox is full', 'OVERQUOTA'),
  'no-such-mailbox': no('No such mailbox', 'NONEXISTENT'),
  'mailbox-exists': no('A mailbox of that name exists', 'ALREADYEXISTS'),
  'mailbox-reserved': no('This name cannot be used', 'CANNOT'),
  'invalid-address': no('This name cannot be used', 'CANNOT'),
  'not-yours': no('These are the words of somebody else', 'CANNOT'),
  'no-such-message': no('The message is gone', 'EXPUNGEISSUED'),
  'store-corrupt': no('A part of the store is damaged: run doctor', 'CORRUPTION'),
  'disk-full': no('The disk is full', 'OVERQUOTA'),
  'shutting-down': unavailable,
  timeout: unavailable,
  // what no mailbox or login should ever say
  'line-too-long': internal,
  'too-many-connections': internal,
  'connection-closed': internal,
  'address-taken': internal,
  'invalid-mnemonic': internal,
  'home-locked': internal,
  'key-store-locked': internal,
  'key-file-exposed': internal,
  'not-initialised': internal,
  'no-such-contact': internal,
  'invitation-expired': internal,
  'invitation-used': internal,
  'invitation-invalid': internal,
  'identity-conflict': internal,
  'key-changed': internal,
  'signature-invalid': internal,
  'log-fork': internal,
  'account-required': internal,
  ambiguous: internal,
  'words-confirmed': internal,
  'words-wrong': internal,
  'fingerprint-mismatch': internal,
  'name-taken': internal,
  'no-such-password': internal,
  'no-such-invitation': internal,
  'no-such-queue-item': internal,
  'no-such-relay': internal,
  'no-such-device': internal,
  'link-invalid': internal,
  'device-not-permitted': internal,
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
  'no-such-group': internal,
  'not-a-member': internal,
  'not-permitted': internal,
  'group-fork': internal,
  'group-full': internal,
  'clock-off': internal,
  'past-cut': internal,
  'epoch-stale': internal,
  'group-key-missing': internal,
  'not-held': internal,
  'no-such-recipient': internal,
  'not-your-address': internal,
  blocked: internal,
  expired: internal,
  unreachable: internal,
  'peer-misbehaved': internal,
}

export const answerFor = ({ code }: MyceliumError): Tagged => answers[code]
export const internalError = internal
