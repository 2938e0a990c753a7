/** Failures of the world, each with a stable code. Bugs are assertions; expected outcomes are union members. */

export const errorCodes = [
  // input
  'malformed', // bytes or text that no version of the format allows
  'too-large', // over a size, count or depth of limits.ts
  'line-too-long',
  'timeout',
  'too-many-connections',
  'connection-closed', // by the client, before it had said everything
  // accounts and trust
  'wrong-credentials',
  'throttled',
  'account-disabled',
  'no-such-account',
  'address-taken',
  'invalid-address',
  'invalid-mnemonic',
  'home-locked', // a second gateway on the same home
  'key-store-locked', // a passphrase is needed
  'key-file-exposed', // others on this machine may read the key file
  'not-initialised',
  'no-such-contact',
  'invitation-expired',
  'invitation-used',
  'invitation-invalid',
  'identity-conflict', // claims conflict and nothing is pinned
  'key-changed', // the pinned identity's own key changed and nobody accepted it
  'signature-invalid',
  'log-fork', // one key signed two entries with the same predecessor
  // command line and control socket
  'account-required', // several accounts here: name one
  'ambiguous', // a name that fits more than one
  'words-confirmed', // nobody can see the words any more
  'words-wrong',
  'fingerprint-mismatch', // the digits are not this contact's
  'name-taken', // an app password or contact of this name exists
  'no-such-password',
  'no-such-invitation',
  'no-such-queue-item',
  'no-such-relay',
  'no-such-device',
  'link-invalid', // no link for a new device, or one that is over
  'device-not-permitted', // the log does not let this device say that
  'not-confirmed', // one of the two sides did not say that the digits are the same
  'not-running',
  'home-invalid', // not a home, of a later version, or damaged
  'port-in-use',
  'certificate-invalid', // the files that the configuration names
  // encryption
  'session-unknown',
  'handshake-refused',
  'decryption-failed',
  'replayed',
  'jump-too-far',
  // groups
  'not-a-member', // the author does not belong to the group at this point
  'not-permitted', // a member, but what it did is for admins, or not allowed by the group's policy
  'group-fork', // one device signed two histories
  'group-full', // operations, over a bound of limits.ts
  'clock-off', // a clock too far from ours, or from what came before
  'past-cut', // after the last message that the removal of its author lets stand
  'epoch-stale', // sealed under keys that somebody who was removed may hold
  'group-key-missing', // no key of this sender and epoch here
  // mail
  'no-such-recipient',
  'not-your-address',
  'message-too-large',
  'mailbox-full',
  'no-such-mailbox',
  'mailbox-exists',
  'mailbox-reserved',
  'no-such-message',
  'blocked',
  'expired',
  'not-held', // mail to a group leaves at once
  // conversations
  'no-such-group',
  'not-yours', // an edit or redaction of somebody else's words
  // store and overlay
  'store-corrupt',
  'disk-full',
  'unreachable',
  'peer-misbehaved',
  'shutting-down',
] as const

export type ErrorCode = (typeof errorCodes)[number]

export class MyceliumError extends Error {
  readonly code: ErrorCode
  /** Numbers and short names only: this may be logged. */
  readonly details: Readonly<Record<string, string | number>>

  constructor(code: ErrorCode, details: Readonly<Record<string, string | number>> = {}, options?: ErrorOptions) {
    super(code, options)
    this.name = 'MyceliumError'
    this.code = code
    this.details = details
  }
}

export const hasCode = (error: unknown, code: ErrorCode): boolean =>
  error instanceof MyceliumError && error.code === code

/** For the default branch of a switch that covers a union. */
export function unreachable(value: never): never {
  throw new TypeError(`unreachable: ${typeof value}`)
}
