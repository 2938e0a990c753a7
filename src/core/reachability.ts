/** What other gateways found when they tried to connect to this one. Addresses of listeners are locators. */
export interface Reachability {
  /** `unknown`: nobody could try yet. */
  readonly state: 'public' | 'private' | 'unknown'
  /** Addresses from which this gateway is seen. */
  readonly seen: readonly string[]
  /** Where others have reached it. */
  readonly confirmed: readonly string[]
  /** How the router of the local network was asked to let others in, and where they then come in. */
  readonly mappedBy: string | undefined
  readonly mapped: readonly string[]
}
