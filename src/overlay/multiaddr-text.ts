/** Multiaddrs as text, where libp2p adds the peer id that locators leave out. */

export const withoutPeer = (address: string): string => address.replace(/\/p2p\/[^/]+$/, '')
