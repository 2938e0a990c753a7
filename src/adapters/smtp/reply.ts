/** What the server says: one place for every reply, and an answer for every error of the core (RFC 5321 §4.2, RFC 3463, RFC 5248). */
import { type ErrorCode, MyceliumError } from '../../core/errors.ts'

export interface Reply {
  readonly code: number
  /** RFC 3463; absent where RFC 2034 §4 wants none (220, EHLO, 334, 354). */
  readonly enhanced?: string
  readonly text: string | readonly string[]
}

export function formatReply({ code, enhanced, text }: Reply): string {
  const lines = typeof text === 'string' ? [text] : text
  const prefix = enhanced === undefined ? '' : `${enhanced} `
  return lines.map((line, at) => `${code}${at === lines.length - 1 ? ' ' : '-'}${prefix}${line}\r\n`).join('')
}

const reply = (code: number, enhanced: string, text: string | readonly string[]): Reply => ({ code, enhanced, text })

const askForInvitation = 'ask for an invitation link, then run: mycelium-gateway invite accept LINK'

export const replies = {
  ok: reply(250, '2.0.0', 'OK'),
  senderOk: reply(250, '2.1.0', 'Sender accepted'),
  recipientOk: reply(250, '2.1.5', 'Recipient accepted'),
  sendData: { code: 354, text: 'Go ahead, end with a line that has only a dot' },
  bye: reply(221, '2.0.0', 'Bye'),
  startTls: reply(220, '2.0.0', 'Ready for TLS'),
  authenticated: reply(235, '2.7.0', 'Logged in'),
  cannotVerify: reply(252, '2.5.2', 'Send mail to it: RCPT TO says whether it is a contact'),
  help: reply(214, '2.0.0', [
    'Submission of mail to your contacts; log in with an app password:',
    'mycelium-gateway password add',
  ]),
  unknownCommand: reply(500, '5.5.2', 'Unknown command'),
  notImplemented: reply(502, '5.5.1', 'Not implemented'),
  badSequence: reply(503, '5.5.1', 'Bad sequence of commands'),
  helloFirst: reply(503, '5.5.1', 'Say EHLO first'),
  alreadySecure: reply(503, '5.5.1', 'Already inside TLS'),
  alreadyLoggedIn: reply(503, '5.5.1', 'Already logged in'),
  noRecipients: reply(554, '5.5.1', 'No valid recipients'),
  loginFirst: reply(530, '5.7.0', 'Log in first; make an app password with: mycelium-gateway password add'),
  startTlsFirst: reply(530, '5.7.0', 'STARTTLS first'),
  encryptionRequired: reply(538, '5.7.11', 'STARTTLS first: passwords travel only inside TLS'),
  unknownMechanism: reply(504, '5.5.4', 'Unknown authentication mechanism'),
  cancelled: reply(501, '5.7.0', 'Authentication cancelled'),
  badResponse: reply(501, '5.5.2', 'Not a response of this mechanism'),
  badSenderAddress: reply(553, '5.1.7', 'Not a mail address'),
  badRecipientAddress: reply(553, '5.1.3', 'Not a mail address'),
  needsSmtpUtf8: reply(553, '5.6.7', 'Say SMTPUTF8 with MAIL FROM to use this address'),
  badParameter: reply(501, '5.5.4', 'Bad value of a parameter'),
  heldTooLong: reply(501, '5.5.4', 'Mail is not held for that long: see FUTURERELEASE in the answer to EHLO'),
  unknownParameter: reply(555, '5.5.4', 'Unknown parameter'),
  // RFC 8689 §4.2.1; there is no next hop in clear text that it could forbid
  requireTls: reply(555, '5.7.30', 'REQUIRETLS is not offered: mail leaves end-to-end encrypted in any case'),
  binaryNeedsChunks: reply(503, '5.5.1', 'BODY=BINARYMIME travels with BDAT'),
  chunksHaveBegun: reply(503, '5.5.1', 'This mail travels with BDAT: go on with it, or RSET'),
  badChunk: reply(501, '5.5.4', 'Not a chunk: BDAT SIZE, or BDAT SIZE LAST'),
  tooManyRecipients: reply(452, '4.5.3', 'Too many recipients: send to the others in a second mail'),
  pipelinedTls: reply(503, '5.5.1', 'Nothing may follow STARTTLS before the handshake'),
  bareNewline: reply(500, '5.5.2', 'Lines end with CR LF'),
  tooManyErrors: reply(421, '4.7.0', 'Too many errors'),
  idle: reply(421, '4.4.2', 'Timeout, closing'),
  shuttingDown: reply(421, '4.3.2', 'Shutting down, try again later'),
  tooManyConnections: reply(421, '4.7.0', 'Too many connections'),
} as const satisfies Record<string, Reply>

