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

  // adapters/xmpp
  xmppKept: table(121, 'xmpp-kept'), // opaque(account) ‖ u8 kind ‖ opaque(name) ‖ … → what programs keep here (adapters/xmpp/kept.ts)

  // core/conversation. Keys begin with opaque(account); conversation and message ids are hashes and stand as they are
  conversations: table(90, 'conversations'), // account ‖ conversation → partner, heads, counts, read mark
  conversationMessages: table(91, 'conversation-messages'), // account ‖ message id → state, places in both orders, canonical message
  conversationNumbers: table(92, 'conversation-numbers'), // account ‖ conversation ‖ u64 number → message id
  conversationRanks: table(93, 'conversation-ranks'), // account ‖ conversation ‖ u64 rank ‖ message id → u64 number
  conversationWaiting: table(94, 'conversation-waiting'), // account ‖ missing message id ‖ message id that cites it → since when
  conversationAbout: table(95, 'conversation-about'), // account ‖ target message id ‖ u64 number → id of what is said about it
  conversationFeed: table(96, 'conversation-feed'), // account ‖ u64 number → step
  conversationMarks: table(97, 'conversation-marks'), // account ‖ conversation ‖ opaque(identity) → how far it has read
  conversationMails: table(98, 'conversation-mails'), // account ‖ message id → mailbox and uid in which mail programs see it
  conversationSettings: table(99, 'conversation-settings'), // account → where chats are shown in mail, receipts
  conversationFolders: table(118, 'conversation-folders'), // account ‖ conversation → mailbox in which mail programs see it

  // core/conversation, groups
  groups: table(110, 'groups'), // account ‖ group → whether this account is in it, and by whom
  groupOps: table(111, 'group-ops'), // account ‖ group ‖ operation → signed operation
  groupChains: table(112, 'group-chains'), // account ‖ group ‖ operation of the epoch ‖ sender device → chain
  groupPlaces: table(116, 'group-places'), // account ‖ group ‖ sender device → what its next message must name
  groupNamed: table(117, 'group-named'), // account ‖ group ‖ sender device ‖ u32 sequence → id of the message that is missing there
  groupUnsealed: table(113, 'group-unsealed'), // account ‖ group ‖ u64 number → message id that waits for new keys
  groupWaiting: table(114, 'group-waiting'), // account ‖ group ‖ hash → envelope that waits for keys
  groupSaid: table(120, 'group-said'), // account ‖ envelope id → message id of an own message: what failed is told by it
  groupEnvelopes: table(115, 'group-envelopes'), // account ‖ message id → envelope, for members who lack it
  groupEnvelopesAt: table(107, 'group-envelopes-at'), // account ‖ group ‖ sender device ‖ u32 sequence → message id
  groupEarly: table(108, 'group-early'), // account ‖ group ‖ opaque(who sent it) ‖ hash → statement whose operation is still on its way

  // core/delivery: files of conversations
  fileArrivals: table(100, 'file-arrivals'), // opaque(account) ‖ message id → a file on its way here, or why it is not fetched
  files: table(101, 'files'), // opaque(account) ‖ message id → content of a file that is here, root and key
  fileBytes: table(102, 'file-bytes'), // opaque(account) → u64 octets of its files, those on their way included
  fileRoots: table(103, 'file-roots'), // merkle root ‖ opaque(account) ‖ message id → nothing: a file answers for the root

  uploads: table(160, 'uploads'), // opaque(id in its URL) → file of an account that no message has yet, or the message that has it

  // adapters/xmpp
  xmppIds: table(122, 'xmpp-ids'), // opaque(account) ‖ opaque(kind of id, id of a program) → message id, digest of what was said, when
  xmppSaid: table(123, 'xmpp-said'), // opaque(account) ‖ message id → ids that its program gave it, whether it asked for a receipt
  xmppProgress: table(124, 'xmpp-progress'), // opaque(account) ‖ 0 → what its programs were given; 1 ‖ opaque(login) → nothing: reads the archive; 2 ‖ u64 number → keys to forget

  componentUsers: table(128, 'component-users'), // opaque(bare JID) → JID at another server, account, how far it was given what was said
  componentSaid: table(129, 'component-said'), // opaque(account) ‖ opaque(id of a program) → nothing: said by way of the other server

  // adapters/matrix. Keys begin with opaque(account) where nothing else is said
  matrixTokens: table(140, 'matrix-tokens'), // opaque(token) → account, device, app password, until when
  matrixDevices: table(141, 'matrix-devices'), // account ‖ opaque(device id) → device id, names of its tokens
  matrixStream: table(142, 'matrix-stream'), // account ‖ u64 number → what happened
  matrixTimeline: table(143, 'matrix-timeline'), // account ‖ conversation ‖ u64 number → nothing: an event of this room
  matrixEvents: table(144, 'matrix-events'), // account ‖ event id → u64 number, u64 number of the event that takes it back
  matrixState: table(145, 'matrix-state'), // account ‖ conversation ‖ opaque(type, state key) → current state event
  matrixRooms: table(146, 'matrix-rooms'), // account ‖ conversation → room
  matrixReactions: table(147, 'matrix-reactions'), // account ‖ target message id ‖ opaque(author, reaction) → event id
  matrixProgress: table(148, 'matrix-progress'), // account → up to which step of the feed its stream goes
  matrixKept: table(149, 'matrix-kept'), // account ‖ u8 kind ‖ opaque(name) ‖ … → what programs keep here; account ‖ 0 ‖ u8 kind → u64 how many of it
  matrixSaid: table(150, 'matrix-said'), // account ‖ opaque(device, transaction) → event id; message id → device, transaction
  matrixRelations: table(152, 'matrix-relations'), // account ‖ event id ‖ u64 number of an event that is about it → how
  matrixThreads: table(153, 'matrix-threads'), // account ‖ conversation ‖ id of the event that a thread hangs on → its latest, how many
  matrixToDevice: table(151, 'matrix-to-device'), // account ‖ opaque(device id) ‖ u64 number → event for that device; without number → u64 how many wait

  // core/delivery, again
  chatFileMails: table(119, 'chat-file-mails'), // opaque(account) ‖ message id → account: its file is here, and not yet in its mail
  profiles: table(180, 'profiles'), // opaque(account) ‖ opaque(owner) ‖ opaque(device) ‖ 16 of a digest → piece of what the owner shows
  heldMail: table(73, 'held-mail'), // u64 ms of release ‖ message id → mail that is to leave then, and its recipients

  // adapters/xmpp, rooms
  xmppRoomNames: table(125, 'xmpp-room-names'), // opaque(local part) → group, local part: a room that a program named
  xmppRoomsTold: table(126, 'xmpp-rooms-told'), // opaque(account) ‖ group → nothing: its programs know the room

  // adapters/xmpp, streams. A stream is 16 random bytes, known to the client that may resume it
  xmppStreams: table(130, 'xmpp-streams'), // stream → whose, how far, since when it is lost or over
  xmppStreamsHandled: table(131, 'xmpp-streams-handled'), // stream → u64 stanzas of the client that were handled
  xmppStreamsKept: table(132, 'xmpp-streams-kept'), // stream ‖ u64 number → stanza that the client has not acknowledged
  xmppTokens: table(133, 'xmpp-tokens'), // opaque(account) ‖ opaque(user agent) → tokens by which it logs in
} as const
