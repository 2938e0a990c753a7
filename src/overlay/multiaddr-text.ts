/** Multiaddrs as text, where libp2p adds the peer id that locators leave out. */

export const withoutPeer = (address: string): string => address.replace(/\/p2p\/[^/]+$/, '')

/** The peer id at the end, if there is one. */
export const peerIn = (address: string): string | undefined => /\/p2p\/([^/]+)$/.exec(address)?.[1]