export const badArguments = (verb: string): Reply => reply(501, '5.5.4', `Bad arguments for ${verb}`)
export const chunkTaken = (octets: number): Reply => reply(250, '2.0.0', `${octets} octets received`)
export const queuedAs = (id: string): Reply => reply(250, '2.0.0', `Queued as ${id}`)
export const challenge = (base64: string): Reply => ({ code: 334, text: base64 })

const ours = reply(451, '4.3.0', 'Something went wrong here, try again later: mycelium-gateway doctor')
const locked = reply(454, '4.7.0', 'The gateway is locked: unlock it first')
const changedKey = 'The key of this contact changed; compare: mycelium-gateway contact verify ADDRESS'

/** Every failure of the core has an answer; the ones marked `ours` cannot come from a submission. */
const replyFor: Readonly<Record<ErrorCode, Reply>> = {
  malformed: reply(550, '5.6.0', 'Not a mail: lines end with CR LF, no other CR, LF or NUL, and a header comes first'),
  'too-large': reply(552, '5.3.4', 'Too large'),
  'line-too-long': reply(500, '5.5.2', 'Line too long'),
  timeout: replies.idle,
  'too-many-connections': replies.tooManyConnections,
  'connection-closed': reply(421, '4.4.2', 'Connection lost'),
  'wrong-credentials': reply(535, '5.7.8', 'Wrong name or app password; make one with: mycelium-gateway password add'),
  throttled: reply(454, '4.7.0', 'Too many wrong passwords, try again in a few minutes'),
  'account-disabled': reply(535, '5.7.8', 'This account is disabled'),
  'no-such-recipient': reply(550, '5.1.1', `No contact has this address: ${askForInvitation}`),
  'no-such-contact': reply(550, '5.1.1', `No contact has this address: ${askForInvitation}`),
  'identity-conflict': reply(
    550,
    '5.7.1',
    'Several people claim this address; say who is meant: mycelium-gateway contact verify ADDRESS',
  ),
  'key-changed': reply(550, '5.7.1', changedKey),
  blocked: reply(550, '5.7.1', 'You blocked this contact: mycelium-gateway contact list'),
  'not-your-address': reply(
    553,
    '5.7.1',
    'MAIL FROM and From must be one address of your own: mycelium-gateway account list',
  ),
  'invalid-address': reply(553, '5.1.3', 'Not a mail address'),
  'message-too-large': reply(552, '5.3.4', 'Message too large'),
  'mailbox-full': reply(452, '4.2.2', 'Mailbox full'),
  'disk-full': reply(452, '4.3.1', 'The disk is full'),
  'shutting-down': replies.shuttingDown,
  'key-store-locked': locked,
  'home-locked': locked,
  'not-initialised': locked,
  'store-corrupt': reply(451, '4.3.0', 'The store is damaged: mycelium-gateway doctor'),
  expired: reply(550, '5.4.7', 'Expired'),
  'no-such-account': ours,
  'address-taken': ours,
  'invalid-mnemonic': ours,
  'key-file-exposed': ours,
  'invitation-expired': ours,
  'invitation-used': ours,
  'invitation-invalid': ours,
  'signature-invalid': ours,
  'log-fork': ours,
  'account-required': ours,
  ambiguous: ours,
  'words-confirmed': ours,
  'words-wrong': ours,
  'fingerprint-mismatch': ours,
  'name-taken': ours,
  'no-such-password': ours,
  'no-such-invitation': ours,
  'no-such-queue-item': ours,
  'no-such-relay': ours,
  'no-such-device': ours,
  'link-invalid': ours,
  'device-not-permitted': ours,
  'not-confirmed': ours,
  'not-running': ours,
  'home-invalid': ours,
  'port-in-use': ours,
  'certificate-invalid': ours,
  'session-unknown': ours,
  'handshake-refused': ours,
  'decryption-failed': ours,
  replayed: ours,
  'jump-too-far': ours,
  'no-such-group': reply(550, '5.1.1', 'There is no such group here'),
  'not-a-member': reply(550, '5.7.2', 'Only members may post to this group'),
  'not-permitted': reply(550, '5.7.2', 'The rules of this group do not let you post'),
  'group-fork': ours,
  'group-full': ours,
  'clock-off': ours,
  'past-cut': ours,
  'epoch-stale': ours,
  'group-key-missing': ours,
  'not-held': reply(550, '5.3.3', 'Mail to a group leaves at once: send it when it is to arrive'),
  'no-such-mailbox': ours,
  'mailbox-exists': ours,
  'mailbox-reserved': ours,
  'not-yours': ours,
  'no-such-message': ours,
  unreachable: ours,
  'peer-misbehaved': ours,
}

export const replyForCode = (code: ErrorCode): Reply => replyFor[code]
export const replyForError = (error: unknown): Reply => (error instanceof MyceliumError ? replyFor[error.code] : ours)
