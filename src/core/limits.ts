/** Every bound, with its unit and source; one group per part. "ours" means chosen by this project. */
export const limits = {
  // canonical message
  messageInlineBytesMax: 16 * 1024, // DESIGN: longer content travels as a blob
  storedInlineBytesMax: 24 * 1024, // ours: such content with what a gateway writes around it, in one row
  storedRowBytesMax: 160 * 1024, // ours: a message of a conversation as a mail, with its HTML and its file, in one row
  chatFilesOfMailMax: 16, // ours: files of a mail that is said in a chat, each a message of its own
  chatFromMailBytesMax: 8 * 1024 * 1024, // ours: a mail that is looked at as an answer to a chat, in memory and on this thread
  chatFileInMailBytesMax: 30 * 1024 * 1024, // ours: a file of a chat that its mail holds; as base64 within what a mail may be
  chatMailDigestOctetsMax: 2048, // ours: reactions to one message, as its mail tells them
  chatMailHtmlCharsMax: 48 * 1024, // ours: HTML of a chat, written anew for mail; what is longer is shown as its text
  messagePartsMax: 64, // ours
  messageParentsMax: 64, // ours
  messageRelationsMax: 2, // ours: an answer inside a thread
  messageHtmlBytesMax: 32 * 1024, // ours: HTML takes more octets than the text that it says
  messageExtensionBytesMax: 32 * 1024, // ours: an OMEMO message for some two hundred devices
  fileNameOctetsMax: 255, // ours; POSIX NAME_MAX
  mediaTypeOctetsMax: 127 * 2 + 1, // RFC 6838 §4.2: 127 characters on each side of the slash
  thumbnailBytesMax: 8 * 1024, // ours: so that a file and its thumbnail fit one item
  fileBytesMax: 4 * 1024 * 1024 * 1024, // ours: one file in a conversation
  filesAtOnce: 2, // ours: of one author that are fetched at a time, beside their mail
  contactDayFileBytesMax: 8 * 1024 * 1024 * 1024, // ours: DESIGN §6 says 1 GB a day for mail; a larger file would never pass
  filesListedMessages: 1000, // ours: of each conversation, the latest, in which `file list` looks
  imageBytesMax: 32 * 1024 * 1024, // ours: of an image that gets a thumbnail
  imagePixelsMax: 36_000_000, // ours: a decoder takes 4 bytes for each, and up to 8 more
  imageMemoryBytesMax: 512 * 1024 * 1024, // ours: of one decoder
  thumbnailMs: 8_000, // ours
  reactionOctetsMax: 64, // ours: an emoji of several code points, or a short word
  reactionsMax: 16, // ours: of one person to one message
  groupKeysWaitMs: 120_000, // ours: for keys of what was asked for, before what cites it is shown without
  groupCutLookMax: 4096, // ours: messages looked through for those that a removal cuts off
  groupHistoryMessages: 500, // ours: told to somebody who joins, where the rules share history
  groupTendMs: 200, // ours: until operations that wait are looked at again
  groupsMax: 1000, // ours: of one account
  groupAskedMax: 3, // ours: members of whom missing keys are asked at once
  groupStatementsMax: 64, // ours: in one message between members
  groupStatementOpsMax: 64, // ours: in one statement
  groupWaitingEnvelopesMax: 2000, // ours: of one group, for which keys are missing
  groupPartBytesMax: 60 * 1024, // ours: one item, without what surrounds it
  messageExpiryMs: 21 * 24 * 3600_000, // ours: submission + 21 days
  mailBytesMax: 50 * 1024 * 1024, // ours: announced as SIZE and APPENDLIMIT
  holdMsMax: 90 * 24 * 3600_000, // ours: how far ahead a mail may be handed over (RFC 4865)
  heldLookMs: 60_000, // ours: how late a clock that was set can make a release
  heldLateMs: 3600_000, // ours: mail released later than this counts its expiry from then, not from when it was to leave
  heldReleasedAtOnce: 64, // ours
  mailRecipientsMax: 1000, // ours; RFC 5321 §4.5.3.1.8 asks for ≥ 100
  tombstoneMs: 60 * 24 * 3600_000, // ours: duplicates are recognised for this long, through expunge

  // conversations
  conversationHeadsMax: 256, // ours: kept; a message cites the latest 64 of them
  conversationWaitingMax: 1000, // ours: messages of one conversation that wait for one that they cite
  parentWaitMs: 24 * 3600_000, // ours: then a message is shown without what it cites
  parentAskMs: 3_000, // ours: a missing message that does not come by itself is asked for after this
  parentAskAgainMs: 10_000, // ours: and again after this, and twice as long each time
  parentAskAgainMsMax: 3600_000, // ours
  missingLookedMax: 8192, // ours: missing messages of one account looked through at once
  chatShowMax: 1000, // ours: messages shown at once
  chatTailBatch: 200, // ours: events read at once
  signalsMax: 32, // ours: in one item
  signalsKnownMax: 10_000, // ours: conversations in which somebody types
  callSignalBytesMax: 16 * 1024, // ours: a session description with many codecs and candidates has 10
  callSignalsPerSecond: 20, // ours: to and from one contact; candidates come singly
  callSignalsBurst: 100, // ours
  presenceEveryMs: 60_000, // ours: how often it is said who is there; three rounds without it say that they are not
  profileNameOctetsMax: 512, // ours: name of a topic, or of an item under it
  profilePieceBytesMax: 48 * 1024, // ours: fits one item of a session
  profilePiecesMax: 64, // ours: that one device shows its contacts
  profileItemsPerMinuteMax: 200, // ours: taken from one device
  profileTellMs: 200, // ours: changes meanwhile are told together
  typingEveryMs: 5_000, // ours: the same is not said again sooner
  receiptDelayMs: 2_000, // ours: what is read meanwhile is one receipt
  receiptMembersMax: 50, // ours: in a larger group nobody tells what was read
  typingMembersMax: 50, // ours: of a large group not everybody hears who types
  messagesAskedMax: 64, // ours: missing messages in one question
  chatReadMarksMs: 200, // ours: how long what mail programs mark as read is gathered
  chatReadMarksPage: 100, // ours

  // identity
  displayNameOctetsMax: 256, // ours
  addressOctetsMax: 320, // RFC 5321 §4.5.3.1: 64 + 1 + 255
  locatorsMax: 8, // ours: per contact
  locatorOctetsMax: 256, // ours
  logEntriesMax: 256, // ours: an account's log over its whole life
  logBytesMax: 64 * 1024, // ours
  identityAddressesMax: 32, // ours: addresses and, apart from them, zones of one identity
  prekeyPeriodMs: 7 * 24 * 3600_000, // DESIGN §4: weekly
  prekeysAhead: 8, // DESIGN §4: weeks published ahead of the current one
  prekeyKeepMs: 35 * 24 * 3600_000, // DESIGN §4: private halves, after last use
  prekeyDoomMs: 24 * 3600_000, // ours: an expired private half goes only if it is still expired this much later
  deviceRecordPrekeysMax: 16, // ours: current and coming weeks of one device
  locatorRecordMs: 28 * 24 * 3600_000, // ours: how long a signed locator record stands
  logHeadWarnMs: 7 * 24 * 3600_000, // DESIGN §4: an older statement of the head may hide a revocation
  nameRecordMs: 90 * 24 * 3600_000, // ours: validity of a zone's signature over a name
  introductionWrittenBytesMax: 12 * 1024, // ours: what we make; readers take introductionBytesMax
  clockSkewMs: 24 * 3600_000, // ours: how far ahead of us a signed record may be dated
  claimsPerAddressMax: 16, // ours: identities that claim one address
  invitationsMax: 1000, // ours: kept per account, used and expired ones included
  invitationKeepMs: 30 * 24 * 3600_000, // ours: a used or expired invitation stays listed this long
  rememberedLoginsMax: 1024, // ours: right passwords whose derived key is kept in memory
  appPasswordsMax: 64, // ours: per account
  accountsMax: 1000, // ours: per gateway
  auditFileBytesMax: 1024 * 1024, // ours: then a new file is begun
  auditFilesMax: 16, // ours: the oldest one goes
  auditListMax: 10_000, // ours: entries shown at once
  throttleEntriesMax: 10_000, // ours: sources and users remembered

  // xmpp: calls, commands and the component
  xmppCallAliasesMax: 10_000, // ours: programs of contacts whose gateway is remembered
  xmppCallAnswerMs: 30_000, // ours: how long a contact's program may take to answer an iq
  xmppCallAsksMax: 1000, // ours: iqs of calls that wait for their answer, over all accounts
  xmppCallsBegunMax: 1000, // ours: calls that were noted in their conversation, remembered so that none is twice
  wireDialMs: 10_000, // ours: until a server that the gateway connects to has answered
  componentStanzaBytesMax: 512 * 1024, // ours: what servers pass on; Prosody lets other servers send so much
  componentIdleMs: 60_000, // ours: then the server is asked whether it is there
  componentHandshakeMs: 15_000, // ours
  componentRetryMsMin: 1_000, // ours: after the connection was lost
  componentRetryMsMax: 60_000, // ours
  componentBatch: 50, // ours: messages that a server is given before it is asked whether it has them
  componentDrainMs: 3_000, // ours: at shutdown, for the server to say that it has what it was given
  componentAnswerMs: 30_000, // ours: how long a server may take to answer
  componentAsksMax: 1000, // ours: iqs on their way in one direction
  componentWaitingMax: 1000, // ours: stanzas of a server that wait to be handled
  componentUsersMax: 1000, // ours
  componentAskedMax: 10_000, // ours: contacts of one user
  xmppJidOctetsMax: 3 * 1023 + 2, // RFC 7622 §3.1
  componentEchoMs: 60_000, // ours: how long a message may take to come back from the server
  componentEchoesMax: 1000, // ours: privileged messages that will come back
  xmppCommandMs: 15 * 60_000, // ours: how long a person may take over a form
  xmppCommandsMax: 1000, // ours: forms that wait, over all accounts
  xmppCommandStepMs: 25_000, // ours: programs give up an iq after 30 s or later
  xmlTextDepthMax: 64, // ours: of an element that another gateway sent
  xmlTextAttributesMax: 64, // ours
  // matrix
  matrixBodyBytesMax: 1024 * 1024, // ours: JSON of a request; backups of keys are the longest
  matrixJsonDepthMax: 64, // ours
  matrixEventBytesMax: 65_536, // Client-Server API, "Size limits"
  matrixIdOctetsMax: 255, // Client-Server API, "Size limits": of user, room and event ids, types and state keys
  matrixTokenMs: 365 * 24 * 3600_000, // ours: an access token that is not used
  matrixShortTokenMs: 24 * 3600_000, // ours: an access token of a program that can get another
  matrixDevicesMax: 100, // ours: of one account; the one unused for longest goes
  matrixDeviceNameOctetsMax: 256, // ours
  matrixAuthSessionsMax: 1000, // ours: programs that are asked for a password again at once
  matrixTransactionMs: 24 * 3600_000, // ours: how long a transaction id is known again
  matrixStepsAtOnce: 256, // ours: steps of the feed that one commit takes into the stream
  matrixKeptBytesMax: 128 * 1024, // ours: one thing that is kept for programs
  matrixKeptMax: 10_000, // ours: of one kind, of one account
  matrixTimelineMax: 100, // ours: events of one room in one answer
  matrixPageMax: 1000, // ours: events of one page
  matrixSyncEntriesMax: 20_000, // ours: behind by more, a program gets everything anew
  matrixTypingMs: 30_000, // ours: the longest that somebody types without saying so again
  matrixPushRulesMax: 500, // ours: of one kind, of one account
  matrixNoticeActionsBytesMax: 1024, // ours: of the rule by which an event is told of
  matrixOpenIdMs: 3600_000, // ours: how long a token that shows who somebody is is good
  matrixOpenIdTokensMax: 1000, // ours: the oldest goes
  matrixRelationDepthMax: 3, // Client-Server API, GET relations: at least 3
  matrixRelatedMax: 5000, // ours: events about an event, and about those, that one request looks at
  matrixRoomsCountedMax: 10_000, // ours: rooms of all accounts of whose unread messages the number is in memory
  matrixThreadsReadMax: 1000, // ours: receipts of one's own in threads of one room; the oldest goes
  matrixThreadHopsMax: 3, // Client-Server API, "Threaded read receipts": events from one that is about another to its thread
  matrixPushConditionsMax: 32, // ours: conditions, and actions, of one rule
  matrixOneTimeKeysMax: 250, // ours: of one device; programs upload 50 to 100
  matrixFallbackKeysMax: 8, // ours: of one device, one for each algorithm
  matrixKeysGivenKnownMax: 100, // ours: one-time keys of one device that are known again after they were claimed
  matrixKeyBytesMax: 16 * 1024, // ours: one key with its signatures
  matrixToDeviceMax: 1000, // ours: messages that wait for one device; the oldest goes
  matrixToDeviceAtOnce: 100, // ours, as other servers: messages to a device in one answer
  matrixBackupVersionsMax: 10, // ours: of one account; the oldest goes
  matrixBackupSessionsMax: 100_000, // ours: of one account
  matrixBackedUpBytesMax: 64 * 1024, // ours: one session in a backup
  matrixBackupBytesMax: 128 * 1024 * 1024, // ours: one backup, which is one answer: 100,000 sessions have about 120 MB
  matrixFileMs: 10 * 60_000, // ours: until an upload is a file of a message
  matrixListsMax: 100, // MSC4186: lists of one request; also names in one filter
  matrixConnectionsMax: 10_000, // ours: of sliding sync, over all accounts; the one unused for longest begins anew
  matrixSearchedAtOnce: 500, // ours: of them before others are answered
  matrixSearchedMax: 20_000, // ours: entries that one request of a search looks at
  matrixAwayMs: 60_000, // ours: a program that has not asked for news for so long is gone
  matrixPollMsMax: 120_000, // ours: how long a sync is held
  // xmpp: contacts, presence and what is kept for programs
  xmppNameOctetsMax: 1024, // ours: of an element, an attribute or a namespace that is kept
  xmppKeptElementBytesMax: 160 * 1024, // ours: one element that is kept: a picture of 96 KB as base64
  xmppKeptDepthMax: 32, // ours: elements in elements that are kept
  xmppNodesMax: 200, // ours: of personal events, of one account; OMEMO has one for each program
  xmppNodeItemsMax: 1000, // ours: of one node; bookmarks have one for each room
  xmppItemsBytesMax: 16 * 1024 * 1024, // ours: of all nodes of an account
  xmppServiceNodesMax: 1000, // ours: of the service for nodes, over all accounts
  xmppServiceBytesMax: 64 * 1024 * 1024, // ours: of all their items
  xmppSubscriptionsMax: 1000, // ours: of one of them
  xmppPrivateMax: 100, // ours: elements of XEP-0049
  xmppRosterItemsMax: 10_000, // ours: told at once; the stanza would be larger than programs take
  xmppRosterGroupsMax: 16, // ours: of one contact
  xmppRosterGroupOctetsMax: 256, // ours
  xmppBlockedMax: 1000, // ours: JIDs of nobody known
  xmppListedMax: 1000, // ours: people in a roster of whom nothing is known
  xmppRequestOctetsMax: 8192, // ours: what comes with a request to subscribe, while it waits
  xmppPushMax: 32, // ours: programs that asked to be woken
  xmppCapsKept: 1000, // ours: verified capabilities of programs
  xmppLastItemsMax: 1000, // ours: notifications that one presence brings
  xmppPresencesMax: 2000, // ours: contacts whose presence one program is told at first
  xmppDirectedMax: 500, // ours: JIDs that one program has sent its presence to

  // HTTP for local programs
  httpHeaderBytesMax: 16 * 1024, // ours
  httpRequestMs: 10_000, // ours: until a request's header is complete
  httpBodyIdleMs: 30_000, // ours: for the first octet of a body, and between two
  httpBodyBytesPerMsMin: 4, // ours: 4 KB/s; a body that comes more slowly in all is given up
  httpKeepAliveMs: 5000, // ours
  httpConnectionsMax: 1024, // ours: WebSockets, and BOSH requests that are held, among them
  httpRequestsPerConnectionMax: 1000, // ours
  httpDrainMs: 2000, // ours: for answers on their way at shutdown

  // control socket and command line
  controlRequestBytesMax: 64 * 1024, // ours
  controlAnswerBytesMax: 64 * 1024 * 1024, // ours: a list of 100,000 queued messages
  controlConnectionsMax: 32, // ours
  controlIdleMs: 60_000, // ours: a connection that asks nothing
  controlRequestsMax: 16, // ours: at once on one connection
  controlStallMs: 5 * 60_000, // ours: a stopped reader of a stream; a slow disk is quicker
  controlDrainMs: 2000, // ours: for answers on their way at shutdown
  controlIdCharsMax: 256, // ours
  transferPieceBytes: 32 * 1024, // ours: of a stream over the control socket, in one line
  transferPiecesMax: 16, // ours: received and not yet taken, before the other end has to wait
  transferRecordBytesMax: 9 * 1024 * 1024, // ours: more than a row of the store
  transferNameCharsMax: 4096, // ours: a file's path in a report
  importBatchMessages: 200, // ours: messages in one transaction
  importBatchBytes: 1024 * 1024, // ours
  importHeaderBytesMax: 1024 * 1024, // ours: header section that a reader of mbox holds
  importFilesMax: 10_000_000, // ours: entries of one folder
  importDepthMax: 40, // ours: folders in folders
  importReportsMax: 1000, // ours: messages that could not be taken, by name; the rest is counted
  inviteLinkCharsMax: 400, // DESIGN §4
  inviteExpiryMs: 7 * 24 * 3600_000, // CONTRACT: 7d
  inviteExpiryMsMin: 60_000, // ours
  inviteExpiryMsMax: 56 * 24 * 3600_000, // ours: no longer than prekeys are published ahead

  devicesMax: 32, // ours: of one identity
  deviceNameOctetsMax: 64, // ours
  deviceLinkCharsMax: 600, // ours: fits a QR code that a camera reads from a terminal
  deviceLinkMs: 10 * 60_000, // ours: how long a link for a new device is good
  deviceLinkPollMs: 500, // ours: how often a new device asks whether it was let in
  linkPageBytesMax: 192 * 1024, // ours: what a new device is given in one answer, one state more at the most
  linkPageStatesMax: 1024, // ours
  deviceLinkAskMs: 20_000, // ours: one question of it
  deviceSilentMs: 30 * 24 * 3600_000, // DESIGN §6: a device silent for this long is suspended

  // between the devices of one account
  contactRecordBytesMax: 640 * 1024, // ours: a contact's row: log, and records of 32 devices
  replicaKindsMax: 64, // ours: kinds of what devices have in common
  replicaStateBytesMax: 768 * 1024, // ours: one item's state: a contact with its claims is the largest
  replicaSliceRows: 2000, // ours: items read before other work goes on
  replicaPushBytesMax: 48 * 1024, // ours: states told at once, in one item
  replicaPushesMax: 8, // ours: items told at once; of more, the others are told to ask
  replicaPushMs: 30, // ours: changes are gathered for so long
  replicaGetIdsMax: 512, // ours: items asked for at once
  replicaSegmentBytesMax: 1000 * 1024, // DESIGN §6: many small messages in one segment, one chunk
  replicaInlineBytesMax: 256 * 1024, // ours: a longer content travels by itself
  replicaAskMs: 20_000, // ours: one answer of another device
  replicaServedMax: 24, // ours: segments and contents that may be asked for now
  replicaServedMs: 10 * 60_000, // ours
  replicaEveryMs: 3600_000, // ours: between two times that connected devices compare all that they have
  replicaRetryMs: 5_000, // ours: after a comparison that broke off
  strangerWaitMs: 1_500, // ours: before somebody whom one of several linked devices does not know counts as a stranger
  strangersRememberedMax: 1000, // ours
  replicaStaleMs: 2_000, // ours: how old the list of items may be from which another device is answered
  reconcileRangesMax: 16, // ours: asked about in one message
  reconcileSplit: 16, // ours: pieces of a range that differs
  reconcilePartsMax: 16, // as reconcileSplit
  reconcileLeafItems: 16, // ours: a range of so few is listed
  reconcileListMax: 1024, // ours: items listed for one range: 32 KB
  reconcileAnswerItems: 1024, // ours: items listed in one answer
  reconcileRoundsMax: 100_000, // ours: two million items, all of them new
  deviceReplaceMsMin: 24 * 3600_000, // ours: a home goes on as a new device on a contact's word at most this often
  // delivery
  freshRefsMax: 8192, // ours: references kept in memory between submission and sealing, per device
  outboxPackRefsMax: 32, // ours: references of one transaction that share a row of the outbox
  outboxPackBytesMax: 32 * 1024, // ours: and their octets, from the second one on
  sharedWritersMax: 128, // ours: submissions in one transaction
  sentCopiesMax: 8192, // ours: Message-IDs remembered since start
  sentCopyMs: 15 * 60_000, // ours: how long after submission a client's own copy may come
  pendingFramesMax: 1024, // ours: arrived on one link and not yet taken; more makes the peer wait
  acceptWaitMs: 8_000, // ours: how long `invite accept` waits for the inviter before it says pending
  queueListMax: 10_000, // ours: shown at once
  confirmationMs: 10 * 60_000, // ours: how long digits of an online confirmation are good for
  confirmationStepMs: 15_000, // ours: an online confirmation without its next step for this long begins anew when asked
  resendTickMs: 500, // ours

  // use of relays
  relaysUsedMax: 3, // DESIGN §7: three copies
  relayCandidatesMax: 12, // ours: asked in one round
  relayQueuesPerPairMax: 64, // ours: three relays, weeks that are kept, and relays that were replaced
  relayQueueMs: 7 * 24 * 3600_000, // DESIGN §7: queues are made anew weekly
  relayQueueKeepMs: 60 * 24 * 3600_000, // ours: a contact that was away that long may still leave mail in an old one
  relayRetiredKeepMs: 30 * 24 * 3600_000, // ours: a relay that was replaced is emptied for this long; mail lives 21 days
  relayAskMs: 20_000, // ours: one question to a relay, also through another one
  relayMissingMs: 3600_000, // ours: a queue that its relay does not know is tried again after it
  relayRestMs: 60_000, // ours: a relay that did not answer is left alone for this long
  relayFreshMs: 60_000, // ours: between two attempts to reach somebody whose mail lay at a relay
  relayMaintainMs: 15 * 60_000, // ours: looking for relays and making queues, without a reason to do it sooner
  relayWatchRetryMsMin: 2_000, // ours
  relayWatchRetryMsMax: 10 * 60_000, // ours: polling of a relay that is away, with jitter
  relayAwayMsMax: 24 * 3600_000, // ours: then another one takes its place, if there is one
  relayFaultsMax: 3, // ours: what a relay may be caught at before it is replaced
  relayProbeMs: 6 * 3600_000, // ours: a body to ourselves, to see whether it keeps what it takes
  relayProbeMsMax: 10 * 60_000, // ours: and how long one may take while we watch
  relayDelayMsMax: 3600_000, // ours: how much later than another relay it may hand out a copy while we watch both
  relayLeavingsKept: 20_000, // ours: ids of bodies that were taken lately, per account
  relayFramesFirstMax: 16, // ours: frames that go before any relay has taken one
  relayFailureMsMax: 3600_000, // ours: pause after several failures to leave anything for somebody
  relayFramesInFlightMax: 600, // ours: frames that wait at relays; a link allows 900
  relayFramesOutMax: 1800, // ours: frames left since the peer was heard; it skips 2,000 (jumpMax)
  relayLeaveAgainMs: 3 * 24 * 3600_000, // ours: what nobody has acknowledged is left once more
  relayLookBackRefs: 512, // ours: of the oldest that wait for a contact, how many are looked at for those of one device
  relayIntroduceMs: 24 * 3600_000, // ours: an introduction that nobody has answered is left once more
  relayLateCopiesMax: 64, // ours: copies of one pair that wait in memory for their relay
  relayLateBytesMax: 32 * 1024 * 1024, // ours: of all pairs together
  relayLateCopyMs: 12 * 3600_000, // ours: and how long
  relayBlobBytesMax: 32 * 1024 * 1024, // ours: larger contents wait for a direct link
  attemptMs: 30_000, // ours: one attempt to reach a contact
  handshakeMsMin: 1_000, // ours: between two handshakes that one device begins with us
  helloMs: 3_000, // ours: one attempt at a hello
  helloAttempts: 5, // ours
  endedSessionsMax: 1000, // ours: pairs whose sessions ended, before their tags are cleared away
  unknownFramesMax: 10_000, // ours: frames without a session on one link
  controlItemsMax: 64, // ours: waiting for the link, per device
  blobChunkBytesMin: 64 * 1024, // DESIGN §5
  blobChunkBytesMax: 1024 * 1024, // DESIGN §5
  tombstoneSliceRows: 2000, // ours: looked at in a minute
  bundlesPerMinuteMax: 20, // ours: of one device of a contact; each costs a few dozen signature checks
  itemTransfersBytesMax: 512 * 1024, // ours: of unfinished items per session
  sweepSliceRows: 50, // ours: rows of the outbox looked at before other work goes on
  delayReportMs: 24 * 3600_000, // ours: RFC 5321 §4.5.4.1 leaves it open
  arrivalsAtOnce: 4, // ours: blobs of one author that are fetched at a time
  chunkAskMs: 60_000, // ours: one chunk of a blob
  blobChunksMax: 65_536, // ours: 64 GB in chunks of 1 MB
  clockForwardMsAlarm: 24 * 3600_000, // DESIGN §6
  clockBackMsAlarm: 60_000, // ours
  reportReturnedBytesMax: 10 * 1024 * 1024, // ours: longer mail comes back as its header section
  dsnTextOctetsMax: 1000, // RFC 3461 §4.2: ORCPT up to 500 characters, ENVID up to 100
  itemBytesMax: 64 * 1024, // ours: one item inside a session, before it is cut into fragments
  itemFragmentsMax: 64, // ours
  itemTransfersMax: 64, // ours: unfinished items per session
  itemMessagesMax: 16, // ours: messages that share a 4,096-byte frame; each may cost an answer
  itemIdsMax: 120, // ours: acknowledgements that fit one 4,096-byte frame
  confirmationStepBytesMax: 256, // ours
  merkleDepthMax: 24, // ours: 16 M chunks
  fastAttemptsMax: 10, // ours: about ten minutes at the fast pace
  fastRetryMsMin: 2_000, // DESIGN §6
  fastRetryMsMax: 120_000,
  slowRetryMsMin: 5 * 60_000,
  slowRetryMsMax: 6 * 3600_000,
  resendMsMin: 2_000, // ours: unanswered on a live link
  resendMsMax: 120_000,
  inFlightMax: 900, // DESIGN §5: at most 1,000 unacknowledged frames in a session
  sealBatchMax: 128, // ours: messages sealed in one transaction
  messageIdOctetsMax: 900, // ours: a line with it stays below 998 octets (RFC 5322 §2.1.1)
  mailHeaderBytesMax: 256 * 1024, // ours: header section of a submitted mail
  clockWarnMs: 3 * 60_000, // ours: a contact's clock so far ahead of ours is told of by doctor
  bundleAskAgeMs: 10 * 60_000, // ours: how old a contact's signed question may be
  bundleSharedBytesMax: 56 * 1024, // ours: a bundle with records of other devices, which fits itemBytesMax
  bundleBytesMax: 128 * 1024, // ours: log ≤ 64 KB, then devices' records
  handshakeBytesMax: 4 * 4096 + 1024, // DESIGN §5: first flight ≤ 4 frames, and its wrapper
  requestsMax: 200, // ours: strangers waiting to be accepted, per account
  requestsPerSourceMax: 50, // ours: of them from one network address, or through one relay
  requestGraceMs: 120_000, // ours: a stranger has this long to send its first mail before it may have to make room
  requestFlightsMax: 4, // ours: flights of one waiting stranger of which a copy is known
  requestsBytesMax: 64 * 1024 * 1024, // ours: size of Requests from which on strangers get only their smallest share
  requestsMessagesMax: 2000, // ours: messages in Requests from which on only first mails of strangers are taken
  strangerMailsMax: 50, // ours: of one stranger, while it waits
  strangerShareBytesMin: 256 * 1024, // ours: what each stranger who waits may send in any case
  requestNoticesMax: 5, // ours: strangers that have a notice of their own in one period; then one for all the others
  requestNoticesMs: 24 * 3600_000, // ours: that period
  strangerFlightsPerSecond: 5, // ours: strangers' handshakes; each costs a few milliseconds of processor
  strangerFlightsBurst: 20, // ours
  workFlightsPerSecond: 5, // ours: as many again of those that show work
  workFlightsBurst: 20, // ours
  sourceFlightsPerSecond: 0.5, // ours: strangers' handshakes without work from one address
  sourceFlightsBurst: 5, // ours
  contactFlightsPerSecond: 0.1, // ours: handshakes from one gateway of contacts
  contactFlightsBurst: 30, // ours: a gateway of an office begins anew with everybody
  sourcesKnownMax: 4096, // ours: addresses and gateways whose pace is remembered
  workFromRequests: 20, // ours: strangers waiting from which on another one has to show work
  workBitsMin: 16, // ours: about 0.1 s of one processor
  workBitsMax: 22, // ours: about 8 s; no asker does more
  workSliceMs: 5, // ours: work goes on in slices of this length
  workRaiseMsMin: 1000, // ours: one more bit at most this often
  workLowerMs: 10_000, // ours: one bit less after so long with places to spare
  workSaltMs: 60_000, // ours: work is good for one to two of these
  workRoundsMax: 3, // ours: how often an asker works for one attempt
  expectedGatewaysMax: 1000, // ours: gateways that have shown an invitation
  expectedGatewayMs: 10 * 60_000, // ours: and may shake hands without waiting behind strangers
  contactDayBytesMax: 1024 * 1024 * 1024, // DESIGN §6
  mailCountedBytesMin: 1024, // ours: what the smallest mail counts against a day's bytes; one that must be fetched, 16 KB
  strangerDayBytesMax: 16 * 1024 * 1024, // ours: mail of somebody who is not accepted yet
  blobChunksAtOnce: 4, // ours: chunks asked for in parallel per blob, …
  blobBytesAtOnce: 1024 * 1024, // ours: … and their octets: what a kill wastes
  blobAnswersAhead: 4, // ours: chunks of 1 MB that are made before they are asked for
  blobsOpenMax: 16, // ours: blobs whose tree is in memory while they are asked for
  blobLiarRestMs: 3600_000, // ours: how long who gave a wrong chunk is asked nothing of that blob

  // session
  jumpMax: 2000, // DESIGN §5: how far one frame may be ahead of the last one in its chain
  skippedKeysMax: 2000, // DESIGN §5: message secrets kept for late frames, per session
  skippedKeyAgeMsMax: 30 * 24 * 3600_000, // DESIGN §5
  receivingChainsMax: 5, // DESIGN §5: chains whose late frames still open
  archivedSessionsMax: 5, // DESIGN §5: per device pair
  kemEpochMessages: 20, // DESIGN §5: payloads after which a new ML-KEM epoch begins
  kemEpochMs: 24 * 3600_000, // DESIGN §5: … or this long, if there was any payload
  kemResendMs: 5_000, // ours: pause before an unconfirmed ML-KEM frame is repeated, and only with traffic
  kemEpochsMax: 64, // ours: epoch keys kept for late frames
  introductionBytesMax: 14 * 1024, // ours: log segment and device record in the first flight
  handshakeFlightBytesMax: 4 * 4096, // DESIGN §5
  sessionBytesMax: 256 * 1024, // ours: a stored session with 2,000 skipped secrets takes 96 KB
  receiveOnlyMs: 7 * 24 * 3600_000, // DESIGN §5: a session that a newer one replaced
  resetMsMin: 6 * 3600_000, // DESIGN §5: at most one reset per device pair in this time

  // groups
  groupMembersMax: 1000, // ours: nobody is added beyond it here; what others add is taken
  groupOpsMax: 20_000, // ours: operations of one group over its whole life
  groupOpBytesMax: 48 * 1024, // ours: a checkpoint with 256 signatures takes 36 KB
  groupParentsMax: 64, // ours
  groupNameOctetsMax: 256, // ours
  groupSignersMax: 256, // ours: other admins who sign one checkpoint
  groupWaitingOpsMax: 1000, // ours: operations whose parents, or whose author's log, are not here yet; the oldest goes
  groupWaitingBytesMax: 4 * 1024 * 1024, // ours: and their octets
  groupStatesKept: 64, // ours: states of one group kept in memory, by heads
  groupEpochsMax: 8, // ours: epochs under which messages are taken at one moment
  groupOldEpochsMax: 32, // ours: epochs before them whose messages are still awaited, of whoever is behind
  groupEarlyMax: 128, // ours: statements by one person that wait for operations of their groups
  groupEnvelopeBytesMax: 48 * 1024, // ours: less than an item inside a session
  groupPayloadBytesMax: 44 * 1024, // ours
  groupSkippedKeysMax: 2000, // ours: message secrets kept for late messages, per sender device and epoch; the jump, too
  groupOpsPerItemMax: 128, // ours; and no more than fit an item
  groupGrantChainsMax: 600, // ours: chain heads in one item; a larger group takes several

  // xmpp: rooms
  xmppNickOctetsMax: 128, // ours: of an occupant, as shown and as asked for
  xmppRoomLocalOctetsMax: 128, // ours: local part that a program gives a new room
  xmppRoomHistoryDefault: 20, // ours: messages shown to who enters and does not say how many
  xmppRoomHistoryMax: 500, // ours: the rest is in the archive
  xmppRoomsToldAtOnce: 100, // ours: groups that get a bookmark when a program comes
  xmppRoomItemsMax: 100, // ours: affiliations changed by one request
  xmppHallsMax: 1000, // ours: rooms of this gateway alone
  xmppHallsPerAccountMax: 100, // ours: of which one account is an owner
  xmppHallOccupantsMax: 500, // ours
  xmppHallAdminsBeyond: 20, // ours: admins who enter one that is full (XEP-0045 §7.2.9)
  xmppHallStandingsMax: 1000, // ours: affiliations of one
  xmppHallTextOctetsMax: 1024, // ours: name, description, password and subject
  xmppHallPresenceCharsMax: 8192, // ours: what a program's presence says in one, kept as long as it is in
  xmppHallHistoryCharsMax: 256 * 1024, // ours: what was said last in one
  xmppHallAsksMax: 1000, // ours: iqs between occupants that wait for their answer, over all

  // store
  storeKeyBytesMax: 500, // ours: below LMDB's 1978 for 4 KB pages
  storeValueBytesMax: 8 * 1024 * 1024, // ours
  storeBusyRows: 96, // ours: a flush of so many rows is followed by a pause
  storePauseMsMax: 2, // ours
  storeSharedPauseMsMax: 4, // ours: the same while several callers share commits
  storeFlushWritersMax: 1024, // ours: writers that share one flush
  storeFlushBytesMax: 8 * 1024 * 1024, // ours: values that one flush gathers before it is written
  storeFlushMs: 20, // ours: how long writers run before their flush, so that readers are not kept waiting
  upgradeCopiesMax: 2, // ours: copies of the database from before migrations
  storeDiskReserveBytes: 16 * 1024 * 1024, // ours: free space below which the store refuses to grow
  blobChunkBytes: 64 * 1024, // facts/mail.md: clients fetch parts of 64 KB
  blobBytesMax: 64 * 1024 * 1024 * 1024, // ours: 2^20 chunks
  blobGraceMs: 3600_000, // DESIGN §8: unreferenced content stays this long
  mailboxNameOctetsMax: 1000, // ours
  mailboxDepthMax: 32, // ours: levels of hierarchy
  annotationsMax: 100, // ours: of one mailbox, or of the account itself
  annotationBytesMax: 64 * 1024, // ours: one value
  annotationNameOctetsMax: 255, // ours
  annotationsBytesMax: 4 * 1024 * 1024, // ours: of one account together
  mailboxesMax: 10_000, // ours: per account; subscriptions too
  keywordOctetsMax: 128, // ours
  keywordsMax: 256, // ours: distinct keywords in one mailbox
  mailboxFlagSetsMax: 4096, // ours: distinct combinations of flags in use in one mailbox
  mailboxTombstoneRowsMax: 4096, // ours: expunging transactions that QRESYNC can look back over
  changeRowsMax: 100_000, // ours: length of an account's durable change feed
  mailboxCopiedAtOnce: 20_000, // ours: messages copied in one transaction, so that nobody waits for all of a large mailbox
  mailboxColumnsBytesMax: 96 * 1024 * 1024, // ours: index columns in memory; about 1.4 million messages
  summaryCacheBytesMax: 64 * 1024 * 1024, // ours: the lists of about 30,000 messages
  summaryCacheIdleMs: 60_000, // ours: after it without a question, summaries leave memory
  summaryQueueMax: 20_000, // ours: messages waiting for their summary; later ones get it when asked
  summaryBytesMax: 64 * 1024, // ours: larger ones are made anew each time; 64 of them fit in one value
  searchFieldsBytesMax: 8 * 1024, // ours: longer ones are read from the message; 64 of them fit in one value
  searchSliceBytesMax: 256 * 1024, // DESIGN §8: texts of longer messages are read by the worker
  searchIndexedBytesMax: 128 * 1024 * 1024, // ours: each search reads longer ones
  searchIndexedTextBytesMax: 8 * 1024 * 1024, // ours: attachments apart; each search reads longer ones
  searchThreadMegabytesMax: 1024, // ours: what texts of one job may take in memory
  incomingUnsavedBytes: 16 * 1024 * 1024, // ours: of a blob on its way, before the disk is told to sync
  incomingUnsavedMs: 5_000, // ours: the same for one that comes slowly
  incomingBlobAgeMs: 30 * 24 * 3600_000, // ours: longer than any message lives

  // listeners for mail clients (SMTP and IMAP)
  tlsHandshakeMs: 30_000, // ours
  listenerDrainMs: 5_000, // ours: how long open connections may finish when the gateway stops
  lingerMs: 2_000, // ours: after our last word, for the peer to read it
  wireBufferBytes: 64 * 1024, // ours: unread input of one connection before its peer must wait
  wireWriteMs: 120_000, // ours: a peer that does not read
  saslResponseOctetsMax: 12_288, // RFC 4954 §4: one base64 line, without CRLF
  saslNameOctetsMax: 320, // as addressOctetsMax
  saslPasswordOctetsMax: 1024, // ours
  saslNonceOctetsMax: 256, // ours: client nonce of SCRAM
  // mail format
  headerFieldsMax: 2000, // ours: fields of one header section that are looked at
  headerNameOctetsMax: 256, // ours
  headerAddressesMax: 2000, // ours: in one address field
  mimeDepthMax: 32, // ours: deeper parts are opaque
  mimeWorkerBytesMin: 256 * 1024, // DESIGN §8: a longer mail is parsed in a worker thread, in windows
  mimePartsMax: 1000, // ours: the rest belongs to the last part
  mimeParametersMax: 64, // ours: of one field
  mimeParameterOctetsMax: 8 * 1024, // ours: decoded, of one parameter
  mimeFieldCharsMax: 16 * 1024, // ours: of a field with parameters

  // IMAP
  imapLineOctetsMax: 64 * 1024, // ours; RFC 7162 §4 asks for ≥ 8,192
  imapLineBeforeLoginOctetsMax: 36 * 1024, // RFC 2971 §3.3: ID takes 30 fields of 30 and 1,024 octets
  imapLiteralBytesMax: 1024 * 1024, // ours: literals of one command in memory; APPEND streams
  imapLiteralBeforeLoginBytesMax: 4 * 1024, // ours
  imapNestingMax: 64, // ours: parentheses in one command
  imapSearchKeysMax: 5000, // ours: in one command
  imapListPatternsMax: 16, // ours: in one LIST
  imapSetRangesMax: 10_000, // ours: ranges of one number set
  imapBadCommandsMax: 20, // ours: in a row, then the connection is dropped
  turnMs: 10, // ours: how long connections with commands waiting keep the thread from the others
  imapConnectionsMax: 1024, // ours
  imapConnectionsPerAccountMax: 100, // ours; clients use up to 50
  imapLoginMs: 60_000, // ours: time to authenticate
  imapIdleMs: 30 * 60_000, // RFC 9051 §5.4: at least 30 minutes
  imapStalledMs: 120_000, // ours: a client that does not read, or sends half a command
  imapKeywordsMax: 64, // ours: in one command
  imapKeywordOctetsMax: 128, // ours
  imapMailboxNameOctetsMax: 1024, // ours
  imapChangesHeldMax: 4096, // ours: UIDs with new flags that a session keeps until it may tell; beyond, it looks at all
  imapCatenateMax: 1000, // ours: parts of one CATENATE
  imapUrlOctetsMax: 4096, // ours: a URL as a literal
  imapNotifyGroupsMax: 100, // ours: in one NOTIFY
  imapNotifyMailboxesMax: 1000, // ours: named in one NOTIFY
  imapNotifyPendingMax: 250, // ours: events to tell at once, then NOTIFICATIONOVERFLOW
  imapMultiAppendMax: 1000, // ours: messages in one APPEND
  imapProgressMs: 10_000, // ours; RFC 9585 §3: between two words about a long command
  imapSortKeysMax: 32, // ours: in one SORT
  imapSortMessagesMax: 500_000, // ours: sorted or threaded by one command; about 100 bytes each while it runs
  imapFactsBytesMax: 64 * 1024 * 1024, // ours: sort keys that stay in memory; about 400 octets for each message
  imapThreadReferencesMax: 100, // ours: of one message; the last ones count
  imapThreadIdsMax: 2_000_000, // ours: different Message-IDs in one mailbox; beyond, one reference of each message counts
  imapContextsMax: 16, // ours: results that are kept up to date for one connection (RFC 5267)
  imapContextMessagesMax: 500_000, // ours: in all of them together
  imapSearchSourcesMax: 1000, // ours: mailboxes named in one ESEARCH
  imapFuzzyTextsMax: 4, // ours: texts looked for fuzzily in one command
  imapFuzzyWordsMax: 6, // ours: of one of them; a longer one is looked for as it is
  imapBatchMessagesMin: 500, // RFC 10022 §3.1.3
  imapBatchesMessagesMax: 100_000, // RFC 10022 §3.1.5: in one batch range

  // xmpp: streams and login
  xmppStanzaBytesMax: 256 * 1024, // ours; RFC 6120 §13.12 asks for ≥ 10,000
  xmppStanzaBeforeLoginBytesMax: 10 * 1024, // ours: the least that RFC 6120 §13.12 allows
  xmppDepthMax: 64, // ours: elements inside each other in one stanza
  xmppAttributesMax: 64, // ours: of one element, declarations of namespaces among them
  xmppConnectionsMax: 4096, // ours: per listener
  xmppConnectionsPerAddressMax: 100, // ours: beyond loopback
  xmppClientsPerAccountMax: 64, // ours: those that wait to be resumed among them
  xmppLoginMs: 60_000, // ours: from connection to a bound resource
  xmppLoginFailuresMax: 5, // RFC 6120 §6.4.5: at least 2 and at most 5 retries
  xmppStreamsMax: 8, // ours: streams on one connection: STARTTLS and login each begin a new one
  xmppIdleMs: 10 * 60_000, // ours: silence after which a client is asked for a sign of life
  xmppSignMs: 60_000, // ours: how long it may take to give one
  xmppOutgoingBytesMax: 4 * 1024 * 1024, // ours: what waits for a client that does not read, then it is cut
  xmppOutgoingBytesAtOnce: 128 * 1024, // ours: handed to the system for a client that acknowledges, the rest waits here
  xmppMessagesAtOnce: 32, // ours: of one client that wait for the disk together
  xmppFullPauseMs: 100, // ours: between two looks at a transport that does not say when there is room
  xmppUnansweredMax: 8, // ours: answers and presences that a client is sent before it is asked whether it has them
  xmppUnacknowledgedMax: 10_000, // ours: stanzas that a client has not acknowledged, then its stream is over
  xmppUnacknowledgedBytesMax: 16 * 1024 * 1024, // ours: the same, in bytes
  xmppResumeMs: 10 * 60_000, // ours: how long a client with a lost connection is expected
  xmppResumeAfterStartMs: 60 * 60_000, // ours: the same where the gateway has started since
  xmppStreamKeptMs: 24 * 3600_000, // ours: how long it is remembered what was handled of a stream that is over
  xmppLostStreamsPerAccountMax: 16, // ours: clients of one account that wait to be resumed
  xmppStreamRowsPerAccountMax: 256, // ours: streams of one account that are remembered, the ones that are over among them
  xmppSweepMs: 15_000, // ours
  xmppHeldPresencesMax: 500, // ours: kept back while a client is inactive (XEP-0352)
  xmppTokenMs: 14 * 24 * 3600_000, // ours: how long a token of XEP-0484 is good
  xmppTokenFreshMs: 24 * 3600_000, // ours: an older one is replaced when it is used
  xmppTokensPerAccountMax: 64, // ours
  xmppUserAgentOctetsMax: 256, // ours: id of a program (XEP-0388)

  // xmpp: WebSocket, BOSH and files over HTTP
  uploadSlotMs: 10 * 60_000, // ours: until the first octet of a promised upload
  uploadSlotsMax: 32, // ours: of one account, promised and not used yet
  uploadKeepMs: 30 * 24 * 3600_000, // ours: an upload that no message takes over
  uploadTakenMs: 24 * 3600_000, // ours: one that a message was to take over and did not
  uploadSweepMs: 3600_000, // ours
  fileAwaitMs: 20_000, // ours: how long a request waits for a file that is on its way here
  fileAwaitStepMs: 200, // ours
  turnLoginMs: 6 * 3600_000, // ours: how long a login at a TURN server is good for
  turnLoginAgainMs: 60_000, // ours: how long a program that asks again is told the same
  turnServersMax: 16, // ours
  xmppOriginsMax: 32, // ours
  xmppWebSocketsMax: 1000, // ours: at once, within httpConnectionsMax of each listener
  xmppWebPerAddressMax: 100, // ours: WebSockets and BOSH sessions from one address, beyond loopback
  xmppWebMessagesAhead: 32, // ours: received and not taken yet; then the WebSocket is not read
  boshSessionsMax: 1000, // ours
  boshBodyBytesMax: 260 * 1024, // ours: a stanza of xmppStanzaBytesMax and what stands around it
  boshWrapperBytesMax: 4 * 1024, // ours: what stands around stanzas that may be shorter, before login
  boshStanzasAhead: 32, // ours: received and not taken yet; then no request is answered
  boshHoldMax: 1, // ours: requests of one session that wait here
  boshWaitSecondsMax: 60, // ours: how long one waits
  boshInactivitySeconds: 60, // ours: a session without a request
  boshPauseSecondsMax: 120, // ours: the same after it has said so
  boshPollingSeconds: 5, // ours: between two empty requests where none is held
  boshLastWordMs: 30_000, // ours: how long it is told why a session is over

  // SMTP submission
  smtpLineOctetsMax: 12_288 + 64, // RFC 4954 §4: AUTH with an initial response; RFC 5321 asks for 512
  smtpSkippedOctetsMax: 1024 * 1024, // ours: an endless line is read this far for a proper answer, then cut
  smtpCommandMs: 5 * 60_000, // RFC 5321 §4.5.3.2.7
  smtpDataPieceMs: 3 * 60_000, // RFC 5321 §4.5.3.2.5
  smtpDataMs: 30 * 60_000, // ours: one message, from 354 to its end
  smtpUnauthenticatedMs: 3 * 60_000, // ours: from connection to login
  smtpUnauthenticatedCommandsMax: 50, // ours
  smtpErrorsMax: 30, // ours: refused commands on one connection
  smtpLoginFailuresMax: 5, // ours: on one connection
  smtpOversizeFactor: 2, // ours: a message over its limit is read to this multiple for a proper answer, then cut
  smtpConnectionsMax: 1000, // ours: per listener
  smtpConnectionsPerAddressMax: 50, // ours: beyond loopback
  smtpEnvelopeIdOctetsMax: 100, // RFC 3461 §4.4
  smtpOriginalRecipientOctetsMax: 500, // RFC 3461 §4.2

  // overlay
  linkSegmentBytesMax: 32 * 1024, // DESIGN §7: sends of 4–32 KB; header included
  linkWindowBytes: 2 * 1024 * 1024, // ours: unread bytes a peer may have sent us; below the 4 MB at which js-libp2p gives up
  linkCreditStepBytes: 128 * 1024, // ours: a slow uplink still shows life every few seconds
  linkQueueBytesMax: 512 * 1024, // ours: `send` waits above this
  linkQueueBytesHardMax: 16 * 1024 * 1024, // ours: a sender that does not wait is refused
  linkStallMsMax: 60_000, // ours: a peer that reads nothing for this long loses its link
  linkQuietMs: 10_000, // ours: silence after which the peer is asked for a sign of life
  linkPingMsMax: 10_000, // ours: how long it may take to give one
  linkProbeMsMax: 1_500, // ours: the same when there is reason to believe that it is gone
  pathLinkQuietMs: 600, // ours: the same over a path, where more may fail: another one has its place within 3 s
  pathLinkPingMsMax: 1_600, // ours
  linkOpenMsMax: 8_000, // ours: agreeing on a link over an open connection
  linkOpeningsPerPeerMax: 4, // ours: link streams of one peer not yet agreed on
  dialMsMax: 6_000, // ours: all locators of one gateway together
  dialStaggerMs: 250, // RFC 8305 §5: connection attempt delay
  dialBackOffMsMin: 250, // ours
  dialBackOffMsMax: 5_000, // ours: the worker's own pace is slower than this
  askMsMax: 30_000, // ours
  asksPerPeerMax: 8, // ours: at once, in each direction
  asksMax: 64, // ours: answered at once, over all peers
  asksStrangersMax: 48, // ours: of them, for gateways that no contact lives at
  asksArrivingMax: 512, // ours: of strangers, that arrive or wait for their turn; each holds up to 64 KB
  asksArrivingPerSourceMax: 16, // ours: of them, from one address
  strangerAskReadMs: 10_000, // ours: for one of them to arrive
  strangerAsksPerSecond: 4, // ours: from one address, of such gateways; each costs half a millisecond of processor
  strangerAsksBurst: 64, // ours
  strangerAsksAheadMax: 8, // ours: from one address, that wait for their turn: two seconds
  strangerAsksIgnoredMax: 16, // ours: refused one after another for going too fast, then the connection is closed
  askRequestBytesMax: 64 * 1024, // ours
  askAnswerBytesMax: 1024 * 1024 + 64 * 1024, // DESIGN §5: a blob chunk of 1 MB and its proof
  connectionsMax: 512, // ours
  connectionsPerAddressMax: 32, // ours: an office behind one address
  connectionsPerSecondMax: 10, // ours: new ones from one address
  connectionsPendingMax: 64, // ours: not yet authenticated
  connectionsPerPeerMax: 4, // ours: one per transport
  connectionUpgradeMsMax: 5_000, // ours
  connectionIdleMsMax: 60_000, // ours: a connection nobody uses is closed
  streamsPerConnectionMax: 128, // ours: open at once by one peer; paths that it carries or begins are among them
  streamNegotiationMsMax: 5_000, // ours
  peersKnownMax: 1000, // ours: disconnected gateways kept for `peers`
  interfacePollMs: 2_000, // ours
  bootstrapRetryMs: 30_000, // ours
  mdnsQueryMs: 20_000, // ours
  mdnsPeersMax: 200, // ours: gateways heard of in one query interval
  mdnsRepeatMs: 1_000, // RFC 6762 §6: between two announcements on one interface
  mdnsPacketBytesMax: 9_000, // RFC 6762 §17
  mdnsRecordsMax: 64, // ours: looked at in one packet
  mdnsInterfacesMax: 16, // ours: interfaces and families, and for IPv4 addresses
  nearMs: 2 * 60_000, // ours: how long an announcement on the local network counts
  nearLocatorsMax: 4, // ours: of one gateway, tried beside those that contacts gave
  misbehaviourMs: 60_000, // ours: a peer that broke a bound is not heard again for this long

  // NAT traversal
  reachPortsMax: 4, // ours: tried for one gateway
  reachAskedMax: 3, // ours: gateways asked beside those of the configuration
  reachVotesMin: 2, // ours: gateways that must say the same before it is told to contacts; a configured one suffices
  reachPeriodMs: 10 * 60_000, // ours
  reachPauseMs: 20_000, // ours: between two tries for one gateway
  reachProbeMsMax: 3_000, // ours: one try
  reachTriesMax: 8, // ours: at once
  mappingAnswerMsMax: 3_000, // ours: a router that does not answer knows no such protocol
  mappingTextCharsMax: 256 * 1024, // ours: a router's description of itself
  mappingSeconds: 3600, // RFC 6886 §3.3 recommends 7200
  mappingRenewMsMin: 60_000, // ours
  mappingRetryMs: 10 * 60_000, // ours: after a router that let nobody in
  mappingEndMs: 2_000, // ours: for taking mappings back
  stunMsMax: 1_000, // ours: until another gateway's socket has said where it sees ours
  stunRepeatMs: 200, // ours; RFC 8489 §6.2.1 begins at 500, for networks without a relay to fall back to
  stunServersMax: 2, // ours: gateways asked before one punch
  stunPerSourceSecondMax: 10, // ours: answered to one address
  stunPerSecondMax: 200, // ours: answered to all
  punchEndpointsMax: 6, // ours: of either side
  punchAgreeMsMax: 5_000, // ours: until both sides know where the other is
  punchMsMax: 4_000, // ours: until a probe has come back
  punchRetryMsMin: 30_000, // ours: after a punch that led nowhere, doubling
  punchRetryMsMax: 30 * 60_000, // ours
  punchPauseMs: 2_000, // ours: between two punches that one gateway begins with us
  punchBufferBytes: 2 * 1024 * 1024, // ours: of the system, for each socket and direction
  punchesMax: 16, // ours: at once, with all gateways
  punchRoutesMax: 64, // ours: carried by this gateway's sockets
  punchRouteIdleMs: 30_000, // ours: a route without a datagram; QUIC sends one each 5 s

  // paths through other gateways
  pathHopsMax: 8, // ours: gateways between the two ends
  pathDelayMs: 500, // ours: how long a direct dial is alone before a path is begun beside it
  pathAttemptMsMax: 10_000, // ours: all tries for one destination together
  pathOpenMsMax: 4_000, // ours: until every hop has agreed
  pathUpgradeMsMax: 5_000, // ours: until both ends have authenticated each other over it
  pathTriesMax: 3, // ours: next hops that one gateway asks for one path
  viaLocatorsMax: 3, // ours: gateways through which one says that it can be reached
  pathsPerNeighbourMax: 32, // ours: open at once, asked for by one gateway
  pathsMax: 512, // ours: carried at once
  pathOpeningsPerSecondMax: 16, // ours: of one gateway
  pathEarlyBytesMax: 64 * 1024, // ours: sent before the path is agreed on
  pathIdleMsMax: 120_000, // ours: a carried path without a byte; both ends ask for a sign of life far more often
  pathBytesPerSecondMax: 16 * 1024 * 1024, // ours: carried for one path, each way
  pathConnectionsPerPeerMax: 4, // ours: over paths, with one gateway; the oldest goes
  pathPenaltyMsMin: 10_000, // ours: how long a next hop that led nowhere comes last, doubling
  pathPenaltyMsMax: 5 * 60_000, // ours

  // routing between gateways; a metric counts tenths of a millisecond
  routeMetricMax: 600_000, // ours: a minute; beyond it nothing is reachable
  routeHopCost: 20, // ours: what a hop costs beside its round-trip time
  routeCostUnmeasured: 1_000, // ours: a neighbour whose round-trip time is not known yet
  routeHysteresisMin: 20, // ours: how much better another route must be, at least …
  routeHysteresisPart: 8, // ours: … and as a part of the metric in use
  routeExpiryMs: 70_000, // ours: a route that nobody repeats; two sequence numbers of its destination
  routeSourceMs: 180_000, // RFC 8966 appendix B: how long a feasibility distance is kept, longer than any route
  routeInterestMs: 60_000, // ours: how long an asker is told of changes
  routeRefreshMs: 20_000, // ours: between two repetitions of a request while the route is used
  routeSearchMs: 60_000, // ours: between two searches for better routes while one is used
  routeSequenceMs: 30_000, // ours: between two sequence numbers of an asked-for destination
  routeSequenceMsMin: 1_000, // ours: the same when somebody asks for one
  routeHoldBackMs: 1_000, // ours: how long news of a way that led nowhere wait for those of another
  routeRequestMsMin: 1_000, // ours: between two requests for a destination without a route, doubling
  routeRequestMsMax: 30_000, // ours
  routeRequestsPerSecondMax: 20, // ours: taken from one neighbour
  routeRequestFanMax: 32, // ours: neighbours that are asked for one destination
  routeRequestsSeenMax: 4_096, // ours: remembered, so that none is passed on twice
  routeRequestSeenMs: 15_000, // ours
  routeAlternativesMax: 3, // ours: neighbours whose routes to one destination are kept fresh
  routeDestinationsMax: 2_048, // ours
  routeSubscriptionsMax: 256, // ours: destinations that one neighbour may wait for
  routeMessagesPerSecondMax: 200, // ours: read from one neighbour; beyond, it is made to wait
  routeQueueBytesMax: 256 * 1024, // ours: what waits for a neighbour that does not read, then its stream ends
  routeTickMs: 250, // ours
  routePingMs: 2_000, // ours: between two measurements of a neighbour's round-trip time
  routeSilenceMsMax: 3_000, // ours: a neighbour that answers none for this long leads nowhere
  routeStreamIdleMs: 60_000, // ours: a stream over which nothing was said
  routeStreamsPerPeerMax: 2, // ours: opened by one neighbour; an older one is given up
  routeRetryMs: 30_000, // ours: until a neighbour that took no routing stream is offered another
  routeProofsMax: 4_096, // ours: signatures remembered as verified
  routeFindMsMax: 2_000, // ours: how long a path waits for a first route

  // relay: what this gateway holds for others (docs/protocol/relay.md)
  relayRequestBytesMax: 1_050_624 + 4096, // ours: the largest body, its seal, and where to forward it
  relayAnswerBytesMax: 4096, // ours
  relayAskMsMax: 90_000, // ours: 1 MB at 12 KB/s, or a forwarded ask and its answer
  relayForwardMsMax: 60_000, // ours: what of it the other relay may take
  relayAsksMax: 24, // ours: answered at once for strangers, and as many for contacts and those that watch; each holds up to 4 MB
  relayAsksPerPeerMax: 4, // ours: at once, in each direction
  relayAskReadMs: 15_000, // ours: for a request to arrive, and a second more for each 16 KB of it
  relayForwardsMax: 32, // ours: at once, over all who ask
  relayForwardsPerPeerMax: 3, // ours: one less than its asks
  relayForwardSilenceMs: 10_000, // ours: after it a relay that has said nothing is left alone for a while
  relayQueueChangesMax: 128, // ours: queues made, and removed, in one request
  relayClockSkewMs: 10 * 60_000, // ours: how far a signed request's time may be off
  relayHoldMsMax: 21 * 24 * 3600_000, // as messageExpiryMs
  relayEntryOverheadBytes: 4096, // ours: counted for each entry beside its body; an LMDB page and its index rows
  relayWorkShareMax: 0.5, // ours: share of `overlay.relayBytesMax` and of relayQueuesMax that owners who came by work have together
  relayOwnersMax: 4096, // ours
  relayWorkOwnersMax: 1024, // ours: of them, those who came by work
  relayOwnersPerGatewayMax: 64, // ours: opened as a contact's gateway; an office has several accounts
  relayOwnerBytesMax: 256 * 1024 * 1024, // ours: waiting for one owner, a contact or with a capability
  relayOwnerEntriesMax: 16_384, // ours
  relayOwnerQueuesMax: 4096, // ours
  relayWorkOwnerBytesMax: 96 * 1024 * 1024, // ours: the same for one who came by work
  relayWorkOwnerEntriesMax: 2048, // ours
  relayWorkOwnerQueuesMax: 1024, // ours
  relayQueueShareMax: 0.5, // ours: of its owner's octets and entries, for one queue: one sender does not fill it alone
  relayQueuesMax: 262_144, // ours: of all owners; about 60 MB
  relayMarksMax: 262_144, // ours: ids of entries that were taken; the oldest are forgotten first
  relayMarkMs: 24 * 3600_000, // ours: how long a taken entry's id is remembered
  relayGrantsMax: 1000, // ours: capabilities handed out and not used yet
  relayGrantMsDefault: 7 * 24 * 3600_000, // ours
  relayGrantMsMax: 365 * 24 * 3600_000, // ours
  relayOwnerUnseenMs: 60 * 24 * 3600_000, // ours: then it is forgotten
  relayWorkOwnerUnseenMs: 7 * 24 * 3600_000, // ours: one who came by work and for whom nothing waits
  relayWorkBits: 20, // ours: about a second; more as the room for such owners fills
  relayWorkBitsMax: 28, // ours: what we are ready to do for a relay; a few minutes
  relayWorkAgeMs: 5 * 60_000, // ours: work not found in this time begins anew with another time
  relaySweepMs: 60_000, // ours
  relaySweepRows: 256, // ours: looked at in one transaction
  relayWatchersMax: 1024, // ours: streams of owners who watch
  relayWatchersPerGatewayMax: 32, // ours: half of streamsPerConnectionMax
  relayWatchEntriesMax: 64, // ours: sent to a watcher and not taken yet
  relayWatchBytesMax: 4 * 1024 * 1024, // ours
  relayWatchTakenMax: 256, // ours: numbers in one message
  relayWatchHelloMs: 10_000, // ours
  relayWatchAliveMs: 30_000, // ours: silence after which a side shows life
  relayWatchDeadMs: 75_000, // ours: silence that ends the stream
  relayRateKeysMax: 8192, // ours: gateways and queues whose rate is remembered

  // xmpp: chats and archive
  xmppIdOctetsMax: 512, // ours: an id that a program gives a message; a longer one is not remembered
  xmppIdsMax: 100_000, // ours: messages of one account whose program's id is remembered; the oldest are forgotten first
  xmppSameIdCharsMin: 8, // ours: a shorter id without origin-id may be a counter that began anew
  xmppResendMs: 7 * 24 * 3600_000, // ours: how long a message that is sent again is known to be the same
  xmppExtensionDepthMax: 32, // ours
  xmppArchivePageDefault: 50, // ours, as Prosody's
  xmppArchivePageMax: 250, // ours: messages in one answer of the archive
  xmppArchivePassedMax: 2000, // ours: steps of groups and the like that are read past, before chats are looked up one by one
  xmppArchiveIdsMax: 250, // ours: ids in one question
  xmppOfflineWaitMs: 2_000, // ours: after the first presence, for a program to ask the archive instead
  xmppOfflineMax: 1000, // ours: missed messages for a program that reads no archive; earlier ones stay in the archive
  xmppGivenKeptMs: 5_000, // ours: how often it is kept what programs were given
  xmppMarkLookBack: 100, // ours: how far before a read mark the message is looked for that a marker can name
  xmppPartnersKnownMax: 10_000, // ours: conversations whose partner is remembered
  xmppFileMs: 10 * 60_000, // ours: for storing an uploaded file as that of a message
  xmppLateMs: 60_000, // ours: what came later than this after it was written says when that was
} as const
