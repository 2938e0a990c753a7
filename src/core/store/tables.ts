/**
 * ◆ Every table of the store. Numbers are bound into each sealed value: never change or reuse one. The comment gives
 * key → value; ids in keys are opaque (`tx.opaque`) or raw random ids, integers are big-endian.
 */
import type { Table } from './store.ts'

const table = (id: number, name: string): Table => ({ id, name })

export const tables = {
  meta: table(1, 'meta'), // short ASCII name → value of its own codec (schema version, gateway secrets)

  // core/account
  accounts: table(10, 'accounts'), // opaque(identity) → account
  accountNames: table(11, 'account-names'), // opaque(localName or address) → identity
  deviceSecrets: table(12, 'device-secrets'), // opaque(identity) → device keys
  prekeySecrets: table(13, 'prekey-secrets'), // opaque(identity) ‖ u32 prekey id → private halves
  contacts: table(14, 'contacts'), // opaque(account) ‖ opaque(identity) → contact
  contactAddresses: table(15, 'contact-addresses'), // opaque(account) ‖ opaque(address) → identities claiming it
  invitations: table(16, 'invitations'), // opaque(capability) → invitation made here
  appPasswords: table(17, 'app-passwords'), // opaque(account) ‖ 8 random bytes → app password
  recovery: table(18, 'recovery'), // opaque(identity) → entropy of words that nobody has confirmed yet
  quotas: table(19, 'quotas'), // opaque(identity) → u64 octets, 0 for no limit; absent: the gateway's default
  requests: table(20, 'requests'), // opaque(account) ‖ opaque(identity) → a stranger who waits: source, mails, flights
  requestNotices: table(21, 'request-notices'), // opaque(account) → since when, how many notices of strangers

  // core/mailbox
  mailboxes: table(30, 'mailboxes'), // opaque(account) ‖ mailbox id → name, special use, uid validity, flag sets
  mailboxBlocks: table(31, 'mailbox-blocks'), // mailbox id ‖ u32 (uid − 1) / 256 → packed index records
  mailboxTombstones: table(32, 'mailbox-tombstones'), // mailbox id ‖ u64 modseq → expunged uids
  contents: table(33, 'contents'), // opaque(account) ‖ content id → bytes in line, or file id, key and size of a blob
  summaries: table(34, 'summaries'), // mailbox id ‖ u32 (uid − 1) / 64 → pack of summaries
  changes: table(35, 'changes'), // opaque(account) ‖ u64 seq → change
  subscriptions: table(36, 'subscriptions'), // opaque(account) ‖ opaque(name) → name
  blobs: table(37, 'blobs'), // file id → whose: what a file without a row is swept by
  mailboxCounters: table(38, 'mailbox-counters'), // opaque(account) ‖ mailbox id → uid next, modseq, counts
  mailboxAccounts: table(39, 'mailbox-accounts'), // opaque(account) → modseq, change seq
  contentKeys: table(40, 'content-keys'), // opaque(account) → 32 random bytes: key of content ids
  contentRefs: table(41, 'content-refs'), // 0 ‖ account ‖ content → since when unreferenced; 1 ‖ … → count from 2 on
  incomingBlobs: table(42, 'incoming-blobs'), // opaque(account) ‖ blob root → progress of a blob on its way
  searchIndex: table(43, 'search-index'), // opaque(account) ‖ 0 fields, 1 signatures ‖ pack of content ids → entries
  searchProgress: table(44, 'search-progress'), // opaque(account) ‖ mailbox id → the last uid that is in the index
  annotations: table(45, 'annotations'), // opaque(account) ‖ mailbox id, or zeros ‖ opaque(name) → name, value

  // core/delivery
  sessions: table(50, 'sessions'), // opaque(own device ‖ peer device) → session
  messages: table(51, 'messages'), // opaque(account) ‖ message id → canonical message
  outbox: table(52, 'outbox'), // opaque(account ‖ recipient) ‖ u64 number → pack of up to 32 references
  seen: table(53, 'seen'), // 8 of opaque(account ‖ author ‖ u64 16 ms of sending) ‖ opaque(account ‖ author ‖ message id) → when it was received
  channelTags: table(54, 'channel-tags'), // 8-byte tag → session key
  handshakes: table(55, 'handshakes'), // hash of ephemeral key and ciphertext → account and prekey of the flight
  expiries: table(56, 'expiries'), // u64 ms ‖ … → what to sweep then
  partials: table(57, 'partials'), // opaque(account) ‖ message id ‖ … → fragments and blobs on their way
  longReports: table(58, 'long-reports'), // opaque(account) ‖ 16 random bytes → report that returns a long mail
  servedBlobs: table(59, 'served-blobs'), // merkle root → how to make its chunks

  // overlay/relay-mailbox: what this gateway holds for others. A slot is 16 random bytes, an owner's since it was opened
  relayOwners: table(60, 'relay-owners'), // 0 → totals; 1 ‖ opaque(owner key) → slot, how it came, counts; 2 ‖ opaque(gateway) → owners it opened
  relayQueues: table(61, 'relay-queues'), // 0 ‖ opaque(send id) → owner, slot, receive id, counts; 1 ‖ slot ‖ receive id → opaque(send id)
  relayEntries: table(62, 'relay-entries'), // slot ‖ u64 number → queue, receive id, times, body
  relaySeen: table(63, 'relay-seen'), // opaque(send id ‖ entry id) → nothing
  relayExpiries: table(64, 'relay-expiries'), // 0 ‖ u64 ms ‖ slot ‖ u64 number → what to count back; 1 ‖ u64 ms ‖ seen key → nothing; 2 ‖ slot → counts of a closed owner
  relayGrants: table(65, 'relay-grants'), // opaque(capability) → until when it is good, opaque(owner key) once used

  // core/delivery/relay: relays that this gateway uses
  relayChoices: table(70, 'relay-choices'), // opaque(account ‖ relay's gateway) → relay, owner key, health
  relayInQueues: table(71, 'relay-in-queues'), // opaque(own device ‖ peer device) → queues made for it
  relayFlights: table(74, 'relay-flights'), // opaque(own device ‖ peer device) → session of a first flight that was left for the peer
  relayOutQueues: table(72, 'relay-out-queues'), // opaque(own device ‖ peer device) → queues it gave us, how far was deposited

  // between the devices of one account
  siblings: table(80, 'siblings'), // opaque(account) ‖ opaque(device) → name, records, signatures of zones over addresses
  copies: table(81, 'copies'), // opaque(account) ‖ 8 of opaque(account ‖ days) ‖ opaque(copy id) → version, place, registers of folder and flags
  copyPlaces: table(82, 'copy-places'), // mailbox id ‖ u32 uid → copy id
  folders: table(83, 'folders'), // opaque(account) ‖ opaque(folder id) → mailbox, registers of name, subscription, removal
  replicas: table(84, 'replicas'), // opaque(account) → how far its mailboxes are enrolled
  sharedContacts: table(85, 'shared-contacts'), // opaque(account) ‖ opaque(16 of the identity) → registers of what was decided

  // core/delivery, again
  heldMail: table(73, 'held-mail'), // u64 ms of release ‖ message id → mail that is to leave then, and its recipients
} as const
