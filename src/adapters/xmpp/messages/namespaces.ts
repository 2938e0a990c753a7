/** Namespaces of what messages hold. */
export const ns = {
  apply: 'urn:xmpp:fasten:0',
  carbons: 'urn:xmpp:carbons:2',
  chatStates: 'http://jabber.org/protocol/chatstates',
  correct: 'urn:xmpp:message-correct:0',
  delay: 'urn:xmpp:delay',
  eme: 'urn:xmpp:eme:0',
  fallback: 'urn:xmpp:fallback:0',
  file: 'urn:xmpp:file:metadata:0',
  fileSharing: 'urn:xmpp:sfs:0',
  forward: 'urn:xmpp:forward:0',
  hints: 'urn:xmpp:hints',
  mam: 'urn:xmpp:mam:2',
  markers: 'urn:xmpp:chat-markers:0',
  mds: 'urn:xmpp:mds:displayed:0',
  oob: 'jabber:x:oob',
  reactions: 'urn:xmpp:reactions:0',
  receipts: 'urn:xmpp:receipts',
  reply: 'urn:xmpp:reply:0',
  retract: 'urn:xmpp:message-retract:1',
  retractOld: 'urn:xmpp:message-retract:0',
  sid: 'urn:xmpp:sid:0',
  urlData: 'http://jabber.org/protocol/url-data',
} as const

/** XEP-0082. */
export const stampOf = (ms: number): string => new Date(ms).toISOString()
