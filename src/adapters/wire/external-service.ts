/** A server that helps calls across NAT, as the configuration names it (XEP-0215). */
export interface ExternalService {
  readonly type: 'stun' | 'stuns' | 'turn' | 'turns'
  readonly host: string
  readonly port: number
  readonly transport: 'udp' | 'tcp'
  /** Of a login that lasts; what a login for a while begins with is made here. */
  readonly username: string
  /** Shared with the server; asked for each time, so that it can be changed. */
  readonly secret: () => Uint8Array | undefined
}
