/** Namespaces of rooms (XEP-0045 and what builds on it). */
export const muc = 'http://jabber.org/protocol/muc'
export const mucUser = `${muc}#user`
export const mucAdmin = `${muc}#admin`
export const mucOwner = `${muc}#owner`
export const conferenceNs = 'jabber:x:conference' // XEP-0249
export const occupantIdNs = 'urn:xmpp:occupant-id:0' // XEP-0421
export const formNs = 'jabber:x:data' // XEP-0004
export const registerNs = 'jabber:iq:register' // XEP-0077
