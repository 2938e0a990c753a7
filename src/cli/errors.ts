/** Turns every failure into one clear line for a person. */
import { formatSize } from '../core/size.ts'
import { type ErrorCode, MyceliumError } from '../core/errors.ts'

/** What the caller typed cannot be right: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

type Details = MyceliumError['details']
type Line = string | ((details: Details) => string)

const lines: Record<ErrorCode, Line> = {
  malformed: 'the input is not in the expected form',
  'too-large': 'the input is too large',
  'line-too-long': 'a line of the input is too long',
  timeout: 'no answer in time; try again later',
  'too-many-connections': 'too many connections; try again later',
  'wrong-credentials': 'wrong passphrase',
  throttled: 'too many wrong attempts; wait a minute',
  'account-disabled': 'this account is disabled; enable it with: account enable ACCOUNT',
  'no-such-account': 'no such account here; see: account list',
  'address-taken': 'an account here has this address already',
  'invalid-address': 'not a usable address; it must be NAME@DOMAIN',
  'invalid-mnemonic': 'these are not 24 valid recovery words',
  'home-locked': ({ pid }) =>
    `another gateway is running on this home${pid === undefined || pid === 0 ? '' : ` (process ${pid})`}; stop it first or choose another --home`,
  'key-store-locked': 'the key store needs its passphrase: use --passphrase-stdin, or run on a terminal',
  'not-initialised': 'no home here yet; create one with: init',
  'no-such-contact': 'no such contact; see: contact list',
  'invitation-expired': 'this invitation has expired; ask for a new one',
  'invitation-used': 'this invitation was used already; ask for a new one',
  'invitation-invalid': 'this is not a valid invitation; was the whole link copied?',
  'identity-conflict': 'several people claim this address; verify one of them with: contact verify',
  'key-changed': "this contact's key has changed; compare digits with: contact verify",
  'signature-invalid': 'a signature does not fit; nothing was changed',
  'key-file-exposed': 'the key file can be read by others: run chmod 600 on it, and treat its content as known',
  'log-fork': 'one key has signed two different histories: treat this identity as compromised',
  'account-required': 'there are several accounts here; name one with --account',
  ambiguous: 'this fits more than one; give more of it',
  'words-confirmed': 'the recovery words are not kept here; only your own copy has them',
  'words-wrong': 'these words are not right; compare with your copy, nothing was changed',
  'fingerprint-mismatch': 'these digits are NOT those of this contact: somebody may be in between; nothing was changed',
  'name-taken': 'that name is in use; choose another',
  'no-such-password': 'no such app password; see: password list',
  'no-such-invitation': 'no such invitation; see: invite list',
  'no-such-queue-item': 'no such message in the queue; see: queue list',
  'no-such-relay': 'no such relay in use; see: relay list',
  'no-such-device': 'no such device of this account; see: device list',
  'link-invalid': 'this link is not good, or over: make a new one on the first device with: device link',
  'device-not-permitted': 'this device may not do that: an older one may, or the recovery words (--words-stdin)',
  'not-confirmed': 'the two sides did not both say that the digits are the same; nothing was linked',
  'not-running': 'the gateway is not running on this home; start it with: run',
  'home-invalid': ({ reason }) =>
    `this home cannot be used: ${reason === 'key-file' ? 'its key file is damaged; put it back from a backup' : (reason ?? 'not a home directory')}`,
  'port-in-use': ({ listener, port }) =>
    `port ${port} for ${listener} is taken; free it, or choose another with --set ${listener}.port=PORT`,
  'certificate-invalid': ({ file, reason }) => `the certificate cannot be used: ${file}: ${reason}`,
  'session-unknown': 'no session with this contact yet',
  'handshake-refused': 'the other gateway refused; has the contact been removed there?',
  'decryption-failed': 'the data does not decrypt',
  replayed: 'this was received before',
  'jump-too-far': 'too many messages are missing in between',
  'no-such-group': 'no such group; group list shows them',
  'not-a-member': 'only members of the group may do this',
  'not-permitted': 'the rules of the group do not allow this; ask one of its admins',
  'group-fork': 'a device of this member has told two different histories; an admin can retire it',
  'group-full': 'the group has changed too often; found a new one',
  'clock-off': 'a clock is more than a day off; check the date of this machine',
  'past-cut': 'this was sent after its author had been removed from the group',
  'epoch-stale': 'this was encrypted for members who have left since',
  'group-key-missing': 'the key for this message of the group is not here yet',
  'not-held': 'mail to a group leaves at once',
  'no-such-recipient': 'no contact has this address; exchange an invitation first',
  'not-your-address': 'this address is not one of the account',
  'message-too-large': 'the message is too large',
  'mailbox-full': 'the mailbox is full',
  'no-such-mailbox': 'no such mailbox',
  'mailbox-exists': 'a mailbox has this name already',
  'mailbox-reserved': 'this mailbox cannot be changed',
  'not-yours': 'these are the words of somebody else: only their author can change them',
  'no-such-message': 'no such message',
  'connection-closed': 'the connection was closed',
  blocked: 'this contact is blocked',
  expired: 'this has expired',
  'store-corrupt': ({ what, file }) =>
    what === 'wrong-key'
      ? `the key file belongs to another home than the store${file === undefined ? '' : ` (${file})`}: put it back from a backup`
      : what === 'newer-version'
        ? 'the store was written by a later version of this program: run that one, or go back as docs/office.md says under Upgrade'
        : `the store is damaged${file === undefined ? '' : ` (${file})`}: stop the gateway, keep a copy of the home, and restore a backup`,
  'disk-full': ({ what, neededBytes }) =>
    what === 'upgrade-copy'
      ? `no room for the copy of the store that is made before an upgrade: free ${formatSize(Number(neededBytes))}, nothing was changed`
      : 'the disk is full; free some space, nothing acknowledged is lost',
  unreachable: "the other gateway cannot be reached now; it is tried again when it's back",
  'peer-misbehaved': 'the other gateway gave an answer that makes no sense',
  'shutting-down': 'the gateway is shutting down',
}

/** What the operating system says, by its code. */
const remedies: Readonly<Record<string, string>> = {
  EROFS: 'this file system is read-only: make it writable, or choose another --home',
  EACCES: 'permission denied: run as the owner of the home, or choose another --home',
  EPERM: 'permission denied: run as the owner of the home, or choose another --home',
  ENOSPC: 'the disk is full: free some space',
  EMFILE: 'too many open files: raise the limit (ulimit -n)',
}

/** One line, without a stack. */
export function lineFor(error: unknown): string {
  if (error instanceof MyceliumError) {
    const line = lines[error.code]
    return typeof line === 'string' ? line : line(error.details)
  }
  const { code, path } = error instanceof Error ? (error as NodeJS.ErrnoException) : {}
  const remedy = code === undefined ? undefined : remedies[code]
  if (remedy !== undefined) return `${remedy}${path === undefined ? '' : ` (${path})`}`
  if (error instanceof Error) return error.message.split('\n', 1)[0]!
  return 'unknown failure'
}
